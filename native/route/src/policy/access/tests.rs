use super::{ApiKey, Authorization, Certificate, ClientCertificate, Csrf, Exempt};
use crate::ir::{
    AccessApiKey, AccessAuthorization, AccessCertificate, AccessCsrf, AccessExempt, AccessRule, KeySource, NamedValues,
    Policy, PolicySecret, SubjectAltName,
};
use crate::policy::{
    Authenticator, Compiled, ConnectionFacts, Denial, Facts, Identity, Level, Passage, Presented, Proof, Reason,
    Removal, Said, SentHead, Verdict, judge_all, judge_connection, user_of_connection,
};
use codec::Field;
use serde_json::json;
use std::sync::Arc;

/// Of a plain request.
pub(in crate::policy) const FACTS: Facts<'static> = Facts {
    address: None,
    method: "POST",
    scheme: "https",
    host: "www.example.com",
    authority: b"www.example.com",
    path: "/",
    query: None,
    fields: &[],
    told: None,
    sent: SentHead { fields: &[], taken_out: &[], authority: b"" },
    sni: None,
    listener: "",
    route: "",
    rule: "",
    rule_uid: 0,
    grpc: false,
    body_length: None,
    certificate: None,
    assumed: None,
};

fn fields<'f>(pairs: &[(&'f str, &'f str)]) -> Vec<Field<'f>> {
    pairs.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect()
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

fn from(ir: serde_json::Value) -> Policy {
    serde_json::from_value(ir).expect("a policy")
}

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

#[test]
fn what_another_site_sends() {
    let ir = AccessCsrf {
        id: String::new(),
        overrides: false,
        off: false,
        invalid: false,
        trusted_origins: strings(&["https://Admin.example.com:443", "https://*.friend.example"]),
    };
    let csrf = Csrf::compile(&ir).unwrap();
    for (sent, passes) in [
        (&[][..], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://admin.example.com")], true),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://a.b.friend.example")], true),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://friend.example")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://evilfriend.example")], false),
        // A browser says that it is another site: that the name is the same does not count.
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://www.example.com")], false),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
        (&[("origin", "https://www.example.com")], true),
        (&[("origin", "HTTPS://WWW.example.com:443")], true),
        (&[("origin", "http://www.example.com")], false),
        (&[("origin", "https://www.example.com:8443")], false),
        (&[("origin", "https://www.example.com.evil.example")], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", "")], false),
        (&[("origin", "http://admin.example.com")], false),
        (&[("origin", "https://www.example.com"), ("origin", "https://evil.example")], false),
        (&[("origin", "https://evil.example@www.example.com")], false),
    ] {
        let all = fields(sent);
        let facts = Facts { fields: &all, ..FACTS };
        assert_eq!(csrf.judge(&facts) == Verdict::Pass, passes, "{sent:?}");
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(csrf.judge(&Facts { method, ..facts }), Verdict::Pass);
        }
        let mut socket = fields(sent);
        socket.push(Field { name: b"Sec-WebSocket-Version", value: b"13" });
        let handshake = Facts { method: "GET", fields: &socket, ..FACTS };
        assert_eq!(csrf.judge(&handshake) == Verdict::Pass, passes, "{sent:?}");
        // Methods are case-sensitive.
        assert_eq!(csrf.judge(&Facts { method: "get", ..facts }) == Verdict::Pass, passes);
    }
    // Whoever ends TLS before us.
    let sent = fields(&[("origin", "https://www.example.com")]);
    assert_eq!(csrf.judge(&Facts { fields: &sent, scheme: "http", ..FACTS }), Verdict::Pass);
    for origin in ["", "example.com", "ftp://a", "https://", "https://a b", "null"] {
        assert!(Csrf::compile(&AccessCsrf { trusted_origins: strings(&[origin]), ..ir.clone() }).is_err(), "{origin}");
    }
}

#[test]
fn keys_and_where_they_stand() {
    let key = |name: &str| KeySource::Header { name: name.to_owned(), prefix: String::new() };
    let ir = AccessApiKey {
        id: String::new(),
        overrides: false,
        off: false,
        invalid: false,
        optional: false,
        keys: String::new(),
        from: vec![
            key("X-API-Key"),
            KeySource::Query { name: "key".to_owned() },
            KeySource::Cookie { name: "key".to_owned() },
        ],
        realm: "a \"b\"".to_owned(),
        forward_header: String::new(),
        keep: false,
    };
    // SHA-256 of "alpha" and of "beta".
    let keys = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 ann\n\
                F44E64E75F3948E9F73F8DFA94721C4CE8CBB4F265C4790C702B2D41CFBF2753 bob smith\n";
    let policy = ApiKey::compile(&ir, keys).unwrap();
    for (sent, query, user) in [
        (&[][..], None, None),
        (&[("x-api-key", "alpha")], None, Some("ann")),
        (&[("X-Api-Key", " beta ")], None, Some("bob smith")),
        (&[("cookie", "a=1; key=alpha")], None, Some("ann")),
        (&[], Some("key=alpha"), Some("ann")),
        (&[("x-api-key", "alpha")], Some("key=alpha"), Some("ann")),
        (&[("x-api-key", "alpha")], Some("key=beta"), Some("")),
        (&[("x-api-key", "alpha"), ("x-api-key", "beta")], None, Some("")),
        (&[("x-api-key", "alpha"), ("x-api-key", "x")], None, Some("")),
        (&[("x-api-key", "")], None, Some("")),
        (&[("x-api-key", "ALPHA")], None, Some("")),
        (&[("x_api_key", "alpha")], None, None),
    ] {
        let all = fields(sent);
        let found = policy.present(&Facts { fields: &all, query, ..FACTS });
        let user = match user {
            None => Presented::Absent,
            Some("") => Presented::Invalid,
            Some(user) => Presented::Valid(Arc::new(Identity::of(Proof::ApiKey, user))),
        };
        assert_eq!(found, user, "{sent:?} {query:?}");
    }
    assert_eq!(policy.challenge(), "ApiKey realm=\"a \\\"b\\\"\"");
    assert_eq!(
        policy.removed(),
        [Removal::Field("x-api-key".into()), Removal::Query("key".to_owned()), Removal::Cookie("key".to_owned())]
    );
    for keys in ["abc ann", "8ed3 ann", "x", "é3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f80 ann"] {
        assert!(ApiKey::compile(&ir, keys).is_err(), "{keys}");
    }
    assert!(ApiKey::compile(&AccessApiKey { from: Vec::new(), ..ir }, "").is_err());
}

#[test]
fn certificates_and_their_names() {
    let of = |dns: &[&str], uris: &[&str], subject: &str| ClientCertificate {
        subject: subject.to_owned(),
        dns_names: strings(dns),
        uris: strings(uris),
        fingerprint: String::new(),
        pem: String::new(),
    };
    let policy = |names: Vec<SubjectAltName>| {
        Certificate::compile(&AccessCertificate {
            id: String::new(),
            overrides: false,
            off: false,
            invalid: false,
            optional: false,
            subject_alt_names: names,
            forward_header: String::new(),
        })
    };
    let any = policy(Vec::new());
    let named = policy(vec![
        SubjectAltName::Hostname { value: "client.example".to_owned() },
        SubjectAltName::Uri { value: "spiffe://example/ann".to_owned() },
    ]);
    for (certificate, user, is_named) in [
        (of(&["Client.Example"], &[], "CN=a"), Some("Client.Example"), true),
        (of(&["a.example"], &["spiffe://example/ann"], "CN=a"), Some("spiffe://example/ann"), true),
        (of(&[], &["spiffe://example/annie"], "CN=a"), Some("spiffe://example/annie"), false),
        (of(&[], &[], "CN=client.example"), Some("CN=client.example"), false),
        (of(&[], &[], ""), None, false),
        // CVE-2025-66220: what ends at a NUL for one reader goes on for another.
        (of(&["client.example\0.evil.example"], &[], "CN=a"), None, false),
        (of(&["client.example"], &["spiffe://example/ann\n"], "CN=a"), None, false),
    ] {
        let facts = Facts { certificate: Some(&certificate), ..FACTS };
        let found = match any.present(&facts) {
            Presented::Valid(identity) => Some(identity.user.clone()),
            Presented::Invalid => None,
            other => panic!("{certificate:?}: {other:?}"),
        };
        assert_eq!(found.as_deref(), user, "{certificate:?}");
        assert_eq!(named.admits_connection(Some(&certificate)), is_named, "{certificate:?}");
    }
    assert_eq!(any.present(&FACTS), Presented::Absent);
    assert!(!any.admits_connection(None));
}

#[test]
fn who_is_exempt() {
    let of = |clients: &[&str], methods: &[&str], when: &str| AccessExempt {
        id: String::new(),
        overrides: false,
        off: false,
        invalid: false,
        clients: strings(clients),
        methods: strings(methods),
        when: when.to_owned(),
    };
    let facts = Facts { address: "10.1.2.3".parse().ok(), ..FACTS };
    for (ir, holds) in [
        (of(&["10.0.0.0/8"], &[], ""), true),
        (of(&["10.0.0.0/8"], &["GET"], ""), false),
        (of(&[], &["POST"], ""), true),
        (of(&[], &[], "request.path == '/'"), true),
        (of(&[], &[], "identity.claims.none == 1"), false),
    ] {
        assert_eq!(Exempt::compile(&ir).unwrap().holds(&facts), holds, "{ir:?}");
    }
    assert!(!Exempt::compile(&of(&["0.0.0.0/0"], &[], "")).unwrap().holds(&FACTS));
    assert!(Exempt::compile(&of(&[], &[], "")).is_err());
}

/// What all policies of a place make of a request.
fn judged(
    policies: &[(Policy, bool)],
    facts: &Facts<'_>,
) -> (Vec<(&'static str, &'static str)>, Option<Denial>, Passage<'static>) {
    let keys = |data: &str| vec![Arc::new(PolicySecret { id: "keys".to_owned(), data: data.to_owned() })];
    let alpha = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 ann\n";
    let compiled: Vec<Arc<Compiled>> =
        policies.iter().map(|(policy, _)| Arc::new(Compiled::of(policy.clone(), keys(alpha), Vec::new()))).collect();
    // What they take out is borrowed of them: they live as long as the test.
    let compiled: &'static [Arc<Compiled>] = compiled.leak();
    let place = |of: &Arc<Compiled>| compiled.iter().position(|it| it.object() == of.object());
    let levels: Vec<_> = (policies.iter().zip(compiled).enumerate())
        .map(|(at, ((_, overrides), policy))| Level {
            place: overrides.then_some(at),
            overriding: overrides.then(|| place(policy)).flatten(),
        })
        .collect();
    let mut passage = Passage::default();
    let (said, denial) = judge_all(compiled, &levels, facts, &mut passage);
    (said.into_iter().map(|Said { stanza, verdict, .. }| (stanza, verdict)).collect(), denial, passage)
}

fn key(optional: bool) -> Policy {
    from(json!({"type": "access_api_key", "id": "AccessPolicy/a/b/apiKey", "optional": optional, "keys": "keys",
        "realm": "r", "forward_header": "x-user", "from": [{"type": "header", "name": "x-api-key"}]}))
}

fn basic() -> Policy {
    from(json!({"type": "access_basic", "id": "AccessPolicy/a/b/basic", "users": "keys", "realm": "r"}))
}

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
