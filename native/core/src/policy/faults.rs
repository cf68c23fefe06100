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

#[cfg(test)]
mod tests {
    use super::{faults_of, run};
    use crate::error::ErrorCode;
    use crate::policy::samples::{FACTS, fault, one_a_day, policy, table, unprepared};
    use crate::policy::{Outcome, Pending, StepResult};
    use route::policy::Passage;
    use serde_json::json;
    use std::time::Duration;
    use tokio::time::Instant;

    /// How long a request is held up, and what comes of it.
    async fn drawn(result: StepResult) -> (u64, Option<(ErrorCode, Option<u16>)>) {
        let begun = Instant::now();
        let outcome = match result {
            StepResult::Done(outcome) => outcome,
            StepResult::Wait(Pending::Answer(answer)) => answer.await.outcome,
            StepResult::Wait(_) => panic!("nobody is asked"),
        };
        let code = match outcome {
            Outcome::Pass => None,
            Outcome::Deny(denial) => Some((denial.code, denial.status)),
        };
        (u64::try_from(begun.elapsed().as_millis()).unwrap(), code)
    }

    /// Who is to be refused is held up first, as a backend that is slow and then fails.
    #[tokio::test(start_paused = true)]
    async fn what_becomes_of_a_request() {
        let refused = Some((ErrorCode::Fault, Some(418)));
        for (delay, abort, code, hits) in [
            (None, false, None, [0, 0]),
            (None, true, refused, [0, 1]),
            (Some(1_500), false, None, [1, 0]),
            (Some(1_500), true, refused, [1, 1]),
        ] {
            let table = table(&json!([fault(delay, abort)]), "");
            let policy = policy(&table, "rule/fault");
            let found = drawn(run(policy, &FACTS, &Passage::default())).await;
            assert!(found.0.abs_diff(delay.unwrap_or(0)) <= 1, "{found:?}");
            assert_eq!(found.1, code, "{delay:?} {abort}");
            assert_eq!(faults_of(policy).unwrap().1.hits().map(|(_, hits)| hits), hits);
        }
    }

    /// What it does not concern is not drawn for: its share is one of those that it does.
    #[tokio::test(start_paused = true)]
    async fn whom_it_concerns() {
        for (when, hits) in [("request.path == '/'", [1, 1]), ("request.path == '/other'", [0, 0])] {
            let mut ir = fault(Some(1_500), true);
            ir["when"] = json!(when);
            let table = table(&json!([ir]), "");
            let policy = policy(&table, "rule/fault");
            let (waited, code) = drawn(run(policy, &FACTS, &Passage::default())).await;
            assert_eq!((waited >= 1_500, code.is_some()), (hits == [1, 1], hits == [1, 1]), "{when}");
            assert_eq!(faults_of(policy).unwrap().1.hits().map(|(_, hits)| hits), hits, "{when}");
        }
    }

    /// One that does not run, or is of another kind, refuses rather than lets through.
    #[tokio::test(start_paused = true)]
    async fn what_is_no_fault() {
        let table = unprepared(&json!([fault(Some(1), false), one_a_day()]), "");
        for id in ["rule/fault", "RateLimitPolicy/a/p/local"] {
            let begun = Instant::now();
            let (_, code) = drawn(run(policy(&table, id), &FACTS, &Passage::default())).await;
            assert_eq!((code, begun.elapsed()), (Some((ErrorCode::PolicyInvalid, None)), Duration::ZERO), "{id}");
        }
    }
}
