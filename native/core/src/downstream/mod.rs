//! A client's connection: TLS, the choice of the protocol, then requests one after the other (`http1`) or side by side
//! (`http2`).

mod http1;
mod http2;
mod rewound;
#[cfg(test)]
mod splits;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waits;

use crate::io::fill::{fill, poll_fill};
use crate::io::watchdog::Watchdog;
use crate::l4::{self, Arrival, Https, preamble};
use crate::message::Terms;
use crate::message::client::{Client, Origin};
use crate::message::http1::READ_AHEAD;
use crate::tls::{Progress, TlsError, server};
use crate::worker::Worker;
use codec::Buffer;
use rewound::Rewound;
use route::ir::ListenerProtocol;
use route::table::SocketKey;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How connections of a socket are to be treated.
#[derive(Debug, Clone, Copy)]
struct Ways {
    protocol: ListenerProtocol,
    /// A header may come before anything else.
    has_preamble: bool,
    /// Policies say how long connections live, and how many there are.
    governed: bool,
}

impl Ways {
    fn of(worker: &Worker, socket: SocketKey) -> Option<Self> {
        worker.generation().table.socket(socket).map(|socket| Self {
            protocol: socket.protocol,
            has_preamble: socket.preamble.is_some(),
            governed: socket.governed,
        })
    }
}

/// Serve one accepted connection of a socket that has HTTP and HTTPS listeners only, to its end.
///
/// What only some connections need, or need for a while, is boxed: one that waits is small.
pub async fn serve_connection(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, socket: SocketKey) {
    let Some(ways) = Ways::of(&worker, socket) else { return };
    if ways.protocol != ListenerProtocol::Http || ways.has_preamble || ways.governed {
        return Box::pin(serve_otherwise(worker, Arrival::new(stream, peer), socket, ways)).await;
    }
    let origin = Origin::of(peer);
    let local = origin.local(&worker, &stream);
    serve_plain(Client::of(worker, origin, local, socket, None), stream, None).await;
}

/// As [`serve_connection`], of what most connections without TLS have no need of.
async fn serve_otherwise(worker: Rc<Worker>, mut arrival: Arrival, socket: SocketKey, ways: Ways) {
    if ways.has_preamble {
        match Box::pin(begin(&worker, arrival, socket)).await {
            Some(begun) => arrival = begun,
            None => return,
        }
    }
    if ways.protocol == ListenerProtocol::Https {
        if let Some(https) = Box::pin(accept(&worker, arrival, socket, ways)).await {
            Box::pin(serve_https(worker, https, socket, ways)).await;
        }
        return;
    }
    let local = arrival.origin.local(&worker, &arrival.stream);
    let Arrival { stream, origin, ahead } = arrival;
    let mut client = Client::of(worker, origin, local, socket, None);
    if ways.governed {
        client = governed(client, socket);
    }
    let limit = client.worker.generation().table.socket(socket).and_then(|socket| socket.connection_limit(None));
    match l4::open(&client.worker, &socket_name(socket), limit) {
        Ok(_opened) => Box::pin(serve_plain(client, stream, ahead)).await,
        Err(reason) => l4::refuse_unread(&client.worker, &stream, client.peer, reason, None),
    }
}

/// The header of the PROXY protocol, where the socket has it. `None`: the connection is refused, or gone.
async fn begin(worker: &Rc<Worker>, arrival: Arrival, socket: SocketKey) -> Option<Arrival> {
    let generation = worker.generation();
    match generation.table.socket(socket)?.preamble.as_deref() {
        Some(preamble) => preamble::read(worker, arrival, preamble).await,
        None => Some(arrival),
    }
}

/// The client under what policies say of its connection.
fn governed(client: Client, socket: SocketKey) -> Client {
    let generation = client.worker.generation();
    match generation.table.socket(socket) {
        Some(socket) => {
            let terms = Terms::at(client.worker.settings(), socket, client.sni());
            client.under(terms)
        }
        None => client,
    }
}

/// What connections without TLS are counted by: what tells the listeners of their socket apart comes with each request.
fn socket_name(socket: SocketKey) -> String {
    format!("{:?}:{}", socket.address, socket.port)
}

/// The handshake with a client, counted, and logged where it fails.
async fn accept(worker: &Worker, arrival: Arrival, socket: SocketKey, ways: Ways) -> Option<Box<Https>> {
    let generation = worker.generation();
    let entry = generation.table.socket(socket)?;
    let limit = worker.settings().handshake_timeout();
    let opened = Instant::now();
    let Arrival { stream, origin, ahead } = arrival;
    let open = ways.governed.then(|| Arc::clone(&worker.shared.open));
    let mut progress = Progress { open, ..Progress::default() };
    let ahead = ahead.as_deref().map_or(&[][..], Buffer::filled);
    let accepted = if !ahead.is_empty() || has_begun(worker, &stream, limit).await {
        let left = limit.saturating_sub(opened.elapsed());
        server::accept(stream, ahead, entry, &generation.server_tls, left, &mut progress).await
    } else if worker.drain.is_finishing() {
        // Who is sent away before a handshake has not failed in one.
        return None;
    } else if opened.elapsed() >= limit {
        Err(TlsError::Timeout)
    } else {
        Err(TlsError::Io(io::ErrorKind::UnexpectedEof.into()))
    };
    worker.metrics.handshake(accepted.is_ok());
    match accepted {
        Ok((stream, handshake)) => Some(Box::new(Https { stream, handshake, origin, opened: progress.opened.take() })),
        Err(error) => {
            error.log(&worker.shared.access_log, origin.peer, opened, &progress);
            None
        }
    }
}

/// Serve one accepted connection of a socket that has TCP or TLS listeners, to its end.
///
/// What only some connections need is boxed: a flow is small.
pub async fn serve_flow(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, socket: SocketKey) {
    let Some(ways) = Ways::of(&worker, socket) else { return };
    let mut arrival = Arrival::new(stream, peer);
    if ways.has_preamble {
        match Box::pin(begin(&worker, arrival, socket)).await {
            Some(begun) => arrival = begun,
            None => return,
        }
    }
    if !ways.protocol.begins_with_tls() {
        return l4::serve_tcp(worker, arrival, socket).await;
    }
    if let Some(https) = Box::pin(l4::serve_tls(Rc::clone(&worker), arrival, socket)).await {
        Box::pin(serve_https(worker, https, socket, ways)).await;
    }
}

async fn serve_https(worker: Rc<Worker>, https: Box<Https>, socket: SocketKey, ways: Ways) {
    let Https { stream, handshake, origin, opened: _opened } = *https;
    let http2 = handshake.http2;
    let local = origin.local(&worker, stream.get_ref().0);
    let mut client = Client::of(worker, origin, local, socket, Some(handshake));
    if ways.governed {
        client = governed(client, socket);
    }
    if http2 {
        Box::pin(http2::serve(Rc::new(client), stream)).await;
    } else {
        http1::serve(&client, stream, Buffer::new(), None, Watchdog::default()).await;
    }
}

/// Wait for the first byte of a client, for as long as `limit`. Until then the connection is an idle one, which a drain ends.
async fn has_begun(worker: &Worker, stream: &TcpStream, limit: Duration) -> bool {
    let mut first = [0];
    tokio::select! {
        biased;
        peeked = tokio::time::timeout(limit, stream.peek(&mut first)) => matches!(peeked, Ok(Ok(1))),
        () = worker.drain.idle_ends() => false,
    }
}

/// HTTP/1.1, or HTTP/2 for a client that begins with its preface.
async fn serve_plain(client: Client, mut stream: TcpStream, ahead: Option<Box<Buffer>>) {
    let mut buffer = ahead.map_or_else(Buffer::new, |ahead| *ahead);
    let mut drain = pin!(client.worker.drain.idle_ends());
    let mut watchdog = Watchdog::default();
    let first = poll_fn(|context| {
        if !buffer.is_empty() {
            return Poll::Ready(true);
        }
        if let Poll::Ready(read) = poll_fill(&mut buffer, &mut stream, context, READ_AHEAD) {
            return Poll::Ready(read.is_ok_and(|count| count > 0));
        }
        buffer.release();
        drain.as_mut().poll(context).map(|()| false)
    });
    if !matches!(watchdog.until(Instant::now() + client.idle_timeout(), first).await, Ok(true)) {
        return;
    }
    let begun = Instant::now();
    let preface = watchdog.until(begun + client.head_timeout(), async {
        while PREFACE.starts_with(buffer.filled()) && buffer.len() < PREFACE.len() {
            if fill(&mut buffer, &mut stream, READ_AHEAD).await? == 0 {
                return io::Result::Ok(false);
            }
        }
        Ok(true)
    });
    match preface.await {
        Ok(Ok(true)) => {}
        // Late: a head is told so, and what can only be a preface would not understand it.
        Err(_) if !buffer.filled().contains(&b' ') => {}
        _ => return,
    }
    if buffer.filled().starts_with(PREFACE) {
        Box::pin(http2::serve(Rc::new(client), Rewound { ahead: buffer, stream })).await;
    } else {
        http1::serve(&client, stream, buffer, Some(begun), watchdog).await;
    }
}
