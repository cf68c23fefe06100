//! The engine as its owner sees it: start, apply, drain, shut down. Every call may block; none needs an interpreter.

use super::admin::Admin;
use super::bind::{BindError, Listening, bind};
use super::spread::Spread;
use super::thread;
use super::thread::{Command, Inbox};
use super::upkeep::Upkeep;
use super::{checks, resolver};
use crate::io::KeepAlive;
use crate::observe::access_log::AccessLog;
use crate::observe::events::Events;
use crate::observe::metrics::Registry;
use crate::observe::unreachable::Unreachable;
use crate::policy::{self, Chain, KeySets, Step};
use crate::settings::Settings;
use crate::tls::server::ServerTls;
use crate::upstream::tls::ClientTls;
use crate::upstream::{self, Externals, Loads};
use crate::worker::IDLE_GRACE;
use crate::worker::{Generation, Readiness, Room, Shared};
use ahash::AHashMap;
use arc_swap::ArcSwap;
use route::ir::Transaction;
use route::policy::BodyLimit;
use route::table::{Refused, SocketKey, State, Table};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that wait for a busy worker.
const COMMANDS: usize = 1024;

/// What one listener has of a transaction.
#[derive(Debug, Clone, Serialize)]
pub struct ListenerReport {
    pub id: String,
    /// The addresses that are bound, with their real ports.
    pub bound: Vec<SocketAddr>,
    pub error: Option<BindError>,
}

/// The outcome of a transaction that was applied.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub generation: u64,
    /// Seconds from bytes to live.
    pub apply_seconds: f64,
    pub listeners: Vec<ListenerReport>,
}

/// A transaction that was not applied; the generation before goes on serving.
#[derive(Debug)]
pub enum ApplyError {
    Malformed(serde_json::Error),
    Refused(Refused),
    /// After shutdown.
    Stopped,
}

#[derive(Debug)]
struct Bound {
    address: SocketAddr,
}

#[derive(Debug)]
struct Thread {
    commands: mpsc::Sender<Command>,
    handle: JoinHandle<()>,
}

/// A running gateway.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    state: State,
    threads: Vec<Thread>,
    sockets: AHashMap<SocketKey, Result<Bound, BindError>>,
    admin: Option<Admin>,
    /// Asks endpoints whether they do well, from the first backend on that wants it.
    checks: Option<Upkeep>,
    /// Asks what external hosts come to, from the first one on.
    resolver: Option<Upkeep>,
    /// What the settings ask of every request.
    chain: Option<Arc<Chain>>,
    leaving: bool,
}

/// A drain under way; see [`Engine::leave`].
#[derive(Debug)]
pub struct Leaving {
    commands: Vec<mpsc::Sender<Command>>,
}

/// How long a drain may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// New connections are still taken.
    pub settle: Duration,
    /// ... even where none is open: balancers may still send some.
    pub settle_alone: bool,
    /// All of it.
    pub limit: Duration,
}

impl Leaving {
    /// Ask clients to go while still accepting; accept no more; close what is idle after [`IDLE_GRACE`]; wait until the
    /// limit for the rest. Each step ends early when no connection is open. True: every connection ended by itself.
    pub fn wait(self, patience: Patience) -> bool {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
            return false;
        };
        let deadline = Instant::now() + patience.limit;
        let settled = deadline.min(Instant::now() + patience.settle);
        runtime.block_on(async {
            self.tell(|| Command::Drain).await;
            if patience.settle_alone {
                tokio::time::sleep_until(settled.into()).await;
            } else {
                self.is_empty_by(settled).await;
            }
            self.tell(|| Command::Refuse).await;
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.is_empty_by(Instant::now() + IDLE_GRACE.min(left / 2)).await {
                self.tell(|| Command::Finish).await;
            }
            self.is_empty_by(deadline).await
        })
    }

    async fn tell(&self, command: impl Fn() -> Command) {
        for commands in &self.commands {
            let _ = commands.send(command()).await;
        }
    }

    /// No connection is open, of any worker; false: not by `deadline`.
    async fn is_empty_by(&self, deadline: Instant) -> bool {
        for commands in &self.commands {
            let (done, empty) = oneshot::channel();
            // A worker that has ended has no connections.
            if commands.send(Command::WhenEmpty(done)).await.is_ok()
                && tokio::time::timeout_at(deadline.into(), empty).await.is_err()
            {
                return false;
            }
        }
        true
    }
}

impl Engine {
    /// Start the workers; nothing is bound before the first transaction but the admin listener.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let workers = settings.worker_count();
        let events = Events::default();
        let key_sets = KeySets::open(settings.state_directory.as_deref(), &events);
        let shared = Arc::new(Shared {
            generation: ArcSwap::from_pointee(Generation::default()),
            registry: Registry::new(workers),
            access_log: AccessLog::start(&settings.access_log)?,
            events,
            unreachable: Unreachable::default(),
            open: Arc::default(),
            own: Arc::default(),
            room: Room::new(settings.body_buffer_bytes),
            loads: Loads::default(),
            externals: Externals::default(),
            renewed: watch::Sender::new(()),
            key_sets,
            leaving: Arc::default(),
            readiness: watch::Sender::new(Readiness::Starting),
            settings,
        });
        let admin = shared.settings.admin.and_then(|address| match Admin::start(address, Arc::clone(&shared)) {
            Ok(admin) => Some(admin),
            Err(error) => {
                shared.events.push(
                    "admin_unavailable",
                    format!("admin listener {address}: {error}; metrics and health checks are not served"),
                );
                None
            }
        });
        let mut threads = Vec::with_capacity(workers);
        let (spread, handed) = Spread::new(workers);
        for (id, handed) in handed.into_iter().enumerate() {
            let (commands, receiver) = mpsc::channel(COMMANDS);
            let inbox = Inbox { commands: receiver, handed, spread: Arc::clone(&spread) };
            let shared = Arc::clone(&shared);
            let runtime = thread::runtime()?;
            let handle = std::thread::Builder::new()
                .name(format!("sluicegate-{id}"))
                .spawn(move || thread::run(id, shared, runtime, inbox))?;
            threads.push(Thread { commands, handle });
        }
        let body_limit = BodyLimit::new(shared.settings.max_body_bytes);
        let chain = body_limit.map(|limit| Arc::new(Chain::new(vec![Step::BodyLimit(limit)])));
        let (state, sockets) = (State::default(), AHashMap::new());
        Ok(Self { shared, state, threads, sockets, admin, checks: None, resolver: None, chain, leaving: false })
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where the admin listener is, if it could be bound.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Apply one transaction: all of it or nothing.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn apply(&mut self, bytes: &[u8]) -> Result<Report, ApplyError> {
        if self.threads.is_empty() {
            return Err(ApplyError::Stopped);
        }
        let started = Instant::now();
        let transaction: Transaction = serde_json::from_slice(bytes).map_err(ApplyError::Malformed)?;
        let mut table = self.state.apply(transaction, &*self.shared).map_err(ApplyError::Refused)?;
        let before = self.shared.generation.load_full();
        let server_tls = ServerTls::build(&table, &before.server_tls, &self.shared.events);
        let client_tls = ClientTls::build(&table, &before.client_tls, &self.shared.events);
        let body_limit = BodyLimit::new(self.shared.settings.max_body_bytes);
        policy::prepare(&table, &before.table, body_limit, &self.shared.key_sets);
        let number = table.generation;
        // New sockets are bound first and accept only once their table is there: nobody meets a 404 that is not meant.
        let listening = self.bind_new(&table);
        let mut hosts = self.shared.externals.swapping();
        hosts.fill(&mut table);
        let tells_ends = upstream::tells_ends(&table);
        let chain = self.chain.clone();
        let generation = Generation { table, server_tls, client_tls, chain, tells_ends, secrets: OnceLock::new() };
        let generation = Arc::new(generation);
        self.shared.generation.store(Arc::clone(&generation));
        drop(hosts);
        for (key, listeners) in listening {
            for (thread, listener) in self.threads.iter().zip(listeners) {
                let _ = thread.commands.blocking_send(Command::Listen(key, listener));
            }
        }
        drop(before);
        self.shared.key_sets.sweep();
        self.shared.key_sets.wake();
        self.close_unwanted(&generation.table);
        self.keep_up(&generation);
        if !self.leaving {
            self.shared.readiness.send_replace(Readiness::Ready);
        }
        let apply_seconds = started.elapsed().as_secs_f64();
        self.shared.registry.upstreams.make_room(&generation.table);
        self.shared.registry.applied(number, apply_seconds);
        Ok(Report { generation: number, apply_seconds, listeners: self.listener_reports(&generation.table) })
    }

    /// Have the endpoints of a generation asked whether they do well, and its external hosts resolved.
    fn keep_up(&mut self, generation: &Generation) {
        self.shared.renewed.send_replace(());
        let checks = Upkeep::ensure(&mut self.checks, checks::are_wanted(generation), || {
            let shared = Arc::clone(&self.shared);
            Upkeep::start("checks", || checks::follow(shared))
        });
        if let Err(error) = checks {
            let message = format!("endpoints are not asked whether they do well: {error}");
            self.shared.events.push("endpoints_unchecked", message);
        }
        let resolver = Upkeep::ensure(&mut self.resolver, resolver::is_wanted(generation), || {
            let shared = Arc::clone(&self.shared);
            Upkeep::start("resolver", || resolver::follow(shared))
        });
        if let Err(error) = resolver {
            self.shared.events.push("external_host", format!("external hosts cannot be resolved: {error}"));
        }
    }

    /// Try the ports again that could not be bound.
    pub fn retry_binds(&mut self) -> Vec<ListenerReport> {
        let generation = self.shared.generation.load_full();
        for (key, listeners) in self.bind_new(&generation.table) {
            for (thread, listener) in self.threads.iter().zip(listeners) {
                let _ = thread.commands.blocking_send(Command::Listen(key, listener));
            }
        }
        self.listener_reports(&generation.table)
    }

    fn bind_new(&mut self, table: &Table) -> Vec<(SocketKey, Vec<Listening>)> {
        let mut listening = Vec::new();
        let alive = KeepAlive::new(self.shared.settings.stall_timeout());
        let wanted: Vec<SocketKey> = table.sockets().map(|socket| socket.key).collect();
        // Freed ports first, so that a listener may move from one address to all.
        self.sockets.retain(|key, bound| bound.is_ok() || wanted.contains(key));
        for key in wanted {
            if matches!(self.sockets.get(&key), Some(Ok(_))) {
                continue;
            }
            let same_port = |other: &SocketKey| other.transport == key.transport && other.port == key.port;
            let owned = self.sockets.iter().any(|(other, bound)| same_port(other) && bound.is_ok());
            let bound = bind(key, self.threads.len(), owned, alive).map(|listeners| {
                let address = listeners.first().and_then(|listener| listener.local_address().ok());
                listening.push((key, listeners));
                Bound { address: address.unwrap_or(SocketAddr::from(([0, 0, 0, 0], key.port))) }
            });
            self.sockets.insert(key, bound);
        }
        self.note_own();
        listening
    }

    fn note_own(&self) {
        let bound = self.sockets.iter().filter_map(|(key, bound)| Some((key.transport, bound.as_ref().ok()?.address)));
        self.shared.own.set(bound.collect());
    }

    fn close_unwanted(&mut self, table: &Table) {
        let gone: Vec<SocketKey> = self.sockets.keys().filter(|key| table.socket(**key).is_none()).copied().collect();
        for key in gone {
            self.sockets.remove(&key);
            for thread in &self.threads {
                let _ = thread.commands.blocking_send(Command::Close(key));
            }
        }
        self.note_own();
    }

    fn listener_reports(&self, table: &Table) -> Vec<ListenerReport> {
        let mut reports: AHashMap<String, ListenerReport> = AHashMap::new();
        for socket in table.sockets() {
            for listener in socket.listeners() {
                let report = reports.entry(listener.id().to_owned()).or_insert_with(|| ListenerReport {
                    id: listener.id().to_owned(),
                    bound: Vec::new(),
                    error: None,
                });
                match self.sockets.get(&socket.key) {
                    Some(Ok(bound)) => report.bound.push(bound.address),
                    Some(Err(error)) => report.error = Some(error.clone()),
                    None => {}
                }
            }
        }
        let mut reports: Vec<_> = reports.into_values().collect();
        reports.sort_by(|one, two| one.id.cmp(&two.id));
        reports
    }

    /// Begin a drain: no longer ready from now on. Transactions are applied while the rest is waited for: backends
    /// come and go meanwhile.
    pub fn leave(&mut self) -> Leaving {
        self.leaving = true;
        self.shared.leaving.store(true, Relaxed);
        self.shared.readiness.send_replace(Readiness::Leaving);
        Leaving { commands: self.threads.iter().map(|thread| thread.commands.clone()).collect() }
    }

    #[cfg(test)]
    pub(super) fn command(&self, command: Command) {
        self.threads[0].commands.blocking_send(command).expect("a worker");
    }

    /// Stop the threads and close everything. Harmless when called twice.
    pub fn shutdown(&mut self) {
        self.shared.readiness.send_replace(Readiness::Leaving);
        for thread in &self.threads {
            let _ = thread.commands.blocking_send(Command::Stop);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.handle.join();
        }
        self.sockets.clear();
        self.admin = None;
        self.checks = None;
        self.resolver = None;
        self.shared.access_log.stop();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}
