//! What comes of asking endpoints whether they do well (`health.active` of a `BackendPolicy`), for all workers.
//!
//! An endpoint that was not asked yet, or of which nothing is known for another reason, does well: Kubernetes says that it is
//! ready, and a gateway that has just started would answer nobody before its first round.

use ahash::AHashMap;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Unhealthy,
    RecoveredAt(Instant),
}

/// The endpoints of which there is something to say: those that do badly, and those that did.
#[derive(Debug, Clone, Default)]
pub struct Verdicts {
    by_uid: AHashMap<u64, Verdict>,
    unhealthy: usize,
}

impl Verdicts {
    pub fn is_unhealthy(&self, uid: u64) -> bool {
        self.unhealthy > 0 && matches!(self.by_uid.get(&uid), Some(Verdict::Unhealthy))
    }

    /// How many do badly.
    pub fn unhealthy(&self) -> usize {
        self.unhealthy
    }

    /// When it was found to do well again.
    pub(super) fn recovered_at(&self, uid: u64) -> Option<Instant> {
        match self.by_uid.get(&uid) {
            Some(Verdict::RecoveredAt(time)) => Some(*time),
            Some(Verdict::Unhealthy) | None => None,
        }
    }
}

/// The endpoints of one backend, as the last answers leave them. Written by the thread that asks, read by all workers without
/// a lock.
#[derive(Debug, Default)]
pub struct Checked {
    verdicts: ArcSwap<Verdicts>,
    good: AtomicU64,
    bad: AtomicU64,
}

impl Checked {
    pub fn verdicts(&self) -> Guard<Arc<Verdicts>> {
        self.verdicts.load()
    }

    /// A question was answered well, or was not.
    pub fn count(&self, is_good: bool) {
        if is_good { &self.good } else { &self.bad }.fetch_add(1, Relaxed);
    }

    /// An endpoint does well from now on, or does no more.
    pub fn decide(&self, uid: u64, is_healthy: bool) {
        let verdict = if is_healthy { Verdict::RecoveredAt(Instant::now()) } else { Verdict::Unhealthy };
        self.change(|by_uid| {
            by_uid.insert(uid, verdict);
        });
    }

    /// An endpoint is not asked any more.
    pub fn forget(&self, uid: u64) {
        if self.verdicts().by_uid.contains_key(&uid) {
            self.change(|by_uid| {
                by_uid.remove(&uid);
            });
        }
    }

    /// Questions that were answered well, and that were not.
    pub fn counts(&self) -> [u64; 2] {
        [&self.good, &self.bad].map(|count| count.load(Relaxed))
    }

    fn change(&self, change: impl FnOnce(&mut AHashMap<u64, Verdict>)) {
        let mut by_uid = self.verdicts.load().by_uid.clone();
        change(&mut by_uid);
        let unhealthy = by_uid.values().filter(|verdict| matches!(verdict, Verdict::Unhealthy)).count();
        self.verdicts.store(Arc::new(Verdicts { by_uid, unhealthy }));
    }
}

#[cfg(test)]
mod tests {
    use super::Checked;

    #[tokio::test(start_paused = true)]
    async fn what_is_known_of_endpoints() {
        let checked = Checked::default();
        assert!(!checked.verdicts().is_unhealthy(1), "one that was not asked does well");
        checked.decide(1, false);
        checked.decide(2, false);
        assert!(checked.verdicts().is_unhealthy(1) && !checked.verdicts().is_unhealthy(3));
        assert_eq!((checked.verdicts().unhealthy(), checked.verdicts().recovered_at(1)), (2, None));
        checked.decide(1, true);
        assert!(!checked.verdicts().is_unhealthy(1));
        assert_eq!(checked.verdicts().recovered_at(1), Some(tokio::time::Instant::now()));
        checked.forget(1);
        checked.forget(2);
        assert_eq!((checked.verdicts().unhealthy(), checked.verdicts().recovered_at(1)), (0, None));
    }
}
