//! `RateLimitPolicy`: how much a client, a user or everybody may ask for.
//!
//! - Limits that go by who authenticated run behind authentication, all others before it, so that guessing is limited too.
//! - Where one of several refuses, none is taken from; one that runs behind authentication has given back what those before it
//!   took. (Workers that take the last of a budget at the same moment may find it gone when others were taken from already:
//!   never more passes for that.)
//! - Budgets are common to all workers, and outlive a generation of the table where the limit says the same.

mod believed;
mod gcra;
mod key;
mod limit;
mod metrics;
mod receipt;
mod step;
mod table;
mod told;
mod under_way;

pub use believed::Believed;
pub use limit::has_turn;
pub use metrics::render;
pub use step::{connection, run};
pub use under_way::Slot;

use gcra::{Exceeded, Standing};
use limit::{Budget, Limit, Taken};
use receipt::Receipt;
use route::expression::Inputs;
use route::ir;
use route::policy::{ExpressionFault, Networks, RateLimit};
use smallvec::SmallVec;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Instant;
use table::Places;

/// The budgets of this process's limits.
static PLACES: LazyLock<Places> = LazyLock::new(Places::default);

/// When this process began to count.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds of a clock that never jumps.
fn now() -> u64 {
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What is limited: a request, or a connection or flow that is not HTTP.
#[derive(Debug, Clone)]
pub struct Subject<'s> {
    pub inputs: Inputs<'s>,
    pub route: &'s str,
    pub rule: &'s str,
}

/// Which limits have their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    BeforeAuthentication,
    BehindAuthentication,
    /// Of what is not HTTP: those that go by something that it has.
    Connection,
}

impl Turn {
    /// Those of a request, in their order.
    pub const OF_REQUESTS: [Self; 2] = [Self::BeforeAuthentication, Self::BehindAuthentication];
}

/// The limits of one policy.
#[derive(Debug)]
pub struct RateLimits {
    /// `RateLimitPolicy/<namespace>/<name>`.
    policy: Box<str>,
    limits: Vec<Limit>,
    exempt: Networks,
    max_keys: NonZeroU32,
    /// Some of its limits run behind authentication, some before it: what these took may be given back.
    gives_back: bool,
    told: bool,
    status: u16,
}

/// What a limit says where it refuses.
#[derive(Debug)]
pub struct Refusal<'l> {
    limit: &'l Limit,
    policy: &'l RateLimits,
    exceeded: Exceeded,
}

/// What a request or a flow counts for as long as it lasts.
pub type Held = Vec<Part>;

/// Of one limit.
#[derive(Debug)]
pub enum Part {
    /// It is given back by dropping it.
    UnderWay(Slot),
    /// It is given back where a later limit refuses.
    Spent(Receipt),
}

/// How limits stand that let a request through.
pub type Standings<'l> = SmallVec<[(&'l Limit, Standing); 2]>;

impl RateLimits {
    /// `compiled`: the limits of the policy. `before`: the same policy as it was.
    pub fn new(policy: &ir::RateLimits, compiled: &[RateLimit], before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.max_keys == policy.max_keys);
        let known = before.map_or(&[][..], |before| &before.limits);
        Self {
            policy: policy.id.rsplit_once('/').map_or(&*policy.id, |(name, _)| name).into(),
            limits: compiled.iter().map(|limit| Limit::new(limit, policy.max_keys, known)).collect(),
            // What cannot be read exempts nobody.
            exempt: Networks::compile(policy.exempt.iter().map(String::as_str)).unwrap_or_default(),
            max_keys: policy.max_keys,
            gives_back: Turn::OF_REQUESTS.iter().all(|turn| compiled.iter().any(|limit| has_turn(limit, *turn))),
            told: policy.told,
            status: policy.status,
        }
    }

    /// So many pods share the budgets from now on.
    pub fn share(&self, pods: NonZeroU32) {
        self.limits.iter().for_each(|limit| limit.share(pods));
    }

    /// Take from the limits of a turn. `compiled`: all limits, in their order; `held`: takes what is given back in the end.
    ///
    /// # Errors
    /// One of them refuses; then none was taken from.
    pub fn take<'l>(
        &'l self,
        compiled: &[RateLimit],
        turn: Turn,
        subject: &Subject<'_>,
        now: u64,
        held: &mut Held,
    ) -> Result<Standings<'l>, Refusal<'l>> {
        let mut standings = Standings::new();
        if subject.inputs.address.is_some_and(|address| self.exempt.contains(address)) {
            return Ok(standings);
        }
        let asked: SmallVec<[(&Limit, Budget<'_>, u32); 4]> = self
            .limits
            .iter()
            .zip(compiled)
            .filter(|(limit, compiled)| {
                has_turn(compiled, turn) && compiled.counts(&subject.inputs, |why| limit.count_fault(why))
            })
            .map(|(limit, compiled)| {
                let cost = compiled.cost(&subject.inputs, |why| limit.count_fault(why));
                (limit, limit.budget(compiled, subject), cost)
            })
            .collect();
        let refuse = |limit: &'l Limit, exceeded| {
            limit.count_refused();
            Err(Refusal { limit, policy: self, exceeded })
        };
        let several = asked.len() > 1;
        for &(limit, budget, cost) in asked.iter().filter(|(limit, ..)| several && !limit.is_shadow()) {
            if let Err(exceeded) = budget.look(limit.rate(), now, cost) {
                return refuse(limit, exceeded);
            }
        }
        let mut parts = Held::new();
        let gives_back = self.gives_back && turn == Turn::BeforeAuthentication;
        for &(limit, budget, cost) in &asked {
            let seen = if gives_back { limit.budgets().times_given_back() } else { 0 };
            match budget.take(limit.rate(), now, cost) {
                Ok(Taken::Held(slot)) => parts.push(Part::UnderWay(slot)),
                Ok(Taken::Spent(standing)) => {
                    let receipt = || Receipt::of(limit.budgets(), budget, limit.rate(), (cost, standing), now, seen);
                    parts.extend(gives_back.then(receipt).flatten().map(Part::Spent));
                    if !limit.is_shadow() {
                        standings.push((limit, standing));
                    }
                }
                Err(_) if limit.is_shadow() => {
                    limit.count_refused();
                    parts.extend(budget.hold_anyway().map(Part::UnderWay));
                }
                Err(exceeded) => return refuse(limit, exceeded),
            }
        }
        held.append(&mut parts);
        Ok(standings)
    }

    /// Each limit with how often its expressions came to what it cannot use: policy, limit, what, requests. `compiled`: all limits.
    pub fn faults<'l>(
        &'l self,
        compiled: &'l [RateLimit],
    ) -> impl Iterator<Item = (&'l str, &'l str, &'static str, u64)> {
        self.limits.iter().zip(compiled).flat_map(move |(limit, compiled)| {
            let may_be = ExpressionFault::ALL.into_iter().filter(|fault| compiled.may_be(*fault));
            may_be.map(|fault| (&*self.policy, limit.name(), fault.name(), limit.faults(fault)))
        })
    }

    /// Each limit with what it refused, or would have: policy, limit, mode, requests.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &str, &'static str, u64)> {
        self.limits.iter().map(|limit| {
            let mode = if limit.is_shadow() { "Shadow" } else { "Enforce" };
            (&*self.policy, limit.name(), mode, limit.refused())
        })
    }
}

#[cfg(test)]
mod tests;
