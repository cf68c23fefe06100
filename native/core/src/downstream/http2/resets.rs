//! Streams that a client opens and soon resets (CVE-2023-44487 and its slower kin): each costs a request to a backend and
//! frees its place at once, so the limit of streams does not hold them back. `h2` counts only those that were reset before
//! we took them; this counts the rest, and ends the connection of a client that hardly does anything else.
//!
//! What counts is a request that was forwarded and reset within [`EARLY`], before the head of its response. Later resets
//! need no count: a stream that stands for so long keeps its place, and places are few. A response that came is work that
//! the client waited for, and makes up for one reset. So browsers that leave a page, and clients with deadlines, are far
//! from the limit as long as half of what they ask is answered.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// Early resets that a client may send at once: more than the streams that it may have open.
pub const AT_ONCE: u32 = 256;

/// One early reset in this time is fine for ever: 50 a second.
const LEAK: Duration = Duration::from_millis(20);

/// A reset after this time is not early.
const EARLY: Duration = Duration::from_secs(1);

/// The early resets of one connection: a leaky bucket, told by when it will be empty.
#[derive(Debug)]
pub struct Resets {
    begun: Instant,
    empty_at: Cell<Instant>,
    exceeded: Cell<bool>,
    /// Of the connection's task.
    waker: RefCell<Option<Waker>>,
}

impl Resets {
    pub fn new(now: Instant) -> Self {
        Self { begun: now, empty_at: Cell::new(now), exceeded: Cell::new(false), waker: RefCell::default() }
    }

    /// A forwarded request has the head of its response.
    pub fn answered(&self) {
        let empty_at = self.empty_at.get();
        if empty_at > self.begun {
            self.empty_at.set(empty_at - LEAK);
        }
    }

    /// The client has reset a forwarded request before the head of its response.
    pub fn reset(&self, opened: Instant, now: Instant) {
        if now.duration_since(opened) >= EARLY {
            return;
        }
        let empty_at = self.empty_at.get().max(now) + LEAK;
        self.empty_at.set(empty_at);
        if empty_at - now > LEAK * AT_ONCE
            && !self.exceeded.replace(true)
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    /// Whether it was too much; the task of the connection is woken when it is.
    pub fn exceeded(&self, context: &Context<'_>) -> bool {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        self.is_exceeded()
    }

    pub fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, EARLY, LEAK, Resets};
    use std::time::Duration;
    use tokio::time::Instant;

    /// Resets in a row, each so long after the one before, of streams of this age; how many were fine.
    fn fine(pace: Duration, age: Duration, answers: u32) -> u32 {
        let start = Instant::now();
        let resets = Resets::new(start);
        let last = AT_ONCE * 4;
        (0..last)
            .find(|number| {
                let now = start + age + pace * *number;
                (0..answers).for_each(|_| resets.answered());
                resets.reset(now - age, now);
                resets.is_exceeded()
            })
            .unwrap_or(last)
    }

    #[test]
    fn floods_are_seen_and_nothing_else() {
        let (at_once, soon, never) = (Duration::ZERO, Duration::from_millis(20), AT_ONCE * 4);
        assert_eq!(fine(at_once, soon, 0), AT_ONCE);
        assert!((AT_ONCE..AT_ONCE * 2).contains(&fine(LEAK / 2, soon, 0)), "100 a second, for some seconds");
        assert_eq!(fine(LEAK, soon, 0), never, "50 a second");
        assert_eq!(fine(at_once, EARLY, 0), never, "streams that stood for a while");
        assert_eq!(fine(at_once, soon, 1), never, "half of them are answered");
    }

    #[test]
    fn answers_are_no_stock() {
        let start = Instant::now();
        let resets = Resets::new(start);
        (0..10_000).for_each(|_| resets.answered());
        (0..AT_ONCE).for_each(|_| resets.reset(start, start));
        assert!(!resets.is_exceeded());
        resets.reset(start, start);
        assert!(resets.is_exceeded());
    }
}
