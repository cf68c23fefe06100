use super::{Refused, Resolution};
use crate::samples::{apply, listener, merged, rule, site};
use crate::table::State;
use serde_json::{Value, json};

fn carried(changes: Value) -> Value {
    merged(
        json!({"id": "t", "route": "t", "index": 0, "listeners": ["tcp"], "backends": [{"backend": "b", "weight": 1}]}),
        changes,
    )
}

fn attachment(id: &str, listeners: Value) -> Value {
    json!({"id": id, "gateway": "a/g", "listeners": listeners})
}

fn secure(id: &str, hostname: &str) -> Value {
    listener(id, 443, json!({"protocol": "HTTPS", "hostname": hostname, "tls": {"certificates": ["c"]}}))
}

/// Where all that may be named is there.
fn state() -> State {
    let mut state = State::default();
    let listeners = json!([
        listener("l", 80, json!({})),
        listener("tcp", 53, json!({"protocol": "TCP"})),
        secure("https", "a.test"),
        listener("other", 81, json!({})),
    ]);
    let mirror = json!({"type": "mirror", "backend": "m", "percentage": {"numerator": 1, "denominator": 1}});
    let change = site(
        json!([rule("r", json!({"filters": [mirror], "attachments": ["at"]}))]),
        json!({"listeners": listeners, "l4_rules": [carried(json!({}))], "backends": [{"id": "b"}, {"id": "m"}, {"id": "free"}],
            "attachments": [attachment("at", json!(["other"])), attachment("unused", json!([]))]}),
    );
    apply(&mut state, change).unwrap();
    state
}

/// Each names what is wrong, and the rest of the transaction would have passed.
#[test]
fn what_names_something_that_is_not_there() {
    let mirror =
        |backend: &str| json!({"type": "mirror", "backend": backend, "percentage": {"numerator": 1, "denominator": 1}});
    let to = |backend: &str| json!({"backends": [{"backend": backend, "weight": 1}]});
    let filtered = json!([{"backend": "b", "weight": 1, "filters": [{"type": "request_headers", "remove": ["x"]}]}]);
    for (kind, upserted, expected) in [
        ("http_rules", rule("s", json!({"listeners": ["x"]})), "http_rule s: names the unknown listener x"),
        ("http_rules", rule("s", json!({"attachments": ["x"]})), "http_rule s: names the unknown attachment x"),
        ("http_rules", rule("s", to("x")), "http_rule s: names the unknown backend x"),
        ("http_rules", rule("s", json!({"filters": [mirror("x")]})), "http_rule s: names the unknown backend x"),
        (
            "http_rules",
            rule("s", json!({"backends": [{"backend": "b", "weight": 1, "filters": [mirror("x")]}]})),
            "http_rule s: names the unknown backend x",
        ),
        ("http_rules", rule("s", json!({"matches": []})), "http_rule s: has no match"),
        ("l4_rules", carried(json!({"listeners": ["x"]})), "l4_rule t: names the unknown listener x"),
        ("l4_rules", carried(json!({"attachments": ["x"]})), "l4_rule t: names the unknown attachment x"),
        ("l4_rules", carried(to("x")), "l4_rule t: names the unknown backend x"),
        (
            "l4_rules",
            carried(json!({"backends": filtered})),
            "l4_rule t: has a backend with filters, which act on requests only",
        ),
        ("attachments", attachment("a", json!(["x"])), "attachment a: names the unknown listener x"),
        (
            "endpoints",
            json!({"id": "f", "backend": "x", "address": "127.0.0.1", "port": 1}),
            "endpoint f: names the unknown backend x",
        ),
        (
            "listeners",
            listener("n", 53, json!({})),
            "listener n: speaks another protocol than its port 53; listener n: has the port and hostname of tcp",
        ),
        ("listeners", secure("n", "a.test"), "listener n: has the port and hostname of https"),
        (
            "listeners",
            listener("n", 90, json!({"filters": [{"type": "redirect", "status": 302}]})),
            "listener n: filters[0]: a listener cannot have a filter of this kind",
        ),
    ] {
        let refused = apply(&mut state(), json!({"upsert": {kind: [upserted]}}));
        assert_eq!(refused.map(|_| ()), Err(expected.to_owned()));
    }
    let tickets = |secret: &str| json!({"secrets": {"session_tickets": [{"id": "a/g", "keys": [{"secret": secret, "created": 1}]}]}});
    for (secret, is_one) in
        [("ab".repeat(32), true), ("ab".repeat(31), false), ("zz".repeat(32), false), ("ab".repeat(33), false)]
    {
        let refused = apply(&mut state(), tickets(&secret)).map(|_| ());
        let expected = "session_tickets a/g: has a key that is not 64 hexadecimal digits".to_owned();
        assert_eq!(refused, if is_one { Ok(()) } else { Err(expected) }, "{secret}");
    }
    let refused = apply(&mut state(), json!({"version": 99})).unwrap_err();
    assert!(refused.starts_with("transaction version: 99 is not "), "{refused}");
}

/// What goes away must not be named by what stays; what goes with it, or is there again, is no reason.
#[test]
fn what_cannot_go() {
    let again = |kind: &str, what: Value| json!({kind: [what]});
    for (removed, upserted, expected) in [
        (json!({"listeners": ["l"]}), json!({}), Some("listener l: is removed but rule r is attached to it")),
        (json!({"listeners": ["tcp"]}), json!({}), Some("listener tcp: is removed but rule t is attached to it")),
        (json!({"listeners": ["other"]}), json!({}), Some("listener other: is removed but attachment at has it")),
        (json!({"attachments": ["at"]}), json!({}), Some("attachment at: is removed but rule r names it")),
        (json!({"backends": ["m"]}), json!({}), Some("backend m: is removed but rule r names it")),
        (json!({"backends": ["b"], "http_rules": ["r"]}), json!({}), Some("backend b: is removed but rule t names it")),
        (json!({"backends": ["free"], "attachments": ["unused"], "listeners": ["https"]}), json!({}), None),
        (json!({"listeners": ["l"], "http_rules": ["r"]}), json!({}), None),
        (json!({"listeners": ["tcp"], "l4_rules": ["t"]}), json!({}), None),
        (json!({"listeners": ["l"]}), again("listeners", listener("l", 90, json!({}))), None),
        (json!({"backends": ["b"]}), again("backends", json!({"id": "b"})), None),
        (json!({"attachments": ["at"]}), again("attachments", attachment("at", json!([]))), None),
        (json!({"backends": ["m"]}), again("http_rules", rule("r", json!({}))), None),
        // What names it anew finds nothing.
        (
            json!({"backends": ["free"]}),
            again("http_rules", rule("s", json!({"backends": [{"backend": "free", "weight": 1}]}))),
            Some("http_rule s: names the unknown backend free"),
        ),
    ] {
        let refused = apply(&mut state(), json!({"remove": removed, "upsert": upserted})).map(|_| ());
        assert_eq!(refused, expected.map_or(Ok(()), |expected| Err(expected.to_owned())), "{removed} {upserted}");
    }
}

/// A full transaction has to say all that it names.
#[test]
fn what_was_before_does_not_count_for_a_full_transaction() {
    let full = |upsert: Value| apply(&mut state(), json!({"full": true, "upsert": upsert})).map(|_| ());
    let only = |rule: Value| full(json!({"http_rules": [rule]}));
    let refused = only(rule("r", json!({"attachments": ["at"]}))).unwrap_err();
    let all = "http_rule r: names the unknown listener l; http_rule r: names the unknown attachment at; http_rule r: names the unknown backend b";
    assert_eq!(refused, all);
    assert_eq!(full(json!({"listeners": [listener("n", 80, json!({}))]})), Ok(()));
}

/// HTTPS and TLS are told apart by the name of a handshake; others are alone.
#[test]
fn who_may_share_a_socket() {
    let on =
        |id: &str, protocol: &str, hostname: &str| listener(id, 7, json!({"protocol": protocol, "hostname": hostname}));
    for (one, two, is_fine) in [
        (on("m", "HTTP", "a.test"), on("n", "HTTP", "b.test"), true),
        (on("m", "HTTPS", "a.test"), on("n", "TLS", "b.test"), true),
        (on("m", "HTTP", "a.test"), on("n", "HTTPS", "b.test"), false),
        (on("m", "TCP", ""), on("n", "TLS", "b.test"), false),
        (on("m", "TCP", ""), on("n", "UDP", ""), true),
        (on("m", "HTTP", ""), on("n", "HTTP", ""), false),
        (
            merged(on("m", "HTTP", ""), json!({"addresses": ["127.0.0.1"]})),
            merged(on("n", "TCP", ""), json!({"addresses": ["127.0.0.2"]})),
            true,
        ),
    ] {
        let together = apply(&mut state(), json!({"upsert": {"listeners": [one, two]}}));
        assert_eq!(together.is_ok(), is_fine, "{one} {two}");
        let mut state = state();
        apply(&mut state, json!({"upsert": {"listeners": [one]}})).unwrap();
        assert_eq!(apply(&mut state, json!({"upsert": {"listeners": [two]}})).is_ok(), is_fine, "{one} then {two}");
        let moved = json!({"upsert": {"listeners": [two]}, "remove": {"listeners": ["m"]}});
        assert!(apply(&mut state, moved).is_ok(), "{two} in place of {one}");
    }
}

#[test]
fn a_refusal_says_every_reason() {
    let resolution =
        |id: &str, reason: &str| Resolution { kind: "http_rule", id: id.to_owned(), reason: reason.to_owned() };
    let refused = Refused(vec![resolution("r", "is odd"), resolution("s", "is odder")]);
    assert_eq!(refused.to_string(), "http_rule r: is odd; http_rule s: is odder");
}
