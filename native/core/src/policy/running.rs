//! What a policy has besides what it says, the same for all workers: what it counted, whom it knows by now.

use super::RateLimits;
use super::access::{KeySets, Tokens, Users};
use super::draws::Faults;
use super::external::Answers;
use super::verdicts::{Verdicts, Word};
use route::ir::Policy;
use route::policy::{Compiled, Judge};
use std::sync::Arc;

/// Made once for each policy. It lives as long as a generation has the policy.
#[derive(Debug)]
pub struct Running {
    pub state: State,
    /// Of this policy, and of those of its name before it.
    pub verdicts: Arc<Verdicts>,
}

/// What it knows.
#[derive(Debug)]
pub enum State {
    /// Nothing: it judges by what is before it.
    Stateless,
    /// It cannot run: what it holds for is refused.
    Unusable,
    Users(Arc<Users>),
    Tokens(Arc<Tokens>),
    RateLimits(RateLimits),
    Faults(Arc<Faults>),
    /// What a service has said.
    Answers(Arc<Answers>),
}

impl Running {
    /// `before`: of the same policy as it was, to take over what is still right; `sets`: of keys that are fetched.
    pub fn of(policy: &Compiled, before: Option<&Self>, sets: &KeySets) -> Self {
        let verdicts = before.map(|before| Arc::clone(&before.verdicts)).unwrap_or_default();
        let state = State::of(policy, before.map(|before| &before.state), sets);
        Self { state, verdicts }
    }

    /// Count what a policy has said.
    pub fn count(policy: &Compiled, word: impl Into<Word>) {
        if let Some(running) = policy.kept.get::<Self>() {
            running.verdicts.count(word.into());
        }
    }

    pub fn is_unusable(policy: &Compiled) -> bool {
        !matches!(policy.kept.get::<Self>(), Some(running) if !matches!(running.state, State::Unusable))
    }
}

impl State {
    /// Of a policy that runs.
    pub fn of_policy(policy: &Compiled) -> Option<&Self> {
        policy.kept.get::<Running>().map(|running| &running.state)
    }

    fn of(policy: &Compiled, before: Option<&Self>, sets: &KeySets) -> Self {
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
                Tokens::compile(jwt, sets).map_or(Self::Unusable, |tokens| Self::Tokens(Arc::new(tokens)))
            }
            (Policy::AccessExternal(external), Judge::External(_)) => {
                let answers = external.cache.as_ref().map(|cache| Self::Answers(Arc::new(Answers::new(cache))));
                answers.unwrap_or(Self::Stateless)
            }
            _ => Self::Stateless,
        }
    }
}
