//! How long a backend may take to begin its answer, where its policy says so.

use crate::io::watchdog::Progress;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::time::{Instant, sleep_until};

/// The backend did not begin to answer in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silent;

/// Run a try until `deadline`, and on for as long as it likes once the answer has begun.
///
/// # Errors
/// [`Silent`]; whoever owns `work` drops it.
pub(super) async fn until_answered<F: Future>(
    deadline: Instant,
    progress: &Progress,
    mut work: Pin<&mut F>,
) -> Result<F::Output, Silent> {
    let mut sleep = pin!(sleep_until(deadline));
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        if progress.is_answered() {
            return Poll::Pending;
        }
        sleep.as_mut().poll(context).map(|()| Err(Silent))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::{Silent, until_answered};
    use crate::io::watchdog::Progress;
    use std::pin::pin;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn only_the_beginning_is_waited_for() {
        for (answers_after, ends_after, expected) in [(1, 100, Ok(())), (9, 9, Ok(())), (11, 100, Err(Silent))] {
            let (progress, begun) = (Progress::default(), Instant::now());
            let work = pin!(async {
                sleep(Duration::from_secs(answers_after)).await;
                progress.answered();
                sleep(Duration::from_secs(ends_after - answers_after)).await;
            });
            let limit = Duration::from_secs(10);
            assert_eq!(until_answered(begun + limit, &progress, work).await, expected);
            assert_eq!(begun.elapsed(), if expected.is_ok() { Duration::from_secs(ends_after) } else { limit });
        }
    }
}
