use super::samples::{FACTS, from, judged};
use crate::policy::Reason;
use serde_json::json;

#[test]
fn what_cannot_be_compiled_refuses_everything() {
    for ir in [
        json!({"type": "access_exempt", "id": "AccessPolicy/a/b/exempt"}),
        json!({"type": "access_csrf", "id": "AccessPolicy/a/b/csrf", "trusted_origins": ["x"]}),
        json!({"type": "access_authorization", "id": "AccessPolicy/a/b/authorization", "rules": [{"clients": ["x"]}]}),
        json!({"type": "access_authorization", "id": "AccessPolicy/a/b/authorization", "rules": [{"when": "x"}]}),
        json!({"type": "access_authorization", "id": "AccessPolicy/a/b/authorization", "invalid": true, "default_allow": true}),
    ] {
        let (said, denial, _) = judged(&[(from(ir.clone()), false)], &FACTS);
        assert_eq!(said.first().map(|(_, verdict)| *verdict), Some("deny"), "{ir}");
        assert_eq!(denial.map(|it| it.reason), Some(Reason::PolicyInvalid), "{ir}");
    }
}
