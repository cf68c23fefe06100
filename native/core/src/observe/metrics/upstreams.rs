//! What was sent to endpoints: how each request ended, by backend and endpoint, and how long it took.
//!
//! - The figures of an endpoint begin with its first request, and stay as long as it is configured or a worker has it. What it
//!   counted for its backend stays then: no counter falls.
//! - Labels are of the configuration alone, and there is a limit of them: what is beyond is counted together, as `other`.

mod exposition;

use super::durations::{Durations, Took, Total};
use super::exemplars::Exemplar;
use super::label_sets::{LabelSets, Labels, Limited};
use super::status_class::{CLASSES, class_of};
use crate::observe::counter::Counter;
use ahash::AHashMap;
use route::table::{Backend, Endpoint, Table};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Endpoints of all backends that have figures of their own; further ones are `other` of their backend. Stops a cluster of
/// a hundred thousand pods from being as many series.
const MAX_ENDPOINTS: usize = 1_000;

/// Backends that have figures of their own; further ones are `other` together.
const MAX_BACKENDS: usize = 1_000;

/// How a request to an endpoint ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestEnd {
    /// A whole response of this status.
    Answered(u16),
    /// The connection carries something else from here on.
    Opened,
    /// There was no connection, or it took no request.
    NotConnected,
    /// The end came before a byte of a response.
    Reset,
    /// A response that broke off, or was none.
    Broken,
    /// A time limit was passed after the request had been sent.
    Expired,
    /// Whoever asked left, or was out of time before there was a connection.
    Abandoned,
}

/// The label of each end; the first ones are [`CLASSES`].
const RESULTS: [&str; CLASSES.len() + 6] =
    ["other", "1xx", "2xx", "3xx", "4xx", "5xx", "opened", "connect", "reset", "broken", "timeout", "abandoned"];

impl RequestEnd {
    /// Its place among [`RESULTS`].
    fn place(self) -> usize {
        match self {
            Self::Answered(status) => class_of(status),
            Self::Opened => 6,
            Self::NotConnected => 7,
            Self::Reset => 8,
            Self::Broken => 9,
            Self::Expired => 10,
            Self::Abandoned => 11,
        }
    }

    /// How long it took says how its endpoint does.
    fn is_timed(self) -> bool {
        matches!(self, Self::Answered(_) | Self::Reset | Self::Broken | Self::Expired)
    }
}

/// What one worker sent to one endpoint.
#[derive(Debug, Default)]
pub struct EndpointShard {
    results: [Counter; RESULTS.len()],
    durations: Durations,
    /// Under OpenTelemetry's name, of all workers; `None`: beyond the limits.
    sets: Option<Arc<LabelSets>>,
    limited: Option<Arc<Limited>>,
    worker: usize,
}

/// A try of a request of HTTP, as the conventions have it.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub labels: Labels,
    /// Where its trace is recorded.
    pub exemplar: Option<Exemplar>,
}

impl EndpointShard {
    /// Count one request that took so long; only the worker that the shard was made for may call this.
    /// `sent`: where it was a request of HTTP.
    pub fn record(&self, end: RequestEnd, took: Duration, sent: Option<&Sent>) {
        self.results[end.place()].add(1);
        let took = Took::of(took);
        let exemplar = sent.and_then(|sent| sent.exemplar.as_ref());
        if end.is_timed() {
            self.durations.record(took, exemplar);
        }
        let Some(sent) = sent else { return };
        match (&self.sets, &self.limited) {
            (Some(sets), _) => sets.record(self.worker, sent.labels, took, exemplar),
            (None, Some(limited)) => limited.record_other(self.worker, took, exemplar),
            (None, None) => {}
        }
    }
}

/// The shards of the workers that have used an endpoint, each with the worker's number.
type Shards = Vec<(usize, Arc<EndpointShard>)>;

/// Some worker may still count there.
fn is_held(shards: &Shards) -> bool {
    shards.iter().any(|(_, shard)| Arc::strong_count(shard) > 1)
}

#[derive(Debug, Default)]
struct BackendSeries {
    endpoints: BTreeMap<SocketAddr, Shards>,
    /// Of its endpoints beyond the limit.
    others: Shards,
    /// Of endpoints that have left.
    gone: Total,
}

#[derive(Debug, Default)]
struct Kept {
    backends: BTreeMap<Box<str>, BackendSeries>,
    /// Of all backends.
    endpoints: usize,
    /// Of the backends beyond the limit.
    others: Shards,
}

/// The figures of all endpoints. Locked when a worker meets an endpoint for the first time, and to be read; never to count.
#[derive(Debug)]
pub struct UpstreamSeries {
    kept: Mutex<Kept>,
    limited: Arc<Limited>,
}

impl Default for UpstreamSeries {
    fn default() -> Self {
        Self::new(0)
    }
}

impl UpstreamSeries {
    pub fn new(workers: usize) -> Self {
        Self { kept: Mutex::default(), limited: Limited::new(workers) }
    }

    pub(super) fn limited(&self) -> &Limited {
        &self.limited
    }

    /// Where a worker counts what it sends to an endpoint.
    pub fn shard(&self, worker: usize, endpoint: &Endpoint) -> Arc<EndpointShard> {
        let Ok(mut kept) = self.kept.lock() else { return Arc::default() };
        let backend = endpoint.id.rsplit_once('@').map_or(endpoint.id.as_str(), |(backend, _)| backend);
        let (shards, has_own) = kept.shards(backend, endpoint.address);
        if let Some((_, shard)) = shards.iter().find(|(owner, _)| *owner == worker) {
            return Arc::clone(shard);
        }
        let known = || shards.first().and_then(|(_, shard)| shard.sets.clone());
        let sets = has_own.then(|| known().unwrap_or_else(|| Arc::new(LabelSets::new(&self.limited))));
        let limited = Some(Arc::clone(&self.limited));
        let shard = Arc::new(EndpointShard { sets, limited, worker, ..EndpointShard::default() });
        shards.push((worker, Arc::clone(&shard)));
        shard
    }

    /// Forget what `table` does not have any more, where there is no room for what is new.
    pub fn make_room(&self, table: &Table) {
        let is_full = |kept: &Kept| kept.endpoints >= MAX_ENDPOINTS || kept.backends.len() >= MAX_BACKENDS;
        if self.kept.lock().is_ok_and(|kept| is_full(&kept)) {
            self.sweep(table);
        }
    }

    /// Forget what `table` does not have any more.
    pub fn sweep(&self, table: &Table) {
        let Ok(mut kept) = self.kept.lock() else { return };
        if kept.backends.values().all(BackendSeries::is_in_use) {
            return;
        }
        let configured: AHashMap<&str, &Backend> =
            table.backends().map(|backend| (backend.id.as_str(), &**backend)).collect();
        let mut endpoints = 0;
        kept.backends.retain(|id, series| {
            let backend = configured.get(&**id).copied();
            series.forget(backend);
            endpoints += series.endpoints.len();
            backend.is_some() || !series.endpoints.is_empty() || is_held(&series.others)
        });
        kept.endpoints = endpoints;
    }
}

impl BackendSeries {
    /// Workers have all of its endpoints: nothing of it can be forgotten.
    fn is_in_use(&self) -> bool {
        !self.endpoints.is_empty() && self.endpoints.values().all(is_held)
    }

    /// Let go of the endpoints that `backend` has no more; what they took is kept.
    fn forget(&mut self, backend: Option<&Backend>) {
        let endpoints = backend.into_iter().flat_map(|backend| backend.ready.iter().chain(&backend.draining));
        let has = |address| endpoints.clone().any(|endpoint| endpoint.address == address);
        let gone = &mut self.gone;
        self.endpoints.retain(|address, shards| {
            let stays = is_held(shards) || has(*address);
            for (_, shard) in shards.iter().filter(|_| !stays) {
                gone.add(&shard.durations);
            }
            stays
        });
    }
}

impl Kept {
    /// Where an endpoint is counted, and whether it is so by itself.
    fn shards(&mut self, backend: &str, address: SocketAddr) -> (&mut Shards, bool) {
        let Self { backends, endpoints, others } = self;
        if backends.len() >= MAX_BACKENDS && !backends.contains_key(backend) {
            return (others, false);
        }
        let series = backends.entry(backend.into()).or_default();
        if !series.endpoints.contains_key(&address) {
            if *endpoints >= MAX_ENDPOINTS {
                return (&mut series.others, false);
            }
            *endpoints += 1;
        }
        (series.endpoints.entry(address).or_default(), true)
    }
}

#[cfg(test)]
mod tests;
