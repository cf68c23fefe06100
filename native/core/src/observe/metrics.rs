//! Counters and histograms; `exposition` writes them down.
//!
//! Each figure is written by one worker only, with a plain load and store; whoever reads adds up. A route's series lives as
//! long as a table names it, so cardinality is bounded by the configuration.

mod durations;
mod exemplars;
mod exposition;
mod label_sets;
mod open_metrics;
mod status_class;
mod upstreams;

pub use durations::Took;
pub use exemplars::Exemplar;
pub use label_sets::{LabelSets, Labels, Version};
pub use open_metrics::Format;
pub use upstreams::{EndpointShard, RequestEnd, Sent, UpstreamSeries};

use super::counter::Counter;
use super::l4::{L4Failures, L4Series};
use crate::error::ErrorCode;
use ahash::AHashMap;
use durations::Durations;
use label_sets::Limited;
use route::ir::HttpRule;
use route::table::{Backend, Endpoint, Tag, Tags};
use status_class::{CLASSES, class_of};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// gRPC statuses that have a label of their own, 0 to 16; the last counter is for everything else, missing ones too.
const GRPC_STATUSES: usize = 17;

/// One worker's share of a route's figures.
#[derive(Debug, Default)]
struct Shard {
    classes: [Counter; CLASSES.len()],
    durations: Durations,
    /// Of routes that carry gRPC only.
    grpc: OnceLock<Box<[Counter; GRPC_STATUSES + 1]>>,
}

/// The figures of one route at one listener.
#[derive(Debug, Default)]
pub struct RouteSeries {
    shards: Box<[OnceLock<Box<Shard>>]>,
}

impl RouteSeries {
    fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| OnceLock::new()).collect() }
    }

    /// Count one request; only `worker` itself may call this with its number.
    pub fn record(&self, worker: usize, status: u16, took: Took, exemplar: Option<&Exemplar>) {
        let Some(shard) = self.shards.get(worker) else {
            return;
        };
        let shard = shard.get_or_init(Box::default);
        shard.classes[class_of(status)].add(1);
        shard.durations.record(took, exemplar);
    }

    /// Count one gRPC request, besides `record`; `None`: its response had no status.
    pub fn record_grpc(&self, worker: usize, status: Option<u32>) {
        let Some(shard) = self.shards.get(worker) else {
            return;
        };
        let counters = shard.get_or_init(Box::default).grpc.get_or_init(Box::default);
        let index = status.and_then(|status| usize::try_from(status).ok()).unwrap_or(GRPC_STATUSES);
        counters[index.min(GRPC_STATUSES)].add(1);
    }

    fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter_map(|shard| shard.get().map(|shard| &**shard))
    }
}

/// What a rule's requests are counted by at one listener.
#[derive(Debug)]
pub struct RuleSeries {
    pub route: Arc<RouteSeries>,
    /// Of the path of each of its matches.
    paths: Box<[Arc<LabelSets>]>,
}

impl RuleSeries {
    /// Of the path of a match.
    pub fn path(&self, match_index: u32) -> Option<&LabelSets> {
        self.paths.get(match_index as usize).map(|sets| &**sets)
    }
}

/// Why a request was not mirrored, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MirrorFailure {
    /// As many mirrored requests were under way as there may be.
    Busy,
    NoEndpoint,
    /// The mirror has as many requests under way as its policy allows.
    Overloaded,
    /// No connection to the mirror.
    Connect,
    /// The mirror's connection or response failed.
    Exchange,
    /// The mirror fell further behind than may be kept for it.
    Slow,
    /// The mirror did not answer in time.
    Timeout,
    /// The request itself broke off.
    Broken,
}

impl MirrorFailure {
    pub const ALL: &'static [Self] = &[
        Self::Busy,
        Self::NoEndpoint,
        Self::Overloaded,
        Self::Connect,
        Self::Exchange,
        Self::Slow,
        Self::Timeout,
        Self::Broken,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoEndpoint => "no_endpoint",
            Self::Overloaded => "overloaded",
            Self::Connect => "connect",
            Self::Exchange => "exchange",
            Self::Slow => "slow",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        }
    }
}

/// A count for each error code; arrays have no default of their own beyond 32.
#[derive(Debug)]
struct ErrorCounters([Counter; ErrorCode::ALL.len()]);

impl Default for ErrorCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// One worker's own figures.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    connections: Counter,
    connections_active: Counter,
    handshakes: Counter,
    handshakes_failed: Counter,
    http2_protocol_faults: Counter,
    http2_floods: Counter,
    accept_failures: Counter,
    panics: Counter,
    faults: Counter,
    http1_requests: Counter,
    http2_requests: Counter,
    upstream_connects: Counter,
    upstream_connect_failures: Counter,
    upstream_reused: Counter,
    upstream_retries: Counter,
    upstream_idle: Counter,
    upstream_ejections: Counter,
    upstream_ejected: Counter,
    upstream_pending: Counter,
    mirrored: Counter,
    mirror_failures: [Counter; MirrorFailure::ALL.len()],
    errors: ErrorCounters,
    pub l4_failures: L4Failures,
    id: usize,
    /// Of all workers.
    upstreams: Arc<UpstreamSeries>,
    /// Of requests that no rule took.
    unrouted: Option<Arc<LabelSets>>,
}

impl WorkerMetrics {
    fn of_worker(id: usize, upstreams: &Arc<UpstreamSeries>, unrouted: &Arc<LabelSets>) -> Self {
        Self { id, upstreams: Arc::clone(upstreams), unrouted: Some(Arc::clone(unrouted)), ..Self::default() }
    }

    /// Count a request that no rule took.
    pub fn unrouted(&self, labels: Labels, took: Took, exemplar: Option<&Exemplar>) {
        if let Some(sets) = &self.unrouted {
            sets.record(self.id, labels, took, exemplar);
        }
    }

    /// Where this worker counts what it sends to an endpoint; to be kept as long as it knows the endpoint.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Arc<EndpointShard> {
        self.upstreams.shard(self.id, endpoint)
    }

    /// Count a client connection for as long as the guard lives; one that ends in a panic is counted as such.
    pub fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.add(1);
        self.connections_active.add(1);
        OpenConnection(Arc::clone(self))
    }

    pub fn handshake(&self, succeeded: bool) {
        if succeeded { &self.handshakes } else { &self.handshakes_failed }.add(1);
    }

    /// A connection of HTTP/2 ended because of its client.
    pub fn http2_fault(&self, flood: bool) {
        if flood { &self.http2_floods } else { &self.http2_protocol_faults }.add(1);
    }

    pub fn accept_failed(&self) {
        self.accept_failures.add(1);
    }

    /// Something that must not end has panicked, and begins anew.
    pub fn fault(&self) {
        self.faults.add(1);
    }

    pub fn request(&self, http2: bool) {
        if http2 { &self.http2_requests } else { &self.http1_requests }.add(1);
    }

    pub fn upstream_acquired(&self, reused: bool) {
        if reused { &self.upstream_reused } else { &self.upstream_connects }.add(1);
    }

    pub fn upstream_connect_failed(&self) {
        self.upstream_connect_failures.add(1);
    }

    pub fn retries(&self, count: u32) {
        if count > 0 {
            self.upstream_retries.add(u64::from(count));
        }
    }

    pub fn set_idle_upstream(&self, count: usize) {
        self.upstream_idle.set(count as u64);
    }

    pub fn upstream_ejected(&self) {
        self.upstream_ejections.add(1);
    }

    pub fn set_ejected_upstream(&self, count: usize) {
        self.upstream_ejected.set(count as u64);
    }

    /// One more waits for a place at a backend with limits, or one less.
    pub fn upstream_pending(&self, begins: bool) {
        if begins { self.upstream_pending.add(1) } else { self.upstream_pending.subtract(1) }
    }

    pub fn mirrored(&self) {
        self.mirrored.add(1);
    }

    pub fn mirror_failed(&self, reason: MirrorFailure) {
        self.mirror_failures[reason as usize].add(1);
    }

    pub fn error(&self, code: ErrorCode) {
        self.errors.0[code as usize].add(1);
    }
}

/// See [`WorkerMetrics::connection`].
#[derive(Debug)]
pub struct OpenConnection(Arc<WorkerMetrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections_active.subtract(1);
        if std::thread::panicking() {
            self.0.panics.add(1);
        }
    }
}

type SeriesKey = (Box<str>, Box<str>);

/// All figures of an engine.
#[derive(Debug)]
pub struct Registry {
    workers: Vec<Arc<WorkerMetrics>>,
    series: Mutex<AHashMap<SeriesKey, Weak<RouteSeries>>>,
    l4_series: Mutex<AHashMap<SeriesKey, Weak<L4Series>>>,
    /// Of requests, by the path of their match.
    paths: Mutex<AHashMap<Box<str>, Weak<LabelSets>>>,
    unrouted: Arc<LabelSets>,
    served: Arc<Limited>,
    /// What was sent to endpoints.
    pub upstreams: Arc<UpstreamSeries>,
    generation: AtomicU64,
    /// Milliseconds since 1970; 0: nothing was applied yet.
    applied_at: AtomicU64,
    applies: AtomicU64,
    apply_microseconds: AtomicU64,
    last_apply_microseconds: AtomicU64,
    unusable: AtomicU64,
    caught: AtomicU64,
}

/// The series of its routes are what a table is tagged with.
impl Tags for Registry {
    fn of_rule(&self, listener: &str, rule: &HttpRule) -> Tag {
        let route = series_of(&self.series, listener, &rule.route, || RouteSeries::new(self.workers.len()));
        let paths = rule.matches.iter().map(|matched| self.path(&matched.path.template())).collect();
        Arc::new(RuleSeries { route, paths })
    }

    fn of_l4_route(&self, listener: &str, route: &str) -> Tag {
        let series: Arc<L4Series> = series_of(&self.l4_series, listener, route, || L4Series::new(self.workers.len()));
        series
    }

    fn of_backend(&self, _: &Backend) -> Option<Tag> {
        None
    }
}

/// The series of a listener and route, made where there is none in use.
fn series_of<S>(all: &Mutex<AHashMap<SeriesKey, Weak<S>>>, listener: &str, route: &str, new: impl Fn() -> S) -> Arc<S> {
    let Ok(mut all) = all.lock() else {
        return Arc::new(new());
    };
    let key = (Box::from(listener), Box::from(route));
    if let Some(series) = all.get(&key).and_then(Weak::upgrade) {
        return series;
    }
    let series = Arc::new(new());
    all.insert(key, Arc::downgrade(&series));
    series
}

impl Registry {
    pub fn new(workers: usize) -> Self {
        let upstreams = Arc::new(UpstreamSeries::new(workers));
        let served = Limited::new(workers);
        let unrouted = Arc::new(LabelSets::new(&served));
        Self {
            workers: (0..workers).map(|id| Arc::new(WorkerMetrics::of_worker(id, &upstreams, &unrouted))).collect(),
            upstreams,
            paths: Mutex::default(),
            unrouted,
            served,
            series: Mutex::default(),
            l4_series: Mutex::default(),
            generation: AtomicU64::new(0),
            applied_at: AtomicU64::new(0),
            applies: AtomicU64::new(0),
            apply_microseconds: AtomicU64::new(0),
            last_apply_microseconds: AtomicU64::new(0),
            unusable: AtomicU64::new(0),
            caught: AtomicU64::new(0),
        }
    }

    pub fn worker(&self, id: usize) -> Arc<WorkerMetrics> {
        self.workers.get(id).cloned().unwrap_or_default()
    }

    /// Where requests of a path are counted; made where there is none in use.
    fn path(&self, path: &str) -> Arc<LabelSets> {
        let new = || Arc::new(LabelSets::new(&self.served));
        let Ok(mut all) = self.paths.lock() else { return new() };
        if let Some(sets) = all.get(path).and_then(Weak::upgrade) {
            return sets;
        }
        let sets = new();
        all.insert(path.into(), Arc::downgrade(&sets));
        sets
    }

    /// Metrics of OpenTelemetry's names in which something has no series of its own since this was asked last.
    pub fn overflowed(&self) -> impl Iterator<Item = &'static str> {
        let [served, sent] = [self.served.is_news(), self.upstreams.limited().is_news()];
        [(served, exposition::SERVED), (sent, exposition::SENT)].into_iter().filter_map(|(is, name)| is.then_some(name))
    }

    /// A transaction is live.
    pub fn applied(&self, generation: u64, seconds: f64) {
        let microseconds = u64::try_from(Duration::from_secs_f64(seconds.max(0.0)).as_micros()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.generation.store(generation, Relaxed);
        self.applied_at.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Relaxed);
        self.applies.fetch_add(1, Relaxed);
        self.apply_microseconds.fetch_add(microseconds, Relaxed);
        self.last_apply_microseconds.store(microseconds, Relaxed);
        if let Ok(mut all) = self.series.lock() {
            // The worker that still serves from the generation before keeps its series alive until it moves on.
            all.retain(|_, series| series.strong_count() > 0);
        }
        if let Ok(mut all) = self.l4_series.lock() {
            all.retain(|_, series| series.strong_count() > 0);
        }
        if let Ok(mut all) = self.paths.lock() {
            all.retain(|_, sets| sets.strong_count() > 0);
        }
    }

    /// What the control side says of itself: objects and files that it cannot use now, and exceptions that it caught.
    pub fn control_side(&self, unusable: u64, caught: u64) {
        self.unusable.store(unusable, Relaxed);
        self.caught.store(caught, Relaxed);
    }
}
