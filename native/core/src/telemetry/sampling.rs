//! Which requests record their spans.

use super::context::Sent;
use super::ids::TraceId;
use route::ir::{Percentage, TelemetryTracing};

/// What a policy says of it.
#[derive(Debug, Clone, Copy)]
pub struct Sampling {
    /// Of the requests whose client decides nothing that counts.
    own: Percentage,
    /// Where what clients say counts: of those that are sampled.
    parent: Option<Percentage>,
}

impl Sampling {
    pub fn of(policy: &TelemetryTracing) -> Self {
        Self { own: policy.sampling, parent: policy.parent_sampling }
    }

    /// Whether a request records. `trace`: its own, new or `sent`; `draw`: any number.
    ///
    /// A ratio goes by the random part of the trace, so that gateways that handle the same one agree. A client that nobody believes
    /// could choose that part, and all of its requests would be sampled: for those the draw decides.
    pub fn takes(self, sent: Option<&Sent>, trace: TraceId, draw: u64) -> bool {
        match (sent, self.parent) {
            (None, _) => is_within(self.own, trace.random_part()),
            (Some(_), None) => is_within(self.own, draw >> 8),
            (Some(sent), Some(share)) => sent.sampled && is_within(share, trace.random_part()),
        }
    }
}

/// Whether a number of 56 bits is among the first ones.
fn is_within(share: Percentage, number: u64) -> bool {
    u128::from(number) * u128::from(share.denominator) < u128::from(share.numerator) << 56
}

#[cfg(test)]
mod tests {
    use super::{Percentage, Sampling, is_within};
    use crate::telemetry::context::Sent;
    use crate::telemetry::ids::{Ids, SpanId, TraceId};

    const fn share(numerator: u32, denominator: u32) -> Percentage {
        Percentage { numerator, denominator }
    }

    fn sent(trace: TraceId, sampled: bool) -> Sent {
        Sent { trace, parent: SpanId([1; 8]), sampled, random: false, state: String::new() }
    }

    #[test]
    fn none_and_all_are_exact() {
        for number in [0, 1, (1 << 56) - 1] {
            assert!(is_within(share(100, 100), number) && !is_within(share(0, 100), number));
        }
        assert!(is_within(share(1, 2), (1 << 55) - 1) && !is_within(share(1, 2), 1 << 55));
    }

    #[test]
    fn a_share_is_that_share() {
        let (ids, sampling) = (Ids::default(), Sampling { own: share(5, 100), parent: None });
        let taken = (0..20_000).filter(|_| sampling.takes(None, ids.trace(), ids.number())).count();
        assert!((850..=1150).contains(&taken), "{taken}");
        // The same trace, the same answer, whoever asks.
        let trace = ids.trace();
        let answers: Vec<_> = (0..9).map(|draw| sampling.takes(None, trace, draw << 60)).collect();
        assert!(answers.windows(2).all(|two| two[0] == two[1]));
    }

    /// A client chooses its trace, and may call it sampled.
    #[test]
    fn who_is_not_believed_does_not_choose() {
        let (lucky, unlucky) = (TraceId([0; 16]), TraceId([0xff; 16]));
        let sampling = Sampling { own: share(1, 100), parent: None };
        for trace in [lucky, unlucky] {
            for flag in [false, true] {
                let ids = Ids::default();
                let takes = |_: &i32| sampling.takes(Some(&sent(trace, flag)), trace, ids.number());
                let taken = (0..20_000).filter(takes).count();
                assert!((120..=280).contains(&taken), "{taken}");
            }
        }
    }

    #[test]
    fn who_is_believed_is_obeyed() {
        let sampling = Sampling { own: share(100, 100), parent: Some(share(50, 100)) };
        let (low, high) = (TraceId([1; 16]), TraceId([0xff; 16]));
        for (trace, flag, expected) in
            [(low, true, true), (high, true, false), (low, false, false), (high, false, false)]
        {
            assert_eq!(sampling.takes(Some(&sent(trace, flag)), trace, 0), expected);
        }
        assert!(sampling.takes(None, high, 0), "its own share is for those that say nothing");
    }
}
