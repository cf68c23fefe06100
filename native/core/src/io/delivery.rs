//! What was written may not be with the peer yet: it stands in our socket, or is on its way.
//!
//! A socket that is closed meanwhile answers the peer's next byte with a reset, and drops what it still has.

use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// A peer takes at least so many bytes a second. Slower ones are waited for as long as they are heard of.
const PACE: u64 = 128 * 1024;

/// However much a peer was given: it is not waited for any longer.
pub const LONGEST: Duration = Duration::from_secs(30);

/// When a peer that takes [`PACE`] has everything.
#[derive(Debug, Default)]
pub struct Delivery(Cell<Option<Instant>>);

impl Delivery {
    /// So many bytes were written, now.
    pub fn given(&self, now: Instant, bytes: u64) {
        let takes = Duration::from_micros(bytes.saturating_mul(1_000_000) / PACE);
        let begins = self.0.get().map_or(now, |before| before.max(now));
        self.0.set(Some((begins + takes.min(LONGEST)).min(now + LONGEST)));
    }

    /// How long it may still take.
    pub fn left(&self, now: Instant) -> Duration {
        self.0.get().map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::{Delivery, LONGEST, PACE};
    use std::time::Duration;
    use tokio::time::Instant;

    #[test]
    fn what_is_given_takes_its_time() {
        let (delivery, now, second) = (Delivery::default(), Instant::now(), Duration::from_secs(1));
        assert_eq!(delivery.left(now), Duration::ZERO);
        delivery.given(now, 2 * PACE);
        delivery.given(now, PACE);
        assert_eq!(delivery.left(now), 3 * second);
        assert_eq!(delivery.left(now + 4 * second), Duration::ZERO);
        delivery.given(now + 10 * second, PACE);
        assert_eq!(delivery.left(now + 10 * second), second);
        delivery.given(now + 10 * second, u64::MAX);
        assert_eq!(delivery.left(now + 10 * second), LONGEST);
    }
}
