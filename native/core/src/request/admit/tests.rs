//! What is decided of a head: a row for each way that a request can go.

use super::super::plan::{Place, Plan};
use super::admit;
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::record::Entry;
use crate::policy::{KeySets, Outcome, prepare};
use crate::worker::{Generation, Worker};
use codec::{Parsed, parse_request};
use route::ir::Transport;
use route::policy::Passage;
use route::table::{NoTags, SocketKey, State, Table};
use serde_json::{Value, json};
use std::rc::Rc;

const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

/// A rule for everything below a path, with what else it has.
fn rule(path: &str, more: &Value) -> Value {
    let mut rule = json!({"id": path, "route": "route", "index": 0, "listeners": ["listener"],
        "hostnames": ["a.test"], "matches": [{"path": {"type": "PathPrefix", "value": path}}]});
    for (name, value) in more.as_object().unwrap() {
        rule[name] = value.clone();
    }
    rule
}

fn worker() -> Rc<Worker> {
    let to = |backend: &str| json!([{"backend": backend, "weight": 1}]);
    let respond = json!({"type": "respond", "status": 410, "body": "gone"});
    let cors = json!({"type": "cors", "allow_origins": ["*"], "max_age": 5});
    let rules = [
        rule("/app", &json!({"backends": to("app")})),
        rule(
            "/rewritten",
            &json!({"backends": to("app"),
            "filters": [{"type": "rewrite", "path": {"type": "ReplacePrefixMatch", "value": "/new"}}]}),
        ),
        rule(
            "/grown",
            &json!({"backends": to("app"),
            "filters": [{"type": "rewrite", "substitution": {"pattern": "/grown", "replacement": "/.."}}]}),
        ),
        rule("/redirect", &json!({"filters": [{"type": "redirect", "status": 308}]})),
        rule("/respond", &json!({"filters": [respond]})),
        rule("/cors", &json!({"backends": to("app"), "filters": [cors]})),
        rule("/invalid", &json!({"backends": to("app"), "invalid": true})),
        rule("/nowhere", &json!({})),
        rule("/nobody", &json!({"backends": to("empty")})),
        rule("/short", &json!({"backends": to("app"), "policies": ["ClientPolicy/a/short/body"]})),
        rule("/broken", &json!({"backends": to("app"), "policies": ["ClientPolicy/a/broken/body"]})),
        rule("/call", &json!({"backends": to("empty"), "grpc": true})),
    ];
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
        "listeners": [{"id": "listener", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
        "backends": [{"id": "app"}, {"id": "empty"}],
        "endpoints": [{"id": "app@127.0.0.1:1", "backend": "app", "address": "127.0.0.1", "port": 1}],
        "policies": [{"type": "client_body", "id": "ClientPolicy/a/short/body", "max_bytes": 3},
            {"type": "client_body", "id": "ClientPolicy/a/broken/body", "invalid": true}],
        "http_rules": rules}});
    let table = State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
    prepare(&table, &Table::default(), None, &KeySets::default());
    Worker::alone(Generation { table, ..Generation::default() }).unwrap()
}

/// What becomes of a head: the answer's status, error and body, or the line and the host that go to the backend.
fn planned(worker: &Rc<Worker>, socket: SocketKey, line: &str, fields: &str, place: Place) -> String {
    let bytes = format!("{line} HTTP/1.1\r\n{fields}\r\n");
    let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{bytes}") };
    let client = Client::new(Rc::clone(worker), ([192, 0, 2, 1], 1).into(), socket, None);
    let (generation, inbound) = (worker.generation(), Inbound::from_http1(head));
    let mut record = Entry::begin(&client, &inbound);
    match admit(&client, &generation, &inbound, place, Vec::new(), &mut record) {
        Plan::Answer(planned) => {
            let (answer, _) = *planned;
            let code = answer.code.map_or("", ErrorCode::name);
            let grpc = if answer.grpc.is_some() { " as gRPC" } else { "" };
            let body = String::from_utf8(answer.body.unwrap_or_default()).unwrap();
            format!("{} {code}{body}{grpc}", answer.status).trim_end().to_owned()
        }
        Plan::Forward(forward) => {
            let head = String::from_utf8(forward.outbound.head.clone()).unwrap();
            head.lines().take(2).collect::<Vec<_>>().join(", ")
        }
        Plan::Wait(_) => "waits".to_owned(),
    }
}

const HOST: &str = "host: a.test\r\n";

#[test]
fn every_way_that_a_request_can_go() {
    let worker = worker();
    let preflight = format!("{HOST}origin: http://b.test\r\naccess-control-request-method: PUT\r\n");
    let body = |length: usize| format!("{HOST}content-length: {length}\r\n");
    let call = format!("{HOST}content-type: application/grpc\r\n");
    for (line, fields, wanted) in [
        ("GET /app/a?b", HOST, "GET /app/a?b HTTP/1.1, host: a.test"),
        ("GET /rewritten/a?b", HOST, "GET /new/a?b HTTP/1.1, host: a.test"),
        ("GET http://a.test:80/app", "host: other.test\r\n", "GET /app HTTP/1.1, host: a.test:80"),
        ("GET /grown", HOST, "400 bad_request"),
        ("GET /redirect", HOST, "308"),
        ("GET /respond", HOST, "410 gone"),
        ("OPTIONS /cors", &preflight, "204"),
        ("PUT /cors", &preflight, "PUT /cors HTTP/1.1, host: a.test"),
        ("GET /invalid", HOST, "500 rule_invalid"),
        ("GET /nowhere", HOST, "500 no_backend"),
        ("GET /nobody", HOST, "503 no_endpoint"),
        ("POST /short", &body(3), "POST /short HTTP/1.1, host: a.test"),
        ("POST /short", &body(4), "413 body_too_large"),
        ("GET /broken", HOST, "500 policy_invalid"),
        ("POST /call", &call, "200 no_endpoint as gRPC"),
        ("GET /none", HOST, "404 no_route"),
        ("GET /app", "host: b.test\r\n", "404 no_route"),
        ("GET /a/../..", HOST, "400 bad_request"),
        ("GET /app", "host: a b\r\n", "400 bad_request"),
    ] {
        assert_eq!(planned(&worker, SOCKET, line, fields, Place::start()), wanted, "{line} {fields}");
    }
    let other = SocketKey { port: 81, ..SOCKET };
    assert_eq!(planned(&worker, other, "GET /app", HOST, Place::start()), "404 no_listener");
}

/// Whoever was asked about a request has said no: the same head and place give that answer, and nothing is forwarded.
#[test]
fn what_was_refused_while_it_waited() {
    let worker = worker();
    let refused = || Place {
        step: 0,
        outcome: Outcome::Deny(Box::new(ErrorCode::Forbidden.into())),
        passage: Passage::default(),
    };
    assert_eq!(planned(&worker, SOCKET, "GET /short", HOST, refused()), "403 forbidden");
    // What a rule answers without policies, or what is no request, is answered as before.
    assert_eq!(planned(&worker, SOCKET, "GET /invalid", HOST, refused()), "500 rule_invalid");
    assert_eq!(planned(&worker, SOCKET, "GET /none", HOST, refused()), "404 no_route");
}
