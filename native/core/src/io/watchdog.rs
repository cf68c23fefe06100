//! Time limits of a connection, at the price of one timer that is hardly ever moved.
//!
//! The timer is armed for some instant and stays there while later deadlines come and go; when it fires, what counts is
//! looked at again. Progress is a flag that I/O sets, so a stalled transfer is found without reading the clock for every
//! read and write (it is found between one and two times the limit, or by the shortest limit later).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// The instant that the caller named.
    Deadline,
    /// No progress for the limit of whoever was waited for.
    Stalled(Side),
}

/// Who is waited for while nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client, for bytes of its request.
    RequestBody,
    /// The client, to take bytes of its response.
    Response,
    Backend,
}

/// How long each side may be waited for without a byte.
#[derive(Debug, Clone, Copy)]
pub struct Stalls {
    pub request_body: Duration,
    pub response: Duration,
    pub backend: Duration,
}

impl Stalls {
    /// The same for every side.
    pub fn all(limit: Duration) -> Self {
        Self { request_body: limit, response: limit, backend: limit }
    }

    fn of(&self, side: Side) -> Duration {
        match side {
            Side::RequestBody => self.request_body,
            Side::Response => self.response,
            Side::Backend => self.backend,
        }
    }

    fn shortest(&self) -> Duration {
        self.request_body.min(self.response).min(self.backend)
    }
}

/// Set by whoever moves bytes; holds for all tries of one request.
#[derive(Debug, Default)]
pub struct Progress {
    made: Cell<bool>,
    answered: Cell<bool>,
    spent: Cell<bool>,
    body_awaited: Cell<bool>,
    quiet: Cell<bool>,
    giving: Cell<bool>,
    moved: Cell<bool>,
    /// Somebody wants to know when the response began.
    timed: Cell<bool>,
    answered_at: Cell<Option<Instant>>,
}

impl Progress {
    pub fn made(&self) {
        self.made.set(true);
        self.moved.set(true);
    }

    /// Bytes of the request went on: nothing that a client waits for.
    pub fn sent(&self) {
        self.made.set(true);
    }

    /// The response made progress since this was asked last.
    pub fn take_moved(&self) -> bool {
        self.moved.take()
    }

    /// A part of the response is on its way to the client: that write tells whether it is there.
    pub fn give(&self, giving: bool) {
        self.giving.set(giving);
    }

    pub fn is_giving(&self) -> bool {
        self.giving.get()
    }

    /// The response has begun: what was sent for it will not be needed again.
    pub fn answered(&self) {
        self.made();
        self.answered.set(true);
        if self.timed.get() {
            self.answered_at.set(Some(Instant::now()));
        }
    }

    /// Have the time taken when the response begins.
    pub fn time(&self) {
        self.timed.set(true);
    }

    /// When the response began, if that was to be told.
    pub fn answered_at(&self) -> Option<Instant> {
        self.answered_at.get()
    }

    pub fn is_answered(&self) -> bool {
        self.answered.get()
    }

    /// A part of the request's body was given out and not kept: it cannot be sent again.
    pub fn spend(&self) {
        self.spent.set(true);
    }

    pub fn is_spent(&self) -> bool {
        self.spent.get()
    }

    /// More of the request's body is waited for.
    pub fn await_body(&self, awaited: bool) {
        self.body_awaited.set(awaited);
    }

    /// The request's body is a stream of messages, which come when they come.
    pub fn be_quiet(&self) {
        self.quiet.set(true);
    }

    /// Who is waited for. A client that has an answer may send the rest when it likes, as a stream both ways does.
    fn side(&self) -> Side {
        if self.giving.get() {
            Side::Response
        } else if self.body_awaited.get() && !self.answered.get() && !self.quiet.get() {
            Side::RequestBody
        } else {
            Side::Backend
        }
    }
}

/// The timer of one connection or stream. There is none before somebody waits.
#[derive(Debug, Default)]
pub struct Watchdog {
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
}

impl Watchdog {
    /// Run `future` until `deadline`.
    ///
    /// # Errors
    /// `Deadline`; the future is dropped.
    pub async fn until<F: Future>(&mut self, deadline: Instant, future: F) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let armed = self.arm_by(deadline);
            while armed.sleep.as_mut().poll(context).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(Err(Expired::Deadline));
                }
                armed.set(deadline);
            }
            Poll::Pending
        })
        .await
    }

    /// Run `future` until `deadline` (if any) and as long as it makes progress within the limit of who is waited for.
    ///
    /// # Errors
    /// Which limit passed; the future is dropped.
    pub async fn guard<F: Future>(
        &mut self,
        now: Instant,
        deadline: Option<Instant>,
        stalls: Stalls,
        progress: &Progress,
        future: F,
    ) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        let period = stalls.shortest();
        let mut since = now;
        let mut look = now + period;
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let earliest = |look: Instant| deadline.map_or(look, |deadline| deadline.min(look));
            let armed = self.arm_by(earliest(look));
            while armed.sleep.as_mut().poll(context).is_ready() {
                let now = Instant::now();
                if deadline.is_some_and(|deadline| now >= deadline) {
                    return Poll::Ready(Err(Expired::Deadline));
                }
                let side = progress.side();
                if progress.made.take() {
                    since = now;
                } else if now >= since + stalls.of(side) {
                    return Poll::Ready(Err(Expired::Stalled(side)));
                }
                look = now + period;
                armed.set(earliest(look));
            }
            Poll::Pending
        })
        .await
    }

    /// Have it fire by then; it may fire sooner.
    fn arm_by(&mut self, latest: Instant) -> &mut Armed {
        let armed = self.armed.get_or_insert_with(|| Armed { sleep: Box::pin(sleep_until(latest)), at: latest });
        if armed.at > latest {
            armed.set(latest);
        }
        armed
    }
}

impl Armed {
    fn set(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.at = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_holds_whatever_the_timer_was_armed_for() {
        let start = Instant::now();
        for first in [1, 60, 3600] {
            let mut watchdog = Watchdog::default();
            let passes = watchdog.until(start + Duration::from_secs(first), tokio::task::yield_now()).await;
            assert_eq!(passes, Ok(()));
            let deadline = Instant::now() + Duration::from_secs(10);
            assert_eq!(watchdog.until(deadline, pending::<()>()).await, Err(Expired::Deadline));
            assert_eq!(Instant::now(), deadline);
            assert_eq!(watchdog.until(deadline + Duration::from_secs(1), async { 7 }).await, Ok(7));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_postpones_a_stall_and_nothing_postpones_a_deadline() {
        let start = Instant::now();
        let stall = Duration::from_secs(5);
        let stalls = Stalls::all(stall);
        let progress = Progress::default();
        let busy = async {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(3)).await;
                progress.made();
            }
        };
        let mut watchdog = Watchdog::default();
        assert_eq!(watchdog.guard(start, None, stalls, &progress, busy).await, Ok(()));
        let now = Instant::now();
        let expired = watchdog.guard(now, None, stalls, &progress, pending::<()>()).await;
        assert_eq!(expired, Err(Expired::Stalled(Side::Backend)));
        assert!(now + stall <= Instant::now() && Instant::now() <= now + 2 * stall);
        let now = Instant::now();
        let deadline = now + Duration::from_secs(2);
        let expired = watchdog.guard(now, Some(deadline), stalls, &progress, pending::<()>()).await;
        assert_eq!((expired, Instant::now()), (Err(Expired::Deadline), deadline));
    }

    #[tokio::test(start_paused = true)]
    async fn each_side_has_its_own_limit() {
        let seconds = Duration::from_secs;
        let stalls = Stalls { request_body: seconds(10), response: seconds(20), backend: seconds(100) };
        for (body, offered, answered, quiet, side) in [
            (false, false, false, false, Side::Backend),
            (true, false, false, false, Side::RequestBody),
            (true, false, true, false, Side::Backend),
            (true, false, false, true, Side::Backend),
            (true, true, true, false, Side::Response),
            (false, true, true, true, Side::Response),
        ] {
            let progress = Progress::default();
            if answered {
                progress.answered();
            }
            if quiet {
                progress.be_quiet();
            }
            progress.await_body(body);
            progress.give(offered);
            let now = Instant::now();
            let mut watchdog = Watchdog::default();
            let expired = watchdog.guard(now, None, stalls, &progress, pending::<()>()).await;
            assert_eq!(expired, Err(Expired::Stalled(side)));
            let waited = now.elapsed();
            assert!(waited >= stalls.of(side) && waited <= 2 * stalls.of(side) + seconds(10), "{side:?} {waited:?}");
        }
    }
}
