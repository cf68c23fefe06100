//! How large the body of a request may be (`max_body_bytes`).

use super::Verdict;
use crate::error::ErrorCode;
use codec::Framing;
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

    pub fn check(self, framing: Framing) -> Verdict {
        match framing {
            Framing::Length(length) if length > self.octets() => Verdict::Deny(ErrorCode::BodyTooLarge),
            _ => Verdict::Continue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BodyLimit, ErrorCode, Framing, Verdict};

    #[test]
    fn lengths() {
        assert_eq!(BodyLimit::new(0), None);
        let limit = BodyLimit::new(10).unwrap();
        for (framing, verdict) in [
            (Framing::Empty, Verdict::Continue),
            (Framing::Length(10), Verdict::Continue),
            (Framing::Length(11), Verdict::Deny(ErrorCode::BodyTooLarge)),
            (Framing::Length(u64::MAX), Verdict::Deny(ErrorCode::BodyTooLarge)),
            (Framing::Chunked, Verdict::Continue),
        ] {
            assert_eq!(limit.check(framing), verdict, "{framing:?}");
        }
    }
}
