//! Which requests the faults of a filter hit, and how many they did.

use route::ir::Percentage;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Fractions of square roots of primes that nothing else goes by (`worker/turns.rs`): each draw is a fair sample of the others.
const DELAYS: u32 = 0x1f83_d9ab;
const ABORTS: u32 = 0xcbbb_9d5d;

/// What was drawn for the faults of one filter, by all workers.
#[derive(Debug, Default)]
pub struct Faults {
    delays: Draws,
    aborts: Draws,
}

impl Faults {
    /// Whether the next request is held up.
    pub fn delay(&self, percentage: Percentage) -> bool {
        self.delays.draw(DELAYS, percentage)
    }

    /// Whether the next request is refused.
    pub fn abort(&self, percentage: Percentage) -> bool {
        self.aborts.draw(ABORTS, percentage)
    }

    /// How many were, of each kind.
    pub fn hits(&self) -> [(&'static str, u64); 2] {
        [("delay", &self.delays), ("abort", &self.aborts)]
            .map(|(kind, draws)| (kind, draws.hits.load(Ordering::Relaxed)))
    }
}

/// A sequence that has any share of all requests within a few of them, and how often it was hit.
#[derive(Debug, Default)]
struct Draws {
    turn: AtomicU32,
    hits: AtomicU64,
}

impl Draws {
    fn draw(&self, step: u32, percentage: Percentage) -> bool {
        let turn = self.turn.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        let hit = (u64::from(turn) * u64::from(percentage.denominator)) >> 32 < u64::from(percentage.numerator);
        if hit {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::{ABORTS, DELAYS, Draws};
    use route::ir::Percentage;
    use std::sync::atomic::Ordering;

    /// Each share is met within a few requests, and what is refused is a fair sample of what is held up.
    #[test]
    fn shares_are_even_and_apart() {
        for (numerator, denominator) in [(0, 100), (1, 100), (10, 100), (50, 100), (1, 3), (100, 100)] {
            let (delays, aborts, percentage) =
                (Draws::default(), Draws::default(), Percentage { numerator, denominator });
            let (mut both, all) = (0, 12_000);
            for _ in 0..all {
                let (delay, abort) = (delays.draw(DELAYS, percentage), aborts.draw(ABORTS, percentage));
                both += u32::from(delay && abort);
            }
            let share = f64::from(numerator) / f64::from(denominator);
            for draws in [&delays, &aborts] {
                let hits = draws.hits.load(Ordering::Relaxed);
                let wanted = share * f64::from(all);
                let hits = f64::from(u32::try_from(hits).expect("at most all"));
                assert!((hits - wanted).abs() <= 5.0, "{hits} for {wanted}");
            }
            let wanted = share * share * f64::from(all);
            assert!((f64::from(both) - wanted).abs() <= 60.0, "{both} for {wanted}");
        }
    }
}
