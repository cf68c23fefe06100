//! What all workers together have under way at one backend with a policy: whose turn it is, and how much there may be.
//!
//! - A request that finds as many under way as its backend's policy allows waits, in the order of coming, as long as for a
//!   connection; so does one that needs a connection where there are as many as may be. Where as many wait as may, or none
//!   comes free in time, it is refused: `backend_overloaded`.
//! - Nothing is limited that no policy limits.
//! - No connection is kept idle where there are as many as may be: somebody else may need its place.

use super::budget::Budget;
use super::checked::Checked;
use crate::observe::metrics::WorkerMetrics;
use route::ir::{BackendLimits, RetryBudget};
use route::table::Backend;
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Backends without use that are looked for only once there are so many.
const FEW: usize = 1024;

/// A place under a limit, given back when it is dropped.
pub type Slot = OwnedSemaphorePermit;

/// There is no place, and none to wait in, or none came free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overloaded;

#[derive(Debug)]
pub struct Load {
    /// Of the endpoints.
    turn: AtomicU32,
    limits: BackendLimits,
    requests: Option<Arc<Semaphore>>,
    connections: Option<Arc<Semaphore>>,
    waiting: AtomicU32,
    budget: Option<Budget>,
    /// What comes of asking the endpoints; the next load of the backend goes on with it.
    checked: Arc<Checked>,
}

impl Load {
    fn new(limits: BackendLimits, budget: Option<RetryBudget>) -> Self {
        let places = |limit: Option<u32>| {
            limit.map(|limit| {
                let most = usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
                Arc::new(Semaphore::new(most))
            })
        };
        Self {
            turn: AtomicU32::new(0),
            limits,
            requests: places(limits.requests),
            connections: places(limits.connections),
            waiting: AtomicU32::new(0),
            budget: budget.map(Budget::new),
            checked: Arc::default(),
        }
    }

    /// Of a backend whose endpoints are asked.
    pub fn checked(&self) -> &Arc<Checked> {
        &self.checked
    }

    /// Of a backend with a policy.
    pub fn of(backend: &Backend) -> Option<&Self> {
        backend.kept.as_deref().and_then(<dyn Any + Send + Sync>::downcast_ref)
    }

    /// The same, to keep.
    pub fn shared(backend: &Backend) -> Option<Arc<Self>> {
        Arc::clone(backend.kept.as_ref()?).downcast().ok()
    }

    pub(super) fn next_turn(&self) -> u32 {
        self.turn.fetch_add(1, Relaxed)
    }

    /// Where retries have one.
    pub fn budget(&self) -> Option<&Budget> {
        self.budget.as_ref()
    }

    pub fn limits_requests(&self) -> bool {
        self.requests.is_some()
    }

    pub fn limits_connections(&self) -> bool {
        self.connections.is_some()
    }

    /// A place for a request.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub async fn request(&self, until: Instant, metrics: &WorkerMetrics) -> Result<Option<Slot>, Overloaded> {
        self.place(self.requests.as_ref(), until, metrics).await
    }

    /// A place for a request that waits for none.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub fn try_request(&self) -> Result<Option<Slot>, Overloaded> {
        let place = self.requests.as_ref().map(|places| Arc::clone(places).try_acquire_owned());
        place.transpose().map_err(|_| Overloaded)
    }

    /// A place for a connection.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(super) async fn connection(&self, until: Instant, metrics: &WorkerMetrics) -> Result<Option<Slot>, Overloaded> {
        self.place(self.connections.as_ref(), until, metrics).await
    }

    async fn place(
        &self,
        places: Option<&Arc<Semaphore>>,
        until: Instant,
        metrics: &WorkerMetrics,
    ) -> Result<Option<Slot>, Overloaded> {
        let Some(places) = places else {
            return Ok(None);
        };
        if let Ok(slot) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(slot));
        }
        let _waiting = self.wait(metrics)?;
        match timeout_at(until, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(Some(slot)),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }

    fn wait<'l>(&'l self, metrics: &'l WorkerMetrics) -> Result<Waiting<'l>, Overloaded> {
        metrics.upstream_pending(true);
        let waiting = Waiting(self, metrics);
        let before = self.waiting.fetch_add(1, Relaxed);
        if self.limits.pending.is_some_and(|most| before >= most) { Err(Overloaded) } else { Ok(waiting) }
    }

    /// There are as many connections as may be.
    pub(super) fn is_full(&self) -> bool {
        self.connections.as_ref().is_some_and(|places| places.available_permits() == 0)
    }
}

/// Counts one that waits for as long as it lives.
struct Waiting<'l>(&'l Load, &'l WorkerMetrics);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        self.1.upstream_pending(false);
    }
}

/// The loads of all backends that have a policy; they go when their backends do.
#[derive(Debug, Default)]
pub struct Loads(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_backend: ahash::AHashMap<Box<str>, Weak<Load>>,
    enough: usize,
}

impl Loads {
    /// That of a backend. With other limits it is another one: what is under way then counts for the limits it came under.
    pub fn of(&self, backend: &Backend) -> Arc<Load> {
        let limits = backend.policy.as_ref().map(|policy| policy.limits).unwrap_or_default();
        let budget = backend.traffic.as_ref().and_then(|policy| policy.retry_budget);
        let Ok(mut kept) = self.0.lock() else {
            return Arc::new(Load::new(limits, budget));
        };
        let is_same = |load: &Arc<Load>| load.limits == limits && load.budget.as_ref().map(|it| it.terms) == budget;
        let before = kept.by_backend.get(backend.id.as_str()).and_then(Weak::upgrade);
        if let Some(before) = before.as_ref().filter(|before| is_same(before)) {
            return Arc::clone(before);
        }
        if kept.by_backend.len() > kept.enough.max(FEW) {
            kept.by_backend.retain(|_, load| load.strong_count() > 0);
            kept.enough = 2 * kept.by_backend.len();
        }
        let checked = before.map(|before| Arc::clone(&before.checked)).unwrap_or_default();
        let load = Arc::new(Load { checked, ..Load::new(limits, budget) });
        kept.by_backend.insert(backend.id.as_str().into(), Arc::downgrade(&load));
        load
    }
}

#[cfg(test)]
mod tests {
    use super::{Load, Loads, Overloaded, Relaxed, WorkerMetrics};
    use route::ir::{BackendLimits, BackendPolicy, BackendProtocol};
    use route::table::Backend;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::Instant;

    fn limits(requests: Option<u32>, pending: Option<u32>) -> BackendLimits {
        BackendLimits { connections: None, requests, pending }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_waits_for_one_and_not_forever() {
        let load = Arc::new(Load::new(limits(Some(2), Some(1)), None));
        let one = load.request(soon(), &WorkerMetrics::default()).await.unwrap();
        let _two = load.request(soon(), &WorkerMetrics::default()).await.unwrap();
        let waits = tokio::spawn({
            let load = Arc::clone(&load);
            async move { load.request(soon(), &WorkerMetrics::default()).await.map(|slot| slot.is_some()) }
        });
        while load.waiting.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(load.request(soon(), &WorkerMetrics::default()).await.unwrap_err(), Overloaded, "one waits already");
        drop(one);
        assert_eq!(waits.await.unwrap(), Ok(true));
        assert_eq!(load.waiting.load(Relaxed), 0);
        let begun = Instant::now();
        let _three = load.request(soon(), &WorkerMetrics::default()).await.unwrap();
        assert_eq!(load.request(soon(), &WorkerMetrics::default()).await.unwrap_err(), Overloaded, "none comes free");
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        assert_eq!(load.waiting.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_does_not_wait_takes_a_free_place_only() {
        let load = Load::new(limits(Some(1), Some(1)), None);
        let one = load.try_request().unwrap();
        assert!(one.is_some());
        assert_eq!(load.try_request().unwrap_err(), Overloaded);
        drop(one);
        assert!(load.request(soon(), &WorkerMetrics::default()).await.unwrap().is_some());
        assert!(load.try_request().is_ok());
        assert!(Load::new(limits(None, None), None).try_request().unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_policy_limits_is_not_limited() {
        let load = Load::new(limits(None, None), None);
        for _ in 0..10_000 {
            assert!(load.request(Instant::now(), &WorkerMetrics::default()).await.unwrap().is_none());
        }
        let load = Load::new(limits(Some(1), Some(0)), None);
        let _one = load.request(soon(), &WorkerMetrics::default()).await.unwrap();
        assert_eq!(load.request(soon(), &WorkerMetrics::default()).await.unwrap_err(), Overloaded, "nobody may wait");
    }

    #[test]
    fn a_backend_keeps_its_load_while_its_limits_stay() {
        let loads = Loads::default();
        let backend = |id: &str, requests| Backend {
            id: id.to_owned(),
            protocol: BackendProtocol::Http,
            policies: Vec::new(),
            tls: None,
            policy: Some(Arc::new(BackendPolicy { limits: limits(requests, None), ..BackendPolicy::default() })),
            traffic: None,
            seeds: Vec::new(),
            near: Vec::new(),
            datagrams: false,
            external: None,
            kept: None,
            ready: Vec::new(),
            draining: Vec::new(),
        };
        let first = loads.of(&backend("a", Some(1)));
        assert!(Arc::ptr_eq(&first, &loads.of(&backend("a", Some(1)))));
        assert!(!Arc::ptr_eq(&first, &loads.of(&backend("b", Some(1)))));
        let other = loads.of(&backend("a", Some(2)));
        assert!(!Arc::ptr_eq(&first, &other) && Arc::ptr_eq(first.checked(), other.checked()));
        for number in 0..10_000 {
            loads.of(&backend(&number.to_string(), None));
        }
        assert!(loads.0.lock().unwrap().by_backend.len() < 3000);
    }
}
