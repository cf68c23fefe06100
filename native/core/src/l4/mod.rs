//! Connections and datagrams that are carried without looking into them: `TLSRoute`, `TCPRoute`, `UDPRoute`.
//!
//! `preamble` reads what a proxy says before anything else (also of HTTP, `proxy_protocol`); `hello` reads the server name of a TLS connection, `tcp` finds the backend of a connection and `relay` moves its bytes;
//! `udp` keeps a `session` for each client of a UDP listener, `datagram` is its socket, `outbox` has the answers of a round,
//! `batch` takes and sends several datagrams in one system call. A flow keeps the endpoint that it was given: a new
//! configuration is for new flows, and a flow holds on to no generation of the table.

mod batch;
#[cfg(test)]
mod bursts;
mod datagram;
mod entry;
#[cfg(test)]
mod flows;
pub mod hello;
mod outbox;
pub mod preamble;
mod proxy_protocol;
mod session;
mod tcp;
mod udp;

pub use preamble::Arrival;
pub use tcp::{Https, serve_tcp, serve_tls};
pub use udp::{Datagrams, serve as serve_udp};

use crate::io::{Opened, Reset};
use crate::observe::l4::{L4Reason, L4Series};
use crate::policy::{Chain, Held};
use crate::upstream::TlsTarget;
use crate::worker::{Generation, Worker};
use entry::{Carriage, Entry};
use route::ir;
use route::policy::{ClientCertificate, ConnectionFacts, user_of_connection};
use route::resolve::{L4Routed, Picked, may_speak_tls, pick_l4, route_l4};
use route::table::{Backend, L4Candidate, L4Rule, Listener, Socket};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Where a flow goes. Holds what it needs of its generation and nothing more.
#[derive(Debug)]
pub struct Chosen {
    pub listener: Arc<ir::Listener>,
    pub rule: Arc<L4Rule>,
    /// Where it is counted.
    pub series: Option<Arc<L4Series>>,
    pub backend: Arc<Backend>,
    /// TLS towards the backend.
    pub tls: Option<TlsTarget>,
    /// What it counts for as long as it lasts.
    pub held: Held,
}

/// When the policies of a flow are asked.
#[derive(Debug, Clone, Copy)]
enum Moment<'c> {
    /// Once: it has no handshake here, so no certificate.
    Only,
    BeforeHandshake,
    /// Again, with the certificate that the client has shown.
    BehindHandshake(Option<&'c ClientCertificate>),
}

/// Ask the policies that hold for a flow. `held`: takes what it counts for as long as it lasts.
fn admit(
    listener: &Listener,
    found: &L4Candidate,
    sni: Option<&str>,
    moment: Moment<'_>,
    entry: &Entry,
    held: &mut Held,
) -> Result<(), L4Reason> {
    let Some(joined) = listener.policies_of_l4(&found.rule) else { return Ok(()) };
    // Never a connection without its policies.
    let chain = joined.kept.get::<Chain>().ok_or(L4Reason::PolicyInvalid)?;
    let certificate = match moment {
        Moment::Only => Some(None),
        Moment::BeforeHandshake => None,
        Moment::BehindHandshake(certificate) => Some(certificate),
    };
    let facts = ConnectionFacts {
        address: Some(entry.address()),
        sni,
        listener: listener.id(),
        route: &found.rule.ir.route,
        rule: &found.rule.ir.id,
        rule_uid: found.rule.uid,
        certificate,
        user: user_of_connection(&joined.policies, &joined.levels, certificate.flatten()),
    };
    match moment {
        Moment::Only | Moment::BeforeHandshake => chain.admit_connection(&facts, held),
        Moment::BehindHandshake(_) => chain.admit_shown(&facts),
    }
}

/// Count a connection in where there is a limit of them.
///
/// # Errors
/// There are as many as there may be.
pub fn open(worker: &Worker, place: &str, limit: Option<u32>) -> Result<Option<Opened>, L4Reason> {
    limit.map(|most| worker.shared.open.open(place, most).ok_or(L4Reason::ConnectionLimit)).transpose()
}

/// Refuse a connection of which nothing was read that could be answered: it is logged and counted.
pub fn refuse_unread(
    worker: &Rc<Worker>,
    stream: &TcpStream,
    client: SocketAddr,
    reason: L4Reason,
    detail: Option<&str>,
) {
    let entry = Entry::begin(Rc::clone(worker), client, Carriage::Tcp);
    if let Some(detail) = detail {
        entry.detail(|| detail.to_owned());
    }
    entry.failed(reason);
    stream.reset();
}

/// Decide on one flow and count it in. `entry` learns what it was.
fn choose(
    worker: &Worker,
    generation: &Generation,
    socket: &Socket,
    sni: Option<&str>,
    moment: Moment<'_>,
    entry: &mut Entry,
) -> Result<Rc<Chosen>, L4Reason> {
    let (listener, found) = match route_l4(socket, sni) {
        L4Routed::NoListener => return Err(L4Reason::NoListener),
        L4Routed::NoRoute(listener) => {
            entry.listener = Some(listener.id().into());
            return Err(L4Reason::NoRoute);
        }
        L4Routed::Found(listener, found) => (listener, found),
    };
    entry.listener = Some(listener.id().into());
    let mut held = Held::new();
    admit(listener, found, sni, moment, entry, &mut held)?;
    if socket.governed {
        entry.opened = open(worker, listener.id(), socket.connection_limit(sni))?.map(Box::new);
    }
    let backend = match pick_l4(
        &generation.table,
        listener,
        found,
        worker.turns.backend(found.rule.uid, found.rule.total_weight),
    ) {
        Picked::NoBackend => return Err(L4Reason::NoBackend),
        Picked::Invalid(_) => return Err(L4Reason::BackendInvalid),
        Picked::NoEndpoint(_) => return Err(L4Reason::NoEndpoint),
        Picked::Backend(_, _, backend) => backend,
    };
    let tls = if may_speak_tls(listener) {
        generation.client_tls.opaque(backend, &listener.ir).ok_or(L4Reason::BackendInvalid)?
    } else {
        None
    };
    let chosen = Rc::new(Chosen {
        listener: Arc::clone(&listener.ir),
        rule: Arc::clone(&found.rule),
        series: Arc::clone(&found.tag).downcast().ok(),
        backend: Arc::clone(backend),
        tls,
        held,
    });
    entry.chosen(&chosen);
    Ok(chosen)
}

#[cfg(test)]
mod tests;
