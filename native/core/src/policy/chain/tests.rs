//! What a chain makes of a request and of a connection, step by step.

use super::{Admission, Chain, Rest};
use crate::error::ErrorCode;
use crate::observe::l4::L4Reason;
use crate::policy::samples::{FACTS, KEYS, api_key, chain, counts, fault, one_a_day, table, unprepared};
use crate::policy::{Denial, Gate, Held, KeySets, Outcome, Step, prepare, published_sets};
use codec::Field;
use route::ir::LogLines;
use route::policy::{BodyLimit, ConnectionFacts, Facts, Passage, SentHead};
use route::table::{EditedFields, Table};
use serde_json::{Value, json};
use std::time::Duration;

const CONNECTION: ConnectionFacts<'static> = ConnectionFacts {
    address: None,
    sni: None,
    listener: "l",
    route: "route",
    rule: "rule",
    rule_uid: 1,
    certificate: None,
    user: None,
};

fn field<'f>(name: &'f str, value: &'f str) -> Field<'f> {
    Field { name: name.as_bytes(), value: value.as_bytes() }
}

fn limit(octets: u64) -> BodyLimit {
    BodyLimit::new(octets).unwrap()
}

fn body(more: &Value) -> Value {
    let mut policy = json!({"type": "client_body", "id": "ClientPolicy/a/p/body"});
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

/// `admitted`, `asked <next>`, or the error and who it is of.
fn said(admission: Admission) -> String {
    match admission {
        Admission::Admitted => "admitted".to_owned(),
        Admission::Denied(denial) => format!("{} {}", denial.code.name(), denial.detail.unwrap_or_default()),
        Admission::Asked { next, .. } => format!("asked {next}"),
    }
}

fn run(chain: &Chain, first: usize, facts: &Facts<'_>) -> String {
    said(chain.run(first, facts, &mut Passage::default(), &mut Held::new()))
}

fn of_length(length: u64) -> Facts<'static> {
    Facts { body_length: Some(length), ..FACTS }
}

/// Who is stopped for nothing that has to be proved is stopped first, and what harms on purpose comes last: whatever the
/// order in which the policies are named.
#[test]
fn each_step_has_its_turn() {
    let every = [fault(None, true), api_key(), body(&json!({"max_bytes": 3})), one_a_day()];
    for turned in 0..every.len() {
        let mut policies = every.clone();
        policies.rotate_left(turned);
        let table = table(&json!(policies), KEYS);
        let chain = chain(&table);
        let key = [field("x-api-key", "alpha")];
        let with_key = SentHead { fields: &key, ..FACTS.sent };
        let with_key = Facts { fields: &key, sent: with_key, ..of_length(3) };
        assert_eq!(run(chain, 0, &of_length(4)), "body_too_large body of ClientPolicy/a/p");
        assert_eq!(run(chain, 0, &with_key), "fault fault of rule");
        assert_eq!(run(chain, 0, &with_key), "rate_limited limit one of RateLimitPolicy/a/p");
        assert_eq!(counts(&table, "AccessPolicy/a/p/apiKey"), [1, 0, 0]);
        assert_eq!(counts(&table, "ClientPolicy/a/p/body"), [2, 1, 0]);
    }
    let table = table(&json!([api_key(), fault(None, true)]), KEYS);
    assert_eq!(run(chain(&table), 0, &FACTS), "unauthenticated apiKey of AccessPolicy/a/p: no credential");
    // Nobody fills memory who does not pass.
    let collects = Chain::new(vec![Step::Buffer(limit(9)), Step::BodyLimit(limit(3))]);
    assert_eq!(run(&collects, 0, &of_length(4)), "body_too_large ");
    assert_eq!(run(&collects, 0, &of_length(3)), "asked 2");
}

/// A step that asks is not asked again, and those before it are not either.
#[test]
fn a_chain_goes_on_behind_who_asked() {
    let gate = || Step::Gate(Gate::new(Outcome::Pass));
    let chain = Chain::new(vec![Step::BodyLimit(limit(5)), gate(), gate(), Step::BodyLimit(limit(3))]);
    for (first, length, expected) in [
        (0, 6, "body_too_large "),
        (0, 4, "asked 2"),
        (2, 9, "asked 3"),
        (3, 4, "body_too_large "),
        (3, 3, "admitted"),
        (4, 9, "admitted"),
    ] {
        assert_eq!(run(&chain, first, &of_length(length)), expected, "{first} {length}");
    }
    assert_eq!(chain.body_limit(), Some(limit(3)), "the smallest is what may stream");
}

/// Which step it was that asked: the one before the place where the chain goes on.
#[test]
fn who_has_refused_after_a_wait() {
    let table = table(&json!([body(&json!({"max_bytes": 3})), fault(Some(1), true)]), "");
    let chain = chain(&table);
    let known = || Denial { detail: Some("more".to_owned()), ..ErrorCode::Fault.into() };
    for (next, denial, expected) in [
        (1, ErrorCode::Fault.into(), Some("body of ClientPolicy/a/p")),
        (2, ErrorCode::Fault.into(), Some("fault of rule")),
        (2, known(), Some("more")),
        (0, ErrorCode::Fault.into(), None),
        (9, ErrorCode::Fault.into(), None),
    ] {
        assert_eq!(chain.refused(next, denial).detail.as_deref(), expected, "{next}");
    }
}

/// What acts on what goes to a backend is nothing where no rule takes a request; everything else holds.
#[test]
fn steps_of_a_request_without_a_rule() {
    let buffer = json!({"type": "filter_buffer", "id": "rule/buffer", "max_bytes": 9});
    let table = table(&json!([fault(None, true), buffer, body(&json!({"max_bytes": 3}))]), "");
    let chain = chain(&table);
    assert_eq!(run(chain, 0, &of_length(3)), "fault fault of rule");
    assert_eq!(run(chain, 0, &Facts { rule: "", ..of_length(3) }), "admitted");
    assert_eq!(run(chain, 0, &Facts { rule: "", ..of_length(4) }), "body_too_large body of ClientPolicy/a/p");
}

/// Of requests and of connections, whatever else stands in the chain; the operator is told which policy it is.
#[test]
fn what_cannot_be_honoured_refuses_everything() {
    let invalid = body(&json!({"invalid": true}));
    let basic = json!({"type": "access_basic", "id": "AccessPolicy/a/p/basic", "users": "secret"});
    for (policy, secret, detail) in
        [(invalid, "", "body of ClientPolicy/a/p"), (basic, "no line of a file of users", "basic of AccessPolicy/a/p")]
    {
        let id = policy["id"].as_str().unwrap();
        let table = table(&json!([policy]), secret);
        let chain = chain(&table);
        assert_eq!(run(chain, 0, &FACTS), format!("policy_invalid {detail}"));
        assert_eq!(run(chain, 9, &FACTS), format!("policy_invalid {detail}"));
        assert_eq!(chain.admit_connection(&CONNECTION, &mut Held::new()), Err(L4Reason::PolicyInvalid));
        assert_eq!(chain.admit_shown(&CONNECTION), Err(L4Reason::PolicyInvalid));
        assert_eq!(counts(&table, id), [0, 4, 0]);
    }
}

/// What has counted a connection does not count it again where its certificate is shown.
#[test]
fn a_connection_is_asked_twice_and_counted_once() {
    let certificate = json!({"type": "access_certificate", "id": "AccessPolicy/a/p/certificate"});
    let table = table(&json!([one_a_day(), certificate]), "");
    let chain = chain(&table);
    let shown = ConnectionFacts { certificate: Some(None), ..CONNECTION };
    assert_eq!(chain.admit_connection(&CONNECTION, &mut Held::new()), Ok(()));
    assert_eq!(chain.admit_shown(&shown), Err(L4Reason::Unauthenticated));
    assert_eq!(counts(&table, "RateLimitPolicy/a/p/local"), [1, 0, 0]);
    assert_eq!(chain.admit_connection(&CONNECTION, &mut Held::new()), Err(L4Reason::RateLimited));
    assert_eq!(counts(&table, "RateLimitPolicy/a/p/local"), [1, 1, 0]);
    assert_eq!(counts(&table, "AccessPolicy/a/p/certificate"), [0, 1, 0]);
}

/// A route's own time holds in place of the policy's; where that overrides, the shorter one.
#[test]
fn the_time_of_a_request() {
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    for (own, limit, overrides, expected) in [
        (None, None, false, None),
        (Some(5), None, true, Some(5)),
        (None, Some(3), false, Some(3)),
        (None, Some(3), true, Some(3)),
        (Some(5), Some(3), false, Some(5)),
        (Some(5), Some(3), true, Some(3)),
        (Some(1), Some(3), true, Some(1)),
    ] {
        let rest = Rest { request_timeout: seconds(limit), request_overrides: overrides, ..Rest::default() };
        let chain = Chain { rest, ..Chain::default() };
        assert_eq!(chain.request_timeout(seconds(own)), seconds(expected), "{own:?} {limit:?} {overrides}");
    }
}

/// 0 is "as the settings have it", not "at once".
#[test]
fn what_policies_say_besides() {
    let pages = json!({"type": "filter_error_pages", "id": "rule/errorPages", "pages": []});
    let in_query = json!({"type": "access_api_key", "id": "AccessPolicy/a/p/apiKey", "keys": "secret",
        "from": [{"type": "query", "name": "key"}]});
    let all = [
        body(&json!({"max_bytes": 7, "timeout_ms": 1500})),
        json!({"type": "client_timeouts", "id": "ClientPolicy/a/p/timeouts", "request_ms": 2500, "overrides": true}),
        json!({"type": "client_address", "id": "ClientPolicy/a/p/clientAddress", "trusted_proxies": ["192.0.2.0/24"]}),
        json!({"type": "client_access_log", "id": "ClientPolicy/a/p/accessLog", "lines": "Errors"}),
        pages,
        in_query,
    ];
    let table = table(&json!(all), KEYS);
    let found = chain(&table);
    let millis = Duration::from_millis;
    assert_eq!((found.body_timeout(), found.body_limit()), (Some(millis(1500)), Some(limit(7))));
    assert_eq!(found.request_timeout(Some(millis(9000))), Some(millis(2500)));
    let proxies = found.trusted_proxies().unwrap();
    assert!(proxies.contains([192, 0, 2, 9].into()) && !proxies.contains([192, 0, 3, 9].into()));
    assert_eq!(found.log().map(|log| log.lines), Some(LogLines::Errors));
    assert!(found.error_pages().is_some() && !found.asks_fields());
    assert_eq!(found.secret_pairs(), ["key"]);

    let zeroes = [body(&json!({})), json!({"type": "client_timeouts", "id": "ClientPolicy/a/p/timeouts"})];
    let table = self::table(&json!(zeroes), "");
    let found = chain(&table);
    assert_eq!((found.body_timeout(), found.body_limit(), found.request_timeout(None)), (None, None, None));
    assert!(found.trusted_proxies().is_none() && found.log().is_none() && found.error_pages().is_none());
    assert!(found.secret_pairs().is_empty() && found.owned().is_none());
}

/// A client cannot say who it is in a field that is a policy's to say, in any spelling; what a filter of the listener sets with
/// `_` in its name stays, since no client has sent it.
#[test]
fn fields_that_are_a_policys_own() {
    let headers = json!({"type": "client_headers", "id": "ClientPolicy/a/p/headers", "underscores": "Drop"});
    let fields =
        [("x-user", "1"), ("a_b", "2"), ("c", "3"), ("X_User", "4"), ("d_e", "5"), ("X-USER", "6"), ("f", "7")];
    let fields = fields.map(|(name, value)| field(name, value));
    for (policies, kept) in [
        (json!([api_key()]), Some((2, "a_b c d_e f"))),
        (json!([api_key(), headers]), Some((1, "c d_e f"))),
        (json!([headers]), Some((2, "x-user c d_e X-USER f"))),
        (json!([body(&json!({"max_bytes": 1}))]), None),
    ] {
        let table = table(&policies, KEYS);
        let mut space = EditedFields::new();
        let left = chain(&table).owned_behind().left(&fields, 4, &mut space);
        let names: Vec<_> = space.iter().map(|field| std::str::from_utf8(field.name).unwrap()).collect();
        assert_eq!(left.map(|left| (left, names.join(" "))), kept.map(|(left, names)| (left, names.to_owned())));
    }
    let table = table(&json!([api_key()]), KEYS);
    let mut space = EditedFields::new();
    assert_eq!(chain(&table).owned_behind().left(&fields[1..3], 2, &mut space), None);
    assert!(space.is_empty(), "a request without them is not copied");
}

/// What holds for every request holds beside what policies say: the smaller limit counts.
#[test]
fn what_holds_everywhere() {
    for (own, everywhere, expected) in [(7, Some(5), Some(5)), (3, Some(5), Some(3)), (3, None, Some(3))] {
        let table = unprepared(&json!([body(&json!({"max_bytes": own}))]), "");
        prepare(&table, &Table::default(), everywhere.map(limit), &KeySets::default());
        assert_eq!(chain(&table).body_limit().map(BodyLimit::octets), expected);
    }
}

/// Each set of keys comes with the backend that publishes it; other policies have none.
#[test]
fn sets_of_keys_that_are_fetched() {
    let provider = |backend: &str, path: &str| {
        let remote = json!({"backend": backend, "path": path, "service": "s.a.svc", "refresh_ms": 60_000});
        json!({"name": backend, "issuer": "i", "audiences": ["*"], "remote": remote})
    };
    let from = json!([{"type": "header", "name": "authorization", "prefix": "Bearer "}]);
    let jwt = json!({"type": "access_jwt", "id": "AccessPolicy/a/p/jwt", "from": from,
        "providers": [provider("c", "/1"), provider("b", "/2")]});
    let table = table(&json!([jwt, body(&json!({}))]), "");
    let named = published_sets(&table).map(|(set, slot)| (set.name(), table.backend(slot).unwrap().id.clone()));
    let expected = [("c/1", "c"), ("b/2", "b")].map(|(set, backend)| (set.to_owned(), backend.to_owned()));
    assert_eq!(named.collect::<Vec<_>>(), expected);
}

/// At a listener that asks somebody before a rule is looked for: what every rule has goes before that, and each step runs once.
#[test]
fn steps_before_a_rule() {
    let service = json!({"protocol": "http", "backend": "b", "timeout_ms": 1, "allowed_response_headers": ["x-role"]});
    let service = json!({"type": "external_auth", "id": "l/externalAuth", "overrides": true, "service": service});
    let headers = json!({"type": "client_headers", "id": "ClientPolicy/a/p/headers", "max_count": 1});
    let overriding = |policy: Value| {
        let mut policy = policy;
        policy["overrides"] = json!(true);
        policy
    };
    let before = |table: &Table, first: usize, facts: &Facts<'_>| {
        said(chain(table).run_before_rules(first, facts, &mut Passage::default(), &mut Held::new()))
    };
    let fields = [field("a", "1"), field("b", "2")];
    let many = Facts { fields: &fields, sent: SentHead { fields: &fields, ..FACTS.sent }, ..FACTS };
    let all = table(&json!([api_key(), overriding(one_a_day()), service, headers]), KEYS);
    assert_eq!(before(&all, 0, &many), "headers_too_large headers of ClientPolicy/a/p");
    assert_eq!(before(&all, 0, &FACTS), "asked 3");
    assert_eq!(before(&all, 3, &FACTS), "admitted");
    assert_eq!(before(&all, 0, &FACTS), "rate_limited limit one of RateLimitPolicy/a/p");
    for first in [0, 3] {
        assert_eq!(run(chain(&all), first, &many), "unauthenticated apiKey of AccessPolicy/a/p: no credential");
    }
    let (said, told) = (b"x-role", b"x-user");
    let found = chain(&all);
    assert!(found.owned_before().is_some_and(|owned| owned.has(said) && !owned.has(told)));
    assert!(!found.owned_behind().has(said) && found.owned_behind().has(told));
    assert!(found.owned().is_some_and(|owned| owned.has(said) && owned.has(told)), "no trailer has either");
    // A limit that a rule may replace comes behind, and so does a policy that cannot be honoured there.
    let broken = json!({"type": "access_basic", "id": "AccessPolicy/a/p/basic", "users": "secret", "invalid": true});
    let later = table(&json!([one_a_day(), service, broken]), "");
    assert_eq!((before(&later, 0, &FACTS), before(&later, 0, &FACTS)), ("asked 1".to_owned(), "asked 1".to_owned()));
    assert_eq!(run(chain(&later), 0, &FACTS), "policy_invalid basic of AccessPolicy/a/p");
    let mut closed = service.clone();
    closed["invalid"] = json!(true);
    assert_eq!(before(&table(&json!([closed]), ""), 0, &FACTS), "policy_invalid externalAuth of l");
    // Where nobody is asked then nothing goes before.
    let plain = table(&json!([overriding(one_a_day()), headers]), "");
    assert_eq!(before(&plain, 0, &many), "admitted");
    assert!(chain(&plain).owned_before().is_none());
}
