//! What a transaction leaves of the ones before it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not in test functions")]

use route::ir::{Transaction, VERSION};
use route::resolve::Question;
use route::table::{NoTags, State, Table};
use serde_json::{Value, json};

fn apply(state: &mut State, value: Value) -> Table {
    state.apply(serde_json::from_value::<Transaction>(value).unwrap(), &NoTags).unwrap()
}

fn base() -> Value {
    let attached = json!({"id": "HTTPRoute/a/r/0", "route": "HTTPRoute/a/r", "index": 0, "listeners": ["http"],
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backends": [{"backend": "a/b:80", "weight": 1}]});
    let carried = json!({"id": "TCPRoute/a/r/0", "route": "TCPRoute/a/r", "index": 0, "listeners": ["tcp"],
        "backends": [{"backend": "a/b:80", "weight": 1}]});
    json!({"version": VERSION, "generation": 1, "full": true, "upsert": {
        "listeners": [listener("http", "HTTP", 80), listener("tcp", "TCP", 53)],
        "http_rules": [attached], "l4_rules": [carried], "backends": [{"id": "a/b:80", "policies": ["policy"]}, {"id": "a/c:80"}],
        "endpoints": [{"id": "b", "backend": "a/b:80", "address": "127.0.0.1", "port": 1}],
        "policies": [{"type": "backend_tls", "id": "policy", "hostname": "b", "invalid": true}],
    }})
}

fn listener(id: &str, protocol: &str, port: u16) -> Value {
    json!({"id": id, "gateway": "a/g", "port": port, "bind_port": port, "protocol": protocol})
}

fn reason(table: &Table, question: &Value) -> String {
    Question::parse(question.to_string().as_bytes()).unwrap().decide(table).reason.to_owned()
}

#[test]
fn a_listener_that_goes_and_comes_back_in_one_transaction_keeps_its_routes() {
    let mut state = State::default();
    apply(&mut state, base());
    let table = apply(
        &mut state,
        json!({"version": VERSION, "generation": 2, "remove": {"listeners": ["http", "tcp"], "policies": ["policy"]},
            "upsert": {"backends": [{"id": "a/b:80"}], "listeners": [listener("http", "HTTP", 8080), listener("tcp", "TCP", 53)]}}),
    );
    let request = |port: u16| json!({"bind_port": port, "method": "GET", "authority": "x", "target": "/"});
    assert_eq!(reason(&table, &request(8080)), "forwarded");
    assert_eq!(reason(&table, &request(80)), "no_listener");
    assert_eq!(reason(&table, &json!({"transport": "tcp", "bind_port": 53})), "forwarded");
}

#[test]
fn a_policy_holds_for_the_backends_that_name_it() {
    let mut state = State::default();
    let before = apply(&mut state, base());
    let request = json!({"bind_port": 80, "method": "GET", "authority": "x", "target": "/"});
    assert_eq!(reason(&before, &request), "backend_invalid");
    let moved = json!([{"id": "a/b:80"}, {"id": "a/c:80", "policies": ["policy"]}]);
    let table = apply(&mut state, json!({"version": VERSION, "generation": 2, "upsert": {"backends": moved}}));
    assert_eq!(reason(&table, &request), "forwarded");
    let has_policy = |table: &Table| -> Vec<(String, bool)> {
        table.backends().map(|it| (it.id.clone(), it.tls.is_some())).collect()
    };
    assert_eq!(has_policy(&table), [("a/b:80".to_owned(), false), ("a/c:80".to_owned(), true)]);
    // Nobody that names it is sent again when it changes.
    let both = json!([{"id": "a/b:80", "policies": ["policy"]}]);
    apply(&mut state, json!({"version": VERSION, "generation": 3, "upsert": {"backends": both}}));
    let mended = json!({"type": "backend_tls", "id": "policy", "hostname": "b"});
    let table = apply(&mut state, json!({"version": VERSION, "generation": 4, "upsert": {"policies": [mended]}}));
    assert_eq!(reason(&table, &request), "forwarded");
    assert!(table.backends().all(|it| it.tls.as_ref().is_some_and(|tls| !tls.invalid)));
    let none = json!([{"id": "a/b:80"}, {"id": "a/c:80"}]);
    let gone =
        json!({"version": VERSION, "generation": 5, "upsert": {"backends": none}, "remove": {"policies": ["policy"]}});
    let table = apply(&mut state, gone);
    assert!(table.backends().all(|it| it.tls.is_none()) && table.policies.is_empty());
}

#[test]
fn a_policy_that_is_not_there_or_means_nothing_where_it_is_named_is_refused() {
    let mut http = listener("http", "HTTP", 80);
    http["policies"] = json!(["policy"]);
    let unknown = json!([{"id": "a/b:80", "policies": ["nothing"]}]);
    for (change, expected) in [
        (
            json!({"upsert": {"listeners": [http]}}),
            "listener http: names the policy policy, which has no meaning there",
        ),
        (json!({"upsert": {"backends": unknown}}), "backend a/b:80: names the unknown policy nothing"),
        (json!({"remove": {"policies": ["policy"]}}), "policy policy: is removed but backend a/b:80 names it"),
    ] {
        let mut state = State::default();
        apply(&mut state, base());
        let mut transaction = json!({"version": VERSION, "generation": 2});
        transaction.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = state.apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

#[test]
fn rules_are_where_their_attachment_is() {
    let mut state = State::default();
    let mut transaction = base();
    transaction["upsert"]["listeners"] =
        json!([listener("http", "HTTP", 80), listener("other", "HTTP", 81), listener("tcp", "TCP", 53)]);
    transaction["upsert"]["attachments"] = json!([attachment("one", &["http"]), attachment("two", &["tcp"])]);
    transaction["upsert"]["backends"] = json!([{"id": "a/b:80"}]);
    for (kind, name) in [("http_rules", "one"), ("l4_rules", "two")] {
        let rule = transaction["upsert"][kind][0].as_object_mut().unwrap();
        rule.remove("listeners");
        rule.insert("attachments".to_owned(), json!([name]));
    }
    let request = |port: u16| json!({"bind_port": port, "method": "GET", "authority": "x", "target": "/"});
    let carried = json!({"transport": "tcp", "bind_port": 53});
    let table = apply(&mut state, transaction);
    assert_eq!([80, 81].map(|port| reason(&table, &request(port))), ["forwarded", "no_route"]);
    assert_eq!(reason(&table, &carried), "forwarded");
    let moved = json!([attachment("one", &["other"]), attachment("two", &[])]);
    let table = apply(&mut state, json!({"version": VERSION, "generation": 2, "upsert": {"attachments": moved}}));
    assert_eq!([80, 81].map(|port| reason(&table, &request(port))), ["no_route", "forwarded"]);
    assert_eq!(reason(&table, &carried), "no_route");
    // A listener goes with all that names it; the attachment comes back under its id.
    let both = json!([attachment("one", &["http", "other"]), attachment("two", &["tcp"])]);
    let anew = json!({"version": VERSION, "generation": 3, "upsert": {"attachments": both},
        "remove": {"attachments": ["one", "two"]}});
    let table = apply(&mut state, anew);
    assert_eq!([80, 81].map(|port| reason(&table, &request(port))), ["forwarded", "forwarded"]);
    assert_eq!(reason(&table, &carried), "forwarded");
    for (change, expected) in [
        (json!({"remove": {"attachments": ["one"]}}), "attachment one: is removed but rule HTTPRoute/a/r/0 names it"),
        (json!({"remove": {"listeners": ["tcp"]}}), "listener tcp: is removed but attachment two has it"),
        (
            json!({"upsert": {"attachments": [attachment("one", &["none"])]}}),
            "attachment one: names the unknown listener none",
        ),
    ] {
        let mut transaction = json!({"version": VERSION, "generation": 4});
        transaction.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = state.apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let gone = json!({"version": VERSION, "generation": 4, "upsert": {"attachments": [attachment("one", &["other"])]},
        "remove": {"listeners": ["http", "tcp"], "attachments": ["two"], "l4_rules": ["TCPRoute/a/r/0"]}});
    let table = apply(&mut state, gone);
    assert_eq!([80, 81].map(|port| reason(&table, &request(port))), ["no_listener", "forwarded"]);
}

fn attachment(id: &str, listeners: &[&str]) -> Value {
    json!({"id": id, "gateway": "a/g", "listeners": listeners})
}
