//! How long a client may keep its connection, however busy: what a connection was allowed when it was opened (its
//! certificate, its listener's TLS settings) is asked anew from time to time, and load moves to gateways that came later.

use super::terms::Terms;
use crate::worker::Worker;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// Connections that were opened together do not end together: each up to this part of its time earlier.
const SPREAD: u32 = 10;

/// Of one connection.
#[derive(Debug)]
pub struct Life {
    ends: Option<Instant>,
    /// Requests before the last one; `None`: any number.
    left: Option<Cell<u32>>,
}

impl Life {
    pub fn begin(worker: &Worker, terms: &Terms) -> Self {
        let noise = f64::from(worker.turns.noise()) / f64::from(u32::MAX);
        Self::new(terms.age, terms.requests, noise)
    }

    /// `noise`: 0 to 1.
    fn new(age: Option<Duration>, requests: u32, noise: f64) -> Self {
        Self {
            ends: age.map(|age| Instant::now() + age - (age / SPREAD).mul_f64(noise)),
            left: requests.checked_sub(1).map(Cell::new),
        }
    }

    /// When no further request is taken.
    pub fn ends(&self) -> Option<Instant> {
        self.ends
    }

    pub fn is_over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    /// Count a request that has come `now`. True: it is the last one.
    pub fn is_last(&self, now: Instant) -> bool {
        let is_last = match &self.left {
            None => false,
            Some(left) => {
                let before = left.get();
                left.set(before.saturating_sub(1));
                before == 0
            }
        };
        is_last || self.is_over(now)
    }
}

#[cfg(test)]
mod tests {
    use super::Life;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn ages_are_spread_and_bounded() {
        let now = Instant::now();
        let seconds = |seconds| now + Duration::from_secs(seconds);
        for (noise, ends) in [(0.0, 1000), (0.5, 950), (1.0, 900)] {
            let life = Life::new(Some(Duration::from_secs(1000)), 0, noise);
            assert!(!life.is_last(seconds(ends - 1)) && life.is_last(seconds(ends)), "{noise}");
        }
        assert!(!Life::new(None, 0, 0.0).is_last(seconds(1_000_000_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_counted() {
        let now = Instant::now();
        for requests in 1..=3 {
            let life = Life::new(None, requests, 0.0);
            assert!((1..requests).all(|_| !life.is_last(now)));
            assert!(life.is_last(now) && life.is_last(now));
        }
    }
}
