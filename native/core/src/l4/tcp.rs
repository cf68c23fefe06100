//! TCP connections, with TLS passed through or terminated.

use super::entry::{Carriage, Entry};
use super::hello::Hello;
use super::preamble::Arrival;
use super::{Chosen, Moment, admit, choose, hello};
use crate::io::fill::fill;
use crate::io::relay;
use crate::io::relay::{End, Limits};
use crate::io::{Opened, Reset};
use crate::message::client::Origin;
use crate::observe::l4::L4Reason;
use crate::tls::server::{self, Handshake};
use crate::tls::{Progress, TlsError};
use crate::upstream::{Active, Among, ConnectStage, Outcome, Route, RoutePolicy, Slot, UpstreamStream};
use crate::worker::{Generation, Worker};
use codec::Buffer;
use route::ir::ListenerProtocol;
use route::resolve::{L4Routed, route_l4};
use route::table::{Socket, SocketKey};
use smallvec::SmallVec;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

/// Endpoints that one connection may try.
const CONNECT_TRIES: usize = 3;

/// An HTTPS connection, its handshake done.
#[derive(Debug)]
pub struct Https {
    pub stream: TlsStream<TcpStream>,
    pub handshake: Handshake,
    pub origin: Origin,
    /// Where its listener has a limit of connections.
    pub opened: Option<Opened>,
}

/// Serve a connection of a TCP listener to its end.
pub async fn serve_tcp(worker: Rc<Worker>, arrival: Arrival, key: SocketKey) {
    let (stream, peer, local, first) = arrival.into_parts(&worker);
    let mut entry = Entry::begin(Rc::clone(&worker), peer, Carriage::Tcp);
    let generation = worker.generation();
    let chosen = match generation.table.socket(key) {
        Some(socket) => choose(&worker, &generation, socket, None, Moment::Only, &mut entry),
        None => Err(L4Reason::NoListener),
    };
    drop(generation);
    match chosen {
        Ok(chosen) => forward(&worker, stream, local, first, &chosen, entry).await,
        Err(reason) => refuse(&stream, &entry, reason),
    }
}

/// Serve a connection of a socket with TLS listeners to its end, unless it belongs to an HTTPS listener: then do the
/// handshake and give it back. Handshakes are boxed: they are large, and flows that pass through have none.
pub async fn serve_tls(worker: Rc<Worker>, arrival: Arrival, key: SocketKey) -> Option<Box<Https>> {
    let Arrival { mut stream, origin, ahead } = arrival;
    let mut ahead = ahead.map_or_else(Buffer::new, |ahead| *ahead);
    let mut entry = Entry::begin(Rc::clone(&worker), origin.peer, Carriage::Passthrough);
    let deadline = Instant::now() + worker.settings().handshake_timeout();
    let sni = match tokio::time::timeout_at(deadline, read_hello(&worker, &mut stream, &mut ahead)).await {
        Ok(Ok(sni)) => sni,
        Ok(Err((reason, detail))) => {
            entry.detail(|| detail.to_owned());
            entry.failed(reason);
            return None;
        }
        Err(_) => {
            entry.failed(L4Reason::HelloTimeout);
            return None;
        }
    };
    entry.sni.clone_from(&sni);
    let generation = worker.generation();
    let Some(socket) = generation.table.socket(key) else {
        refuse(&stream, &entry, L4Reason::NoListener);
        return None;
    };
    match listener_of(socket, sni.as_deref()) {
        Kind::None => {
            // No alert: the Gateway API's conformance tests take nothing but an end of the connection for a refusal.
            refuse(&stream, &entry, L4Reason::NoListener);
            None
        }
        Kind::Https => {
            let opened = entry.started();
            entry.discard();
            let open = socket.governed.then(|| Arc::clone(&worker.shared.open));
            let mut progress = Progress { open, ..Progress::default() };
            let accepted =
                Box::pin(accept(&worker, &generation, socket, stream, &ahead, deadline, &mut progress)).await;
            let failed = |error: &TlsError| error.log(&worker.shared.access_log, origin.peer, opened, &progress);
            let (stream, handshake) = *accepted.inspect_err(failed).ok()?;
            Some(Box::new(Https { stream, handshake, origin, opened: progress.opened }))
        }
        Kind::Passthrough => {
            let chosen = choose(&worker, &generation, socket, sni.as_deref(), Moment::Only, &mut entry);
            drop(generation);
            let (local, first) = (origin.local(&worker, &stream), ahead.filled().to_vec());
            drop(ahead);
            match chosen {
                Ok(chosen) => forward(&worker, stream, local, first, &chosen, entry).await,
                Err(reason) => refuse(&stream, &entry, reason),
            }
            None
        }
        Kind::Terminated => {
            entry.carriage = Carriage::Terminated;
            let ended = Box::pin(terminate(&worker, &generation, socket, stream, &ahead, deadline, &mut entry)).await;
            drop((generation, ahead));
            if let Some((stream, chosen)) = ended {
                let local = origin.local(&worker, stream.get_ref().0);
                Box::pin(forward(&worker, stream, local, Vec::new(), &chosen, entry)).await;
            }
            None
        }
    }
}

enum Kind {
    None,
    Https,
    Passthrough,
    Terminated,
}

fn listener_of(socket: &Socket, sni: Option<&str>) -> Kind {
    match socket.listener_for_sni(sni).map(|listener| &listener.ir) {
        None => Kind::None,
        Some(ir) if ir.protocol == ListenerProtocol::Https => Kind::Https,
        Some(ir) if ir.tls.is_some() => Kind::Terminated,
        Some(_) => Kind::Passthrough,
    }
}

/// Read until the `ClientHello` is whole. A connection without its first byte is an idle one, which a drain ends.
async fn read_hello(
    worker: &Worker,
    stream: &mut TcpStream,
    ahead: &mut Buffer,
) -> Result<Option<String>, (L4Reason, &'static str)> {
    let bad = |detail| Err((L4Reason::HelloMalformed, detail));
    loop {
        let idle = ahead.is_empty();
        if !idle {
            match hello::read(ahead.filled()) {
                Hello::Incomplete => {}
                Hello::Whole(sni) => return Ok(sni),
                Hello::Malformed(reason) => return bad(reason),
            }
        }
        let filled = tokio::select! {
            biased;
            filled = fill(ahead, stream, hello::MAX_BYTES) => filled,
            () = worker.drain.idle_ends(), if idle => return Err((L4Reason::Shutdown, "no byte had come")),
        };
        match filled {
            Ok(0) => return bad("the client closed the connection"),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::OutOfMemory => return bad("too many bytes"),
            Err(_) => return bad("the client broke the connection off"),
        }
    }
}

/// Choose a backend and do the handshake. `None`: it failed, and `entry` knows why.
async fn terminate(
    worker: &Worker,
    generation: &Generation,
    socket: &Socket,
    stream: TcpStream,
    ahead: &Buffer,
    deadline: Instant,
    entry: &mut Entry,
) -> Option<(TlsStream<TcpStream>, Rc<Chosen>)> {
    // Where there is nothing to go to no handshake is done.
    let chosen = match choose(worker, generation, socket, entry.sni.clone().as_deref(), Moment::BeforeHandshake, entry)
    {
        Ok(chosen) => chosen,
        Err(reason) => {
            refuse(&stream, entry, reason);
            return None;
        }
    };
    let mut progress = Progress::default();
    match accept(worker, generation, socket, stream, ahead, deadline, &mut progress).await {
        Ok(https) => {
            let (stream, handshake) = *https;
            // What its certificate says is known only now.
            if let Err(reason) = admit_shown(socket, &handshake, entry) {
                entry.failed(reason);
                stream.reset();
                return None;
            }
            Some((stream, chosen))
        }
        Err(error) => {
            if let Some(detail) = error.detail() {
                entry.detail(|| detail);
            }
            entry.failed(error.reason(&progress));
            None
        }
    }
}

/// Ask the policies of a connection again, now that its handshake is done.
fn admit_shown(socket: &Socket, handshake: &Handshake, entry: &Entry) -> Result<(), L4Reason> {
    let sni = handshake.sni.as_deref();
    match route_l4(socket, sni) {
        L4Routed::Found(listener, found) => {
            let moment = Moment::BehindHandshake(handshake.certificate.as_deref());
            admit(listener, found, sni, moment, entry, &mut Vec::new())
        }
        L4Routed::NoListener | L4Routed::NoRoute(_) => Err(L4Reason::NoRoute),
    }
}

/// The rest of a handshake.
async fn accept(
    worker: &Worker,
    generation: &Generation,
    socket: &Socket,
    stream: TcpStream,
    ahead: &Buffer,
    deadline: Instant,
    progress: &mut Progress,
) -> Result<Box<(TlsStream<TcpStream>, Handshake)>, TlsError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let accepted = server::accept(stream, ahead.filled(), socket, &generation.server_tls, left, progress).await;
    worker.metrics.handshake(accepted.is_ok());
    accepted.map(Box::new)
}

fn refuse(stream: &TcpStream, entry: &Entry, reason: L4Reason) {
    entry.failed(reason);
    stream.reset();
}

/// Connect and relay. `local`: what the client connected to; `ahead`: what was read from it already.
async fn forward<C>(
    worker: &Rc<Worker>,
    mut client: C,
    local: Option<SocketAddr>,
    ahead: Vec<u8>,
    chosen: &Rc<Chosen>,
    mut entry: Entry,
) where
    C: AsyncRead + AsyncWrite + Reset + Unpin,
{
    // Boxed: what it needs is gone once there is a connection.
    let (mut upstream, _held) = match Box::pin(connect(worker, chosen, local, &mut entry)).await {
        Ok(connected) => connected,
        Err(reason) => {
            entry.failed(reason);
            client.reset();
            return;
        }
    };
    let settings = worker.settings();
    let limits = Limits { idle: settings.l4_idle_timeout(), stall: settings.stall_timeout() };
    let end = relay::run(&worker.scratch, &mut client, &mut upstream, (ahead, Vec::new()), limits, &entry).await;
    let (reason, error) = match end {
        End::Finished => return entry.finished(),
        End::Client(error) | End::Upstream(error) if error.kind() == ErrorKind::UnexpectedEof => {
            entry.detail(|| "TLS ended without close_notify".to_owned());
            return entry.finished();
        }
        End::Idle => return entry.failed(L4Reason::Idle),
        End::Stalled => (L4Reason::Stalled, None),
        End::Client(error) => (L4Reason::ClientReset, Some(error)),
        End::Upstream(error) => (L4Reason::UpstreamReset, Some(error)),
    };
    if let Some(error) = error {
        entry.detail(|| error.to_string());
    }
    entry.failed(reason);
    // An end in order would tell each side that it has everything.
    client.reset();
    upstream.reset();
}

/// What a connection to a backend counts as, for as long as it is there.
type Held = (Active, Option<Slot>);

/// A connection to one of the backend's endpoints: to others where one fails.
async fn connect(
    worker: &Rc<Worker>,
    chosen: &Chosen,
    local: Option<SocketAddr>,
    entry: &mut Entry,
) -> Result<(UpstreamStream, Held), L4Reason> {
    let among = Among::of(&chosen.backend).for_client(&chosen.backend, entry.client().ip());
    let policy = RoutePolicy::of(&chosen.backend, || (entry.client(), local.unwrap_or(entry.client())));
    let route = Route { tls: chosen.tls.clone(), http2: false, policy };
    let mut tried: SmallVec<[u64; CONNECT_TRIES]> = SmallVec::new();
    let mut failed = L4Reason::NoEndpoint;
    while tried.len() < CONNECT_TRIES
        && let Some((endpoint, state)) = worker.upstreams.pick(among, &tried)
    {
        let active = state.begin();
        entry.endpoint(endpoint);
        let begun = Instant::now();
        // Boxed: a handshake is large, and only few flows have one.
        let opened = Box::pin(worker.upstreams.open(&state, &route)).await;
        let outcome = opened.as_ref().map_or_else(Outcome::of, |_| Outcome::Opened);
        worker.upstreams.report(among, &state, outcome, begun);
        match opened {
            Ok((stream, slot)) => {
                worker.metrics.upstream_acquired(false);
                return Ok((stream, (active, slot)));
            }
            Err(error) => {
                entry.detail(|| error.to_string());
                failed = match error.stage {
                    _ if error.loops => L4Reason::LoopDetected,
                    _ if error.overloaded => return Err(L4Reason::BackendOverloaded),
                    _ if error.timed_out => L4Reason::UpstreamConnectTimeout,
                    ConnectStage::Tls => L4Reason::UpstreamTls,
                    ConnectStage::Tcp | ConnectStage::Http2 => L4Reason::UpstreamConnect,
                };
                tried.push(endpoint.uid);
            }
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// What a flow costs besides its sockets: ten thousand of them are to fit into a small container.
    #[test]
    fn a_flow_is_small() {
        let sizes = [
            size_of_future(|worker, arrival, key, (): ()| super::serve_tcp(worker, arrival, key)),
            size_of_future(|worker, arrival, key, (): ()| super::serve_tls(worker, arrival, key)),
            size_of_future(crate::downstream::serve_flow),
        ];
        assert!(sizes[0] <= 1536 && sizes[1] <= 4096 && sizes[2] <= 2048, "{sizes:?}");
    }
}
