//! What takes connections: until a listener is closed, or a drain has taken the last one that waits.

use super::bind::take_no_more;
use super::faults::survive;
use super::spread::{Handed, Share, Spread};
use crate::downstream;
use crate::worker::{ConnectionGuard, Worker};
use route::table::SocketKey;
use socket2::SockRef;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// While the worker has as many connections as it may have.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// How long handshakes get to come to their end after the last SYN that is taken: a few round trips.
const LAST_HANDSHAKES: Duration = Duration::from_millis(250);

#[cfg(test)]
thread_local! {
    pub static PANIC_AT_NEXT_ACCEPT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Accept until told to end; then what the kernel has taken by that time, so that nobody who is connected is reset.
pub async fn accept(
    worker: Rc<Worker>,
    spread: Arc<Spread>,
    key: SocketKey,
    listener: TcpListener,
    mut ended: oneshot::Receiver<ConnectionGuard>,
) {
    let waiting = survive(&worker, "taking connections", async || {
        accept_until(&worker, &spread, key, &listener, &mut ended).await
    })
    .await;
    take_no_more(SockRef::from(&listener));
    accept_waiting(&worker, &spread, key, &listener);
    drop(waiting);
    accept_until(&worker, &spread, key, &listener, tokio::time::sleep(LAST_HANDSHAKES)).await;
    accept_waiting(&worker, &spread, key, &listener);
}

async fn accept_until<E: Future>(
    worker: &Rc<Worker>,
    spread: &Arc<Spread>,
    key: SocketKey,
    listener: &TcpListener,
    end: E,
) -> E::Output {
    let mut end = std::pin::pin!(end);
    loop {
        let next = async {
            while worker.drain.connections() >= worker.settings().max_connections {
                tokio::time::sleep(FULL_PAUSE).await;
            }
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            ended = end.as_mut() => return ended,
            accepted = next => accepted,
        };
        match accepted {
            Ok((stream, peer)) => place(worker, spread, key, stream, peer),
            // The client went away between SYN and accept: not our trouble.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset
                ) => {}
            Err(_) => {
                worker.metrics.accept_failed();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accept what waits, without waiting: asked of the kernel, since the reactor knows only what it was told last time.
fn accept_waiting(worker: &Rc<Worker>, spread: &Arc<Spread>, key: SocketKey, listener: &TcpListener) {
    while worker.drain.connections() < worker.settings().max_connections
        && let Ok((socket, peer)) = SockRef::from(listener).accept()
    {
        let stream = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket.into()));
        if let (Ok(stream), Some(peer)) = (stream, peer.as_socket()) {
            open(worker, spread.take(worker.id), key, stream, peer);
        }
    }
}

/// Serve a connection, or have a worker do so that has fewer. On the way out each keeps its own: another one may be done already.
fn place(worker: &Rc<Worker>, spread: &Arc<Spread>, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    let lighter = if worker.drain.is_draining() { None } else { spread.lighter(worker.id, worker.turns.noise()) };
    match lighter {
        None => open(worker, spread.take(worker.id), key, stream, peer),
        Some(seat) => match stream.into_std() {
            Ok(stream) => seat.fill(key, stream, peer),
            Err(_) => worker.metrics.accept_failed(),
        },
    }
}

/// Serve a connection that another worker has accepted.
pub fn take_over(worker: &Rc<Worker>, handed: Handed) {
    let Handed { key, stream, peer, share } = handed;
    match TcpStream::from_std(stream) {
        Ok(stream) => open(worker, share, key, stream, peer),
        Err(_) => worker.metrics.accept_failed(),
    }
}

fn open(worker: &Rc<Worker>, share: Share, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    #[cfg(test)]
    assert!(!PANIC_AT_NEXT_ACCEPT.take(), "as asked");
    // Counted here: before its task runs others may be accepted.
    let open = Open { _guard: worker.drain.connection(), _share: share };
    let carries_flows = worker.generation().table.socket(key).is_some_and(|socket| socket.carries_flows);
    let worker = Rc::clone(worker);
    if carries_flows {
        tokio::task::spawn_local(flow(worker, open, key, stream, peer));
    } else {
        tokio::task::spawn_local(connection(worker, open, key, stream, peer));
    }
}

/// What a connection counts as, for as long as it lives.
struct Open {
    _guard: ConnectionGuard,
    _share: Share,
}

async fn connection(worker: Rc<Worker>, _open: Open, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    let _counted = worker.metrics.connection();
    downstream::serve_connection(worker, stream, peer, key).await;
}

/// As [`connection`], of a socket with TCP or TLS listeners: a task of its own kind, since it needs much less memory.
async fn flow(worker: Rc<Worker>, _open: Open, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    let _counted = worker.metrics.connection();
    downstream::serve_flow(worker, stream, peer, key).await;
}

#[cfg(test)]
mod tests;
