//! One worker: a thread, a runtime, and everything its connections use.

use super::bind::{Listening, take_no_more};
use crate::worker::{ConnectionGuard, Shared, Worker};
use crate::{downstream, l4};
use ahash::AHashMap;
use route::table::SocketKey;
use socket2::SockRef;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, LocalSet};

/// How often idle upstream connections and old generations are looked after.
const SWEEP: Duration = Duration::from_secs(1);

/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// While the worker has as many connections as it may have.
const FULL_PAUSE: Duration = Duration::from_millis(10);

/// How long handshakes get to come to their end after the last SYN that is taken: a few round trips.
const LAST_HANDSHAKES: Duration = Duration::from_millis(250);

/// What the engine tells a worker.
#[derive(Debug)]
pub enum Command {
    Listen(SocketKey, Listening),
    Close(SocketKey),
    /// Ask clients to go, keep accepting.
    Drain,
    /// Accept no more.
    Refuse,
    /// Close what is idle.
    Finish,
    /// Answer when no connection is open.
    WhenEmpty(oneshot::Sender<()>),
    Stop,
}

/// The body of a worker's thread.
pub fn run(id: usize, shared: Arc<Shared>, commands: mpsc::Receiver<Command>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let local = LocalSet::new();
    let worker = Rc::new(Worker::new(id, shared));
    local.block_on(&runtime, serve(worker, commands));
}

/// A task that takes what comes to a socket.
#[derive(Debug)]
struct Accepting {
    task: AbortHandle,
    /// Ends it in order: of a TCP socket, with a guard for the connections that wait for it.
    end: Option<oneshot::Sender<ConnectionGuard>>,
}

async fn serve(worker: Rc<Worker>, mut commands: mpsc::Receiver<Command>) {
    let mut accepting: AHashMap<SocketKey, Accepting> = AHashMap::new();
    // Made for the first UDP listener: most gateways have none.
    let mut datagrams: Option<Rc<l4::Datagrams>> = None;
    tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    while let Some(command) = commands.recv().await {
        match command {
            // A drain is at its end: nothing new is taken.
            Command::Listen(..) if worker.drain.is_closed() => {}
            Command::Listen(key, listener) => {
                let worker = Rc::clone(&worker);
                let found = match listener {
                    Listening::Tcp(listener) => match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let (end, ended) = oneshot::channel();
                            let task = tokio::task::spawn_local(accept(worker, key, listener, ended));
                            Accepting { task: task.abort_handle(), end: Some(end) }
                        }
                        Err(_) => continue,
                    },
                    Listening::Udp(socket) => {
                        let datagrams = Rc::clone(datagrams.get_or_insert_default());
                        let task = tokio::task::spawn_local(l4::serve_udp(worker, datagrams, key, socket));
                        Accepting { task: task.abort_handle(), end: None }
                    }
                };
                accepting.insert(key, found);
            }
            Command::Close(key) => {
                if let Some(found) = accepting.remove(&key) {
                    found.task.abort();
                }
            }
            Command::Drain => worker.drain.start(),
            Command::Refuse => {
                worker.drain.close();
                // A UDP listener's sessions still speak through it: it ends with them, taking no new ones.
                for end in accepting.values_mut().filter_map(|found| found.end.take()) {
                    let _ = end.send(worker.drain.connection());
                }
            }
            Command::Finish => worker.drain.finish(),
            Command::WhenEmpty(done) => {
                let drain = Rc::clone(&worker.drain);
                tokio::task::spawn_local(async move {
                    std::future::poll_fn(|context| drain.poll_empty(context)).await;
                    let _ = done.send(());
                });
            }
            Command::Stop => break,
        }
    }
}

async fn sweep(worker: Rc<Worker>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // An idle worker would keep an old generation alive: this takes the current one in its place.
        let generation = worker.generation();
        worker.upstreams.sweep(Instant::now(), &generation.table);
        worker.metrics.set_idle_upstream(worker.upstreams.idle_connections());
    }
}

/// Accept until told to end; then what the kernel has taken by that time, so that nobody who is connected is reset.
async fn accept(
    worker: Rc<Worker>,
    key: SocketKey,
    listener: TcpListener,
    mut ended: oneshot::Receiver<ConnectionGuard>,
) {
    let waiting = accept_until(&worker, key, &listener, &mut ended).await;
    take_no_more(SockRef::from(&listener));
    accept_waiting(&worker, key, &listener);
    drop(waiting);
    accept_until(&worker, key, &listener, tokio::time::sleep(LAST_HANDSHAKES)).await;
    accept_waiting(&worker, key, &listener);
}

async fn accept_until<E: Future>(worker: &Rc<Worker>, key: SocketKey, listener: &TcpListener, end: E) -> E::Output {
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
            Ok((stream, peer)) => open(worker, key, stream, peer),
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
fn accept_waiting(worker: &Rc<Worker>, key: SocketKey, listener: &TcpListener) {
    while worker.drain.connections() < worker.settings().max_connections
        && let Ok((socket, peer)) = SockRef::from(listener).accept()
    {
        let stream = socket.set_nonblocking(true).and_then(|()| TcpStream::from_std(socket.into()));
        if let (Ok(stream), Some(peer)) = (stream, peer.as_socket()) {
            open(worker, key, stream, peer);
        }
    }
}

fn open(worker: &Rc<Worker>, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    // Counted here: before its task runs others may be accepted.
    let open = worker.drain.connection();
    let carries_flows = worker.generation().table.socket(key).is_some_and(|socket| socket.carries_flows);
    let worker = Rc::clone(worker);
    if carries_flows {
        tokio::task::spawn_local(flow(worker, open, key, stream, peer));
    } else {
        tokio::task::spawn_local(connection(worker, open, key, stream, peer));
    }
}

async fn connection(worker: Rc<Worker>, _open: ConnectionGuard, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    let _counted = worker.metrics.connection();
    downstream::serve_connection(worker, stream, peer, key).await;
}

/// As [`connection`], of a socket with TCP or TLS listeners: a task of its own kind, since it needs much less memory.
async fn flow(worker: Rc<Worker>, _open: ConnectionGuard, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
    let _counted = worker.metrics.connection();
    downstream::serve_flow(worker, stream, peer, key).await;
}
