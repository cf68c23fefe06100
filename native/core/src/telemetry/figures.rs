//! What became of the spans of a policy, for Prometheus.

use crate::observe::counter::header;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Of one policy, of all workers; it outlives changes of the policy.
#[derive(Debug, Default)]
pub struct Figures {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// The operator knows that the collector takes nothing.
    away: AtomicBool,
}

impl Figures {
    /// The collector has them.
    pub fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Relaxed);
    }

    /// There was no place for them.
    pub fn dropped(&self, spans: u64) {
        self.dropped.fetch_add(spans, Relaxed);
    }

    /// The collector would not have them, or could not be reached for too long.
    pub fn failed(&self, spans: u64) {
        self.failed.fetch_add(spans, Relaxed);
    }

    /// Whether the collector takes nothing is news.
    pub fn is_news(&self, away: bool) -> bool {
        self.away.swap(away, Relaxed) != away
    }

    /// Each outcome with its spans.
    pub fn all(&self) -> [(&'static str, u64); 3] {
        [("exported", &self.exported), ("dropped", &self.dropped), ("failed", &self.failed)]
            .map(|(outcome, spans)| (outcome, spans.load(Relaxed)))
    }
}

/// Write the figures of policies, by their ids. These come from the configuration, so the number of series does too.
pub fn render<'f>(policies: impl Iterator<Item = (&'f str, &'f Figures)>, text: &mut String) {
    let mut all: Vec<_> = policies.collect();
    all.sort_by_key(|(id, _)| *id);
    header(text, "trace_spans_total", "counter", "Spans that were recorded, by what became of them.");
    for (id, figures) in all {
        for (outcome, spans) in figures.all() {
            let _ = writeln!(text, "sluicegate_trace_spans_total{{policy=\"{id}\",outcome=\"{outcome}\"}} {spans}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, render};

    #[test]
    fn what_became_of_spans() {
        let (one, two) = (Figures::default(), Figures::default());
        one.exported(3);
        one.dropped(2);
        one.failed(1);
        let mut text = String::new();
        render([("b", &one), ("a", &two)].into_iter(), &mut text);
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert!(lines[0].starts_with("sluicegate_trace_spans_total{policy=\"a\",outcome=\"exported\"} 0"), "{text}");
        assert_eq!(
            lines[3..],
            [
                "sluicegate_trace_spans_total{policy=\"b\",outcome=\"exported\"} 3",
                "sluicegate_trace_spans_total{policy=\"b\",outcome=\"dropped\"} 2",
                "sluicegate_trace_spans_total{policy=\"b\",outcome=\"failed\"} 1",
            ]
        );
        assert_eq!([true, true, false, false, true].map(|away| one.is_news(away)), [true, false, true, false, true]);
    }
}
