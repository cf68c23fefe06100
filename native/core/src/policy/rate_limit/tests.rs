use super::receipt::give_back;
use super::{Held, RateLimits, Refusal, Standings, Subject, Turn, has_turn};
use codec::Field;
use route::expression::Inputs;
use route::ir;
use route::policy::RateLimit;
use std::num::NonZeroU32;

const SECOND: u64 = 1_000_000_000;

fn policy(limits: &str) -> ir::RateLimits {
    let text = format!(r#"{{"id": "RateLimitPolicy/shop/api/local", "told": true, {limits}}}"#);
    serde_json::from_str(&text).expect("a policy")
}

/// A policy that runs.
struct Limits {
    compiled: Vec<RateLimit>,
    limits: RateLimits,
}

impl Limits {
    fn new(policy: &ir::RateLimits, before: Option<&Self>) -> Self {
        let compiled: Vec<_> = policy.limits.iter().map(|limit| RateLimit::compile(limit).expect("a limit")).collect();
        let limits = RateLimits::new(policy, &compiled, before.map(|before| &before.limits));
        Self { compiled, limits }
    }

    fn take(&self, turn: Turn, subject: &Subject<'_>, now: u64) -> Result<Standings<'_>, Refusal<'_>> {
        self.limits.take(&self.compiled, turn, subject, now, &mut Held::new())
    }
}

fn compiled(limits: &str) -> Limits {
    Limits::new(&policy(limits), None)
}

fn from(address: &str) -> Subject<'static> {
    Subject {
        inputs: Inputs { address: Some(address.parse().expect("an address")), host: "a.test", ..Inputs::default() },
        route: "HTTPRoute/shop/api",
        rule: "HTTPRoute/shop/api/0",
    }
}

/// Whether a request passes before authentication.
fn passes(limits: &Limits, subject: &Subject<'_>, now: u64) -> bool {
    limits.take(Turn::BeforeAuthentication, subject, now).is_ok()
}

const ONE_EACH: &str = r#""requests": 1, "per_milliseconds": 1000, "burst": 1"#;

#[test]
fn each_client_has_a_budget_and_some_have_no_limit() {
    let limits = compiled(&format!(
        r#""limits": [{{"name": "one", "key": [{{"type": "client"}}], {ONE_EACH}}}], "exempt": ["10.0.0.0/8"]"#
    ));
    for (address, passed) in
        [("192.0.2.1", 1), ("192.0.2.2", 1), ("2001:db8::1", 1), ("2001:db8::2", 0), ("10.1.2.3", 9)]
    {
        let found = (0..9).filter(|_| passes(&limits, &from(address), 0)).count();
        assert_eq!(found, passed, "{address}");
    }
    // Whoever cannot be told is one client.
    let unknown = Subject { inputs: Inputs::default(), ..from("192.0.2.1") };
    assert!(passes(&limits, &unknown, 0) && !passes(&limits, &unknown, 0));
    assert!(passes(&limits, &from("192.0.2.1"), SECOND));
}

/// What one limit refuses is not taken from the others, whichever comes first.
#[test]
fn what_is_refused_takes_nothing() {
    let everybody = r#"{"name": "all", "requests": 3, "per_milliseconds": 1000, "burst": 3}"#;
    let each = format!(r#"{{"name": "each", "key": [{{"type": "client"}}], {ONE_EACH}}}"#);
    for limits in [format!("{everybody}, {each}"), format!("{each}, {everybody}")] {
        let limits = compiled(&format!(r#""limits": [{limits}]"#));
        assert!(passes(&limits, &from("192.0.2.1"), 0));
        for _ in 0..10 {
            let refused = limits.take(Turn::BeforeAuthentication, &from("192.0.2.1"), 0).unwrap_err();
            assert_eq!(refused.detail(), "limit each of RateLimitPolicy/shop/api");
        }
        assert!(passes(&limits, &from("192.0.2.2"), 0) && passes(&limits, &from("192.0.2.3"), 0));
        let refused = limits.take(Turn::BeforeAuthentication, &from("192.0.2.4"), 0).unwrap_err();
        assert_eq!(refused.detail(), "limit all of RateLimitPolicy/shop/api");
        // The client was not charged for that.
        assert!(passes(&limits, &from("192.0.2.4"), SECOND / 2));
    }
}

#[test]
fn a_shadow_counts_and_lets_go() {
    let limits = compiled(&format!(r#""limits": [{{"name": "one", "shadow": true, {ONE_EACH}}}]"#));
    assert!((0..5).all(|_| passes(&limits, &from("192.0.2.1"), 0)));
    assert_eq!(limits.limits.refused().collect::<Vec<_>>(), [("RateLimitPolicy/shop/api", "one", "Shadow", 4)]);
    let standings = limits.take(Turn::BeforeAuthentication, &from("192.0.2.1"), 0).unwrap();
    assert!(limits.limits.told(&standings).is_empty());
}

#[test]
fn keys_of_a_request() {
    let limits = compiled(&format!(
        r#""limits": [{{"name": "one", "key": [{{"type": "header", "name": "x-key"}}, {{"type": "host"}}], {ONE_EACH}}}]"#
    ));
    let field = |name: &'static str, value: &'static str| Field { name: name.as_bytes(), value: value.as_bytes() };
    let of = |fields: &[Field<'static>], host: &'static str| {
        passes(&limits, &Subject { inputs: Inputs { fields, host, ..Inputs::default() }, ..from("192.0.2.1") }, 0)
    };
    // Each of these is another key, and the same again.
    let keys: [(&[Field<'static>], &str); 6] = [
        (&[], "a.test"),
        (&[], ""),
        (&[field("x-key", "")], "a.test"),
        (&[field("x-key", "1")], "a.test"),
        (&[field("x-key", "1")], "b.test"),
        (&[field("x-key", "1"), field("x-key", "2")], "a.test"),
    ];
    for (fields, host) in keys {
        assert_eq!((of(fields, host), of(fields, host)), (true, false), "{fields:?} {host}");
    }
    assert!(!of(&[field("X-Key", "1"), field("x-other", "2")], "a.test"));
}

#[test]
fn routes_and_rules_have_budgets_of_their_own() {
    for (scope, shares) in [("Target", [true, true]), ("Route", [true, false]), ("Rule", [false, false])] {
        let limits = compiled(&format!(r#""limits": [{{"name": "one", "scope": "{scope}", {ONE_EACH}}}]"#));
        assert!(passes(&limits, &from("192.0.2.1"), 0));
        let rule = Subject { rule: "HTTPRoute/shop/api/1", ..from("192.0.2.1") };
        let route = Subject { route: "HTTPRoute/shop/other", rule: "HTTPRoute/shop/other/0", ..from("192.0.2.1") };
        assert_eq!([!passes(&limits, &rule, 0), !passes(&limits, &route, 0)], shares, "{scope}");
    }
}

#[test]
fn who_authenticated_has_a_budget_behind_authentication() {
    let limits = compiled(&format!(
        r#""limits": [{{"name": "user", "key": [{{"type": "user"}}], {ONE_EACH}}},
            {{"name": "tenant", "key": [{{"type": "claim", "name": "tenant"}}], "requests": 2, "per_milliseconds": 1000, "burst": 2}}]"#
    ));
    let has = |turn| limits.compiled.iter().any(|limit| has_turn(limit, turn));
    assert!(!has(Turn::BeforeAuthentication) && has(Turn::BehindAuthentication) && !has(Turn::Connection));
    let passes = |user: &str, tenant: u32| {
        let claims: serde_json::Map<String, serde_json::Value> =
            [("tenant".to_owned(), tenant.into())].into_iter().collect();
        let inputs = Inputs { user, claims: Some(&claims), ..Inputs::default() };
        limits.take(Turn::BehindAuthentication, &Subject { inputs, ..from("192.0.2.1") }, 0).is_ok()
    };
    assert!(passes("ann", 1) && !passes("ann", 1) && passes("bob", 1) && !passes("cyd", 1) && passes("dan", 2));
}

/// As everywhere: a name with dots is a way through objects.
#[test]
fn claims_within_claims_have_budgets() {
    let limits = compiled(&format!(
        r#""limits": [{{"name": "tenant", "key": [{{"type": "claim", "name": "org.id"}}], {ONE_EACH}}}]"#
    ));
    let passes = |claims: serde_json::Value| {
        let inputs = Inputs { claims: claims.as_object(), ..Inputs::default() };
        limits.take(Turn::BehindAuthentication, &Subject { inputs, ..from("192.0.2.1") }, 0).is_ok()
    };
    let of = |id: &str| serde_json::json!({"org": {"id": id}});
    assert!(passes(of("a")) && !passes(of("a")) && passes(of("b")));
    // Who has none shares with all others who have none.
    assert!(passes(serde_json::json!({})) && !passes(serde_json::json!({"org": 1})));
}

#[test]
fn expressions_say_who_is_counted_and_how_much() {
    let limits = compiled(
        r#""limits": [{"name": "posts", "key": [{"type": "cel", "expression": "request.headers['x'][0]"}],
            "when": "request.method == 'POST'", "cost": "size(request.query)",
            "requests": 3, "per_milliseconds": 1000, "burst": 3}]"#,
    );
    let of = |method: &str, query: &str, fields: &[Field<'_>]| {
        let inputs = Inputs { method, query, fields, ..Inputs::default() };
        passes(&limits, &Subject { inputs, ..from("192.0.2.1") }, 0)
    };
    let one = [Field { name: b"x", value: b"1" }];
    assert!((0..9).all(|_| of("GET", "aaa", &one)));
    assert!(of("POST", "aa", &one) && !of("POST", "aa", &one) && of("POST", "a", &one) && !of("POST", "a", &one));
    // A key that comes to nothing is one key.
    assert!(of("POST", "aaa", &[]) && !of("POST", "a", &[]));
}

/// What a client sends may say that it costs less than nothing, or nothing that can be said: it takes one all the same. More than
/// the burst never passes, and takes nothing.
#[test]
fn odd_costs() {
    let limits = compiled(
        r#""limits": [{"name": "own", "cost": "int(request.query)", "requests": 2, "per_milliseconds": 1000, "burst": 2}]"#,
    );
    let passes = |query: &str, now: u64| {
        let inputs = Inputs { query, ..Inputs::default() };
        passes(&limits, &Subject { inputs, ..from("192.0.2.1") }, now)
    };
    for (place, odd) in ["-1", "-9223372036854775808", "", "x", "0.5"].into_iter().enumerate() {
        let now = u64::try_from(place).unwrap() * SECOND;
        assert!(!passes("3", now) && !passes("9223372036854775807", now), "{odd}");
        assert!(passes(odd, now) && passes(odd, now) && !passes(odd, now), "{odd}");
        // Nothing is always there.
        assert!(passes("0", now), "{odd}");
    }
}

/// A policy that changes keeps the budgets of the limits that stay, whoever shares them now.
#[test]
fn budgets_outlive_a_change() {
    let first = compiled(&format!(
        r#""limits": [{{"name": "one", "key": [{{"type": "client"}}], {ONE_EACH}}}, {{"name": "two", {ONE_EACH}}}]"#
    ));
    assert!(passes(&first, &from("192.0.2.1"), 0));
    for (limits, pods, kept) in [
        (format!(r#"{{"name": "one", "key": [{{"type": "client"}}], {ONE_EACH}}}"#), 1, true),
        (format!(r#"{{"name": "one", "key": [{{"type": "client"}}], {ONE_EACH}}}"#), 3, true),
        (format!(r#"{{"name": "one", "key": [{{"type": "client"}}, {{"type": "host"}}], {ONE_EACH}}}"#), 1, false),
        (format!(r#"{{"name": "other", "key": [{{"type": "client"}}], {ONE_EACH}}}"#), 1, false),
        (format!(r#"{{"name": "two", {ONE_EACH}}}"#), 1, true),
    ] {
        let next = Limits::new(&policy(&format!(r#""limits": [{limits}]"#)), Some(&first));
        next.limits.share(NonZeroU32::new(pods).unwrap());
        assert_eq!(!passes(&next, &from("192.0.2.1"), 0), kept, "{limits}");
    }
}

#[test]
fn what_clients_are_told() {
    let limits = compiled(
        r#""limits": [{"name": "all", "requests": 100, "per_milliseconds": 60000, "burst": 2},
            {"name": "each", "key": [{"type": "client"}], "requests": 10, "per_milliseconds": 1000, "burst": 10}]"#,
    );
    let text = |fields: Vec<(&'static str, Vec<u8>)>| -> Vec<String> {
        fields.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect()
    };
    let turn = Turn::BeforeAuthentication;
    let told = limits.limits.told(&limits.take(turn, &from("192.0.2.1"), 0).unwrap());
    let policies = r#"ratelimit-policy: "all";q=100;w=60, "each";q=10;w=1"#;
    assert_eq!(text(told), [policies, r#"ratelimit: "all";r=1;t=1, "each";r=9;t=1"#]);
    assert!(passes(&limits, &from("192.0.2.1"), 0));
    let refused = limits.take(turn, &from("192.0.2.1"), 0).unwrap_err();
    assert_eq!(refused.status(), 429);
    assert_eq!(
        text(refused.told()),
        [r#"ratelimit-policy: "all";q=100;w=60"#, r#"ratelimit: "all";r=0;t=1"#, "retry-after: 1"]
    );
}

/// Whatever clients ask for at whatever time: of each limit no more than its burst and what has come back since.
#[test]
fn no_sequence_of_requests_gets_more() {
    let limits = compiled(
        r#""limits": [{"name": "all", "requests": 50, "per_milliseconds": 1000, "burst": 20},
            {"name": "each", "key": [{"type": "client"}], "requests": 7, "per_milliseconds": 1000, "burst": 3}]"#,
    );
    let mut lot = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: u64| {
        lot ^= lot << 13;
        lot ^= lot >> 7;
        lot ^= lot << 17;
        lot % below
    };
    let mut passed: Vec<(u64, u64)> = Vec::new();
    let mut now = 0;
    for _ in 0..20_000 {
        now += draw(4_000_000);
        let client = draw(12);
        if passes(&limits, &from(&format!("192.0.2.{client}")), now) {
            passed.push((now, client));
        }
    }
    let within = |requests: u64, burst: u64, since: u64, until: u64| burst + (until - since) * requests / SECOND;
    for (place, &(since, _)) in passed.iter().enumerate().step_by(17) {
        let mut of_client = [0; 12];
        for (count, &(until, client)) in passed[place..].iter().enumerate() {
            of_client[usize::try_from(client).unwrap()] += 1;
            assert!((count as u64) < within(50, 20, since, until));
            assert!(of_client[usize::try_from(client).unwrap()] <= within(7, 3, since, until));
        }
    }
    // And as much as that: the limits are used up.
    assert!(passed.len() as u64 >= within(50, 0, 0, now) * 95 / 100, "{} in {now}", passed.len());
}

/// So many at once, and as many again as have ended; a rate beside it counts as ever.
#[test]
fn what_is_under_way() {
    let limits = compiled(
        r#""limits": [{"name": "at-once", "key": [{"type": "client"}], "requests": 2, "per_milliseconds": 1000,
            "burst": 2, "concurrent": true}, {"name": "rate", "requests": 4, "per_milliseconds": 1000, "burst": 4}]"#,
    );
    let take = |held: &mut Held, address| {
        let taken = limits.limits.take(&limits.compiled, Turn::BeforeAuthentication, &from(address), 0, held);
        taken.map(|standings| standings.len()).map_err(|refused| (refused.detail(), refused.told().len()))
    };
    let mut held = Held::new();
    for _ in 0..2 {
        // Clients are told of the rate alone.
        assert_eq!(take(&mut held, "192.0.2.1"), Ok(1));
    }
    let refused = ("limit at-once of RateLimitPolicy/shop/api".to_owned(), 0);
    assert_eq!(take(&mut held, "192.0.2.1"), Err(refused));
    assert_eq!(held.len(), 2);
    held.pop();
    assert_eq!((take(&mut held, "192.0.2.1"), take(&mut held, "192.0.2.2")), (Ok(1), Ok(1)));
    // The rate refuses, so nothing more is held.
    assert_eq!(take(&mut held, "192.0.2.3").unwrap_err().0, "limit rate of RateLimitPolicy/shop/api");
    assert_eq!(held.len(), 3);
}

#[test]
fn pods_share_what_may_be_under_way_and_a_shadow_counts() {
    let limit = |more: &str| {
        compiled(&format!(
            r#""limits": [{{"name": "at-once", "requests": 5, "per_milliseconds": 1000, "burst": 5, "concurrent": true{more}}}]"#
        ))
    };
    for (more, pods, passed) in
        [("", 1, 5), ("", 2, 2), ("", 9, 1), (r#", "each_pod": true"#, 9, 5), (r#", "shadow": true"#, 1, 8)]
    {
        let limits = limit(more);
        limits.limits.share(NonZeroU32::new(pods).unwrap());
        let mut held = Held::new();
        for _ in 0..8 {
            let _ = limits.limits.take(&limits.compiled, Turn::Connection, &from("192.0.2.1"), 0, &mut held);
        }
        assert_eq!(
            (held.len(), limits.limits.refused().next().unwrap().3),
            (passed, 8 - passed.min(5) as u64),
            "{more}"
        );
    }
}

/// A policy that changes keeps count of what is under way.
#[test]
fn what_is_under_way_outlives_a_change() {
    let of = |most: u32| {
        policy(&format!(
            r#""limits": [{{"name": "at-once", "requests": {most}, "per_milliseconds": 1000, "burst": {most}, "concurrent": true}}]"#
        ))
    };
    let before = Limits::new(&of(2), None);
    let mut held = Held::new();
    before.limits.take(&before.compiled, Turn::Connection, &from("192.0.2.1"), 0, &mut held).unwrap();
    let now = Limits::new(&of(1), Some(&before));
    assert!(now.take(Turn::Connection, &from("192.0.2.1"), 0).is_err());
    held.clear();
    assert!(now.take(Turn::Connection, &from("192.0.2.1"), 0).is_ok());
}

/// What a limit by user refuses is given back to those that counted before anybody was known, and to nobody twice.
#[test]
fn what_a_later_limit_refuses_is_given_back() {
    let limits = compiled(&format!(
        r#""limits": [{{"name": "user", "key": [{{"type": "user"}}], {ONE_EACH}}},
            {{"name": "all", "requests": 3, "per_milliseconds": 1000, "burst": 3}},
            {{"name": "each", "key": [{{"type": "client"}}], "shadow": true, "requests": 2, "per_milliseconds": 1000, "burst": 2}}]"#
    ));
    let begin = |now| {
        let mut held = Held::new();
        let taken =
            limits.limits.take(&limits.compiled, Turn::BeforeAuthentication, &from("192.0.2.1"), now, &mut held);
        taken.ok().map(|_| held)
    };
    let end = |mut held: Held, user: &str, now| {
        let subject = Subject { inputs: Inputs { user, ..Inputs::default() }, ..from("192.0.2.1") };
        let passes = limits.take(Turn::BehindAuthentication, &subject, now).is_ok();
        if !passes {
            give_back(&mut held, now);
            assert!(held.is_empty());
        }
        passes
    };
    let passes = |user: &str, now| begin(now).is_some_and(|held| end(held, user, now));
    assert!(passes("ann", 0));
    for _ in 0..10 {
        assert!(!passes("ann", 0));
    }
    assert!(passes("bob", 0) && passes("eve", 0) && begin(0).is_none());
    assert_eq!(limits.limits.refused().last().map(|it| it.3), Some(1));
    // What has come back by itself meanwhile does not come back again.
    let now = 10 * SECOND;
    assert!(passes("ann", now));
    let slow = begin(now).expect("a place");
    let later = now + SECOND - 1;
    assert!(passes("bob", later) && passes("eve", later) && begin(later).is_some());
    assert!(!end(slow, "ann", later) && begin(later).is_none());
}

/// One that is given back lets those behind it come back earlier: what came back by itself is given back to nobody.
#[test]
fn nobody_has_more_for_the_order_in_which_it_is_given_back() {
    let text = r#""limits": [{"name": "all", "requests": 1, "per_milliseconds": 1000, "burst": 3},
        {"name": "user", "key": [{"type": "user"}], "requests": 1, "per_milliseconds": 1000, "burst": 1}]"#;
    let begin = |limits: &Limits, now| {
        let mut held = Held::new();
        let turn = Turn::BeforeAuthentication;
        limits.limits.take(&limits.compiled, turn, &from("192.0.2.1"), now, &mut held).ok().map(|_| held)
    };
    let left = |limits: &Limits, now| (0..9).filter(|_| begin(limits, now).is_some()).count();
    // Two at once; the first is given back at once, so the second has come back by itself after a second.
    let limits = compiled(text);
    let (mut first, mut second) = (begin(&limits, 0).unwrap(), begin(&limits, 0).unwrap());
    give_back(&mut first, 0);
    let now = SECOND;
    assert!(begin(&limits, now).is_some());
    give_back(&mut second, now);
    assert_eq!(left(&limits, now), 2, "of three one is taken");
    // Nothing was given back between: the second comes back behind the first.
    let limits = compiled(text);
    let (first, mut second) = (begin(&limits, 0).unwrap(), begin(&limits, 0).unwrap());
    give_back(&mut second, SECOND);
    assert_eq!(left(&limits, SECOND), 3);
    drop(first);
    // In whatever order, soon after: all of it.
    for backwards in [false, true] {
        let limits = compiled(text);
        let mut all: Vec<_> = (0..3).map(|_| begin(&limits, 0).unwrap()).collect();
        if backwards {
            all.reverse();
        }
        for held in &mut all {
            give_back(held, 0);
        }
        assert_eq!(left(&limits, 0), 3);
    }
}
