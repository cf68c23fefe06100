//! What became of what policies send, spans or log records, for Prometheus.

use crate::observe::counter::header;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What is sent. The messages of both have the same numbers of fields (`opentelemetry/proto/collector/*/v1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Traces,
    Logs,
}

impl Signal {
    /// What one of it is called, for people.
    pub fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "log records",
        }
    }
}

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
    pub fn exported(&self, items: u64) {
        self.exported.fetch_add(items, Relaxed);
    }

    /// There was no place for them.
    pub fn dropped(&self, items: u64) {
        self.dropped.fetch_add(items, Relaxed);
    }

    /// The collector would not have them, or could not be reached for too long.
    pub fn failed(&self, items: u64) {
        self.failed.fetch_add(items, Relaxed);
    }

    /// Whether the collector takes nothing is news.
    pub fn is_news(&self, away: bool) -> bool {
        self.away.swap(away, Relaxed) != away
    }

    /// Each outcome with how many it was of.
    pub fn all(&self) -> [(&'static str, u64); 3] {
        [("exported", &self.exported), ("dropped", &self.dropped), ("failed", &self.failed)]
            .map(|(outcome, items)| (outcome, items.load(Relaxed)))
    }
}

/// Write the figures of policies, by their ids. These come from the configuration, so the number of series does too.
pub fn render<'f>(signal: Signal, policies: impl Iterator<Item = (&'f str, &'f Figures)>, text: &mut String) {
    let (name, help) = match signal {
        Signal::Traces => ("trace_spans_total", "Spans that were recorded, by what became of them."),
        Signal::Logs => ("log_records_total", "Lines of access logs for collectors, by what became of them."),
    };
    let mut all: Vec<_> = policies.collect();
    all.sort_by_key(|(id, _)| *id);
    header(text, name, "counter", help);
    for (id, figures) in all {
        for (outcome, items) in figures.all() {
            let _ = writeln!(text, "sluicegate_{name}{{policy=\"{id}\",outcome=\"{outcome}\"}} {items}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Signal, render};

    #[test]
    fn what_became_of_spans() {
        let (one, two) = (Figures::default(), Figures::default());
        one.exported(3);
        one.dropped(2);
        one.failed(1);
        let mut text = String::new();
        render(Signal::Traces, [("b", &one), ("a", &two)].into_iter(), &mut text);
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
