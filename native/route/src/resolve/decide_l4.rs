//! The decision on one connection that is carried, or on the datagrams of one client.

use super::contract::{Decision, L4Request};
use super::{L4Routed, Picked, pick_l4, route_l4};
use crate::ir::Transport;
use crate::policy::{self, ConnectionFacts};
use crate::table::{Socket, SocketKey, Table};
use std::net::IpAddr;
use std::sync::Arc;

/// Decide on one connection, or on the datagrams of one client.
pub fn decide_l4(table: &Table, request: &L4Request) -> Decision {
    let Some(socket) = socket_of(table, request.transport, request.address, request.bind_port) else {
        return Decision::close("no_listener");
    };
    let sni = request.sni.as_ref().map(|name| name.to_ascii_lowercase());
    let (listener, found) = match route_l4(socket, sni.as_deref()) {
        L4Routed::NoListener => return Decision::close("no_listener"),
        L4Routed::NoRoute(listener) => {
            return Decision { listener: Some(listener.id().to_owned()), ..Decision::close("no_route") };
        }
        L4Routed::Found(listener, found) => (listener, found),
    };
    let joined = listener.policies_of_l4(&found.rule);
    let (policies, levels) = joined.map(|joined| (&*joined.policies, &*joined.levels)).unwrap_or_default();
    // Where TLS does not end nobody has shown anything.
    let certificate = request.certificate.as_ref().filter(|_| listener.ends_tls());
    let facts = ConnectionFacts {
        address: request.from.map(|address| address.to_canonical()),
        sni: sni.as_deref(),
        listener: listener.id(),
        route: &found.rule.ir.route,
        rule: &found.rule.ir.id,
        certificate: Some(certificate),
        user: policy::user_of_connection(policies, levels, certificate),
        rule_uid: found.rule.uid,
    };
    let at = |decision| Decision {
        listener: Some(listener.id().to_owned()),
        rule: Some(found.rule.ir.id.clone()),
        ..decision
    };
    let (policies, refused) = policy::judge_connection(policies, levels, &facts);
    if let Some(reason) = refused {
        return Decision { policies, ..at(Decision::close(reason.name())) };
    }
    let slot = request.entropy % found.rule.total_weight.max(1);
    let decision = match pick_l4(table, listener, found, slot) {
        Picked::NoBackend => Decision::close("no_backend"),
        Picked::Invalid(index) => Decision { backend: Some(index), ..Decision::close("backend_invalid") },
        Picked::NoEndpoint(index) => Decision { backend: Some(index), ..Decision::close("no_endpoint") },
        Picked::Backend(index, _, backend) => Decision {
            outcome: "forward",
            backend: Some(index),
            endpoints: backend.endpoint_ids(),
            ..Decision::close("forwarded")
        },
    };
    Decision { policies, ..at(decision) }
}

/// The socket that is asked about; without an address the first one of its port.
pub(super) fn socket_of(
    table: &Table,
    transport: Transport,
    address: Option<IpAddr>,
    port: u16,
) -> Option<&Arc<Socket>> {
    match address {
        Some(_) => table.socket(SocketKey { transport, address, port }),
        None => table.socket_on_port(transport, port),
    }
}

#[cfg(test)]
mod tests {
    use crate::resolve::Decision;
    use crate::samples::{listener, merged, question, table};
    use crate::table::Table;
    use serde_json::{Value, json};

    fn rule(listener: &str, changes: Value) -> Value {
        let rule = json!({"id": format!("{listener}/0"), "route": listener, "index": 0, "listeners": [listener],
            "backends": [{"backend": "b", "weight": 1}]});
        merged(rule, changes)
    }

    fn site() -> Table {
        let only = json!({"type": "access_authorization", "id": "AccessPolicy/a/only/authorization",
            "rules": [{"clients": ["192.0.2.0/24"]}]});
        let ann = json!({"type": "access_authorization", "id": "AccessPolicy/a/ann/authorization",
            "rules": [{"users": ["ann"]}]});
        let shown = json!({"type": "access_certificate", "id": "AccessPolicy/a/shown/certificate", "optional": true});
        let users = json!([shown["id"], ann["id"]]);
        let tls = json!({"certificates": ["c"]});
        let listeners = json!([
            listener("http", 80, json!({})),
            listener("tcp", 1, json!({"protocol": "TCP"})),
            listener("near", 2, json!({"protocol": "TCP", "addresses": ["127.0.0.1"]})),
            listener("far", 2, json!({"protocol": "TCP", "addresses": ["127.0.0.2"]})),
            listener("empty", 3, json!({"protocol": "TCP"})),
            listener("carried", 443, json!({"protocol": "TLS", "hostname": "carried.test"})),
            listener("ended", 443, json!({"protocol": "TLS", "hostname": "ended.test", "tls": tls})),
            listener("udp", 1, json!({"protocol": "UDP"})),
        ]);
        let weighted = json!([{"backend": "b", "weight": 1}, {"weight": 1}, {"backend": "none", "weight": 1}]);
        let rules = json!([
            rule("tcp", json!({"backends": weighted})),
            rule("near", json!({"policies": [only["id"]]})),
            rule("far", json!({"backends": []})),
            rule("carried", json!({"policies": users})),
            rule("ended", json!({"policies": users})),
            rule("udp", json!({})),
        ]);
        table(
            json!([]),
            json!({"listeners": listeners, "l4_rules": rules, "policies": [only, ann, shown],
                "backends": [{"id": "b"}, {"id": "none"}]}),
        )
    }

    fn decide(table: &Table, changes: Value) -> Decision {
        question(merged(json!({"transport": "tcp", "bind_port": 1}), changes)).decide(table)
    }

    #[test]
    fn connections_and_datagrams() {
        let table = site();
        for (changes, reason, listener, backend) in [
            (json!({}), "forwarded", Some("tcp"), Some(0)),
            (json!({"entropy": 1}), "backend_invalid", Some("tcp"), Some(1)),
            (json!({"entropy": 2}), "no_endpoint", Some("tcp"), Some(2)),
            (json!({"entropy": 3}), "forwarded", Some("tcp"), Some(0)),
            (json!({"transport": "udp"}), "forwarded", Some("udp"), Some(0)),
            (json!({"bind_port": 3}), "no_route", Some("empty"), None),
            (json!({"bind_port": 4}), "no_listener", None, None),
            (json!({"bind_port": 80}), "no_listener", None, None),
            (json!({"bind_port": 2, "address": "127.0.0.2"}), "no_backend", Some("far"), None),
            (json!({"bind_port": 2, "address": "127.0.0.3"}), "no_listener", None, None),
            // Without an address it is the first one of the port.
            (json!({"bind_port": 2, "from": "192.0.2.1"}), "forwarded", Some("near"), Some(0)),
            (json!({"bind_port": 443, "sni": "other.test"}), "no_listener", None, None),
        ] {
            let decision = decide(&table, changes.clone());
            let outcome = if reason == "forwarded" { "forward" } else { "close" };
            assert_eq!((decision.outcome, decision.status, decision.reason), (outcome, 0, reason), "{changes}");
            assert_eq!((decision.listener.as_deref(), decision.backend), (listener, backend), "{changes}");
            let endpoints = if reason == "forwarded" { &["e"][..] } else { &[] };
            assert_eq!(decision.endpoints, endpoints, "{changes}");
        }
    }

    /// Who may is asked before a backend is chosen; a certificate proves something only where TLS ends.
    #[test]
    fn policies_of_connections() {
        let table = site();
        let ann = json!({"dns_names": ["ann"]});
        for (changes, reason, rule) in [
            (json!({"bind_port": 2, "from": "192.0.2.1"}), "forwarded", "near/0"),
            (json!({"bind_port": 2, "from": "::ffff:192.0.2.1"}), "forwarded", "near/0"),
            (json!({"bind_port": 2, "from": "192.0.3.1"}), "forbidden", "near/0"),
            (json!({"bind_port": 2}), "forbidden", "near/0"),
            (json!({"bind_port": 443, "sni": "Ended.test", "certificate": ann}), "forwarded", "ended/0"),
            (json!({"bind_port": 443, "sni": "ended.test"}), "forbidden", "ended/0"),
            (json!({"bind_port": 443, "sni": "carried.test", "certificate": ann}), "forbidden", "carried/0"),
        ] {
            let decision = decide(&table, changes.clone());
            assert_eq!((decision.reason, decision.rule.as_deref()), (reason, Some(rule)), "{changes}");
            assert!(!decision.policies.is_empty(), "{changes}");
            assert_eq!(decision.backend.is_some(), reason == "forwarded", "{changes}");
        }
    }
}
