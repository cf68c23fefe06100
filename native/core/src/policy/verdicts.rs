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

#[cfg(test)]
mod tests {
    use super::{Verdicts, Word};
    use crate::error::ErrorCode;
    use crate::policy::{Denial, Outcome};

    /// That nobody could say is no refusal of anybody: an operator looks elsewhere for it.
    #[test]
    fn what_is_said_is_counted_by_its_word() {
        let verdicts = Verdicts::default();
        for (outcome, word, counts) in [
            (Outcome::Pass, Word::Pass, [1, 0, 0]),
            (Outcome::deny(ErrorCode::Forbidden), Word::Deny, [1, 1, 0]),
            (Outcome::deny(ErrorCode::Unauthenticated), Word::Deny, [1, 2, 0]),
            (Outcome::deny(ErrorCode::RateLimited), Word::Deny, [1, 3, 0]),
            (Outcome::deny(ErrorCode::AuthUnavailable), Word::Unavailable, [1, 3, 1]),
            (Outcome::deny(ErrorCode::AuthBusy), Word::Unavailable, [1, 3, 2]),
            (Outcome::deny(ErrorCode::KeysUnavailable), Word::Unavailable, [1, 3, 3]),
            // Whatever the client is told.
            (Outcome::deny(Denial { status: Some(503), ..ErrorCode::Forbidden.into() }), Word::Deny, [1, 4, 3]),
            (Outcome::Pass, Word::Pass, [2, 4, 3]),
        ] {
            assert_eq!(Word::from(&outcome), word, "{outcome:?}");
            verdicts.count((&outcome).into());
            let words = ["pass", "deny", "unavailable"].into_iter().zip(counts);
            assert!(verdicts.all().into_iter().eq(words), "{outcome:?}: {:?}", verdicts.all());
        }
    }
}
