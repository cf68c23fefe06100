//! What never becomes a request: handshakes that end, connections that are carried, heads that the wire refuses.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not in test functions")]

use route::resolve::Question;
use route::table::{NoTags, State, Table};
use serde_json::{Value, json};

fn listener(name: &str, protocol: &str, port: u16, hostname: &str) -> Value {
    let tls = (protocol == "HTTPS").then(|| json!({"certificates": ["a/pair"]}));
    json!({"id": name, "gateway": "a/gateway", "port": port, "bind_port": port, "protocol": protocol,
        "hostname": hostname, "tls": tls})
}

fn table() -> Table {
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
        "listeners": [
            listener("http", "HTTP", 80, ""),
            listener("https", "HTTPS", 443, "www.test"),
            listener("pass", "TLS", 443, "pass.test"),
            listener("tcp", "TCP", 53, ""),
        ],
        "http_rules": [{"id": "HTTPRoute/a/r/0", "route": "HTTPRoute/a/r", "index": 0, "listeners": ["http", "https"],
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backends": [{"backend": "b", "weight": 1}]}],
        "l4_rules": [{"id": "TCPRoute/a/r/0", "route": "TCPRoute/a/r", "index": 0, "listeners": ["pass", "tcp"],
            "backends": [{"backend": "b", "weight": 1}]}],
        "backends": [{"id": "b"}],
        "endpoints": [{"id": "b@1", "backend": "b", "address": "127.0.0.1", "port": 1}],
    }});
    State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap()
}

fn ask(table: &Table, changes: Value) -> Value {
    let mut request = json!({"bind_port": 80, "method": "GET", "authority": "www.test", "target": "/"});
    for (name, value) in changes.as_object().unwrap() {
        request[name] = value.clone();
    }
    let question = Question::parse(request.to_string().as_bytes()).unwrap();
    serde_json::to_value(question.decide(table)).unwrap()
}

#[test]
fn connections_from_which_no_request_is_read() {
    let table = table();
    for (changes, outcome, reason, rule) in [
        (json!({"bind_port": 443, "sni": "www.test"}), "forward", "forwarded", json!("HTTPRoute/a/r/0")),
        (json!({"bind_port": 443, "sni": "other.test"}), "close", "unrecognized_name", Value::Null),
        (json!({"bind_port": 443}), "close", "unrecognized_name", Value::Null),
        (json!({"bind_port": 443, "sni": "PASS.test"}), "forward", "forwarded", json!("TCPRoute/a/r/0")),
        (json!({"bind_port": 443, "sni": "www.test", "authority": "pass.test"}), "respond", "misdirected", Value::Null),
        (json!({"bind_port": 443, "sni": "www.test", "scheme": "http"}), "close", "scheme_mismatch", Value::Null),
        (json!({"bind_port": 80, "scheme": "https"}), "close", "scheme_mismatch", Value::Null),
        (json!({"bind_port": 80, "scheme": "http"}), "forward", "forwarded", json!("HTTPRoute/a/r/0")),
        (json!({"bind_port": 53, "method": "no method"}), "forward", "forwarded", json!("TCPRoute/a/r/0")),
    ] {
        let found = ask(&table, changes.clone());
        assert_eq!(
            (&found["outcome"], &found["reason"], &found["rule"]),
            (&json!(outcome), &json!(reason), &rule),
            "{changes}"
        );
    }
}

#[test]
fn heads_that_the_wire_refuses() {
    let table = table();
    let named = (0..40).map(|number| format!("x{number}")).collect::<Vec<_>>().join(",");
    for (headers, status) in [
        (json!([["content-length", "3"], ["transfer-encoding", "chunked"]]), 400),
        (json!([["content-length", "3"], ["Content-Length", "3"]]), 400),
        (json!([["content-length", "+3"]]), 400),
        (json!([["transfer-encoding", "gzip, chunked"]]), 400),
        (json!([["transfer-encoding", "gzip"]]), 501),
        (json!([["expect", "more"]]), 417),
        (json!([["connection", named]]), 431),
        (json!([["host", "other.test"]]), 400),
        (json!([["a b", "1"]]), 400),
        (json!([["", "1"]]), 400),
        (json!([["x", "1\r\ny: 2"]]), 400),
        (json!([["x", "\u{0}"]]), 400),
        (json!([["x", " \t\u{e9} "], ["content-length", "3"], ["expect", "100-CONTINUE"]]), 0),
    ] {
        assert_eq!(ask(&table, json!({"headers": headers}))["status"], json!(status), "{headers}");
    }
    for method in ["", "GE T", "G\u{c9}T"] {
        assert_eq!(ask(&table, json!({"method": method}))["status"], json!(400), "{method}");
    }
}

#[test]
fn what_is_for_this_connection_is_not_sent_on() {
    let headers = json!([
        ["Connection", "close, X-Hop"],
        ["x-hop", "1"],
        ["TE", "trailers"],
        ["Keep-Alive", "5"],
        ["Upgrade", "websocket"],
        ["content-length", "3"],
        ["X_Forwarded_For", "6.6.6.6"],
        ["close", "kept"],
        ["x", " 1 "]
    ]);
    let found = ask(&table(), json!({"headers": headers}));
    assert_eq!(found["request"]["headers"], json!([["close", "kept"], ["x", "1"]]));
}

#[test]
fn questions_that_are_none() {
    for (name, value) in [("address", json!("here")), ("entropy", json!(-1)), ("scheme", json!("ftp"))] {
        let mut request = json!({"bind_port": 80, "method": "GET", "authority": "www.test", "target": "/"});
        request[name] = value;
        assert!(Question::parse(request.to_string().as_bytes()).is_err(), "{name}");
    }
}
