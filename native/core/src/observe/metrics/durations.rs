//! How long requests took: counted by each worker, added up, and written down as histograms.
//!
//! One count serves histograms of several bounds: buckets are those of all of them, and each writes down its own.

use super::exemplars::{Exemplar, Exemplars};
use super::open_metrics::Format;
use crate::observe::counter::Counter;
use std::fmt::Write;
use std::sync::OnceLock;
use std::time::Duration;

/// Upper bounds of the buckets that are counted, in microseconds.
const BOUNDS: [u64; 17] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000,
    5_000_000, 7_500_000, 10_000_000,
];

/// Of these, those of a histogram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds(&'static [u64]);

/// Of our own histograms.
pub(super) const OWN: Bounds =
    Bounds(&[500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000]);

/// Of OpenTelemetry's (semantic conventions for HTTP metrics, `http.server.request.duration`: "SHOULD be specified with
/// `ExplicitBucketBoundaries` of").
pub(super) const CONVENTIONAL: Bounds = Bounds(&[
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000,
    7_500_000, 10_000_000,
]);

/// How long one request took, and in which bucket that is: found once, whatever counts it.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    microseconds: u64,
    bucket: usize,
}

impl Took {
    pub fn of(duration: Duration) -> Self {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self { microseconds, bucket: BOUNDS.partition_point(|bound| *bound < microseconds) }
    }
}

/// As one worker counts them.
#[derive(Debug, Default)]
pub(super) struct Durations {
    buckets: [Counter; BOUNDS.len() + 1],
    microseconds: Counter,
    /// Once a request was sampled.
    exemplars: OnceLock<Box<Exemplars<{ BOUNDS.len() + 1 }>>>,
}

impl Durations {
    /// `exemplar`: of a request whose trace is recorded.
    pub(super) fn record(&self, took: Took, exemplar: Option<&Exemplar>) {
        self.buckets[took.bucket].add(1);
        self.microseconds.add(took.microseconds);
        if let Some(exemplar) = exemplar {
            self.exemplars.get_or_init(Box::default).put(took.bucket, exemplar, took.microseconds);
        }
    }
}

/// Those of several workers together.
#[derive(Debug, Clone, Default)]
pub(super) struct Total {
    buckets: [u64; BOUNDS.len() + 1],
    microseconds: u64,
    /// The newest of each bucket, with what it took; empty where there is none at all.
    exemplars: Vec<Option<(Exemplar, u64)>>,
}

impl Total {
    pub(super) fn add(&mut self, durations: &Durations) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&durations.buckets) {
            *sum += bucket.get();
        }
        self.microseconds += durations.microseconds.get();
        if let Some(exemplars) = durations.exemplars.get() {
            self.show(&exemplars.all());
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (sum, bucket) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += bucket;
        }
        self.microseconds += other.microseconds;
        self.show(&other.exemplars);
    }

    fn show(&mut self, exemplars: &[Option<(Exemplar, u64)>]) {
        self.exemplars.resize(self.exemplars.len().max(exemplars.len()), None);
        for (own, newer) in self.exemplars.iter_mut().zip(exemplars) {
            *own = newest(*own, *newer);
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The samples of a histogram with these labels.
    pub(super) fn histogram(&self, text: &mut String, name: &str, labels: &str, bounds: Bounds, format: Format) {
        let (mut cumulative, mut exemplar, mut wanted) = (0, None, bounds.0.iter().peekable());
        let all = BOUNDS.iter().copied().map(Some).chain([None]);
        for (at, (bound, count)) in all.zip(self.buckets).enumerate() {
            cumulative += count;
            exemplar = newest(exemplar, self.exemplars.get(at).copied().flatten());
            if bound.is_some() && wanted.peek().copied() != bound.as_ref() {
                continue;
            }
            wanted.next();
            let _ = write!(text, "{name}_bucket{{{labels}");
            text.push_str(if labels.is_empty() { "" } else { "," });
            let _ = write!(text, "le=\"{}\"}} {cumulative}", format.bound(bound.map(in_seconds)));
            if let (Format::OpenMetrics, Some((exemplar, took))) = (format, exemplar.take()) {
                let _ = write!(text, " # {exemplar} {}", exemplar.of(in_seconds(took)));
            }
            text.push('\n');
        }
        self.sum_and_count(text, name, labels);
    }

    /// How long all of them took together, and how many there were.
    pub(super) fn sum_and_count(&self, text: &mut String, name: &str, labels: &str) {
        let _ = writeln!(text, "{name}_sum{{{labels}}} {}", in_seconds(self.microseconds));
        let _ = writeln!(text, "{name}_count{{{labels}}} {}", self.count());
    }
}

fn newest(one: Option<(Exemplar, u64)>, other: Option<(Exemplar, u64)>) -> Option<(Exemplar, u64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.0.at_ms >= one.0.at_ms { other } else { one }),
        (one, other) => one.or(other),
    }
}

pub(super) fn in_seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, CONVENTIONAL, Durations, Exemplar, Format, OWN, Took, Total};
    use std::time::Duration;

    fn lines(total: &Total, bounds: super::Bounds, format: Format) -> Vec<String> {
        let mut text = String::new();
        total.histogram(&mut text, "h", "a=\"b\"", bounds, format);
        text.lines().map(ToOwned::to_owned).collect()
    }

    /// Each histogram has the bounds that it says, all of which are counted.
    #[test]
    fn one_count_has_several_histograms() {
        for bounds in [OWN, CONVENTIONAL] {
            assert!(bounds.0.iter().all(|bound| BOUNDS.contains(bound)) && bounds.0.is_sorted());
        }
        let durations = Durations::default();
        for milliseconds in [0, 5, 60, 60, 6_000, 60_000] {
            durations.record(Took::of(Duration::from_millis(milliseconds)), None);
        }
        let mut total = Total::default();
        total.add(&durations);
        let own = lines(&total, OWN, Format::Text);
        assert_eq!(own.len(), OWN.0.len() + 3);
        for line in [
            r#"h_bucket{a="b",le="0.0005"} 1"#,
            r#"h_bucket{a="b",le="0.005"} 2"#,
            r#"h_bucket{a="b",le="0.1"} 4"#,
            r#"h_bucket{a="b",le="5"} 4"#,
            r#"h_bucket{a="b",le="+Inf"} 6"#,
            r#"h_sum{a="b"} 66.125"#,
            r#"h_count{a="b"} 6"#,
        ] {
            assert!(own.iter().any(|it| it == line), "{line}: {own:?}");
        }
        let conventional = lines(&total, CONVENTIONAL, Format::OpenMetrics);
        assert_eq!(conventional.len(), CONVENTIONAL.0.len() + 3);
        for line in [
            r#"h_bucket{a="b",le="0.005"} 2"#,
            r#"h_bucket{a="b",le="0.075"} 4"#,
            r#"h_bucket{a="b",le="7.5"} 5"#,
            r#"h_bucket{a="b",le="10.0"} 5"#,
            r#"h_bucket{a="b",le="+Inf"} 6"#,
        ] {
            assert!(conventional.iter().any(|it| it == line), "{line}: {conventional:?}");
        }
    }

    /// The newest of a bucket, whatever worker had it; a bucket that is counted finer has the newest of its parts.
    #[test]
    fn buckets_have_exemplars() {
        let (one, two) = (Durations::default(), Durations::default());
        let exemplar = |at_ms: u64| Exemplar { trace: [u8::try_from(at_ms).unwrap(); 16], span: [1; 8], at_ms };
        one.record(Took::of(Duration::from_micros(400)), Some(&exemplar(3)));
        two.record(Took::of(Duration::from_millis(2)), Some(&exemplar(2)));
        two.record(Took::of(Duration::from_millis(2)), None);
        two.record(Took::of(Duration::from_micros(400)), Some(&exemplar(1)));
        let mut total = Total::default();
        total.add(&one);
        total.add(&two);
        let told = lines(&total, CONVENTIONAL, Format::OpenMetrics);
        let expected = format!(
            "h_bucket{{a=\"b\",le=\"0.005\"}} 4 # {{trace_id=\"{}\",span_id=\"{}\"}} 0.0004 0.003",
            "03".repeat(16),
            "01".repeat(8)
        );
        assert_eq!(told[0], expected);
        assert!(told[1..].iter().all(|line| !line.contains('#')), "{told:?}");
        let own = lines(&total, OWN, Format::OpenMetrics);
        assert_eq!(own.iter().filter(|line| line.contains(" # {")).count(), 2);
        assert!(lines(&total, OWN, Format::Text).iter().all(|line| !line.contains('#')));
    }
}
