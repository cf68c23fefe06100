//! How well an endpoint does, as far as this worker's connections to it tell.
//!
//! - Each failed connection in a row has it avoided, twice as long as the one before: others are preferred.
//! - After [`EJECT_AFTER`] in a row it is ejected: no request goes there, unless there is nowhere else to go. When its time
//!   is over one request tries it; where that fails too it is out for twice as long.
//! - At most half of a backend's endpoints are ejected, and never the only one: then what failed is avoided and no more.
//! - A connection, or an answer over one that was kept, makes up for everything.

use route::ir::PassiveHealth;
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// After a failed connection the endpoint is avoided this long, doubled by each further failure.
const AVOIDED: Duration = Duration::from_millis(250);

/// Doublings: at most 8 s.
const MAX_AVOIDED_DOUBLINGS: u32 = 5;

/// Failed connections in a row after which an endpoint is ejected, as Envoy's `consecutive_local_origin_failure`. One that
/// is alone with its requests has got here after four seconds.
const EJECT_AFTER: u32 = 5;

/// How long an ejected endpoint is left alone, doubled by each trial that fails.
const EJECTED: Duration = Duration::from_secs(5);

/// Doublings: at most 160 s. An endpoint that returns is used again within that time.
const MAX_EJECTED_DOUBLINGS: u32 = 5;

/// When an endpoint is ejected, and for how long the first time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Failures in a row.
    pub after: u32,
    pub pause: Duration,
    /// Percent of a backend's endpoints that may be ejected at once.
    pub share: u8,
}

impl Rules {
    /// Those of a backend whose policy says nothing of it: only connections that fail count.
    pub(super) const COMMON: Self = Self { after: EJECT_AFTER, pause: EJECTED, share: 50 };

    pub(super) fn of(passive: Option<&PassiveHealth>) -> Self {
        passive.map_or(Self::COMMON, |passive| Self {
            after: passive.consecutive_errors.max(1),
            pause: Duration::from_millis(passive.eject_for_ms),
            share: passive.max_ejected_percent,
        })
    }

    /// How many of so many endpoints may be ejected: never the only one.
    pub(super) fn ejectable(self, endpoints: usize) -> usize {
        if endpoints < 2 || self.share == 0 { 0 } else { (endpoints * usize::from(self.share) / 100).max(1) }
    }
}

/// From the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Well,
    Avoided,
    Ejected,
}

/// The failures of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// In a row.
    failures: Cell<u32>,
    /// Answers that count as errors, in a row; always 0 where no policy says that any do.
    errors: Cell<u32>,
    /// In a row; 0: it is not ejected.
    ejections: Cell<u32>,
    /// Until then it is avoided, or ejected. `None` where nothing has failed.
    until: Cell<Option<Instant>>,
    /// A request tries an endpoint whose time is over.
    on_trial: Cell<bool>,
}

impl Health {
    /// Reads the clock only where there is something to compare.
    pub(super) fn standing(&self) -> Standing {
        match self.until.get() {
            Some(until) if Instant::now() < until => {
                if self.is_ejected() {
                    Standing::Ejected
                } else {
                    Standing::Avoided
                }
            }
            _ => Standing::Well,
        }
    }

    /// It was ejected, and has not shown since that it is there.
    pub(super) fn is_ejected(&self) -> bool {
        self.ejections.get() > 0
    }

    /// A request is going to try it. Of one whose time is over it is the trial: others wait for what comes of it, or until
    /// `patience` is over.
    pub(super) fn picked(&self, patience: Duration) {
        if self.is_ejected() {
            let now = Instant::now();
            if self.until.get().is_none_or(|until| until <= now) {
                self.on_trial.set(true);
                self.until.set(Some(now + patience));
            }
        }
    }

    /// True: it was ejected until now.
    pub(super) fn succeeded(&self) -> bool {
        if self.errors.get() > 0 {
            self.errors.set(0);
        }
        if self.until.take().is_none() {
            return false;
        }
        self.failures.set(0);
        self.on_trial.set(false);
        self.ejections.replace(0) > 0
    }

    /// There is a connection. It makes up for what failed unless answers did. True: it was ejected until now.
    pub(super) fn connected(&self) -> bool {
        self.errors.get() == 0 && self.succeeded()
    }

    /// An answer counts as an error, as a policy has it. True: this has it ejected.
    pub(super) fn erred(&self, rules: Rules, may_eject: impl FnOnce() -> bool) -> bool {
        if self.is_ejected() && !self.on_trial.take() {
            return false;
        }
        let errors = self.errors.get().saturating_add(1);
        self.errors.set(errors);
        let ejected = errors >= rules.after && may_eject();
        if ejected {
            self.eject(rules);
        } else if self.is_ejected() {
            self.ejections.set(0);
            self.until.set(None);
        }
        ejected
    }

    fn eject(&self, rules: Rules) {
        let ejections = self.ejections.get();
        self.ejections.set(ejections.saturating_add(1));
        self.until.set(Some(Instant::now() + rules.pause * (1 << ejections.min(MAX_EJECTED_DOUBLINGS))));
    }

    /// There was no connection. `may_eject`: enough others are left. True: this has it ejected.
    pub(super) fn failed(&self, rules: Rules, may_eject: impl FnOnce() -> bool) -> bool {
        if self.is_ejected() && !self.on_trial.take() {
            // It was asked for want of others: nothing new.
            return false;
        }
        let failures = self.failures.get();
        self.failures.set(failures.saturating_add(1));
        if failures + 1 >= rules.after && may_eject() {
            self.eject(rules);
            return true;
        }
        self.ejections.set(0);
        self.until.set(Some(Instant::now() + AVOIDED * (1 << failures.min(MAX_AVOIDED_DOUBLINGS))));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{EJECT_AFTER, EJECTED, Health, Rules, Standing};
    use std::time::Duration;
    use tokio::time::advance;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn ejected() -> Health {
        let health = Health::default();
        for failure in 1..=EJECT_AFTER {
            assert_eq!(health.failed(Rules::COMMON, || true), failure == EJECT_AFTER);
        }
        health
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_avoided_then_ejected_then_tried_once() {
        let health = Health::default();
        health.failed(Rules::COMMON, || true);
        assert_eq!(health.standing(), Standing::Avoided);
        advance(Duration::from_millis(250)).await;
        assert_eq!(health.standing(), Standing::Well);
        let health = ejected();
        for turn in 0..8 {
            let expected = EJECTED * (1 << turn.min(5));
            assert_eq!(health.standing(), Standing::Ejected);
            // Who has nowhere else to go changes nothing.
            health.picked(PATIENCE);
            assert!(!health.failed(Rules::COMMON, || true));
            advance(expected.saturating_sub(Duration::from_millis(1))).await;
            assert_eq!(health.standing(), Standing::Ejected);
            advance(Duration::from_millis(1)).await;
            assert_eq!(health.standing(), Standing::Well);
            health.picked(PATIENCE);
            assert_eq!(health.standing(), Standing::Ejected, "a second one on trial");
            assert!(health.failed(Rules::COMMON, || true));
        }
        advance(Duration::from_secs(160)).await;
        health.picked(PATIENCE);
        assert!(health.succeeded(), "it was ejected");
        assert!(health.standing() == Standing::Well && !health.is_ejected() && !health.succeeded());
        // As if nothing had been.
        assert!(!health.failed(Rules::COMMON, || true));
        assert_eq!(health.standing(), Standing::Avoided);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_tells_nothing_is_followed_by_another() {
        let health = ejected();
        advance(EJECTED).await;
        health.picked(PATIENCE);
        advance(PATIENCE).await;
        assert_eq!(health.standing(), Standing::Well);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_may_not_be_ejected_is_avoided() {
        let health = Health::default();
        for _ in 0..100 {
            assert!(!health.failed(Rules::COMMON, || false));
            assert_eq!(health.standing(), Standing::Avoided);
        }
        advance(Duration::from_secs(8)).await;
        assert_eq!(health.standing(), Standing::Well);
        assert_eq!([0, 1, 2, 3, 4, 5].map(|count| Rules::COMMON.ejectable(count)), [0, 0, 1, 1, 2, 2]);
    }
}
