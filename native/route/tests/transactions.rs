//! What a transaction leaves of the ones before it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not in test functions")]

use route::ir::Transaction;
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
    json!({"version": 1, "generation": 1, "full": true, "upsert": {
        "listeners": [listener("http", "HTTP", 80), listener("tcp", "TCP", 53)],
        "http_rules": [attached], "l4_rules": [carried], "backends": [{"id": "a/b:80"}, {"id": "a/c:80"}],
        "endpoints": [{"id": "b", "backend": "a/b:80", "address": "127.0.0.1", "port": 1}],
        "backend_tls": [{"id": "policy", "backend": "a/b:80", "hostname": "b", "invalid": true}],
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
        json!({"version": 1, "generation": 2, "remove": {"listeners": ["http", "tcp"], "backend_tls": ["policy"]},
            "upsert": {"listeners": [listener("http", "HTTP", 8080), listener("tcp", "TCP", 53)]}}),
    );
    let request = |port: u16| json!({"bind_port": port, "method": "GET", "authority": "x", "target": "/"});
    assert_eq!(reason(&table, &request(8080)), "forwarded");
    assert_eq!(reason(&table, &request(80)), "no_listener");
    assert_eq!(reason(&table, &json!({"transport": "tcp", "bind_port": 53})), "forwarded");
}

#[test]
fn a_policy_that_moves_leaves_the_backend_where_it_was() {
    let mut state = State::default();
    let before = apply(&mut state, base());
    let request = json!({"bind_port": 80, "method": "GET", "authority": "x", "target": "/"});
    assert_eq!(reason(&before, &request), "backend_invalid");
    let policy = json!({"id": "policy", "backend": "a/c:80", "hostname": "b", "invalid": true});
    let table = apply(&mut state, json!({"version": 1, "generation": 2, "upsert": {"backend_tls": [policy]}}));
    assert_eq!(reason(&table, &request), "forwarded");
    let has_policy: Vec<(String, bool)> = table.backends().map(|it| (it.id.clone(), it.tls.is_some())).collect();
    assert_eq!(has_policy, [("a/b:80".to_owned(), false), ("a/c:80".to_owned(), true)]);
    // Removing it later takes it off where it is.
    let table = apply(&mut state, json!({"version": 1, "generation": 3, "remove": {"backend_tls": ["policy"]}}));
    assert!(table.backends().all(|it| it.tls.is_none()));
}
