//! Limits as steps of a chain.

use super::receipt::give_back;
use super::told::is_told;
use super::{Believed, Held, RateLimits, Subject, Turn, now};
use crate::error::ErrorCode;
use crate::observe::l4::L4Reason;
use crate::policy::{Denial, Outcome, State};
use route::expression::Inputs;
use route::policy::{Compiled, ConnectionFacts, Facts, Judge, Passage, RateLimit, inputs};

/// The limits of a policy with what they counted; `None`: it is of another kind.
pub fn limits_of(policy: &Compiled) -> Option<(&[RateLimit], &RateLimits)> {
    match (&policy.judge, State::of_policy(policy)?) {
        (Judge::RateLimits(compiled), State::RateLimits(limits)) => Some((compiled, limits)),
        _ => None,
    }
}

/// Take from the limits of a request that have their turn. `believed`: whose word they take for who asks; `held`: takes what is given
/// back with its end.
pub fn run(
    policy: &Compiled,
    (turn, believed): (Turn, &Believed),
    facts: &Facts<'_>,
    passage: &mut Passage<'_>,
    held: &mut Held,
) -> Outcome {
    let Some((compiled, limits)) = limits_of(policy) else {
        return Outcome::deny(ErrorCode::PolicyInvalid);
    };
    let identity = passage.identity.as_deref().filter(|_| believed.takes(passage.proved_by));
    let subject = Subject { inputs: inputs(facts, identity), route: facts.route, rule: facts.rule };
    let now = now();
    match limits.take(compiled, turn, &subject, now, held) {
        Ok(standings) => {
            let told = limits.told(&standings);
            passage.respond.extend(told.into_iter().map(|(name, value)| (name.into(), value)));
            Outcome::Pass
        }
        Err(refusal) => {
            // What was told of the limits before it is no longer so.
            give_back(held, now);
            passage.respond.retain(|(name, _)| !is_told(name));
            Outcome::deny(Denial {
                status: Some(refusal.status()),
                fields: refusal.told().into_iter().map(|(name, value)| (name.into(), value)).collect(),
                detail: Some(refusal.detail()),
                ..Denial::from(ErrorCode::RateLimited)
            })
        }
    }
}

/// As [`run`], of a connection or flow: of those that ask who authenticated none can be told of one.
pub fn connection(policy: &Compiled, facts: &ConnectionFacts<'_>, held: &mut Held) -> Result<(), L4Reason> {
    let (compiled, limits) = limits_of(policy).ok_or(L4Reason::PolicyInvalid)?;
    let inputs = Inputs { address: facts.address, host: facts.sni.unwrap_or_default(), ..Inputs::default() };
    let subject = Subject { inputs, route: facts.route, rule: facts.rule };
    let taken = limits.take(compiled, Turn::Connection, &subject, now(), held);
    taken.map(drop).map_err(|_| L4Reason::RateLimited)
}
