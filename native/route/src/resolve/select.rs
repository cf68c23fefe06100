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
