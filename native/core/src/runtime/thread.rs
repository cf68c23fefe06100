//! One worker: a thread, a runtime, and everything its connections use.

use super::accept::{accept, take_over};
use super::bind::Listening;
use super::faults;
use super::faults::survive;
use super::seldom::Seldom;
use super::spread::{Handed, Spread};
use crate::dispatch;
use crate::l4;
use crate::worker::{ConnectionGuard, Shared, Worker};
use ahash::AHashMap;
use route::table::SocketKey;
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, LocalSet};

/// How often idle upstream connections and old generations are looked after.
const SWEEP: Duration = Duration::from_secs(1);

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
    /// In the thread itself. Nothing but a test can say so.
    #[cfg(test)]
    Panic,
    #[cfg(test)]
    PanicAtNextAccept,
}

/// What a thread runs on.
///
/// # Errors
/// The system has no descriptor or memory for it.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What reaches a worker from other threads.
#[derive(Debug)]
pub struct Inbox {
    pub commands: mpsc::Receiver<Command>,
    /// Connections that others have accepted.
    pub handed: mpsc::Receiver<Handed>,
    pub spread: Arc<Spread>,
}

/// The body of a worker's thread: a worker, and another one where that panics. Its connections are lost then; its sockets
/// stay open, and whoever waits in them is served.
pub fn run(id: usize, shared: Arc<Shared>, runtime: Runtime, mut inbox: Inbox) {
    let mut told = Told::default();
    let mut next = Some(runtime);
    loop {
        let lived = catch_unwind(AssertUnwindSafe(|| {
            let runtime = next.take().map_or_else(self::runtime, Ok)?;
            let local = LocalSet::new();
            let worker = Rc::new(Worker::new(id, Arc::clone(&shared)));
            let serving = pin!(serve(worker, &mut inbox, &mut told));
            local.block_on(&runtime, Seldom::new(serving));
            io::Result::Ok(())
        }));
        match lived {
            Ok(Ok(())) => return,
            Ok(Err(error)) => faults::tell(&shared, id, "a thread", &error.to_string()),
            Err(panic) => faults::tell(&shared, id, "a thread", &*panic),
        }
        std::thread::sleep(faults::PAUSE);
    }
}

/// What a worker was told and the next one on its thread has to know.
#[derive(Debug, Default)]
struct Told {
    listening: AHashMap<SocketKey, Listening>,
    leaving: Leaving,
}

/// How far a drain is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leaving {
    #[default]
    No,
    Asked,
    Closed,
    Finishing,
}

/// A task that takes what comes to a socket.
#[derive(Debug)]
struct Accepting {
    task: AbortHandle,
    /// Ends it in order: of a TCP socket, with a guard for the connections that wait for it.
    end: Option<oneshot::Sender<ConnectionGuard>>,
}

async fn serve(worker: Rc<Worker>, inbox: &mut Inbox, told: &mut Told) {
    let Inbox { commands, handed, spread } = inbox;
    let mut accepting: AHashMap<SocketKey, Accepting> = AHashMap::new();
    // Made for the first UDP listener: most gateways have none.
    let mut datagrams: Option<Rc<l4::Datagrams>> = None;
    tokio::task::spawn_local(sweep(Rc::clone(&worker)));
    tokio::task::spawn_local(export_telemetry(Rc::clone(&worker)));
    // One for the whole process.
    if worker.id == 0 {
        tokio::task::spawn_local(fetch_keys(Rc::clone(&worker)));
    }
    for (key, listening) in &told.listening {
        accepting.extend(listen(&worker, spread, &mut datagrams, *key, listening).map(|found| (*key, found)));
    }
    leave(&worker, &mut accepting, told.leaving);
    loop {
        let command = tokio::select! {
            biased;
            // First, so that nobody is told that this worker has no connections while some wait for it.
            Some(handed) = handed.recv() => {
                take_over(&worker, handed);
                continue;
            }
            command = commands.recv() => command,
        };
        let Some(command) = command else { break };
        match command {
            // A drain is at its end: nothing new is taken.
            Command::Listen(..) if worker.drain.is_closed() => {}
            Command::Listen(key, listening) => {
                accepting.extend(listen(&worker, spread, &mut datagrams, key, &listening).map(|found| (key, found)));
                told.listening.insert(key, listening);
            }
            Command::Close(key) => {
                told.listening.remove(&key);
                if let Some(found) = accepting.remove(&key) {
                    found.task.abort();
                }
            }
            Command::Drain => told.leaving = told.leaving.max(Leaving::Asked),
            Command::Refuse => told.leaving = told.leaving.max(Leaving::Closed),
            Command::Finish => told.leaving = Leaving::Finishing,
            Command::WhenEmpty(done) => {
                let drain = Rc::clone(&worker.drain);
                tokio::task::spawn_local(async move {
                    std::future::poll_fn(|context| drain.poll_empty(context)).await;
                    let _ = done.send(());
                });
            }
            Command::Stop => break,
            #[cfg(test)]
            Command::Panic => panic!("as asked"),
            #[cfg(test)]
            Command::PanicAtNextAccept => super::accept::PANIC_AT_NEXT_ACCEPT.set(true),
        }
        if told.leaving >= Leaving::Closed {
            // What takes its last connections has the socket still.
            told.listening.clear();
        }
        leave(&worker, &mut accepting, told.leaving);
    }
    dispatch::flush_telemetry(&worker).await;
}

/// Begin to take what comes to a socket. `None`: the system has no room for it, and the operator is told.
fn listen(
    worker: &Rc<Worker>,
    spread: &Arc<Spread>,
    datagrams: &mut Option<Rc<l4::Datagrams>>,
    key: SocketKey,
    listening: &Listening,
) -> Option<Accepting> {
    let begun = listening.try_clone().and_then(|listening| match listening {
        Listening::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            let (end, ended) = oneshot::channel();
            let task = tokio::task::spawn_local(accept(Rc::clone(worker), Arc::clone(spread), key, listener, ended));
            Ok(Accepting { task: task.abort_handle(), end: Some(end) })
        }
        Listening::Udp(socket) => {
            let datagrams = Rc::clone(datagrams.get_or_insert_default());
            let task = tokio::task::spawn_local(carry_datagrams(Rc::clone(worker), datagrams, key, socket));
            Ok(Accepting { task: task.abort_handle(), end: None })
        }
    });
    begun.inspect_err(|error| tell_deaf(worker, key, error)).ok()
}

fn tell_deaf(worker: &Worker, key: SocketKey, error: &io::Error) {
    let message = format!("worker {}: nothing is taken from port {}: {error}", worker.id, key.port);
    worker.shared.events.push("listen_failed", message);
}

/// Be as far on the way out as that; again is harmless.
fn leave(worker: &Worker, accepting: &mut AHashMap<SocketKey, Accepting>, step: Leaving) {
    if step == Leaving::Asked {
        worker.drain.start();
    }
    if step >= Leaving::Closed {
        worker.drain.close();
        // A UDP listener's sessions still speak through it: it ends with them, taking no new ones.
        for end in accepting.values_mut().filter_map(|found| found.end.take()) {
            let _ = end.send(worker.drain.connection());
        }
    }
    if step == Leaving::Finishing {
        worker.drain.finish();
    }
}

async fn carry_datagrams(worker: Rc<Worker>, datagrams: Rc<l4::Datagrams>, key: SocketKey, socket: UdpSocket) {
    survive(&worker, "carrying datagrams", async || match socket.try_clone() {
        Ok(socket) => l4::serve_udp(Rc::clone(&worker), Rc::clone(&datagrams), key, socket).await,
        Err(error) => tell_deaf(&worker, key, &error),
    })
    .await;
}

async fn fetch_keys(worker: Rc<Worker>) {
    survive(&worker, "fetching keys of identity providers", async || dispatch::fetch_keys(&worker).await).await;
}

async fn export_telemetry(worker: Rc<Worker>) {
    survive(&worker, "sending telemetry to collectors", async || dispatch::export_telemetry(&worker).await).await;
}

async fn sweep(worker: Rc<Worker>) {
    survive(&worker, "the upkeep of its pools", async || sweep_each_second(&worker).await).await;
}

async fn sweep_each_second(worker: &Worker) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // An idle worker would keep an old generation alive: this takes the current one in its place.
        let generation = worker.generation();
        worker.upstreams.sweep(Instant::now(), &generation.table);
        worker.turns.sweep(&generation.table);
        worker.metrics.set_idle_upstream(worker.upstreams.idle_connections());
    }
}
