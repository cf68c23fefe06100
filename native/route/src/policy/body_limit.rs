//! How large the body of a request may be: `ClientPolicy.spec.body.maxSize`, and the engine setting `max_body_bytes`.

use super::{Facts, Reason, Verdict};
use std::num::NonZeroU64;

/// Octets that a body may have. A length that is told in advance is refused before a byte goes up; what streams is cut off
/// where it goes beyond (`dispatch/replay.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyLimit(NonZeroU64);

impl BodyLimit {
    /// `None`: 0 stands for any number.
    pub fn new(octets: u64) -> Option<Self> {
        NonZeroU64::new(octets).map(Self)
    }

    pub fn octets(self) -> u64 {
        self.0.get()
    }

    pub fn judge(self, facts: &Facts<'_>) -> Verdict {
        if self.admits(facts.body_length) { Verdict::Pass } else { Verdict::Deny(Reason::BodyTooLarge.into()) }
    }

    /// Whether a body of this length may come; `None`: it streams, and is cut off later.
    pub fn admits(self, length: Option<u64>) -> bool {
        length.is_none_or(|length| length <= self.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::BodyLimit;

    #[test]
    fn lengths() {
        assert_eq!(BodyLimit::new(0), None);
        let limit = BodyLimit::new(10).unwrap();
        for (length, admitted) in
            [(Some(0), true), (Some(10), true), (Some(11), false), (Some(u64::MAX), false), (None, true)]
        {
            assert_eq!(limit.admits(length), admitted, "{length:?}");
        }
    }
}
