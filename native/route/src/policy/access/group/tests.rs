use crate::policy::access::samples::{FACTS, basic, fields, from, judged, key};
use crate::policy::{Denial, Facts, Reason, Removal};
use serde_json::json;

#[test]
fn the_first_credential_decides() {
    let both = [(key(false), false), (basic(), false)];
    let challenges = |denial: &Option<Denial>| -> Vec<String> {
        let fields = denial.iter().flat_map(|denial| &denial.fields);
        fields.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
    };
    let (said, denial, passage) = judged(&both, &FACTS);
    assert_eq!(said, [("apiKey", "deny"), ("basic", "deny")]);
    assert_eq!(
        challenges(&denial),
        ["www-authenticate: ApiKey realm=\"r\"", "www-authenticate: Basic realm=\"r\", charset=\"UTF-8\""]
    );
    assert_eq!(passage.identity, None);

    let sent = fields(&[("x-api-key", "alpha"), ("authorization", "Basic !")]);
    let (said, denial, passage) = judged(&both, &Facts { fields: &sent, ..FACTS });
    assert_eq!((said, denial), (vec![("apiKey", "pass")], None));
    assert_eq!(passage.forward, [("x-user".into(), b"ann".to_vec())]);
    // The backend gets neither, whichever was looked at.
    let password = Removal::Scheme { name: "authorization".into(), scheme: "Basic".into() };
    assert!(passage.removed.iter().eq(&[Removal::Field("x-api-key".into()), password]));

    let sent = fields(&[("x-api-key", "wrong"), ("authorization", "Basic YTpi")]);
    let (said, denial, _) = judged(&both, &Facts { fields: &sent, ..FACTS });
    assert_eq!(said, [("apiKey", "deny")]);
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Unauthenticated));

    let sent = fields(&[("authorization", "Basic YTpi")]);
    let (said, denial, _) = judged(&both, &Facts { fields: &sent, ..FACTS });
    assert_eq!((said, denial), (vec![("apiKey", "absent"), ("basic", "asked")], None));
}

#[test]
fn optional_credentials_may_be_absent_and_not_wrong() {
    let sent = fields(&[("x-api-key", "wrong")]);
    let policies = [(key(true), false)];
    let (said, denial, _) = judged(&policies, &FACTS);
    assert_eq!((said, denial), (vec![("apiKey", "absent")], None));
    let (_, denial, _) = judged(&policies, &Facts { fields: &sent, ..FACTS });
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Unauthenticated));
}

/// A policy of a Gateway overrides with users; a route's owner adds keys of their own: both are asked.
#[test]
fn an_override_is_not_weakened_from_below() {
    let policies = [(key(false), false), (basic(), true)];
    let sent = fields(&[("x-api-key", "alpha")]);
    let (said, denial, _) = judged(&policies, &Facts { fields: &sent, ..FACTS });
    assert_eq!(said, [("basic", "deny")]);
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Unauthenticated));
    // Nor by exempting everybody.
    let exempt = from(json!({"type": "access_exempt", "id": "AccessPolicy/a/b/exempt", "methods": ["POST"]}));
    let (said, denial, _) = judged(&[(exempt.clone(), false), (basic(), true)], &FACTS);
    assert_eq!(said, [("basic", "deny")]);
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Unauthenticated));
    let (said, denial, _) = judged(&[(exempt, true), (basic(), true)], &FACTS);
    assert_eq!((said, denial), (vec![("exempt", "pass"), ("basic", "absent")], None));
}

/// A `ListenerSet` of somebody else overrides too: neither is an alternative of the Gateway's, nor exempts from it.
#[test]
fn an_override_is_not_weakened_by_another_one() {
    let other = |ir: serde_json::Value| (from(ir), true);
    let exempt = other(json!({"type": "access_exempt", "id": "AccessPolicy/c/d/exempt", "overrides": true,
        "methods": ["POST"]}));
    let users = other(json!({"type": "access_basic", "id": "AccessPolicy/c/d/basic", "users": "keys", "realm": "r"}));
    let (said, denial, _) = judged(&[(key(false), true), exempt.clone()], &FACTS);
    assert_eq!(said, [("apiKey", "deny")]);
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Unauthenticated));
    let sent = fields(&[("authorization", "Basic YTpi")]);
    let (said, denial, _) = judged(&[(key(false), true), users.clone()], &Facts { fields: &sent, ..FACTS });
    assert_eq!(said, [("apiKey", "deny")]);
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Unauthenticated));
    let sent = fields(&[("authorization", "Basic YTpi"), ("x-api-key", "alpha")]);
    let (said, denial, passage) = judged(&[(key(false), true), users, exempt], &Facts { fields: &sent, ..FACTS });
    assert_eq!((said, denial), (vec![("apiKey", "pass"), ("exempt", "pass"), ("basic", "asked")], None));
    assert_eq!(passage.identity.map(|it| it.user.clone()).as_deref(), Some("ann"));
}
