use super::State;
use crate::ir::{ListenerProtocol, Transport};
use crate::samples::{apply, ask, endpoint, listener, rule, site};
use crate::table::Table;
use serde_json::{Value, json};
use std::sync::Arc;

/// A state with something of every kind.
fn state() -> (State, Table) {
    let mut state = State::default();
    let mut change = site(
        json!([rule("r", json!({}))]),
        json!({
            "listeners": [listener("l", 80, json!({})), listener("tcp", 53, json!({"protocol": "TCP"}))],
            "l4_rules": [{"id": "t", "route": "t", "index": 0, "listeners": ["tcp"], "backends": [{"backend": "b", "weight": 1}]}],
            "attachments": [{"id": "at", "gateway": "a/g", "listeners": ["l"]}],
            "policies": [{"type": "backend_traffic", "id": "p"}],
            "trust": [{"id": "trust", "pem": "PEM"}],
            "replicas": [{"id": "a/g", "pods": 3}, {"id": "a/h", "pods": 2}],
        }),
    );
    let tickets = json!([{"id": "a/g", "keys": []}]);
    change["secrets"] = json!({"certificates": [{"id": "c", "chain": "", "key": ""}], "session_tickets": tickets});
    let table = apply(&mut state, change).unwrap();
    (state, table)
}

/// How many there are of each kind.
fn counts(table: &Table) -> [usize; 9] {
    let shown = table.to_value();
    let of = |kind: &str| shown["upsert"][kind].as_array().map_or(0, Vec::len);
    [
        of("listeners"),
        of("http_rules"),
        of("l4_rules"),
        of("attachments"),
        of("backends"),
        of("endpoints"),
        of("policies"),
        table.trust.len() + table.certificates.len(),
        table.session_tickets.len(),
    ]
}

#[test]
fn what_is_removed_is_gone_and_all_else_stays() {
    let all = [2, 1, 1, 1, 1, 1, 1, 2, 1];
    for (removed, expected) in [
        (json!({}), all),
        (json!({"http_rules": ["r"]}), [2, 0, 1, 1, 1, 1, 1, 2, 1]),
        (json!({"l4_rules": ["t"], "listeners": ["tcp"]}), [1, 1, 0, 1, 1, 1, 1, 2, 1]),
        (json!({"attachments": ["at"]}), [2, 1, 1, 0, 1, 1, 1, 2, 1]),
        (json!({"http_rules": ["r"], "l4_rules": ["t"], "backends": ["b"]}), [2, 0, 0, 1, 0, 0, 1, 2, 1]),
        (json!({"endpoints": ["e"]}), [2, 1, 1, 1, 1, 0, 1, 2, 1]),
        (json!({"policies": ["p"]}), [2, 1, 1, 1, 1, 1, 0, 2, 1]),
        (json!({"trust": ["trust"]}), [2, 1, 1, 1, 1, 1, 1, 1, 1]),
        (json!({"certificates": ["c"], "session_tickets": ["a/g"]}), [2, 1, 1, 1, 1, 1, 1, 1, 0]),
        // Removing what is not there is no error.
        (
            json!({"http_rules": ["x"], "listeners": ["x"], "policies": ["x"], "endpoints": ["x"], "backends": ["x"]}),
            all,
        ),
    ] {
        let (mut state, before) = state();
        let table = apply(&mut state, json!({"generation": 2, "remove": removed})).unwrap();
        assert_eq!(counts(&table), expected, "{removed}");
        assert_eq!((counts(&before), table.generation), (all, 2), "{removed}");
    }
}

/// A budget is shared by as many as the largest of the data planes has.
#[test]
fn how_many_pods_share_budgets() {
    let (mut state, table) = state();
    assert_eq!(table.pods.map(std::num::NonZeroU32::get), Some(3));
    for (removed, expected) in [(json!(["a/g"]), Some(2)), (json!(["a/h"]), None)] {
        let table = apply(&mut state, json!({"remove": {"replicas": removed}})).unwrap();
        assert_eq!(table.pods.map(std::num::NonZeroU32::get), expected, "{removed}");
    }
}

#[test]
fn a_full_transaction_leaves_nothing_of_before() {
    let (mut state, before) = state();
    let endpoint = |table: &Table| table.backends().next().map(|backend| backend.ready[0].uid);
    let table = apply(&mut state, site(json!([]), json!({}))).unwrap();
    assert_eq!(counts(&table), [1, 0, 0, 0, 1, 1, 0, 0, 0]);
    assert_eq!(table.pods, None);
    // But for the uids of endpoints: their connections go on.
    assert_eq!(endpoint(&table), endpoint(&before));
}

/// All or nothing: one resource that is refused leaves the state as it was.
#[test]
fn a_transaction_that_is_refused_changes_nothing() {
    let (mut state, before) = state();
    let refused = apply(
        &mut state,
        json!({"generation": 9, "remove": {"http_rules": ["r"]}, "upsert": {
            "listeners": [listener("new", 81, json!({}))], "http_rules": [rule("s", json!({"listeners": ["nowhere"]}))]}}),
    );
    assert_eq!(refused.unwrap_err(), "http_rule s: names the unknown listener nowhere");
    let after = apply(&mut state, json!({"generation": 1})).unwrap();
    assert_eq!(after.to_json(), before.to_json());
}

/// What a transaction does not touch the next table has of the one before it.
#[test]
fn tables_share_what_did_not_change() {
    let (mut state, before) = state();
    let routes = |table: &Table| {
        let socket = table.socket_on_port(Transport::Tcp, 80).unwrap();
        Arc::clone(&socket.listeners().next().unwrap().hosts)
    };
    let table = apply(&mut state, json!({"upsert": {"endpoints": [endpoint("f", 2, json!({}))]}})).unwrap();
    assert!(Arc::ptr_eq(&routes(&before), &routes(&table)));
    assert_eq!(ask(&table, json!({})).endpoints, ["e", "f"]);
    assert_eq!(ask(&before, json!({})).endpoints, ["e"]);
    let table = apply(&mut state, json!({"upsert": {"http_rules": [rule("s", json!({}))]}})).unwrap();
    assert!(!Arc::ptr_eq(&routes(&before), &routes(&table)));
}

#[test]
fn listeners_on_one_socket() {
    let tls = json!({"certificates": ["c"]});
    let on = |id: &str, protocol: &str, hostname: &str, addresses: Value| {
        listener(id, 443, json!({"protocol": protocol, "hostname": hostname, "addresses": addresses, "tls": tls}))
    };
    let any = json!([]);
    for (listeners, protocol, carries_flows) in [
        (json!([on("a", "HTTPS", "a.test", any.clone())]), ListenerProtocol::Https, false),
        (json!([on("a", "TLS", "a.test", any.clone())]), ListenerProtocol::Tls, true),
        (
            json!([on("a", "TLS", "a.test", any.clone()), on("b", "HTTPS", "b.test", any.clone())]),
            ListenerProtocol::Https,
            true,
        ),
        (
            json!([on("a", "HTTPS", "a.test", any.clone()), on("b", "TLS", "b.test", any)]),
            ListenerProtocol::Https,
            true,
        ),
    ] {
        let table = apply(&mut State::default(), site(json!([]), json!({"listeners": listeners}))).unwrap();
        let sockets: Vec<_> = table.sockets().collect();
        assert_eq!(sockets.len(), 1, "{listeners}");
        assert_eq!((sockets[0].protocol, sockets[0].carries_flows), (protocol, carries_flows), "{listeners}");
    }
    let two = json!(["127.0.0.1", "::1"]);
    let table =
        apply(&mut State::default(), site(json!([]), json!({"listeners": [on("a", "HTTPS", "", two)]}))).unwrap();
    let addresses: Vec<_> = table.sockets().map(|socket| socket.key.address.unwrap().to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1", "::1"]);
}

/// Whoever governs connections is looked for once, and not for each of them.
#[test]
fn sockets_know_whether_policies_govern_their_connections() {
    for (policy, governed, preamble) in [
        (json!({"type": "client_body", "id": "p", "max_bytes": 1}), false, false),
        (json!({"type": "client_connections", "id": "p", "max": 1}), true, false),
        (json!({"type": "client_address", "id": "p", "proxy_protocol": "Required"}), false, true),
    ] {
        let named = json!({"listeners": [listener("l", 80, json!({"policies": ["p"]}))], "policies": [policy]});
        let table = apply(&mut State::default(), site(json!([]), named)).unwrap();
        let socket = table.sockets().next().unwrap();
        assert_eq!((socket.governed, socket.preamble.is_some()), (governed, preamble), "{policy}");
    }
}

/// A secret that comes anew compiles the policies that need it, though nobody sends those again.
#[test]
fn policies_and_their_secrets() {
    let mut state = State::default();
    let policy =
        json!({"type": "access_api_key", "id": "p", "keys": "keys", "from": [{"type": "header", "name": "x-key"}]});
    let mut change = site(json!([rule("r", json!({"policies": ["p"]}))]), json!({"policies": [policy]}));
    // SHA-256 of `alpha`.
    let ann = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 ann\n";
    change["secrets"] = json!({"policy_secrets": [{"id": "keys", "data": ann}]});
    let reason = |table: &Table| ask(table, json!({"headers": [["x-key", "alpha"]]})).reason;
    let table = apply(&mut state, change).unwrap();
    assert_eq!(reason(&table), "forwarded");
    let other = json!([{"id": "keys", "data": format!("{} bob\n", "0".repeat(64))}]);
    let after = apply(&mut state, json!({"secrets": {"policy_secrets": other}})).unwrap();
    assert_eq!((reason(&after), reason(&table)), ("unauthenticated", "forwarded"));
}
