//! The generic cell rate algorithm (ITU-T I.371, annex A), as a leaky bucket without a timer: of each key one figure is kept,
//! the moment at which all that it took will have been given back.
//!
//! Moments are nanoseconds of a clock that only goes forward. Whatever the order in which threads bring theirs, no more than
//! the burst and `rate * time` passes.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The longest debt: 146 years, so that no sum of moments overflows.
const LONGEST: u64 = u64::MAX >> 2;

/// How fast a budget comes back, and how much of it may be taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that one unit takes to come back.
    interval: u64,
    /// Nanoseconds of debt that a key may have.
    tolerance: u64,
    /// Nanoseconds of debt that one request may make where the key has none: those of the whole burst. With one pod the same.
    whole: u64,
}

/// A rate that changes with the number of pods; who reads it meanwhile may have some of both.
#[derive(Debug)]
pub struct SharedRate {
    interval: AtomicU64,
    tolerance: AtomicU64,
    whole: AtomicU64,
}

impl SharedRate {
    pub fn new(rate: Rate) -> Self {
        Self { interval: rate.interval.into(), tolerance: rate.tolerance.into(), whole: rate.whole.into() }
    }

    pub fn get(&self) -> Rate {
        Rate {
            interval: self.interval.load(Relaxed),
            tolerance: self.tolerance.load(Relaxed),
            whole: self.whole.load(Relaxed),
        }
    }

    pub fn set(&self, rate: Rate) {
        self.interval.store(rate.interval, Relaxed);
        self.tolerance.store(rate.tolerance, Relaxed);
        self.whole.store(rate.whole, Relaxed);
    }
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Units that could be taken at once.
    pub left: u64,
    /// Nanoseconds until its budget is whole.
    pub whole_in: u64,
}

/// There is too little left; nanoseconds until there is enough, `u64::MAX`: there never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded(pub u64);

impl Rate {
    /// `requests` in each `per`, of which `burst` may come at once; all of it shared by so many pods. Of a burst that is
    /// smaller than the number of pods each still lets one through, and one that costs more than a pod's part of the burst passes where
    /// the key owes nothing to that pod: it is paid off before the next one, so that the rate stays what it is.
    pub fn new(requests: NonZeroU32, per: Duration, burst: NonZeroU32, pods: NonZeroU32) -> Self {
        let [requests, burst, pods] = [requests, burst, pods].map(|number| u128::from(number.get()));
        let bounded = |nanoseconds: u128| u64::try_from(nanoseconds).unwrap_or(LONGEST).min(LONGEST);
        // Rounded up: never faster than was asked for.
        let interval = bounded((per.as_nanos() * pods).div_ceil(requests).max(1));
        let tolerance = bounded(u128::from(interval) * burst / pods).max(interval);
        let whole = bounded(u128::from(interval) * burst).max(tolerance);
        Self { interval, tolerance, whole }
    }

    /// Nanoseconds that `cost` units take to come back.
    pub fn debt(self, cost: u32) -> u64 {
        self.interval.saturating_mul(u64::from(cost)).min(LONGEST)
    }

    /// What becomes of a key's figure when `cost` units are taken.
    pub fn take(self, figure: u64, now: u64, cost: u32) -> Result<u64, Exceeded> {
        let taken = self.debt(cost);
        if taken > self.tolerance {
            return self.take_more_than_a_share(figure, now, taken);
        }
        let after = figure.max(now).saturating_add(taken);
        let debt = after - now;
        if debt > self.tolerance { Err(Exceeded(debt - self.tolerance)) } else { Ok(after) }
    }

    #[cold]
    fn take_more_than_a_share(self, figure: u64, now: u64, taken: u64) -> Result<u64, Exceeded> {
        let debt = figure.saturating_sub(now);
        if taken > self.whole {
            Err(Exceeded(u64::MAX))
        } else if debt > 0 {
            Err(Exceeded(debt))
        } else {
            Ok(now.saturating_add(taken))
        }
    }

    pub fn standing(self, figure: u64, now: u64) -> Standing {
        let whole_in = figure.saturating_sub(now);
        Standing { left: self.tolerance.saturating_sub(whole_in) / self.interval, whole_in }
    }
}

#[cfg(test)]
mod tests {
    use super::{Exceeded, LONGEST, Rate, Standing};
    use std::num::NonZeroU32;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests: u32, per: u64, burst: u32, pods: u32) -> Rate {
        let [requests, burst, pods] = [requests, burst, pods].map(|number| NonZeroU32::new(number).unwrap());
        Rate::new(requests, Duration::from_secs(per), burst, pods)
    }

    /// How many of `offered` requests pass, one each `step` nanoseconds.
    fn passed(rate: Rate, offered: u64, step: u64) -> u64 {
        let mut figure = 0;
        (0..offered)
            .filter(|place| match rate.take(figure, place * step, 1) {
                Ok(after) => {
                    figure = after;
                    true
                }
                Err(_) => false,
            })
            .count() as u64
    }

    #[test]
    fn a_burst_passes_then_the_rate() {
        for (requests, per, burst) in [(3, 1, 3), (100, 1, 100), (7, 60, 2), (1, 86_400, 5), (1_000_000, 1, 1)] {
            let rate = rate(requests, per, burst, 1);
            assert_eq!(passed(rate, 2 * u64::from(burst), 0), u64::from(burst), "{rate:?}");
        }
        // Ten times too many for a minute: a hundred at once and a hundred each second.
        assert_eq!(passed(rate(100, 1, 100, 1), 60_000, SECOND / 1_000), 100 + 5_999);
    }

    #[test]
    fn pods_share_rate_and_burst() {
        for pods in 1..=7 {
            let rate = rate(100, 1, 100, pods);
            let all = u64::from(pods) * passed(rate, 60_000, SECOND / 1_000);
            assert!((5_990..=6_100).contains(&all), "{pods} pods: {all}");
        }
        // A pod that could let nothing through would take a request away for good.
        assert_eq!(passed(rate(1, 1, 1, 3), 10, 0), 1);
    }

    #[test]
    fn what_costs_more_than_there_is_waits_and_takes_nothing() {
        let rate = rate(10, 1, 10, 1);
        let figure = rate.take(0, 0, 8).unwrap();
        assert_eq!(rate.standing(figure, 0), Standing { left: 2, whole_in: 8 * SECOND / 10 });
        assert_eq!(rate.take(figure, 0, 3), Err(Exceeded(SECOND / 10)));
        assert!(rate.take(figure, SECOND / 10, 3).is_ok());
        assert_eq!(rate.standing(figure, SECOND), Standing { left: 10, whole_in: 0 });
        assert_eq!(rate.take(figure, 0, 0), Ok(figure));
        assert_eq!(rate.take(0, 0, 11), Err(Exceeded(u64::MAX)));
    }

    /// A request may cost more than a pod's part of the burst, never more than the burst; over time the rate holds.
    #[test]
    fn what_costs_more_than_a_share_passes_where_nothing_is_owed() {
        let shared = rate(10, 1, 10, 4);
        let five = 4 * 5 * SECOND / 10;
        let after = shared.take(0, 0, 5).unwrap();
        assert_eq!(after, five);
        assert_eq!(shared.take(after, 0, 5), Err(Exceeded(five)));
        assert_eq!(shared.take(after, five - 1, 5), Err(Exceeded(1)));
        assert_eq!(shared.take(after, five, 5), Ok(2 * five));
        // Small ones wait until the debt is below the pod's part again: 2.5 units, less their own.
        assert_eq!(shared.take(after, 0, 1), Err(Exceeded(five + 4 * SECOND / 10 - SECOND)));
        assert_eq!(shared.take(0, 0, 11), Err(Exceeded(u64::MAX)));
        assert_eq!(shared.standing(after, 0), Standing { left: 0, whole_in: five });
        let (mut figure, mut units) = (0, 0);
        for now in (0..60_000).map(|place| place * SECOND / 1_000) {
            if let Ok(next) = shared.take(figure, now, 5) {
                (figure, units) = (next, units + 5);
            }
        }
        assert_eq!(units, 150, "a quarter of 600 in a minute");
    }

    /// Whoever reads the clock first may come last.
    #[test]
    fn a_moment_that_is_over_gives_nothing_back() {
        let rate = rate(1, 1, 1, 1);
        let figure = rate.take(0, 10 * SECOND, 1).unwrap();
        assert_eq!(rate.take(figure, 9 * SECOND, 1), Err(Exceeded(2 * SECOND)));
        assert_eq!(rate.take(figure, 10 * SECOND, 1), Err(Exceeded(SECOND)));
    }

    #[test]
    fn the_largest_figures_do_not_overflow() {
        let rate = rate(1, u64::MAX, u32::MAX, u32::MAX);
        assert_eq!(rate.take(0, 0, u32::MAX), Ok(LONGEST));
        assert_eq!(rate.take(LONGEST, 0, u32::MAX), Err(Exceeded(LONGEST)));
    }
}
