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

    /// What decides whether a request records. `trace`: its own, new or `sent`; `draw`: any number.
    ///
    /// A ratio goes by the random part of the trace, so that gateways that handle the same one agree. A client that nobody believes
    /// could choose that part, and all of its requests would be sampled: for those the draw decides.
    pub fn chance(self, sent: Option<&Sent>, trace: TraceId, draw: u64) -> Chance {
        match (sent, self.parent) {
            (None, _) => Chance::Lot(trace.random_part()),
            (Some(_), None) => Chance::Lot(draw >> 8),
            (Some(sent), Some(share)) => match sent.sampled {
                Some(sampled) => Chance::Decided(sampled && is_within(share, trace.random_part())),
                None => Chance::Lot(trace.random_part()),
            },
        }
    }

    /// Whether a request records. `share`: what its listener or rule says in place of the policy.
    pub fn takes(self, chance: Chance, share: Option<Percentage>) -> bool {
        match chance {
            Chance::Lot(number) => is_within(share.unwrap_or(self.own), number),
            Chance::Decided(sampled) => sampled,
        }
    }

    /// Whether the word of clients counts.
    pub fn believes(self) -> bool {
        self.parent.is_some()
    }
}

/// What decides whether a request records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chance {
    /// A number of 56 bits that has to be within the share.
    Lot(u64),
    /// Somebody who is believed has said so, or others have been told.
    Decided(bool),
}

/// Whether a number of 56 bits is among the first ones.
fn is_within(share: Percentage, number: u64) -> bool {
    u128::from(number) * u128::from(share.denominator) < u128::from(share.numerator) << 56
}

#[cfg(test)]
mod tests {
    use super::{Chance, Percentage, Sampling, is_within};
    use crate::telemetry::context::Sent;
    use crate::telemetry::ids::{Ids, SpanId, TraceId};

    const fn share(numerator: u32, denominator: u32) -> Percentage {
        Percentage { numerator, denominator }
    }

    fn sent(trace: TraceId, sampled: bool) -> Sent {
        let of = Some((trace, SpanId([1; 8])));
        Sent { of, sampled: Some(sampled), debug: false, random: false, state: String::new() }
    }

    impl Sampling {
        /// Where no rule says anything.
        fn draws(self, sent: Option<&Sent>, trace: TraceId, draw: u64) -> bool {
            self.takes(self.chance(sent, trace, draw), None)
        }
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
        let taken = (0..20_000).filter(|_| sampling.draws(None, ids.trace(), ids.number())).count();
        assert!((850..=1150).contains(&taken), "{taken}");
        // The same trace, the same answer, whoever asks.
        let trace = ids.trace();
        let answers: Vec<_> = (0..9).map(|draw| sampling.draws(None, trace, draw << 60)).collect();
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
                let takes = |_: &i32| sampling.draws(Some(&sent(trace, flag)), trace, ids.number());
                let taken = (0..20_000).filter(takes).count();
                assert!((120..=280).contains(&taken), "{taken}");
            }
        }
    }

    /// It stands in place of the policy's, where nobody who is believed has said anything.
    #[test]
    fn the_share_of_a_rule() {
        let (own, other) = (share(0, 100), Some(share(100, 100)));
        let trace = TraceId([0xff; 16]);
        let unsaid = Sent { sampled: None, ..sent(trace, true) };
        let obeys = Sampling { own, parent: Some(share(100, 100)) };
        let no = sent(trace, false);
        for (sampling, of_client, expected) in [
            (Sampling { own, parent: None }, None, true),
            (Sampling { own, parent: None }, Some(&no), true),
            (obeys, None, true),
            (obeys, Some(&unsaid), true),
            (obeys, Some(&no), false),
        ] {
            let chance = sampling.chance(of_client, trace, 7);
            assert_eq!(sampling.takes(chance, other), expected, "{of_client:?}");
            assert!(!sampling.takes(chance, None));
        }
        assert!(obeys.takes(Chance::Decided(true), Some(own)));
    }

    #[test]
    fn who_is_believed_is_obeyed() {
        let sampling = Sampling { own: share(100, 100), parent: Some(share(50, 100)) };
        let (low, high) = (TraceId([1; 16]), TraceId([0xff; 16]));
        for (trace, flag, expected) in
            [(low, true, true), (high, true, false), (low, false, false), (high, false, false)]
        {
            assert_eq!(sampling.draws(Some(&sent(trace, flag)), trace, 0), expected);
        }
        assert!(sampling.draws(None, high, 0), "its own share is for those that say nothing");
    }
}
