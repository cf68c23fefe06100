//! What a policy has said so far.

use super::Outcome;
use crate::error::ErrorCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What it is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Pass,
    Deny,
    /// Nobody could say.
    Unavailable,
}

/// Of one stanza, since it is there.
#[derive(Debug, Default)]
pub struct Verdicts {
    pass: AtomicU64,
    deny: AtomicU64,
    unavailable: AtomicU64,
}

impl From<&Outcome> for Word {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Deny(denial) => match denial.code {
                ErrorCode::AuthUnavailable | ErrorCode::AuthBusy | ErrorCode::KeysUnavailable => Self::Unavailable,
                _ => Self::Deny,
            },
        }
    }
}

impl Verdicts {
    /// Count what it says.
    pub fn count(&self, word: Word) {
        self.of(word).fetch_add(1, Relaxed);
    }

    fn of(&self, word: Word) -> &AtomicU64 {
        match word {
            Word::Pass => &self.pass,
            Word::Deny => &self.deny,
            Word::Unavailable => &self.unavailable,
        }
    }

    /// Each word with how often it was said.
    pub fn all(&self) -> [(&'static str, u64); 3] {
        [("pass", &self.pass), ("deny", &self.deny), ("unavailable", &self.unavailable)]
            .map(|(word, count)| (word, count.load(Relaxed)))
    }
}
