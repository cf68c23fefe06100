//! How much of what a backend gets may be retries (GEP-3388): of all workers of a process together.

use route::ir::RetryBudget;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Parts of an interval. What is older than the interval is forgotten part by part.
const PARTS: u32 = 10;

/// What happened within an interval, up to a tenth of it more.
#[derive(Debug, Clone, Copy)]
struct Window {
    part: Duration,
    counts: [u64; PARTS as usize],
    current: usize,
    /// Of the current part.
    began: Instant,
}

impl Window {
    fn new(interval: Duration, now: Instant) -> Self {
        let part = (interval / PARTS).max(Duration::from_millis(1));
        Self { part, counts: [0; PARTS as usize], current: 0, began: now }
    }

    fn advance(&mut self, now: Instant) {
        let mut passed = 0;
        while now.saturating_duration_since(self.began) >= self.part {
            passed += 1;
            if passed > PARTS {
                *self = Self { counts: [0; PARTS as usize], began: now, ..*self };
                return;
            }
            self.current = (self.current + 1) % self.counts.len();
            self.counts[self.current] = 0;
            self.began += self.part;
        }
    }

    fn add(&mut self, now: Instant) {
        self.advance(now);
        self.counts[self.current] += 1;
    }

    fn sum(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.counts.iter().sum()
    }
}

#[derive(Debug)]
struct Counts {
    requests: Window,
    retries: Window,
    /// Retries within the interval of the least that there may be.
    recent: Window,
}

/// The budget of one backend.
#[derive(Debug)]
pub struct Budget {
    pub(super) terms: RetryBudget,
    counts: Mutex<Counts>,
}

impl Budget {
    pub(super) fn new(terms: RetryBudget) -> Self {
        let now = Instant::now();
        let window = |milliseconds| Window::new(Duration::from_millis(milliseconds), now);
        let counts = Counts {
            requests: window(terms.interval_ms),
            retries: window(terms.interval_ms),
            recent: window(terms.min_interval_ms),
        };
        Self { terms, counts: Mutex::new(counts) }
    }

    /// A request goes there.
    pub fn request(&self, now: Instant) {
        if let Ok(mut counts) = self.counts.lock() {
            counts.requests.add(now);
        }
    }

    /// Take a retry out of the budget. False: there is none left.
    pub fn take(&self, now: Instant) -> bool {
        let Ok(mut counts) = self.counts.lock() else {
            return false;
        };
        let (requests, retries) = (counts.requests.sum(now), counts.retries.sum(now));
        let within = (retries + 1) * 100 <= requests * u64::from(self.terms.percent);
        let allowed = within || counts.recent.sum(now) < u64::from(self.terms.min_count);
        if allowed {
            counts.retries.add(now);
            counts.recent.add(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use route::ir::RetryBudget;
    use std::time::Duration;
    use tokio::time::Instant;

    fn budget(percent: u8, min_count: u32) -> Budget {
        Budget::new(RetryBudget { percent, interval_ms: 10_000, min_count, min_interval_ms: 1000 })
    }

    fn taken(budget: &Budget, now: Instant) -> usize {
        (0..1000).filter(|_| budget.take(now)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_part_of_the_requests() {
        let (budget, now) = (budget(20, 0), Instant::now());
        assert_eq!(taken(&budget, now), 0);
        (0..100).for_each(|_| budget.request(now));
        assert_eq!(taken(&budget, now), 20);
        (0..50).for_each(|_| budget.request(now + Duration::from_secs(5)));
        assert_eq!(taken(&budget, now + Duration::from_secs(5)), 10);
        // The first hundred are past, and so are the retries of that time.
        assert_eq!(taken(&budget, now + Duration::from_secs(11)), 0);
        (0..50).for_each(|_| budget.request(now + Duration::from_secs(11)));
        assert_eq!(taken(&budget, now + Duration::from_secs(11)), 10);
        assert_eq!(taken(&budget, now + Duration::from_secs(60)), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn some_there_may_be_in_any_case() {
        let (budget, now) = (budget(0, 10), Instant::now());
        assert_eq!(taken(&budget, now), 10);
        assert_eq!(taken(&budget, now + Duration::from_millis(500)), 0);
        assert_eq!(taken(&budget, now + Duration::from_millis(1100)), 10);
        // Those count in the share as well, of which they may be more.
        (0..100).for_each(|_| budget.request(now + Duration::from_millis(1100)));
        assert_eq!(taken(&budget, now + Duration::from_millis(1200)), 0);
    }
}
