//! L4 rules in the table: what a transaction with them does, and what is decided by it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not in test functions")]

use route::ir::Transaction;
use route::resolve::Question;
use route::table::{NoTags, State, Table};
use serde_json::{Value, json};

fn transaction(value: Value) -> Transaction {
    serde_json::from_value(value).unwrap()
}

fn listener(name: &str, protocol: &str, port: u16, hostname: &str, terminates: bool) -> Value {
    let tls = terminates.then(|| json!({"certificates": ["a/cert"]}));
    let mut listener = json!({"id": name, "gateway": "a/gateway", "port": port, "bind_port": port, "protocol": protocol,
        "hostname": hostname});
    if let Some(tls) = tls {
        listener["tls"] = tls;
    }
    listener
}

fn rule(route: &str, listeners: &[&str], hostnames: &[&str], backends: Value) -> Value {
    json!({"id": format!("{route}/0"), "route": route, "created": 1, "index": 0, "listeners": listeners,
        "hostnames": hostnames, "backends": backends})
}

fn base() -> Value {
    json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
        "listeners": [
            listener("https", "HTTPS", 443, "www.example.com", true),
            listener("terminate", "TLS", 443, "term.example.com", true),
            listener("pass", "TLS", 443, "*.pass.example.com", false),
            listener("tcp", "TCP", 53, "", false),
            listener("udp", "UDP", 53, "", false),
            listener("http", "HTTP", 80, "", false),
        ],
        "l4_rules": [
            rule("TLSRoute/a/pass", &["pass"], &["*.pass.example.com"], json!([{"backend": "a/tls:443", "weight": 1}])),
            rule("TLSRoute/a/one", &["pass"], &["one.pass.example.com"], json!([{"backend": "a/none:1", "weight": 1}])),
            rule("TCPRoute/a/term", &["terminate"], &[], json!([{"weight": 1}, {"backend": "a/tcp:1", "weight": 3}])),
            rule("TCPRoute/a/tcp", &["tcp"], &[], json!([{"backend": "a/tcp:1", "weight": 0}])),
            rule("UDPRoute/a/udp", &["udp"], &[], json!([{"backend": "a/tcp:1", "weight": 1}])),
        ],
        "backends": [{"id": "a/tls:443"}, {"id": "a/tcp:1"}, {"id": "a/none:1"}],
        "endpoints": [
            {"id": "tls-1", "backend": "a/tls:443", "address": "127.0.0.1", "port": 1},
            {"id": "tcp-2", "backend": "a/tcp:1", "address": "127.0.0.2", "port": 1},
            {"id": "tcp-1", "backend": "a/tcp:1", "address": "127.0.0.1", "port": 1},
        ],
    }})
}

fn decide(table: &Table, request: Value) -> Value {
    let question = Question::parse(request.to_string().as_bytes()).unwrap();
    serde_json::to_value(question.decide(table)).unwrap()
}

#[test]
fn connections_and_datagrams_are_decided_by_socket_name_and_weight() {
    let table = State::default().apply(transaction(base()), &NoTags).unwrap();
    let https =
        |sni: Value, entropy: u64| json!({"transport": "tcp", "bind_port": 443, "sni": sni, "entropy": entropy});
    for (request, reason, listener, rule, backend, endpoints) in [
        (https(json!("X.Pass.example.com"), 0), "forwarded", "pass", "TLSRoute/a/pass/0", json!(0), vec!["tls-1"]),
        (https(json!("one.pass.example.com"), 0), "no_endpoint", "pass", "TLSRoute/a/one/0", json!(0), vec![]),
        (https(json!("term.example.com"), 4), "backend_invalid", "terminate", "TCPRoute/a/term/0", json!(0), vec![]),
        (
            https(json!("term.example.com"), 5),
            "forwarded",
            "terminate",
            "TCPRoute/a/term/0",
            json!(1),
            vec!["tcp-1", "tcp-2"],
        ),
        (https(json!("www.example.com"), 0), "no_listener", "", "", Value::Null, vec![]),
        (https(json!("pass.example.com"), 0), "no_listener", "", "", Value::Null, vec![]),
        (https(Value::Null, 0), "no_listener", "", "", Value::Null, vec![]),
        (json!({"transport": "tcp", "bind_port": 53}), "no_backend", "tcp", "TCPRoute/a/tcp/0", Value::Null, vec![]),
        (
            json!({"transport": "udp", "bind_port": 53}),
            "forwarded",
            "udp",
            "UDPRoute/a/udp/0",
            json!(0),
            vec!["tcp-1", "tcp-2"],
        ),
        (json!({"transport": "tcp", "bind_port": 80}), "no_listener", "", "", Value::Null, vec![]),
        (json!({"transport": "udp", "bind_port": 80}), "no_listener", "", "", Value::Null, vec![]),
    ] {
        let text = |value: &str| if value.is_empty() { Value::Null } else { json!(value) };
        let outcome = if reason == "forwarded" { "forward" } else { "close" };
        let expected = json!({"outcome": outcome, "status": 0, "reason": reason, "listener": text(listener), "rule": text(rule),
            "match": null, "backend": backend, "endpoints": endpoints, "request": null, "mirrors": [], "response": null,
            "policies": []});
        assert_eq!(decide(&table, request.clone()), expected, "{request}");
    }
}

#[test]
fn requests_to_listeners_of_connections_are_carried() {
    let table = State::default().apply(transaction(base()), &NoTags).unwrap();
    for (port, sni, authority, status) in [
        (443, "www.example.com", "www.example.com", 404),
        (443, "www.example.com", "term.example.com", 421),
        (443, "term.example.com", "term.example.com", 0),
        (53, "", "term.example.com", 0),
    ] {
        let request = json!({"bind_port": port, "sni": sni, "method": "GET", "authority": authority, "target": "/"});
        assert_eq!(decide(&table, request)["status"], status, "{port} {sni} {authority}");
    }
}

#[test]
fn rules_come_and_go_one_by_one() {
    let mut state = State::default();
    state.apply(transaction(base()), &NoTags).unwrap();
    let tcp = json!({"transport": "tcp", "bind_port": 53});
    let change = json!({"version": route::ir::VERSION, "generation": 2, "remove": {"l4_rules": ["TCPRoute/a/tcp/0"]}});
    let table = state.apply(transaction(change), &NoTags).unwrap();
    assert_eq!(decide(&table, tcp.clone())["reason"], "no_route");
    let back = rule("TCPRoute/a/tcp", &["tcp"], &[], json!([{"backend": "a/tls:443", "weight": 1}]));
    let change = json!({"version": route::ir::VERSION, "generation": 3, "upsert": {"l4_rules": [back]}});
    let table = state.apply(transaction(change), &NoTags).unwrap();
    assert_eq!(decide(&table, tcp)["endpoints"], json!(["tls-1"]));
    let shown: Value = serde_json::from_str(&table.to_json()).unwrap();
    assert_eq!(shown["upsert"]["l4_rules"].as_array().unwrap().len(), 5);
    assert!(serde_json::from_value::<Transaction>(shown).is_ok());
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |change: Value| {
        let mut state = State::default();
        state.apply(transaction(base()), &NoTags).unwrap();
        state.apply(transaction(change), &NoTags).unwrap_err().to_string()
    };
    let with = |rules: Value| json!({"version": route::ir::VERSION, "generation": 2, "upsert": {"l4_rules": rules}});
    let filtered = json!([{"weight": 1, "filters": [{"type": "request_headers"}]}]);
    let listeners =
        |listeners: Value| json!({"version": route::ir::VERSION, "generation": 2, "upsert": {"listeners": listeners}});
    for (change, reason) in [
        (with(json!([rule("TCPRoute/a/x", &["nowhere"], &[], json!([]))])), "names the unknown listener nowhere"),
        (
            with(json!([rule("TCPRoute/a/x", &["tcp"], &[], json!([{"backend": "a/x:1", "weight": 1}]))])),
            "unknown backend a/x:1",
        ),
        (with(json!([rule("TCPRoute/a/x", &["tcp"], &[], filtered)])), "filters"),
        (
            json!({"version": route::ir::VERSION, "generation": 2, "remove": {"listeners": ["tcp"]}}),
            "TCPRoute/a/tcp/0 is attached to it",
        ),
        (
            json!({"version": route::ir::VERSION, "generation": 2, "remove": {"backends": ["a/none:1"]}}),
            "TLSRoute/a/one/0 names it",
        ),
        (listeners(json!([listener("x", "HTTP", 443, "", false)])), "speaks another protocol than its port 443"),
        (listeners(json!([listener("x", "TCP", 80, "", false)])), "speaks another protocol than its port 80"),
        (listeners(json!([listener("x", "TLS", 443, "www.example.com", true)])), "has the port and hostname of https"),
        (listeners(json!([listener("x", "UDP", 53, "", false)])), "has the port and hostname of udp"),
    ] {
        let told = refused(change.clone());
        assert!(told.contains(reason), "{told}\n{change}");
    }
}
