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
