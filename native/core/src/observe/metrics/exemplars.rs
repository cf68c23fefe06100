//! Requests whose traces are recorded, one for each bucket of a histogram: who looks at a figure finds one of its traces.

use std::array::from_fn;
use std::fmt::{Display, Formatter, Result};
use std::sync::Mutex;

/// The trace of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemplar {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    /// When it ended, milliseconds since 1970.
    pub at_ms: u64,
}

impl Exemplar {
    /// Its value and its time, as they are written.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
    pub(super) fn of(&self, value: f64) -> String {
        format!("{value} {}", self.at_ms as f64 / 1000.0)
    }
}

/// Its labels (`OpenMetrics` 1.0, "Exemplars": 128 characters at most).
impl Display for Exemplar {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        formatter.write_str("{trace_id=\"")?;
        self.trace.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        formatter.write_str("\",span_id=\"")?;
        self.span.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        formatter.write_str("\"}")
    }
}

/// The last one of each bucket, with what it took in microseconds. One writer, which waits for nobody: where somebody reads
/// at that moment, the one before stays.
#[derive(Debug)]
pub(super) struct Exemplars<const N: usize>(Mutex<[Option<(Exemplar, u64)>; N]>);

impl<const N: usize> Default for Exemplars<N> {
    fn default() -> Self {
        Self(Mutex::new(from_fn(|_| None)))
    }
}

impl<const N: usize> Exemplars<N> {
    pub(super) fn put(&self, bucket: usize, exemplar: &Exemplar, took: u64) {
        if let Ok(mut all) = self.0.try_lock()
            && let Some(own) = all.get_mut(bucket)
        {
            *own = Some((*exemplar, took));
        }
    }

    pub(super) fn all(&self) -> [Option<(Exemplar, u64)>; N] {
        self.0.lock().map_or_else(|_| from_fn(|_| None), |all| *all)
    }
}
