//! What a policy has besides what it says, the same for all workers: what it counted, whom it knows by now.

use super::RateLimits;
use route::ir::Policy;
use route::policy::{Compiled, Judge};

/// Made once for each policy. It lives as long as a generation has the policy.
#[derive(Debug)]
pub enum Running {
    /// Nothing: it judges by what is before it.
    Stateless,
    RateLimits(RateLimits),
}

impl Running {
    /// `before`: of the same policy as it was, to take over what is still right.
    pub fn of(policy: &Compiled, before: Option<&Self>) -> Self {
        match (&policy.ir, &policy.judge) {
            (Policy::RateLimits(ir), Judge::RateLimits(compiled)) => {
                let before = before.and_then(|before| match before {
                    Self::RateLimits(limits) => Some(limits),
                    Self::Stateless => None,
                });
                Self::RateLimits(RateLimits::new(ir, compiled, before))
            }
            _ => Self::Stateless,
        }
    }
}
