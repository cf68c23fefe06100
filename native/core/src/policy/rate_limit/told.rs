//! What clients are told of limits (draft-ietf-httpapi-ratelimit-headers, version 10): `RateLimit-Policy` says what holds,
//! `RateLimit` what is left, `Retry-After` (RFC 9110 section 10.2.3) when to come again.

use super::{Refusal, Standing, Standings};
use route::ir;
use std::fmt::Write;

/// A field of a response.
pub type ToldField = (&'static str, Vec<u8>);

const POLICY: &str = "ratelimit-policy";
const LEFT: &str = "ratelimit";

/// Whether a field of a response says how limits stand.
pub fn is_told(name: &str) -> bool {
    [POLICY, LEFT].contains(&name)
}

/// Names are plain enough to stand between quotes (the CRD sees to that).
pub fn described(limit: &ir::RateLimit) -> String {
    let seconds = limit.per_milliseconds.get().div_ceil(1_000);
    format!("\"{}\";q={};w={seconds}", limit.name, limit.requests)
}

fn in_seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}

impl super::RateLimits {
    /// What a response says of the limits that let its request through; empty where clients are told nothing.
    pub fn told(&self, standings: &Standings<'_>) -> Vec<ToldField> {
        if !self.told || standings.is_empty() {
            return Vec::new();
        }
        let (mut policies, mut lefts) = (String::new(), String::new());
        for (limit, standing) in standings {
            let separator = if policies.is_empty() { "" } else { ", " };
            let _ = write!(policies, "{separator}{}", limit.described());
            let Standing { left, whole_in } = *standing;
            let _ = write!(lefts, "{separator}\"{}\";r={left};t={}", limit.name(), in_seconds(whole_in));
        }
        vec![(POLICY, policies.into_bytes()), (LEFT, lefts.into_bytes())]
    }
}

impl Refusal<'_> {
    pub fn status(&self) -> u16 {
        self.policy.status
    }

    /// For the operator.
    pub fn detail(&self) -> String {
        format!("limit {} of {}", self.limit.name(), self.policy.policy)
    }

    /// What the answer says of the limit that refuses.
    pub fn told(&self) -> Vec<ToldField> {
        if !self.policy.told || !self.limit.is_told() {
            return Vec::new();
        }
        let mut fields = vec![(POLICY, self.limit.described().as_bytes().to_vec())];
        // What costs more than a whole budget is no use trying again.
        if self.exceeded.0 < u64::MAX {
            let seconds = in_seconds(self.exceeded.0).max(1);
            fields.push((LEFT, format!("\"{}\";r=0;t={seconds}", self.limit.name()).into_bytes()));
            fields.push(("retry-after", seconds.to_string().into_bytes()));
        }
        fields
    }
}
