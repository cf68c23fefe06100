//! Faults of an `HTTPFilter` as a step: which requests are held up or refused.

use super::draws::Faults;
use super::{Answered, Asked, Outcome, Pending, State, StepResult};
use crate::error::ErrorCode;
use route::policy::{Compiled, Facts, Fault, Judge, Passage};
use std::sync::Arc;
use std::time::Duration;

/// Draw for a request.
pub fn run(policy: &Compiled, facts: &Facts<'_>, passage: &Passage<'_>) -> StepResult {
    let Some((fault, faults)) = faults_of(policy) else {
        return StepResult::Done(Outcome::deny(ErrorCode::PolicyInvalid));
    };
    if !fault.concerns(facts, passage.identity.as_deref()) {
        return StepResult::Done(Outcome::Pass);
    }
    let delay = fault.ir.delay.filter(|delay| faults.delay(delay.percentage));
    let abort = fault.ir.abort.filter(|abort| faults.abort(abort.percentage));
    let outcome = abort.map_or(Outcome::Pass, |abort| Outcome::deny(Fault::denial(abort.status)));
    match delay {
        None => StepResult::Done(outcome),
        Some(delay) => StepResult::Wait(Pending::Answer(after(Duration::from_millis(delay.milliseconds), outcome))),
    }
}

fn after(delay: Duration, outcome: Outcome) -> Asked {
    Box::pin(async move {
        tokio::time::sleep(delay).await;
        Answered { outcome, found: Passage::default() }
    })
}

/// The faults of a policy, and what was drawn for them.
pub fn faults_of(policy: &Compiled) -> Option<(&Fault, &Arc<Faults>)> {
    match (&policy.judge, State::of_policy(policy)?) {
        (Judge::Fault(fault), State::Faults(faults)) => Some((fault, faults)),
        _ => None,
    }
}
