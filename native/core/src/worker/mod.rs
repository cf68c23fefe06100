//! What one worker has, and what all of them share.
//!
//! A worker is a thread with a single-threaded runtime and its own pools. What workers share is one pointer to the current
//! [`Generation`]. A request takes it once and keeps it to its end.

mod drain;
mod room;
mod turns;

pub use drain::{ConnectionGuard, Drain, IDLE_GRACE, SessionGuard};
pub use room::{Room, Taken};

use crate::io::{OpenConnections, Scratch};
use crate::observe::access_log::AccessLog;
use crate::observe::events::Events;
use crate::observe::metrics::{Format, Registry, WorkerMetrics};
use crate::observe::process;
use crate::observe::unreachable::Unreachable;
use crate::policy::{self, Chain, KeySets};
use crate::settings::Settings;
use crate::telemetry::{Ids, Outboxes};
use crate::tls::server::ServerTls;
use crate::upstream::tls::ClientTls;
use crate::upstream::{ConnectError, Externals, Loads, OwnSockets, Upstreams, render_checked};
use arc_swap::ArcSwap;
use route::ir::HttpRule;
use route::policy::secret_pairs;
use route::table::{Backend, Endpoint, Locality, Table, Tag, Tags};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::watch;
use turns::Turns;

/// Everything that one transaction made, swapped as one.
#[derive(Debug, Default)]
pub struct Generation {
    pub table: Table,
    pub server_tls: ServerTls,
    pub client_tls: ClientTls,
    /// What holds for every request.
    pub chain: Option<Arc<Chain>>,
    /// Some backend is told who connects, and to what (PROXY protocol): else nobody asks the system.
    pub tells_ends: bool,
    /// What [`Self::secret_pairs`] has found.
    pub secrets: OnceLock<Vec<String>>,
}

impl Generation {
    /// Names of the pairs of a query in which any policy looks for credentials: of requests that no rule takes, or that are none,
    /// nobody knows which of them hold. Looked for where it is first asked for.
    pub fn secret_pairs(&self) -> &[String] {
        self.secrets.get_or_init(|| {
            let mut found = secret_pairs(self.table.policies.values());
            found.sort_unstable();
            found.dedup();
            found
        })
    }
}

/// Whether traffic should come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// No transaction was applied yet.
    Starting,
    Ready,
    /// A drain has begun.
    Leaving,
}

/// What all threads of an engine see.
#[derive(Debug)]
pub struct Shared {
    pub generation: ArcSwap<Generation>,
    pub settings: Settings,
    pub registry: Registry,
    pub access_log: AccessLog,
    pub events: Events,
    /// Endpoints whose failure to take connections was told.
    pub unreachable: Unreachable,
    /// Connections at listeners that have a limit of them.
    pub open: Arc<OpenConnections>,
    /// What the engine listens on.
    pub own: Arc<OwnSockets>,
    /// For bodies that are collected.
    pub room: Arc<Room>,
    /// Of backends with policies.
    pub loads: Loads,
    /// What external hosts come to.
    pub externals: Externals,
    /// Another generation has taken the place of the one before.
    pub renewed: watch::Sender<()>,
    /// Keys that identity providers publish.
    pub key_sets: KeySets,
    /// A drain has begun.
    pub leaving: Arc<AtomicBool>,
    /// `/readyz`.
    pub readiness: watch::Sender<Readiness>,
}

/// What a table is tagged with: where its routes are counted, and what its backends have under way.
impl Tags for Shared {
    fn of_rule(&self, listener: &str, rule: &HttpRule) -> Tag {
        self.registry.of_rule(listener, rule)
    }

    fn of_l4_route(&self, listener: &str, route: &str) -> Tag {
        self.registry.of_l4_route(listener, route)
    }

    fn of_backend(&self, backend: &Backend) -> Option<Tag> {
        Some(self.loads.of(backend))
    }

    fn locality(&self) -> Locality {
        Locality { zone: self.settings.zone.clone(), node: self.settings.node.clone() }
    }
}

impl Shared {
    /// An endpoint takes no connections: told when that begins, then counted.
    pub fn tell_unreachable(&self, endpoint: &Endpoint, error: &ConnectError) {
        let Some(more) = self.unreachable.note(endpoint.address, Instant::now()) else {
            return;
        };
        let backend = endpoint.id.rsplit_once('@').map_or(endpoint.id.as_str(), |(backend, _)| backend);
        let count = if more > 0 { format!(" ({more} times more since it was told)") } else { String::new() };
        let message = format!("backend {backend}: {} takes no connections{count}: {}", endpoint.address, error.reason);
        self.events.push("backend_unreachable", message);
    }

    /// The configuration as IR without secrets, and how the keys are that identity providers publish; JSON.
    pub fn config(&self) -> String {
        let mut shown = self.generation.load().table.to_value();
        shown["provider_keys"] = serde_json::json!(self.key_sets.states());
        shown.to_string()
    }

    /// All figures, for Prometheus.
    pub fn metrics(&self, format: Format) -> String {
        let generation = self.generation.load();
        self.registry.upstreams.sweep(&generation.table);
        for name in self.registry.overflowed() {
            let why = "there are more sets of labels than have a series of their own";
            let others = "what is beyond is counted together, with otel_metric_overflow=\"true\"";
            self.events.push("metrics_limit", format!("{name}: {why}; {others}"));
        }
        let mut text = self.registry.render_as(format, self.events.dropped(), self.access_log.dropped());
        policy::render_limits(&generation.table, &mut text);
        policy::render_faults(&generation.table, &mut text);
        render_checked(&generation.table, &mut text);
        policy::render_verdicts(&generation.table, &mut text);
        policy::render_telemetry(&generation.table, &mut text);
        self.key_sets.render(&mut text);
        generation.server_tls.render_ends(&mut text);
        process::render(&mut text);
        format.finish(text)
    }
}

/// What the connections of one thread share. Never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    pub id: usize,
    pub shared: Arc<Shared>,
    pub metrics: Arc<WorkerMetrics>,
    pub upstreams: Upstreams,
    pub drain: Rc<Drain>,
    /// Mirrored requests under way.
    pub mirrors: Cell<usize>,
    /// Bytes that wait for mirrors.
    pub mirror_bytes: Cell<usize>,
    // The outer `Rc` is what requests clone: no atomic count is touched for each of them.
    #[allow(clippy::redundant_allocation)]
    generation: RefCell<Rc<Arc<Generation>>>,
    /// Whose turn it is.
    pub turns: Turns,
    pub scratch: Scratch,
    /// Spans and log records that wait for their collectors.
    pub outboxes: Outboxes,
    /// Names of traces and spans.
    pub ids: Ids,
}

impl Worker {
    pub fn new(id: usize, shared: Arc<Shared>) -> Self {
        let metrics = shared.registry.worker(id);
        Self {
            id,
            upstreams: Upstreams::new(&shared.settings, Arc::clone(&metrics)).avoiding(Arc::clone(&shared.own)),
            metrics,
            drain: Rc::new(Drain::new(Arc::clone(&shared.leaving))),
            mirrors: Cell::new(0),
            mirror_bytes: Cell::new(0),
            generation: RefCell::new(Rc::new(shared.generation.load_full())),
            turns: Turns::default(),
            scratch: Scratch::default(),
            outboxes: Outboxes::default(),
            ids: Ids::default(),
            shared,
        }
    }

    /// One without a thread and without sockets.
    #[cfg(test)]
    pub fn alone(generation: Generation) -> std::io::Result<Rc<Self>> {
        Self::alone_with(generation, Settings::default())
    }

    /// The same with other settings.
    #[cfg(test)]
    pub fn alone_with(generation: Generation, settings: Settings) -> std::io::Result<Rc<Self>> {
        let shared = Shared {
            generation: arc_swap::ArcSwap::from_pointee(generation),
            registry: crate::observe::metrics::Registry::new(1),
            access_log: crate::observe::access_log::AccessLog::start(&settings.access_log)?,
            events: crate::observe::events::Events::default(),
            unreachable: Unreachable::default(),
            open: Arc::default(),
            own: Arc::default(),
            room: Room::new(settings.body_buffer_bytes),
            loads: Loads::default(),
            externals: Externals::default(),
            renewed: tokio::sync::watch::Sender::new(()),
            key_sets: KeySets::default(),
            leaving: Arc::default(),
            readiness: tokio::sync::watch::Sender::new(crate::worker::Readiness::Ready),
            settings,
        };
        Ok(Rc::new(Self::new(0, Arc::new(shared))))
    }

    /// Have it go by a table with these objects of the IR and nothing else.
    #[cfg(test)]
    pub fn apply(&self, upsert: &serde_json::Value) -> std::io::Result<()> {
        let transaction =
            serde_json::json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": upsert});
        let table = route::table::State::default().apply(serde_json::from_value(transaction)?, &*self.shared);
        let table = table.map_err(|refused| std::io::Error::other(format!("{refused:?}")))?;
        self.shared.generation.store(Arc::new(Generation { table, ..Generation::default() }));
        Ok(())
    }

    /// One that redirects every request to port 80: what was asked for is told, and nobody else is needed for it.
    #[cfg(test)]
    pub fn redirecting(settings: Settings) -> std::io::Result<Rc<Self>> {
        let worker = Self::alone_with(Generation::default(), settings)?;
        worker.apply(&serde_json::json!({
            "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
            "http_rules": [{"id": "r", "route": "route", "index": 0, "listeners": ["l"],
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": [{"type": "redirect", "status": 302}]}]}))?;
        Ok(worker)
    }

    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The current generation. Holding it costs no shared counter: the worker has one reference, requests share that.
    #[allow(clippy::redundant_allocation)]
    pub fn generation(&self) -> Rc<Arc<Generation>> {
        let current = self.shared.generation.load();
        let mut held = self.generation.borrow_mut();
        if !Arc::ptr_eq(&current, &held) {
            *held = Rc::new(Arc::clone(&current));
        }
        Rc::clone(&held)
    }
}

#[cfg(test)]
mod tests {
    use super::{Generation, Worker};
    use crate::settings::Settings;
    use crate::upstream::Load;
    use route::table::{Locality, Tags};
    use serde_json::json;
    use std::rc::Rc;
    use std::sync::Arc;

    /// What a request has stays to its end, and goes with it; all of them together cost one reference.
    #[test]
    fn a_request_keeps_its_generation() {
        let worker = Worker::alone(Generation::default()).unwrap();
        let first = worker.generation();
        let others: Vec<_> = (0..100).map(|_| worker.generation()).collect();
        assert!(others.iter().all(|other| Rc::ptr_eq(other, &first)));
        let before = Arc::strong_count(&first);
        drop(others);
        assert_eq!(Arc::strong_count(&first), before);
        worker.apply(&json!({})).unwrap();
        let (second, watched) = (worker.generation(), Arc::downgrade(&first));
        assert_eq!((first.table.generation, second.table.generation), (0, 1));
        assert!(Rc::ptr_eq(&second, &worker.generation()));
        drop(first);
        assert!(watched.upgrade().is_none(), "the last request of a generation frees it");
    }

    /// Where the gateway is, and what a backend with a policy has under way: the same for every table.
    #[test]
    fn what_tables_are_tagged_with() {
        let settings = Settings { zone: "a".to_owned(), node: "n".to_owned(), ..Settings::default() };
        let worker = Worker::alone_with(Generation::default(), settings).unwrap();
        assert_eq!(worker.shared.locality(), Locality { zone: "a".to_owned(), node: "n".to_owned() });
        let mut loads = Vec::new();
        for limit in [3, 3, 4] {
            let policy = json!({"type": "backend_policy", "id": "p", "limits": {"requests": limit}});
            worker.apply(&json!({"policies": [policy], "backends": [{"id": "b", "policies": ["p"]}]})).unwrap();
            let generation = worker.generation();
            loads.push(Load::shared(generation.table.backends().next().unwrap()).unwrap());
        }
        assert!(Arc::ptr_eq(&loads[0], &loads[1]) && !Arc::ptr_eq(&loads[1], &loads[2]));
    }
}
