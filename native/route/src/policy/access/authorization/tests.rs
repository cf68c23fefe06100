use super::Authorization;
use crate::ir::{AccessAuthorization, AccessRule, NamedValues};
use crate::policy::ClientCertificate;
use crate::policy::access::samples::{FACTS, basic, fields, from, judged, key, strings};
use crate::policy::{
    Compiled, ConnectionFacts, Facts, Identity, Level, Proof, Reason, Verdict, judge_connection, user_of_connection,
};
use serde_json::json;
use std::sync::Arc;

fn allows(rules: Vec<AccessRule>, facts: &Facts<'_>, identity: Option<&Identity>) -> bool {
    let ir = AccessAuthorization {
        id: String::new(),
        overrides: false,
        off: false,
        invalid: false,
        rules,
        default_allow: false,
    };
    Authorization::compile(&ir).unwrap().judge(facts, identity, true) == Verdict::Pass
}

fn denies(rule: AccessRule, facts: &Facts<'_>, identity: Option<&Identity>) -> bool {
    !allows(vec![AccessRule { deny: true, ..rule }, AccessRule::default()], facts, identity)
}

/// One field cannot keep a worker busy: of too many elements it is denied, whatever they are.
#[test]
fn a_field_of_too_many_elements_is_denied() {
    let rule = AccessRule {
        headers: vec![NamedValues { name: "x-role".to_owned(), values: strings(&["root", "admin", "b"]) }],
        ..AccessRule::default()
    };
    for (value, denied) in [
        ("a,".repeat(999) + "a", false),
        ("a,".repeat(999) + " admin", true),
        ("a,".repeat(1_000) + "a", true),
        (",".repeat(60_000), true),
    ] {
        let (first, second) = value.split_at(999);
        for sent in [fields(&[("x-role", value.as_str())]), fields(&[("x-role", first), ("X_Role", &second[1..])])] {
            let facts = Facts { fields: &sent, ..FACTS };
            assert_eq!(denies(rule.clone(), &facts, None), denied, "{}", value.len());
            assert!(!allows(vec![rule.clone()], &facts, None));
        }
    }
}

/// Each condition by itself: whether it holds, as a rule that allows and as one that denies.
#[test]
fn conditions_of_rules() {
    let claims = json!({"groups": ["staff", "admin"], "org": {"id": 7}, "a.b": "c", "vip": true});
    let ann = Identity {
        proof: Proof::Jwt,
        user: "ann".to_owned(),
        claims: Arc::new(claims.as_object().unwrap().clone()),
        scopes: strings(&["read", "write"]),
    };
    let nobody = Identity { user: String::new(), ..ann.clone() };
    let sent = fields(&[("X-Role", "user"), ("x-role", "admin"), ("one", "1"), ("X_On_E", "1"), ("list", "a, b")]);
    let facts = Facts { address: "10.1.2.3".parse().ok(), fields: &sent, ..FACTS };
    let named = |name: &str, values: &[&str]| vec![NamedValues { name: name.to_owned(), values: strings(values) }];
    let rule = AccessRule::default;
    for (case, rule, as_allow, as_deny) in [
        ("nothing", rule(), true, true),
        ("address", AccessRule { clients: strings(&["10.0.0.0/8"]), ..rule() }, true, true),
        ("other address", AccessRule { clients: strings(&["192.0.2.0/24", "::/0"]), ..rule() }, false, false),
        ("method", AccessRule { methods: strings(&["PUT", "POST"]), ..rule() }, true, true),
        ("other method", AccessRule { methods: strings(&["PUT"]), ..rule() }, false, false),
        ("method in another case", AccessRule { methods: strings(&["post"]), ..rule() }, false, true),
        ("user", AccessRule { users: strings(&["bob", "ann"]), ..rule() }, true, true),
        ("scopes", AccessRule { scopes: strings(&["read", "write"]), ..rule() }, true, true),
        ("one scope of two", AccessRule { scopes: strings(&["read", "drop"]), ..rule() }, false, false),
        ("claim in a list", AccessRule { claims: named("groups", &["admin", "root"]), ..rule() }, true, true),
        ("claim in an object", AccessRule { claims: named("org.id", &["7"]), ..rule() }, true, true),
        ("claim with a dot", AccessRule { claims: named("a.b", &["c"]), ..rule() }, true, true),
        ("claim that is true", AccessRule { claims: named("vip", &["true"]), ..rule() }, true, true),
        ("no such claim", AccessRule { claims: named("none", &[""]), ..rule() }, false, false),
        ("a claim's object", AccessRule { claims: named("org", &[""]), ..rule() }, false, false),
        ("header", AccessRule { headers: named("ONE", &["1"]), ..rule() }, true, true),
        // CVE-2026-26308: of several values all have to be allowed, and one is enough to be refused, as is the joined one.
        ("one of two values", AccessRule { headers: named("x-role", &["admin"]), ..rule() }, false, true),
        ("both values", AccessRule { headers: named("x-role", &["admin", "user"]), ..rule() }, true, true),
        ("values joined", AccessRule { headers: named("x-role", &["user, admin"]), ..rule() }, false, true),
        ("no such header", AccessRule { headers: named("none", &[""]), ..rule() }, false, false),
        ("name in another spelling", AccessRule { headers: named("x-on-e", &["1"]), ..rule() }, false, true),
        ("one element of a list", AccessRule { headers: named("list", &["b"]), ..rule() }, false, true),
        ("a whole list", AccessRule { headers: named("list", &["a, b"]), ..rule() }, true, true),
        ("host", AccessRule { headers: named("Host", &["www.example.com"]), ..rule() }, true, true),
        ("host in another case", AccessRule { headers: named("host", &["WWW.example.com."]), ..rule() }, true, true),
        ("host with its port", AccessRule { headers: named("host", &["www.example.com:443"]), ..rule() }, true, true),
        ("other port", AccessRule { headers: named("host", &["www.example.com:80"]), ..rule() }, false, false),
        ("other host", AccessRule { headers: named("host", &["example.com", ""]), ..rule() }, false, false),
        ("expression", AccessRule { when: "identity.user == 'ann'".to_owned(), ..rule() }, true, true),
        ("expression that fails", AccessRule { when: "identity.claims.none == 1".to_owned(), ..rule() }, false, true),
        (
            "two, of which one",
            AccessRule { users: strings(&["ann"]), methods: strings(&["PUT"]), ..rule() },
            false,
            false,
        ),
    ] {
        assert_eq!(allows(vec![rule.clone()], &facts, Some(&ann)), as_allow, "{case}");
        assert_eq!(denies(rule, &facts, Some(&ann)), as_deny, "{case}, deny");
    }
    // A host without a port is that on every port to deny, and on the usual one to allow.
    let on_8443 = Facts { authority: b"WWW.example.com:8443", ..facts };
    let host = AccessRule { headers: named("host", &["www.example.com"]), ..rule() };
    assert!(!allows(vec![host.clone()], &on_8443, None) && denies(host, &on_8443, None));
    // Nobody is no user, and an address that nobody knows allows nothing.
    for identity in [None, Some(&nobody)] {
        assert!(!allows(vec![AccessRule { users: strings(&["", "ann"]), ..rule() }], &facts, identity));
    }
    let anywhere = AccessRule { clients: strings(&["0.0.0.0/0", "::/0"]), ..rule() };
    assert!(!allows(vec![anywhere.clone()], &FACTS, None));
    assert!(denies(anywhere, &FACTS, None));
}

#[test]
fn the_first_rule_decides() {
    let facts = Facts { address: "10.1.2.3".parse().ok(), ..FACTS };
    let of = |deny, clients: &str| AccessRule { deny, clients: strings(&[clients]), ..AccessRule::default() };
    assert!(allows(vec![of(false, "10.1.0.0/16"), of(true, "10.0.0.0/8")], &facts, None));
    assert!(!allows(vec![of(true, "10.0.0.0/8"), of(false, "10.1.0.0/16")], &facts, None));
    assert!(!allows(vec![], &facts, None));
}

#[test]
fn connections_know_addresses_alone() {
    let rules = json!([{"methods": ["GET"]}, {"deny": true, "clients": ["10.1.0.0/16"]}, {"clients": ["10.0.0.0/8"]}]);
    let ir = json!({"type": "access_authorization", "id": "AccessPolicy/a/b/authorization", "rules": rules});
    let policy = Compiled::of(from(ir), Vec::new(), Vec::new());
    for (address, admitted) in [("10.2.0.1", true), ("10.1.0.1", false), ("192.0.2.1", false), ("", false)] {
        let facts = ConnectionFacts {
            address: address.parse().ok(),
            sni: None,
            listener: "",
            route: "",
            rule: "",
            rule_uid: 0,
            certificate: None,
            user: None,
        };
        assert_eq!(policy.judge_connection(Level::default(), &facts) == Verdict::Pass, admitted, "{address}");
    }
}

#[test]
fn connections_know_whose_certificate_they_have() {
    let rules =
        json!([{"deny": true, "users": ["eve.test"]}, {"users": ["ann.test", "eve.test"], "clients": ["10.0.0.0/8"]}]);
    let ir = json!({"type": "access_authorization", "id": "AccessPolicy/a/b/authorization", "rules": rules});
    let rules = Arc::new(Compiled::of(from(ir), Vec::new(), Vec::new()));
    let ir = json!({"type": "access_certificate", "id": "AccessPolicy/a/b/certificate", "optional": true,
        "subject_alt_names": [{"type": "Hostname", "value": "ann.test"}, {"type": "Hostname", "value": "eve.test"}]});
    let certificate = Arc::new(Compiled::of(from(ir), Vec::new(), Vec::new()));
    let of = |name: &str| ClientCertificate { dns_names: vec![name.to_owned()], ..ClientCertificate::default() };
    let (ann, eve, bob) = (of("ann.test"), of("eve.test"), of("bob.test"));
    let both = [certificate, Arc::clone(&rules)];
    let plain = [Level::default(); 2];
    let below = [Level::default(), Level { place: Some(0), overriding: Some(0) }];
    let above = [0, 1].map(|place| Level { place: Some(place), overriding: Some(0) });
    for (policies, levels, shown, admitted) in [
        (&both[..], &plain[..], Some(Some(&ann)), true),
        (&both, &plain, Some(Some(&eve)), false),
        (&both, &plain, Some(Some(&bob)), false),
        (&both, &plain, Some(None), false),
        // Not known yet.
        (&both, &plain, None, true),
        // Nothing takes it for a proof.
        (&both[1..], &plain[1..], Some(Some(&ann)), false),
        // An override takes nobody's word below.
        (&both, &below, Some(Some(&ann)), false),
        (&both, &above, Some(Some(&ann)), true),
        (&both, &above, Some(Some(&eve)), false),
    ] {
        let facts = ConnectionFacts {
            address: "10.0.0.1".parse().ok(),
            sni: None,
            listener: "",
            route: "",
            rule: "",
            rule_uid: 0,
            certificate: shown,
            user: user_of_connection(policies, levels, shown.flatten()),
        };
        assert_eq!(judge_connection(policies, levels, &facts).1.is_none(), admitted, "{shown:?} {levels:?}");
    }
}

/// Whoever owns a route calls the clients of his keys what he likes: for the Gateway's rules they are nobody, or who is denied.
#[test]
fn an_override_takes_nobody_s_word_below() {
    let above = |rules: serde_json::Value, default_allow: bool| {
        let ir = json!({"type": "access_authorization", "id": "AccessPolicy/c/d/authorization", "overrides": true,
            "rules": rules, "default_allow": default_allow});
        (from(ir), true)
    };
    let ann = json!([{"users": ["ann"]}]);
    let sent = fields(&[("x-api-key", "alpha")]);
    let facts = Facts { fields: &sent, ..FACTS };
    for (key_overrides, rules, default_allow, passes) in [
        (true, ann.clone(), false, true),
        (false, ann.clone(), false, false),
        (false, json!([{"when": "identity.user == 'ann'"}]), false, false),
        (false, json!([{"when": "identity.user == ''"}]), false, false),
        (false, json!([{"when": "identity.user != 'eve'"}]), false, true),
        (false, json!([{"deny": true, "users": ["ann"]}]), true, false),
        (false, json!([{"deny": true, "users": ["eve"]}]), true, true),
        (false, json!([{"deny": true, "when": "identity.user == ''"}]), true, false),
    ] {
        let (_, denial, _) = judged(&[(key(true), key_overrides), above(rules.clone(), default_allow)], &facts);
        let wanted = (!passes).then_some(Reason::Forbidden);
        assert_eq!(denial.map(|it| it.reason), wanted, "{key_overrides} {rules}");
    }
    // Whatever comes of a password below.
    let sent = fields(&[("authorization", "Basic YTpi")]);
    let facts = Facts { fields: &sent, ..FACTS };
    for (basic_overrides, word) in [(true, "asked"), (false, "deny")] {
        let (said, _, _) = judged(&[(basic(), basic_overrides), above(ann.clone(), false)], &facts);
        assert_eq!(said, [("basic", "asked"), ("authorization", word)]);
    }
}

#[test]
fn what_needs_an_answer_leaves_rules_on_users_open() {
    let rules = |rules: serde_json::Value| {
        from(json!({"type": "access_authorization", "id": "AccessPolicy/a/b/authorization", "rules": rules}))
    };
    let sent = fields(&[("authorization", "Basic YTpi")]);
    let facts = Facts { fields: &sent, ..FACTS };
    let (said, denial, _) = judged(&[(basic(), false), (rules(json!([{"users": ["ann"]}])), false)], &facts);
    assert_eq!((said, denial), (vec![("basic", "asked"), ("authorization", "asked")], None));
    let (said, denial, _) = judged(&[(basic(), false), (rules(json!([{"methods": ["GET"]}])), false)], &facts);
    assert_eq!(said, [("basic", "asked"), ("authorization", "deny")]);
    assert_eq!(denial.map(|it| it.reason), Some(Reason::Forbidden));
    let ann = Identity::of(Proof::Basic, "ann");
    let facts = Facts { assumed: Some(&ann), ..FACTS };
    let (said, denial, _) = judged(&[(basic(), false), (rules(json!([{"users": ["ann"]}])), false)], &facts);
    assert_eq!((said, denial), (vec![("basic", "pass"), ("authorization", "pass")], None));
}
