//! A request to a listener that asks somebody before a rule is looked for (GEP-5224).

use super::contract::{Decision, DecisionRequest};
use super::routed::decide_routed;
use super::unrouted::{Part, answer, ask, decide_unrouted};
use super::{Request, Unrouted};
use crate::policy::Mutation;
use crate::table::{EditedFields, RequestHead, Table};
use codec::Framing;

/// Decide on it. Who is asked is taken to be content, and to say nothing: what only they may say nobody says.
pub(super) fn decide_asked(
    table: &Table,
    request: &DecisionRequest,
    asked: (&Request<'_>, Framing),
    unrouted: &Unrouted<'_, '_>,
) -> Decision {
    let Some(joined) = unrouted.listener.asks_before_rules() else {
        return decide_unrouted(request, asked, unrouted, Vec::new());
    };
    let (said, denial, respond) = ask(request, asked, unrouted, joined, Part::Before);
    if denial.is_some() {
        return answer(unrouted, denial, &respond, said);
    }
    let (owned, mutation) = (joined.owned_before(), Mutation::default());
    let Unrouted { listener, head, sent_fields } = *unrouted;
    let mut fields = EditedFields::new();
    let sent_fields = mutation.apply(&owned, (head.fields, sent_fields), &mut fields);
    let taken_out = mutation.matched(&owned, head.taken_out);
    let head = RequestHead { fields: &fields, taken_out: &taken_out, ..head };
    let unrouted = Unrouted { listener, head, sent_fields };
    match unrouted.find(request) {
        Some(routed) => decide_routed(table, request, asked, &routed, said),
        None => decide_unrouted(request, asked, &unrouted, said),
    }
}

#[cfg(test)]
mod tests {
    use crate::samples::{ask, listener, merged, rule, table};
    use serde_json::{Value, json};

    const SERVICE: &str = "l/externalAuth";

    fn external(allowed: &Value) -> Value {
        json!({"type": "external_auth", "id": SERVICE, "overrides": true,
            "service": {"protocol": "http", "backend": "b", "timeout_ms": 1, "allowed_response_headers": allowed}})
    }

    /// The status, and what policies said, of a request with these fields.
    fn decided(policies: &Value, of_rule: &Value, headers: Value) -> (u16, String, Vec<String>) {
        let named: Vec<&Value> = policies.as_array().unwrap().iter().map(|policy| &policy["id"]).collect();
        let every = json!({"type": "PathPrefix", "value": "/"});
        let admin = json!([{"path": every, "headers": [{"name": "x-role", "value": "admin"}]}]);
        let plain = json!([{"path": every}]);
        let of_rule = merged(json!({"matches": admin}), of_rule.clone());
        let rules = json!([rule("admin", of_rule), rule("plain", json!({"matches": plain}))]);
        let listeners = json!([listener("l", 80, json!({"policies": named}))]);
        let table = table(rules, json!({"listeners": listeners, "policies": policies}));
        let decision = ask(&table, json!({"headers": headers}));
        let said = decision.policies.iter().map(|said| format!("{} {}", said.stanza, said.verdict)).collect();
        (decision.status, decision.rule.unwrap_or_default(), said)
    }

    /// What only the service says no client says, so it is not matched by either; of others the rule is looked for.
    #[test]
    fn nobody_says_what_the_service_says() {
        let admin = |name: &str| json!([[name, "admin"]]);
        let asked = || vec!["externalAuth asked".to_owned()];
        for (allowed, headers, expected) in [
            (json!(["x-role"]), admin("x-role"), "plain"),
            (json!(["X-ROLE"]), json!([["connection", "x-role"], ["x-role", "admin"]]), "plain"),
            (json!(["x-other"]), admin("X-Role"), "admin"),
            (json!([]), admin("x-role"), "admin"),
        ] {
            let found = decided(&json!([external(&allowed)]), &json!({}), headers.clone());
            assert_eq!(found, (0, expected.to_owned(), asked()), "{allowed} {headers}");
        }
        assert_eq!(decided(&json!([]), &json!({}), admin("x-role")).1, "admin");
    }

    /// A service is asked of a request whatever its rule does, and only what every rule has goes before it.
    #[test]
    fn what_comes_before_the_rule() {
        let access = json!({"type": "access_authorization", "id": "AccessPolicy/a/p/authorization", "rules": []});
        let headers =
            |most: u64| json!({"type": "client_headers", "id": "ClientPolicy/a/p/headers", "max_count": most});
        let limits = |overrides: bool| {
            let limit =
                json!({"name": "one", "key": [{"type": "client"}], "requests": 1, "per_milliseconds": 1, "burst": 1});
            json!({"type": "rate_limits", "id": "RateLimitPolicy/a/p/local", "limits": [limit], "overrides": overrides})
        };
        let service = || external(&json!(["x-role"]));
        let exact = json!({"path": {"type": "Exact", "value": "/"}});
        for (policies, of_rule, status, rule, said) in [
            (json!([access, service()]), json!({}), 403, "plain", &["externalAuth asked", "authorization deny"][..]),
            (json!([service(), headers(9)]), json!({}), 0, "plain", &["headers pass", "externalAuth asked"]),
            (json!([service(), headers(1)]), json!({}), 431, "", &["headers deny"]),
            (json!([limits(true), service()]), json!({}), 0, "plain", &["local asked", "externalAuth asked"]),
            (json!([limits(false), service()]), json!({}), 0, "plain", &["externalAuth asked", "local asked"]),
            (json!([merged(service(), json!({"invalid": true}))]), json!({}), 500, "", &["externalAuth deny"]),
            (json!([service()]), json!({"matches": [exact], "invalid": true}), 500, "admin", &["externalAuth asked"]),
        ] {
            let fields = json!([["a", "1"]]);
            let found = decided(&policies, &of_rule, fields);
            let said: Vec<_> = said.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(found, (status, rule.to_owned(), said), "{policies}");
        }
    }
}
