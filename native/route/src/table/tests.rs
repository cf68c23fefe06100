use super::{Endpoint, RequestHead, SocketKey, Table};
use crate::ir::Transport;
use crate::samples::{apply, endpoint, fields, head, lines, listener, rule, site, table};
use crate::table::State;
use serde_json::{Value, json};
use std::sync::Arc;

/// `Host` is the authority, whatever carried it.
#[test]
fn every_field_of_a_head() {
    let (sent, taken_out) = (fields(&[("x-a", "1")]), fields(&[("connection", "x-b"), ("x-b", "1")]));
    let head = RequestHead { taken_out: &taken_out, authority: b"A.test:80", ..head("/", &sent) };
    let all: Vec<_> = head.all_fields().collect();
    assert_eq!(lines(&all), ["host: A.test:80", "connection: x-b", "x-b: 1", "x-a: 1"]);
    let without = RequestHead { authority: b"", ..head };
    assert_eq!(without.all_fields().count(), 3);
}

fn at(id: &str, port: u16, protocol: &str, hostname: &str) -> Value {
    listener(id, port, json!({"protocol": protocol, "hostname": hostname}))
}

/// `GatewayHTTPListenerIsolation`: the most specific one, and no other after it.
#[test]
fn the_listener_of_a_host() {
    let several =
        [at("exact", 80, "HTTP", "www.a.test"), at("wide", 80, "HTTP", "*.test"), at("narrow", 80, "HTTP", "*.a.test")];
    let with_any: Vec<Value> = several.iter().cloned().chain([at("any", 80, "HTTP", "")]).collect();
    for (listeners, host, expected) in [
        (json!(several), "www.a.test", Some("exact")),
        (json!(several), "x.y.a.test", Some("narrow")),
        (json!(several), "a.test", Some("wide")),
        (json!(several), "other", None),
        (json!(several), "", None),
        (json!(with_any), "www.a.test", Some("exact")),
        (json!(with_any), "other", Some("any")),
        (json!(with_any), "", Some("any")),
        (json!([with_any[3]]), "www.a.test", Some("any")),
        (json!([several[0]]), "x.a.test", None),
    ] {
        let table = table(json!([]), json!({"listeners": listeners}));
        let socket = table.socket_on_port(Transport::Tcp, 80).unwrap();
        assert_eq!(socket.listener_for_host(host).map(|found| found.id()), expected, "{host}");
        let named = (!host.is_empty()).then_some(host);
        assert_eq!(socket.listener_for_sni(named).map(|found| found.id()), expected, "{host}");
    }
}

#[test]
fn sockets_are_found_by_all_that_they_bind() {
    let near = |id: &str, address: &str| listener(id, 80, json!({"addresses": [address]}));
    let listeners =
        json!([near("one", "127.0.0.1"), near("two", "127.0.0.2"), at("tcp", 53, "TCP", ""), at("udp", 53, "UDP", "")]);
    let table = table(json!([]), json!({"listeners": listeners}));
    let id = |socket: Option<&Arc<super::Socket>>| {
        socket.and_then(|socket| socket.listeners().next()).map(|it| it.id().to_owned())
    };
    for (transport, address, port, expected) in [
        (Transport::Tcp, Some("127.0.0.1"), 80, Some("one")),
        (Transport::Tcp, Some("127.0.0.2"), 80, Some("two")),
        (Transport::Tcp, Some("127.0.0.3"), 80, None),
        (Transport::Tcp, None, 80, None),
        (Transport::Tcp, None, 53, Some("tcp")),
        (Transport::Udp, None, 53, Some("udp")),
        (Transport::Udp, None, 80, None),
    ] {
        let address = address.map(|address| address.parse().unwrap());
        assert_eq!(id(table.socket(SocketKey { transport, address, port })).as_deref(), expected, "{address:?} {port}");
    }
    assert_eq!(id(table.socket_on_port(Transport::Tcp, 80)).as_deref(), Some("one"));
    assert_eq!(id(table.socket_on_port(Transport::Udp, 80)), None);
}

/// Of several the least; where connections begin with TLS that of the listener which they name.
#[test]
fn how_many_connections_may_be_open() {
    let most = |id: &str, max: u32| json!({"type": "client_connections", "id": id, "max": max});
    let tls = json!({"certificates": ["c"]});
    let named = |id: &str, protocol: &str, policy: &str| {
        let tls = (protocol == "HTTPS").then_some(&tls);
        let port = if protocol == "HTTPS" { 443 } else { 80 };
        listener(
            id,
            port,
            json!({"protocol": protocol, "hostname": format!("{id}.test"), "tls": tls, "policies": [policy]}),
        )
    };
    let listeners = json!([
        named("a", "HTTP", "five"),
        named("b", "HTTP", "nine"),
        named("c", "HTTP", "any"),
        named("d", "HTTPS", "five"),
        named("e", "HTTPS", "nine"),
        named("f", "HTTPS", "any"),
    ]);
    let table = table(
        json!([]),
        json!({"listeners": listeners, "policies": [most("five", 5), most("nine", 9), most("any", 0)]}),
    );
    for (port, sni, expected) in [
        (80, None, Some(5)),
        (80, Some("b.test"), Some(5)),
        (443, Some("d.test"), Some(5)),
        (443, Some("e.test"), Some(9)),
        (443, Some("f.test"), None),
        (443, Some("other.test"), None),
        (443, None, None),
    ] {
        let socket = table.socket_on_port(Transport::Tcp, port).unwrap();
        assert_eq!(socket.connection_limit(sni), expected, "{port} {sni:?}");
    }
}

/// `/config` and `explain` show what another engine could be given: all of it but what is secret.
#[test]
fn a_table_is_shown_as_the_ir_that_makes_it() {
    let certificate = json!({"id": "c", "chain": "CHAIN", "key": "KEY"});
    let attachment = json!({"id": "at", "gateway": "a/g", "listeners": ["l"]});
    let carried =
        json!({"id": "t", "route": "t", "index": 0, "listeners": ["tcp"], "backends": [{"backend": "b", "weight": 1}]});
    let mut change = site(
        json!([rule("r", json!({"listeners": [], "attachments": ["at"]})), rule("s", json!({}))]),
        json!({
            "listeners": [listener("l", 80, json!({})), at("tcp", 53, "TCP", "")],
            "attachments": [attachment], "l4_rules": [carried],
            "endpoints": [endpoint("e", 1, json!({})), endpoint("f", 2, json!({"state": "draining"}))],
            "policies": [{"type": "backend_traffic", "id": "p"}], "backends": [{"id": "b", "policies": ["p"]}],
            "trust": [{"id": "t", "pem": "PEM"}],
        }),
    );
    change["secrets"] = json!({"certificates": [certificate]});
    let table = apply(&mut State::default(), change).unwrap();
    let shown = table.to_json();
    assert!(shown.contains("PEM") && !shown.contains("CHAIN") && !shown.contains("KEY"));
    let again: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(apply(&mut State::default(), again).unwrap().to_json(), shown);
    for kind in ["listeners", "http_rules", "endpoints"] {
        assert_eq!(table.to_value()["upsert"][kind].as_array().map(Vec::len), Some(2), "{kind}");
    }
    let mut uids: Vec<u64> = table.rule_uids().collect();
    uids.sort_unstable();
    uids.dedup();
    assert_eq!(uids.len(), 3);
}

/// Only those of external hosts; where there are none the list stays the very same.
#[test]
fn external_hosts_come_to_addresses() {
    let asked = |backends: Value| -> (Table, Vec<String>) {
        let mut table = table(json!([]), json!({"backends": backends}));
        let mut names = Vec::new();
        let before = Arc::clone(table.backend_slots());
        table.resolve(|backend, host| {
            names.push(host.hostname.clone());
            vec![Arc::new(Endpoint::external(&backend.id, "127.0.0.9:443".parse().unwrap()))]
        });
        assert_eq!(Arc::ptr_eq(&before, table.backend_slots()), names.is_empty());
        (table, names)
    };
    let (table, names) = asked(json!([{"id": "b"}, {"id": "x", "external": {"hostname": "x.test", "port": 443}}]));
    assert_eq!(names, ["x.test"]);
    let ready = |id: &str| {
        table.backends().find(|it| it.id == id).unwrap().ready.iter().map(|it| it.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!((ready("b"), ready("x")), (vec!["e".to_owned()], vec!["x@127.0.0.9:443".to_owned()]));
    assert!(asked(json!([{"id": "b"}])).1.is_empty());
    assert!(table.backend(u32::MAX).is_none());
}

#[test]
fn what_a_listener_says_of_itself_and_of_its_rules() {
    let tls = json!({"certificates": ["c"]});
    let respond = |body: &str| json!([{"type": "respond", "status": 200, "body": body}]);
    let listeners = json!([
        listener("l", 80, json!({})),
        listener("own", 81, json!({"filters": respond("listener")})),
        listener("carried", 443, json!({"protocol": "TLS", "hostname": "a.test"})),
        listener("ended", 443, json!({"protocol": "TLS", "hostname": "b.test", "tls": tls})),
        listener("https", 443, json!({"protocol": "HTTPS", "hostname": "c.test", "tls": tls})),
    ]);
    let rules = json!([rule("r", json!({"listeners": ["l", "own"], "filters": respond("rule")}))]);
    let table = table(rules, json!({"listeners": listeners}));
    let all: Vec<_> = table.sockets().flat_map(|socket| socket.listeners()).collect();
    for (id, ends_tls, body) in [
        ("l", false, Some("rule")),
        ("own", false, Some("listener")),
        ("carried", false, None),
        ("ended", true, None),
        ("https", false, None),
    ] {
        let listener = all.iter().find(|listener| listener.id() == id).unwrap();
        assert_eq!(listener.ends_tls(), ends_tls, "{id}");
        let found = listener.find(&head("/", &[])).and_then(|found| listener.respond(found.rule)).map(|it| &*it.body);
        assert_eq!(found, body, "{id}");
    }
}
