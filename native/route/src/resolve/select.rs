//! Whose turn it is: the backend of a request, and of a flow (ARCHITECTURE.md, sections 5.4 and 6).

use crate::ir::ListenerProtocol;
use crate::table::{Backend, Found, L4Candidate, Listener, RuleBackend, Socket, Table, backend_at};
use std::sync::Arc;

/// Which listener and rule take a connection, or a client's datagrams.
#[derive(Debug, Clone, Copy)]
pub enum L4Routed<'t> {
    /// None, or one that routes requests.
    NoListener,
    NoRoute(&'t Arc<Listener>),
    Found(&'t Arc<Listener>, &'t L4Candidate),
}

/// `sni`: the server name of the `ClientHello`, lower case; it counts only where connections begin with TLS.
pub fn route_l4<'t>(socket: &'t Socket, sni: Option<&str>) -> L4Routed<'t> {
    let sni = sni.filter(|_| socket.protocol.begins_with_tls());
    let Some(listener) = socket.listener_for_sni(sni).filter(|listener| !listener.ir.protocol.is_http()) else {
        return L4Routed::NoListener;
    };
    match listener.find_l4(sni) {
        Some(found) => L4Routed::Found(listener, found),
        None => L4Routed::NoRoute(listener),
    }
}

/// The backend that takes a request, or why none does.
#[derive(Debug, Clone, Copy)]
pub enum Picked<'t> {
    /// No weight at all: 500.
    NoBackend,
    /// It does not exist, or a policy of it cannot be honoured: 500.
    Invalid(usize),
    /// It has no endpoint: 503.
    NoEndpoint(usize),
    Backend(usize, &'t RuleBackend, &'t Arc<Backend>),
}

/// `slot`: below the rule's total weight; says whose turn it is.
pub fn pick<'t>(table: &'t Table, found: &Found<'t>, slot: u64) -> Picked<'t> {
    pick_of(table, &found.rule.backends, found.rule.total_weight, slot, true)
}

/// As [`pick`], for an L4 rule. TLS that is passed through is the client's own, and datagrams have none: there the
/// backend's TLS policy means nothing.
pub fn pick_l4<'t>(table: &'t Table, listener: &Listener, found: &'t L4Candidate, slot: u64) -> Picked<'t> {
    pick_of(table, &found.rule.backends, found.rule.total_weight, slot, may_speak_tls(listener))
}

/// Backends of the listener may be spoken to in TLS: it is the gateway that reads what clients send.
pub fn may_speak_tls(listener: &Listener) -> bool {
    match listener.ir.protocol {
        ListenerProtocol::Tls => listener.ir.tls.is_some(),
        ListenerProtocol::Udp => false,
        ListenerProtocol::Http | ListenerProtocol::Https | ListenerProtocol::Tcp => true,
    }
}

fn pick_of<'t>(
    table: &'t Table,
    backends: &'t [RuleBackend],
    total_weight: u64,
    slot: u64,
    speaks_tls: bool,
) -> Picked<'t> {
    if total_weight == 0 {
        return Picked::NoBackend;
    }
    let Some((index, chosen)) = backend_at(backends, slot) else {
        return Picked::NoBackend;
    };
    let Some(backend) = chosen.slot.and_then(|slot| table.backend(slot)) else {
        return Picked::Invalid(index);
    };
    if speaks_tls && backend.tls.as_ref().is_some_and(|policy| policy.invalid) {
        return Picked::Invalid(index);
    }
    if backend.is_invalid() {
        return Picked::Invalid(index);
    }
    if backend.has_no_endpoint() {
        return Picked::NoEndpoint(index);
    }
    Picked::Backend(index, chosen, backend)
}

#[cfg(test)]
mod tests {
    use super::{L4Routed, Picked, may_speak_tls, pick, pick_l4, route_l4};
    use crate::ir::Transport;
    use crate::samples::{head, listener, rule, table};
    use crate::table::{Socket, Table};
    use serde_json::{Value, json};

    fn word(picked: Picked<'_>) -> String {
        match picked {
            Picked::NoBackend => "none".to_owned(),
            Picked::Invalid(index) => format!("invalid {index}"),
            Picked::NoEndpoint(index) => format!("empty {index}"),
            Picked::Backend(index, _, backend) => format!("{index} {}", backend.id),
        }
    }

    fn socket(table: &Table, transport: Transport, port: u16) -> &Socket {
        table.socket_on_port(transport, port).unwrap()
    }

    /// Backends of every kind, at rules of requests and of connections.
    fn site(backends: Value) -> Table {
        let policies = json!([
            {"type": "backend_tls", "id": "no-tls", "hostname": "b", "invalid": true},
            {"type": "backend_policy", "id": "no-policy", "invalid": true},
            {"type": "backend_traffic", "id": "no-traffic", "invalid": true},
        ]);
        let protocols = [
            listener("l", 80, json!({})),
            listener("tcp", 1, json!({"protocol": "TCP"})),
            listener("udp", 1, json!({"protocol": "UDP"})),
            listener("carried", 443, json!({"protocol": "TLS", "hostname": "carried.test"})),
            listener("ended", 443, json!({"protocol": "TLS", "hostname": "*.test", "tls": {"certificates": ["c"]}})),
            listener(
                "unused",
                443,
                json!({"protocol": "HTTPS", "hostname": "https.test", "tls": {"certificates": ["c"]}}),
            ),
        ];
        let at = ["tcp", "udp", "carried", "ended"];
        let carried =
            json!({"id": "r", "route": "r", "index": 0, "listeners": at, "hostnames": [], "backends": backends});
        let endpoint = |backend: &str, port: u16| json!({"id": port.to_string(), "backend": backend, "address": "127.0.0.1", "port": port});
        table(
            json!([rule("r", json!({"backends": backends}))]),
            json!({"listeners": protocols, "l4_rules": [carried], "policies": policies,
                "backends": [
                    {"id": "b"}, {"id": "empty"}, {"id": "no-tls", "policies": ["no-tls"]},
                    {"id": "no-policy", "policies": ["no-policy"]}, {"id": "no-traffic", "policies": ["no-traffic"]},
                    {"id": "outside", "external": {"hostname": "a.test", "port": 1}},
                ],
                "endpoints": [endpoint("b", 1), endpoint("no-tls", 2), endpoint("no-policy", 3), endpoint("no-traffic", 4)]}),
        )
    }

    #[test]
    fn whose_turn_it_is() {
        let of = |id: &str, weight: u32| json!({"backend": id, "weight": weight});
        let table = site(json!([
            of("empty", 0),
            of("b", 2),
            json!({"weight": 1}),
            of("empty", 1),
            of("no-tls", 1),
            of("no-policy", 1),
            of("no-traffic", 1),
            of("outside", 1),
        ]));
        let listener = socket(&table, Transport::Tcp, 80).listener_for_host("").unwrap();
        let found = listener.find(&head("/", &[])).unwrap();
        for (slot, expected) in [
            (0, "1 b"),
            (1, "1 b"),
            (2, "invalid 2"),
            (3, "empty 3"),
            (4, "invalid 4"),
            (5, "invalid 5"),
            (6, "invalid 6"),
            (7, "7 outside"),
        ] {
            assert_eq!(word(pick(&table, &found, slot)), expected, "{slot}");
        }
        for backends in [json!([]), json!([of("b", 0)])] {
            let table = site(backends);
            let listener = socket(&table, Transport::Tcp, 80).listener_for_host("").unwrap();
            assert_eq!(word(pick(&table, &listener.find(&head("/", &[])).unwrap(), 0)), "none");
        }
    }

    /// Where it is the gateway that would speak TLS, a backend with a policy that cannot be honoured gets nothing.
    #[test]
    fn tls_of_backends_counts_where_it_can_be_spoken() {
        let table = site(json!([{"backend": "no-tls", "weight": 1}]));
        for (transport, port, sni, expected) in [
            (Transport::Tcp, 1, "", "invalid 0"),
            (Transport::Tcp, 443, "ended.test", "invalid 0"),
            (Transport::Tcp, 443, "carried.test", "0 no-tls"),
            (Transport::Udp, 1, "", "0 no-tls"),
        ] {
            let L4Routed::Found(listener, found) = route_l4(socket(&table, transport, port), Some(sni)) else {
                panic!("{transport:?} {port} {sni}");
            };
            assert_eq!(word(pick_l4(&table, listener, found, 0)), expected, "{port} {sni}");
            assert_eq!(may_speak_tls(listener), expected == "invalid 0", "{port} {sni}");
        }
        let http = socket(&table, Transport::Tcp, 80).listener_for_host("").unwrap();
        assert!(may_speak_tls(http));
    }

    #[test]
    fn which_listener_takes_a_connection() {
        let site = site(json!([]));
        for (port, sni, expected) in [
            (1, None, "found tcp"),
            // No name was read there.
            (1, Some("https.test"), "found tcp"),
            (443, Some("carried.test"), "found carried"),
            (443, Some("x.test"), "found ended"),
            // Requests are read there.
            (443, Some("https.test"), "none"),
            (443, Some("other"), "none"),
            (443, None, "none"),
            (80, None, "none"),
        ] {
            let routed = match route_l4(socket(&site, Transport::Tcp, port), sni) {
                L4Routed::NoListener => "none".to_owned(),
                L4Routed::NoRoute(listener) => format!("no route {}", listener.id()),
                L4Routed::Found(listener, _) => format!("found {}", listener.id()),
            };
            assert_eq!(routed, expected, "{port} {sni:?}");
        }
        let empty = table(json!([]), json!({"listeners": [listener("tcp", 1, json!({"protocol": "TCP"}))]}));
        let routed = route_l4(socket(&empty, Transport::Tcp, 1), None);
        assert!(matches!(routed, L4Routed::NoRoute(listener) if listener.id() == "tcp"));
    }
}
