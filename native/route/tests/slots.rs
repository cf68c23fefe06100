//! Backends that come and go leave no slots behind, and no table finds another's backend under one of its own.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not in test functions")]

use route::resolve::Question;
use route::table::{NoTags, State, Table};
use serde_json::{Value, json};

fn apply(state: &mut State, mut change: Value) -> Table {
    change["version"] = json!(route::ir::VERSION);
    change["generation"] = json!(1);
    state.apply(serde_json::from_value(change).unwrap(), &NoTags).unwrap()
}

/// A rule for `/<name>` at the backend of that name, with a mirror at `always`.
fn rule(name: &str, backend: &str) -> Value {
    json!({"id": format!("HTTPRoute/a/{name}/0"), "route": format!("HTTPRoute/a/{name}"), "index": 0, "listeners": ["http"],
        "matches": [{"path": {"type": "Exact", "value": format!("/{name}")}}],
        "filters": [{"type": "mirror", "backend": "always", "percentage": {"numerator": 1, "denominator": 1}}],
        "backends": [{"backend": backend, "weight": 1}]})
}

fn endpoint(backend: &str) -> Value {
    json!({"id": backend, "backend": backend, "address": "127.0.0.1", "port": 1})
}

fn base() -> Value {
    json!({"full": true, "upsert": {
        "listeners": [{"id": "http", "gateway": "a/gateway", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
        "http_rules": [rule("always", "always")],
        "backends": [{"id": "always"}],
        "endpoints": [endpoint("always")],
    }})
}

/// The endpoints for a request for `/<name>`; each is named like its backend.
fn endpoints(table: &Table, name: &str) -> Value {
    let request = json!({"bind_port": 80, "method": "GET", "authority": "a.test", "target": format!("/{name}")});
    let decision = Question::parse(request.to_string().as_bytes()).unwrap().decide(table);
    serde_json::to_value(decision).unwrap()["endpoints"].clone()
}

#[test]
fn a_hundred_thousand_backends_that_come_and_go() {
    const AT_ONCE: usize = 100;
    let mut state = State::default();
    let mut before = apply(&mut state, base());
    let names = |turn: usize| (0..AT_ONCE).map(move |number| format!("{turn}-{number}"));
    for turn in 0..1000 {
        let gone: Vec<String> = if turn == 0 { Vec::new() } else { names(turn - 1).collect() };
        let rules_gone: Vec<String> = gone.iter().map(|name| format!("HTTPRoute/a/{name}/0")).collect();
        let rules: Vec<Value> = names(turn).map(|name| rule(&name, &name)).collect();
        let defined: Vec<Value> = names(turn).map(|name| json!({"id": name})).collect();
        let addresses: Vec<Value> = names(turn).map(|name| endpoint(&name)).collect();
        let table = apply(
            &mut state,
            json!({
                "upsert": {"http_rules": rules, "backends": defined, "endpoints": addresses},
                "remove": {"http_rules": rules_gone, "endpoints": gone, "backends": gone},
            }),
        );
        assert!(table.backend_slots().len() <= 2 * AT_ONCE + 1, "{} slots", table.backend_slots().len());
        assert_eq!(table.backends().count(), AT_ONCE + 1);
        let name = format!("{turn}-{}", turn % AT_ONCE);
        assert_eq!(endpoints(&table, &name), json!([name]));
        assert_eq!(endpoints(&table, "always"), json!(["always"]));
        // Requests under way still use the table before.
        if turn > 0 {
            let gone = format!("{}-{}", turn - 1, turn % AT_ONCE);
            assert_eq!(endpoints(&before, &gone), json!([gone]));
        }
        before = table;
    }
}

#[test]
fn a_backend_that_leaves_and_returns_in_one_transaction() {
    let mut state = State::default();
    apply(&mut state, base());
    // Rules stay that know its slot, while others ask for one.
    let table = apply(
        &mut state,
        json!({
            "remove": {"endpoints": ["always"], "backends": ["always"]},
            "upsert": {
                "http_rules": [rule("other", "other")],
                "backends": [{"id": "other"}, {"id": "always"}],
                "endpoints": [endpoint("other"), endpoint("always")],
            },
        }),
    );
    assert_eq!(endpoints(&table, "always"), json!(["always"]));
    assert_eq!(endpoints(&table, "other"), json!(["other"]));
    // A full state begins anew.
    let table = apply(&mut state, base());
    assert_eq!((table.backend_slots().len(), endpoints(&table, "always")), (1, json!(["always"])));
}
