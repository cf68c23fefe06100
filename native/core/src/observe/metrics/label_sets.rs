//! Durations under OpenTelemetry's names: one histogram for each set of labels that came (semantic conventions for HTTP metrics).
//!
//! - A request finds its histogram by the numbers of its labels, in lists that only grow: no lock, no memory.
//! - What a client can choose of the labels has a number of its own among few; paths and addresses are the configuration's.
//! - There is a limit of sets, with what is beyond it counted as one (metrics SDK specification, "Cardinality limits").

use super::durations::{CONVENTIONAL, Durations, Took, Total};
use super::exemplars::Exemplar;
use super::open_metrics::Format;
use crate::error::ErrorCode;
use crate::observe::method::Method;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Sets of one metric, all paths or endpoints together; the default of the specification.
const MAX_SETS: usize = 2_000;

/// Of these, those of one path or endpoint. Stops clients that try every method and status of one path from taking the place of
/// other paths.
const MAX_SETS_OF_ONE: usize = 100;

/// Lists that a set may be in.
const LISTS: usize = 8;

/// What stands for all that is beyond the limit (metrics SDK specification, "Overflow attribute").
const OVERFLOW: &str = "otel_metric_overflow=\"true\"";

/// Protocol versions, by their places.
const VERSIONS: [&str; 4] = ["", "1.0", "1.1", "2"];

/// The labels of one request, but for its path or endpoint: a number for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(u32);

impl Labels {
    /// `status`: 0 where there is none; `error`: what is an error by another sign than `failed` has its status for a type.
    pub fn new(method: Method, status: u16, error: Option<ErrorCode>, failed: bool) -> Self {
        let error = error.filter(|_| failed).map_or(0, |code| code as u32 + 1);
        Self(u32::from(status & 0x3ff) | method.place() << 10 | u32::from(failed) << 17 | error << 18)
    }

    /// The same of a request of a client.
    #[must_use]
    pub fn served(self, version: Version, https: bool) -> Self {
        Self(self.0 | (version as u32) << 14 | u32::from(https) << 16)
    }

    fn list(self) -> usize {
        // Statuses differ in their last digits, methods and versions above them.
        ((self.0 ^ self.0 >> 10 ^ self.0 >> 14) as usize) % LISTS
    }

    /// As they are written, behind `more`.
    fn write(self, more: &str) -> String {
        let (status, version) = (self.0 & 0x3ff, VERSIONS[(self.0 >> 14 & 3) as usize]);
        let mut text = format!("http_request_method=\"{}\"", Method::at(self.0 >> 10 & 0xf).name());
        if !version.is_empty() {
            let scheme = if self.0 >> 16 & 1 == 0 { "http" } else { "https" };
            let _ = write!(text, ",url_scheme=\"{scheme}\",network_protocol_version=\"{version}\"");
        }
        if status != 0 {
            let _ = write!(text, ",http_response_status_code=\"{status}\"");
        }
        text.push_str(more);
        let error = (self.0 >> 18).checked_sub(1).and_then(|place| ErrorCode::ALL.get(place as usize));
        match (error, self.0 >> 17 & 1) {
            (Some(code), 1) => drop(write!(text, ",error_type=\"{}\"", code.name())),
            (None, 1) => drop(write!(text, ",error_type=\"{status}\"")),
            _ => {}
        }
        text
    }
}

/// `network.protocol.version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10 = 1,
    Http11 = 2,
    Http2 = 3,
}

impl Version {
    pub fn name(self) -> &'static str {
        VERSIONS[self as usize]
    }
}

/// A worker's own share of a set.
type Shards = Box<[OnceLock<Box<Durations>>]>;

fn shards(workers: usize) -> Shards {
    (0..workers).map(|_| OnceLock::new()).collect()
}

fn record(shards: &Shards, worker: usize, took: Took, exemplar: Option<&Exemplar>) {
    if let Some(shard) = shards.get(worker) {
        shard.get_or_init(Box::default).record(took, exemplar);
    }
}

fn add(shards: &Shards, total: &mut Total) {
    shards.iter().filter_map(OnceLock::get).for_each(|shard| total.add(shard));
}

/// One metric: how many sets it has, and what is beyond.
#[derive(Debug)]
pub struct Limited {
    workers: usize,
    taken: AtomicUsize,
    others: Shards,
    /// That there are others was told.
    told: AtomicBool,
}

impl Limited {
    pub fn new(workers: usize) -> Arc<Self> {
        let (taken, told) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { workers, taken, others: shards(workers), told })
    }

    /// Once: something has no histogram of its own any more.
    pub fn is_news(&self) -> bool {
        self.others.iter().any(|shard| shard.get().is_some()) && !self.told.swap(true, Relaxed)
    }

    /// Count what has no place of its own anyway.
    pub fn record_other(&self, worker: usize, took: Took, exemplar: Option<&Exemplar>) {
        record(&self.others, worker, took, exemplar);
    }

    fn take(&self) -> bool {
        self.taken.fetch_update(Relaxed, Relaxed, |taken| (taken < MAX_SETS).then_some(taken + 1)).is_ok()
    }

    /// Write all of it down. `all`: each with what its labels have besides.
    pub(super) fn render<'a>(
        &self,
        name: &str,
        all: impl Iterator<Item = (String, &'a LabelSets)>,
        text: &mut String,
        format: Format,
    ) {
        let mut found: BTreeMap<String, Total> = BTreeMap::new();
        for (more, sets) in all {
            sets.each(|set| add(&set.shards, found.entry(set.labels.write(&more)).or_default()));
        }
        let mut others = Total::default();
        add(&self.others, &mut others);
        let rows = found.iter().map(|(labels, total)| (labels.as_str(), total)).chain([(OVERFLOW, &others)]);
        for (labels, total) in rows.filter(|(_, total)| total.count() > 0) {
            total.histogram(text, name, labels, CONVENTIONAL, format);
        }
    }
}

/// One histogram.
#[derive(Debug)]
struct Set {
    labels: Labels,
    shards: Shards,
    next: OnceLock<Box<Self>>,
}

/// The histograms of one path or endpoint, of all workers. They end with it.
#[derive(Debug)]
pub struct LabelSets {
    limited: Arc<Limited>,
    lists: [OnceLock<Box<Set>>; LISTS],
    count: AtomicUsize,
}

impl LabelSets {
    pub fn new(limited: &Arc<Limited>) -> Self {
        Self { limited: Arc::clone(limited), lists: Default::default(), count: AtomicUsize::new(0) }
    }

    /// Count a request; only `worker` itself may call this with its number.
    pub fn record(&self, worker: usize, labels: Labels, took: Took, exemplar: Option<&Exemplar>) {
        let mut place = &self.lists[labels.list()];
        loop {
            match place.get() {
                Some(set) if set.labels == labels => return record(&set.shards, worker, took, exemplar),
                Some(set) => place = &set.next,
                None => match self.begin(place, labels) {
                    // Another worker may have been quicker, with other labels.
                    Some(_) => {}
                    None => return record(&self.limited.others, worker, took, exemplar),
                },
            }
        }
    }

    /// A set of its own for these labels; `None`: there is no place for it.
    #[cold]
    fn begin<'s>(&self, place: &'s OnceLock<Box<Set>>, labels: Labels) -> Option<&'s Set> {
        if self.count.load(Relaxed) >= MAX_SETS_OF_ONE || !self.limited.take() {
            return None;
        }
        let new = Box::new(Set { labels, shards: shards(self.limited.workers), next: OnceLock::new() });
        if place.set(new).is_ok() {
            self.count.fetch_add(1, Relaxed);
        } else {
            self.limited.taken.fetch_sub(1, Relaxed);
        }
        place.get().map(|set| &**set)
    }

    fn each<'s>(&'s self, mut with: impl FnMut(&'s Set)) {
        for list in &self.lists {
            let mut place = list.get();
            while let Some(set) = place {
                with(set);
                place = set.next.get();
            }
        }
    }
}

impl Drop for LabelSets {
    fn drop(&mut self) {
        self.limited.taken.fetch_sub(self.count.load(Relaxed), Relaxed);
    }
}

#[cfg(test)]
mod tests;
