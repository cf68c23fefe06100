//! What a policy has besides what it says, the same for all workers: what it counted, whom it knows by now.

use super::RateLimits;
use super::access::{Tokens, Users};
use super::faults::Faults;
use route::ir::Policy;
use route::policy::{Compiled, Judge};
use std::sync::Arc;

/// Made once for each policy. It lives as long as a generation has the policy.
#[derive(Debug)]
pub enum Running {
    /// Nothing: it judges by what is before it.
    Stateless,
    /// It cannot run: what it holds for is refused.
    Unusable,
    Users(Arc<Users>),
    Tokens(Arc<Tokens>),
    RateLimits(RateLimits),
    Faults(Arc<Faults>),
}

impl Running {
    /// `before`: of the same policy as it was, to take over what is still right.
    pub fn of(policy: &Compiled, before: Option<&Self>) -> Self {
        match (&policy.ir, &policy.judge) {
            (Policy::RateLimits(ir), Judge::RateLimits(compiled)) => {
                let before = before.and_then(|before| match before {
                    Self::RateLimits(limits) => Some(limits),
                    _ => None,
                });
                Self::RateLimits(RateLimits::new(ir, compiled, before))
            }
            (_, Judge::Fault(_)) => Self::Faults(match before {
                Some(Self::Faults(faults)) => Arc::clone(faults),
                _ => Arc::default(),
            }),
            (Policy::AccessBasic(basic), _) if !basic.off && !basic.invalid => {
                let file = policy.secrets.first().map_or("", |secret| secret.data.as_str());
                Users::compile(file).map_or(Self::Unusable, |users| Self::Users(Arc::new(users)))
            }
            (Policy::AccessJwt(jwt), _) if !jwt.off && !jwt.invalid => {
                Tokens::compile(jwt).map_or(Self::Unusable, |tokens| Self::Tokens(Arc::new(tokens)))
            }
            _ => Self::Stateless,
        }
    }

    pub fn is_unusable(policy: &Compiled) -> bool {
        !matches!(policy.kept.get(), Some(running) if !matches!(running, Self::Unusable))
    }
}
