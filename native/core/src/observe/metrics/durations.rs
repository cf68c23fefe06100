//! How long requests took: counted by each worker, added up, and written down as a histogram.

use crate::observe::counter::Counter;
use std::fmt::Write;
use std::time::Duration;

/// Upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// The same in microseconds.
const BUCKETS_US: [u64; BUCKETS.len()] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000];

/// As one worker counts them.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [Counter; BUCKETS.len() + 1],
    microseconds: Counter,
}

impl Durations {
    pub(super) fn record(&self, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[BUCKETS_US.partition_point(|bound| *bound < microseconds)].add(1);
        self.microseconds.add(microseconds);
    }
}

/// Those of several workers together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    buckets: [u64; BUCKETS.len() + 1],
    microseconds: u64,
}

impl Total {
    pub(super) fn add(&mut self, durations: &Durations) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&durations.buckets) {
            *sum += bucket.get();
        }
        self.microseconds += durations.microseconds.get();
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (sum, bucket) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += bucket;
        }
        self.microseconds += other.microseconds;
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The samples of a histogram with these labels.
    pub(super) fn histogram(&self, text: &mut String, name: &str, labels: &str) {
        let mut cumulative = 0;
        let bounds = BUCKETS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(self.buckets) {
            cumulative += count;
            let _ = writeln!(text, "sluicegate_{name}_bucket{{{labels},le=\"{bound}\"}} {cumulative}");
        }
        self.sum_and_count(text, name, labels);
    }

    /// How long all of them took together, and how many there were.
    pub(super) fn sum_and_count(&self, text: &mut String, name: &str, labels: &str) {
        let _ = writeln!(text, "sluicegate_{name}_sum{{{labels}}} {}", in_seconds(self.microseconds));
        let _ = writeln!(text, "sluicegate_{name}_count{{{labels}}} {}", self.count());
    }
}

pub(super) fn in_seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}
