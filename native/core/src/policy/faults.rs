//! Faults of an `HTTPFilter` as a step: which requests are held up or refused, and how many were.

use super::{Answered, Asked, Outcome, Pending, State, StepResult};
use crate::error::ErrorCode;
use crate::observe::counter::header;
use route::ir::Percentage;
use route::policy::{Compiled, Facts, Fault, Judge, Passage};
use route::table::Table;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Fractions of square roots of primes that nothing else goes by (`worker/turns.rs`): each draw is a fair sample of the others.
const DELAYS: u32 = 0x1f83_d9ab;
const ABORTS: u32 = 0xcbbb_9d5d;

/// What was drawn for the faults of one filter, by all workers.
#[derive(Debug, Default)]
pub struct Faults {
    delays: Draws,
    aborts: Draws,
}

/// A sequence that has any share of all requests within a few of them, and how often it was hit.
#[derive(Debug, Default)]
struct Draws {
    turn: AtomicU32,
    hits: AtomicU64,
}

impl Draws {
    fn draw(&self, step: u32, percentage: Percentage) -> bool {
        let turn = self.turn.fetch_add(step, Ordering::Relaxed).wrapping_add(step);
        let hit = (u64::from(turn) * u64::from(percentage.denominator)) >> 32 < u64::from(percentage.numerator);
        if hit {
            self.hits.fetch_add(1, Ordering::Relaxed);
        }
        hit
    }
}

/// Draw for a request.
pub fn run(policy: &Compiled, facts: &Facts<'_>, passage: &Passage<'_>) -> StepResult {
    let Some((fault, faults)) = faults_of(policy) else {
        return StepResult::Done(Outcome::deny(ErrorCode::PolicyInvalid));
    };
    if !fault.concerns(facts, passage.identity.as_deref()) {
        return StepResult::Done(Outcome::Pass);
    }
    let delay = fault.ir.delay.filter(|delay| faults.delays.draw(DELAYS, delay.percentage));
    let abort = fault.ir.abort.filter(|abort| faults.aborts.draw(ABORTS, abort.percentage));
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

fn faults_of(policy: &Compiled) -> Option<(&Fault, &Arc<Faults>)> {
    match (&policy.judge, State::of_policy(policy)?) {
        (Judge::Fault(fault), State::Faults(faults)) => Some((fault, faults)),
        _ => None,
    }
}

/// Write how many requests were held up and refused, for Prometheus. Names come from the configuration.
pub fn render(table: &Table, text: &mut String) {
    let mut all: Vec<_> = table.policies.iter().filter_map(|(id, policy)| Some((id, faults_of(policy)?.1))).collect();
    all.sort_by_key(|(id, _)| *id);
    header(text, "faults_total", "counter", "Requests that a filter held up or refused on purpose.");
    for (id, faults) in all {
        let rule = id.strip_suffix("/fault").unwrap_or(id);
        for (kind, draws) in [("delay", &faults.delays), ("abort", &faults.aborts)] {
            let hits = draws.hits.load(Ordering::Relaxed);
            let _ = writeln!(text, "sluicegate_faults_total{{rule=\"{rule}\",fault=\"{kind}\"}} {hits}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ABORTS, DELAYS, Draws};
    use route::ir::Percentage;
    use std::sync::atomic::Ordering;

    /// Each share is met within a few requests, and what is refused is a fair sample of what is held up.
    #[test]
    fn shares_are_even_and_apart() {
        for (numerator, denominator) in [(0, 100), (1, 100), (10, 100), (50, 100), (1, 3), (100, 100)] {
            let (delays, aborts, percentage) =
                (Draws::default(), Draws::default(), Percentage { numerator, denominator });
            let (mut both, all) = (0, 12_000);
            for _ in 0..all {
                let (delay, abort) = (delays.draw(DELAYS, percentage), aborts.draw(ABORTS, percentage));
                both += u32::from(delay && abort);
            }
            let share = f64::from(numerator) / f64::from(denominator);
            for draws in [&delays, &aborts] {
                let hits = draws.hits.load(Ordering::Relaxed);
                let wanted = share * f64::from(all);
                let hits = f64::from(u32::try_from(hits).expect("at most all"));
                assert!((hits - wanted).abs() <= 5.0, "{hits} for {wanted}");
            }
            let wanted = share * share * f64::from(all);
            assert!((f64::from(both) - wanted).abs() <= 60.0, "{both} for {wanted}");
        }
    }
}
