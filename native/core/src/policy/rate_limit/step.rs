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

#[cfg(test)]
mod tests {
    use super::{connection, limits_of, run};
    use crate::error::ErrorCode;
    use crate::observe::l4::L4Reason;
    use crate::policy::rate_limit::{Believed, Turn};
    use crate::policy::samples::{FACTS, api_key, one_a_day, policy, table, unprepared};
    use crate::policy::{Held, Outcome};
    use route::policy::{ConnectionFacts, Identity, Passage, Proof};
    use serde_json::json;
    use std::sync::Arc;

    const ID: &str = "RateLimitPolicy/a/p/local";

    fn names(passage: &Passage<'_>) -> Vec<String> {
        passage.respond.iter().map(|(name, _)| name.to_string()).collect()
    }

    /// What was told of limits that let a request through is taken back where a later one refuses, and nothing else is.
    #[test]
    fn what_a_client_is_told() {
        let table = table(&json!([one_a_day()]), "");
        let (policy, turn) = (policy(&table, ID), (Turn::BeforeAuthentication, &Believed::default()));
        let (mut passage, mut held) = (Passage::default(), Held::new());
        passage.respond.push(("x".into(), b"1".to_vec()));
        assert!(matches!(run(policy, turn, &FACTS, &mut passage, &mut held), Outcome::Pass));
        assert_eq!(names(&passage), ["x", "ratelimit-policy", "ratelimit"]);
        let Outcome::Deny(denial) = run(policy, turn, &FACTS, &mut passage, &mut held) else { panic!("a refusal") };
        assert_eq!(names(&passage), ["x"]);
        assert_eq!((denial.code, denial.status), (ErrorCode::RateLimited, Some(429)));
        assert_eq!(denial.detail.as_deref(), Some("limit one of RateLimitPolicy/a/p"));
        let fields: Vec<_> = denial.fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(fields, ["ratelimit-policy", "ratelimit", "retry-after"]);
    }

    /// Users have budgets of their own; whose word does not count for who asks is all one.
    #[test]
    fn whose_budget_it_is() {
        let mut by_user = one_a_day();
        by_user["limits"][0]["key"] = json!([{"type": "user"}]);
        let table = table(&json!([by_user]), "");
        let policy = policy(&table, ID);
        let passes = |believed: &Believed, user: &str| {
            let identity = Some(Arc::new(Identity::of(Proof::Basic, user)));
            let mut passage = Passage { identity, ..Passage::default() };
            let turn = (Turn::BehindAuthentication, believed);
            matches!(run(policy, turn, &FACTS, &mut passage, &mut Held::new()), Outcome::Pass)
        };
        let anybody = Believed::default();
        assert_eq!(["ann", "ann", "bob"].map(|user| passes(&anybody, user)), [true, false, true]);
    }

    #[test]
    fn connections_take_from_it() {
        let table = table(&json!([one_a_day()]), "");
        let facts = ConnectionFacts {
            address: None,
            sni: None,
            listener: "l",
            route: "route",
            rule: "rule",
            rule_uid: 1,
            certificate: None,
            user: None,
        };
        let said = [(); 2].map(|()| connection(policy(&table, ID), &facts, &mut Held::new()));
        assert_eq!(said, [Ok(()), Err(L4Reason::RateLimited)]);
    }

    /// One that does not run, or is of another kind, refuses rather than lets through.
    #[test]
    fn what_is_no_limit() {
        let table = unprepared(&json!([one_a_day(), api_key()]), "");
        for id in [ID, "AccessPolicy/a/p/apiKey"] {
            let policy = policy(&table, id);
            assert!(limits_of(policy).is_none());
            let turn = (Turn::BeforeAuthentication, &Believed::default());
            let said = run(policy, turn, &FACTS, &mut Passage::default(), &mut Held::new());
            assert!(matches!(said, Outcome::Deny(denial) if denial.code == ErrorCode::PolicyInvalid), "{id}");
        }
    }
}
