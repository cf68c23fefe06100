//! A client's connection: TLS, the choice of the protocol, then requests one after the other (`http1`) or side by side
//! (`http2`).

mod http1;
mod http2;
mod rewound;
#[cfg(test)]
mod splits;
#[cfg(test)]
mod waits;

use crate::io::fill::{fill, poll_fill};
use crate::io::watchdog::Watchdog;
use crate::l4;
use crate::message::client::Client;
use crate::message::http1::READ_AHEAD;
use crate::tls::{Progress, TlsError, server};
use crate::worker::{Generation, Worker};
use codec::Buffer;
use rewound::Rewound;
use route::ir::ListenerProtocol;
use route::table::SocketKey;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serve one accepted connection of a socket that has HTTP and HTTPS listeners only, to its end.
///
/// What only some connections need, or need for a while, is boxed: one that waits is small.
pub async fn serve_connection(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, socket: SocketKey) {
    let protocol = worker.generation().table.socket(socket).map(|socket| socket.protocol);
    match protocol {
        None => {}
        Some(ListenerProtocol::Https) => {
            if let Some(https) = Box::pin(accept(&worker, stream, peer, socket)).await {
                Box::pin(serve_https(worker, https, peer, socket)).await;
            }
        }
        Some(_) => {
            let local = stream.local_addr().ok();
            serve_plain(Client::new(worker, peer, socket, None).to(local), stream).await;
        }
    }
}

/// The handshake with a client, counted, and logged where it fails.
async fn accept(worker: &Worker, stream: TcpStream, peer: SocketAddr, socket: SocketKey) -> Option<l4::Https> {
    let generation = worker.generation();
    let entry = generation.table.socket(socket)?;
    let limit = worker.settings().handshake_timeout();
    let opened = Instant::now();
    let mut progress = Progress::default();
    let accepted = if has_begun(worker, &stream, limit).await {
        let left = limit.saturating_sub(opened.elapsed());
        server::accept(stream, entry, &generation.server_tls, left, &mut progress).await
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
        Ok(accepted) => Some(Box::new(accepted)),
        Err(error) => {
            error.log(&worker.shared.access_log, peer, opened, &progress);
            None
        }
    }
}

/// Serve one accepted connection of a socket that has TCP or TLS listeners, to its end.
///
/// What only some connections need is boxed: a flow is small.
pub async fn serve_flow(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr, socket: SocketKey) {
    let begins_with_tls = |generation: &Generation| {
        generation.table.socket(socket).is_some_and(|socket| socket.protocol.begins_with_tls())
    };
    if !begins_with_tls(&worker.generation()) {
        return l4::serve_tcp(worker, stream, peer, socket).await;
    }
    if let Some(https) = Box::pin(l4::serve_tls(Rc::clone(&worker), stream, peer, socket)).await {
        Box::pin(serve_https(worker, https, peer, socket)).await;
    }
}

async fn serve_https(worker: Rc<Worker>, https: l4::Https, peer: SocketAddr, socket: SocketKey) {
    let (stream, handshake) = *https;
    let http2 = handshake.http2;
    let local = stream.get_ref().0.local_addr().ok();
    let client = Client::new(worker, peer, socket, Some(handshake)).to(local);
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
async fn serve_plain(client: Client, mut stream: TcpStream) {
    let mut buffer = Buffer::new();
    let settings = client.worker.settings();
    let mut drain = pin!(client.worker.drain.idle_ends());
    let mut watchdog = Watchdog::default();
    let first = poll_fn(|context| {
        if let Poll::Ready(read) = poll_fill(&mut buffer, &mut stream, context, READ_AHEAD) {
            return Poll::Ready(read.is_ok_and(|count| count > 0));
        }
        buffer.release();
        drain.as_mut().poll(context).map(|()| false)
    });
    if !matches!(watchdog.until(Instant::now() + settings.idle_timeout(), first).await, Ok(true)) {
        return;
    }
    let begun = Instant::now();
    let preface = watchdog.until(begun + settings.head_timeout(), async {
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
