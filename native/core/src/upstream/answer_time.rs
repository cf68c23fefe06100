//! How long an endpoint takes to answer: a peak-sensitive moving average, as linkerd and Finagle have it. A slow answer counts
//! at once, faster ones only make up for it in time.

use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// After so long what was seen has lost two thirds of its weight.
const MEMORY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct AnswerTime(Cell<Option<(f64, Instant)>>);

impl AnswerTime {
    pub(super) fn saw(&self, took: Duration) {
        let (took, now) = (took.as_secs_f64(), Instant::now());
        let seconds = match self.0.get() {
            Some((before, at)) if took < before => {
                let kept = kept(at, now);
                before * kept + took * (1.0 - kept)
            }
            _ => took,
        };
        self.0.set(Some((seconds, now)));
    }

    /// Seconds, less the longer ago they were; `None`: nothing is known.
    pub(super) fn now(&self) -> Option<f64> {
        self.0.get().map(|(seconds, at)| seconds * kept(at, Instant::now()))
    }
}

fn kept(at: Instant, now: Instant) -> f64 {
    (-(now.duration_since(at).as_secs_f64() / MEMORY.as_secs_f64())).exp()
}

#[cfg(test)]
mod tests {
    use super::{AnswerTime, MEMORY};
    use std::time::Duration;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn peaks_count_at_once_and_fade() {
        let time = AnswerTime::default();
        assert_eq!(time.now(), None);
        time.saw(Duration::from_millis(10));
        time.saw(Duration::from_secs(1));
        assert_eq!(time.now(), Some(1.0));
        time.saw(Duration::from_millis(10));
        assert_eq!(time.now(), Some(1.0), "one fast answer right after it says little");
        advance(MEMORY).await;
        assert!(time.now().is_some_and(|seconds| (0.36..0.37).contains(&seconds)));
        time.saw(Duration::from_millis(10));
        assert!(time.now().is_some_and(|seconds| (0.37..0.38).contains(&seconds)), "of the peak a third");
    }
}
