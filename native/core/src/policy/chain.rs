//! The steps of a request in their order, compiled once for each pair of a listener and what its rules name.

#[cfg(test)]
mod tests;

use super::access::{Authenticate, KeySets, PublishedSet};
use super::verdicts::Word;
use super::{Believed, Denial, Held, Outcome, Pending, Running, State, Step, StepResult};
use crate::error::ErrorCode;
use crate::observe::l4::L4Reason;
use crate::telemetry::Destination;
use route::ir::{ClientAccessLog, Policy};
use route::policy::{BodyLimit, Compiled, ConnectionFacts, Facts, Judge, Networks, OwnedFields, Passage, secret_pairs};
use route::table::{Joined, Table};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The steps of a request.
#[derive(Debug, Default)]
pub struct Chain {
    steps: Vec<Step>,
    body_limit: Option<BodyLimit>,
    rest: Rest,
    owned: OwnedFields,
    /// Conditions ask what header fields say.
    asks_fields: bool,
    /// Pairs of queries that have credentials.
    secret_pairs: Vec<String>,
    /// What stands in for errors.
    pages: Option<Arc<Compiled>>,
    /// A policy cannot be honoured: nothing passes.
    invalid: bool,
    /// Which one, for the operator.
    unusable: Option<Arc<Compiled>>,
    /// Of those that act before a rule is looked for; `None` nearly always.
    preceding: Option<Box<Preceding>>,
}

/// The steps before a rule is looked for (GEP-5224): the first ones of a chain, the same of all rules of a listener.
#[derive(Debug)]
struct Preceding {
    steps: usize,
    /// One of their policies cannot be honoured: no rule is looked for.
    unusable: Option<Arc<Compiled>>,
    /// Fields that they may set.
    owned: OwnedFields,
    /// Fields that the other steps may set.
    owned_behind: OwnedFields,
}

/// What policies say of a request besides whether it may pass.
#[derive(Debug, Default)]
struct Rest {
    /// Who says what a client's address is.
    addressing: Option<Arc<Compiled>>,
    body_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    /// It holds also where a route allows more.
    request_overrides: bool,
    log: Option<Arc<ClientAccessLog>>,
    /// Who takes its lines.
    collector: Option<Arc<Destination>>,
}

impl Rest {
    fn of(policies: &[Arc<Compiled>]) -> Self {
        let limit = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        let mut rest = Self::default();
        for policy in policies {
            match &policy.ir {
                Policy::ClientAddress(_) => rest.addressing = Some(Arc::clone(policy)),
                Policy::ClientBody(body) => rest.body_timeout = limit(body.timeout_ms),
                Policy::ClientTimeouts(timeouts) => {
                    rest.request_timeout = limit(timeouts.request_ms);
                    rest.request_overrides = timeouts.overrides;
                }
                Policy::ClientAccessLog(log) => {
                    rest.log = Some(Arc::clone(log));
                    rest.collector = State::of_policy(policy).and_then(State::destination).cloned();
                }
                _ => {}
            }
        }
        rest
    }
}

/// What the chain says, as far as it is known.
pub enum Admission {
    Admitted,
    Denied(Denial),
    /// The step before `next` has asked; the chain goes on behind it with the answer.
    Asked {
        answer: Pending,
        next: usize,
    },
}

impl Chain {
    pub fn new(mut steps: Vec<Step>) -> Self {
        steps.sort_by_key(Step::phase);
        let body_limit = steps.iter().filter_map(Step::body_limit).min();
        Self { steps, body_limit, ..Self::default() }
    }

    /// Of policies that hold together, and of what holds for every request.
    fn of(joined: &Joined, everywhere: Option<BodyLimit>) -> Self {
        let own = joined.policies.iter().zip(&joined.levels);
        let own = own.filter(|(policy, _)| !policy.judge.is_of_authentication());
        let believed = Believed::of(joined);
        let own = own.flat_map(|(policy, level)| Step::of(policy, *level, &believed));
        let credentials = Authenticate::all(joined).into_iter().map(Step::Authenticate);
        let steps: Vec<Step> = everywhere.map(Step::BodyLimit).into_iter().chain(credentials).chain(own).collect();
        let is_unusable = |policy: &&Arc<Compiled>| policy.is_invalid() || Running::is_unusable(policy);
        let unusable = joined.policies.iter().find(is_unusable).cloned();
        let before = &joined.policies[..joined.preceding];
        let precedes = |step: &Step| !before.is_empty() && step.precedes(before);
        let preceding = (!before.is_empty()).then(|| {
            Box::new(Preceding {
                steps: steps.iter().filter(|step| precedes(step)).count(),
                unusable: before.iter().find(is_unusable).cloned(),
                owned: joined.owned_before(),
                owned_behind: joined.owned_behind(),
            })
        });
        let mut chain = Self::new(steps);
        chain.steps.sort_by_key(|step| !precedes(step));
        let pages = joined.policies.iter().find(|policy| matches!(policy.judge, Judge::ErrorPages(_))).cloned();
        Self {
            rest: Rest::of(&joined.policies),
            owned: OwnedFields::of(&joined.policies),
            asks_fields: joined.policies.iter().any(|policy| policy.asks_fields()),
            secret_pairs: secret_pairs(&joined.policies),
            pages,
            invalid: joined.invalid || unusable.is_some(),
            unusable,
            preceding,
            ..chain
        }
    }

    /// Run the steps from `first` on but for those before the rule, of a request without a rule those that need none. `held`:
    /// takes what is counted for as long as the request lasts.
    pub fn run<'g>(&'g self, first: usize, facts: &Facts<'_>, passage: &mut Passage<'g>, held: &mut Held) -> Admission {
        if self.invalid {
            return Admission::Denied(refuse_unusable(self.unusable.as_ref()));
        }
        self.run_in(first.max(self.steps_before_rules())..self.steps.len(), facts, passage, held)
    }

    /// As [`Self::run`], of the steps before a rule is looked for.
    pub fn run_before_rules<'g>(
        &'g self,
        first: usize,
        facts: &Facts<'_>,
        passage: &mut Passage<'g>,
        held: &mut Held,
    ) -> Admission {
        let Some(preceding) = &self.preceding else { return Admission::Admitted };
        match &preceding.unusable {
            Some(policy) => Admission::Denied(refuse_unusable(Some(policy))),
            None => self.run_in(first..preceding.steps, facts, passage, held),
        }
    }

    fn run_in<'g>(
        &'g self,
        places: Range<usize>,
        facts: &Facts<'_>,
        passage: &mut Passage<'g>,
        held: &mut Held,
    ) -> Admission {
        for (place, step) in self.steps.iter().enumerate().take(places.end).skip(places.start) {
            if step.needs_rule() && facts.rule.is_empty() {
                continue;
            }
            let outcome = match step.run(facts, passage, held) {
                StepResult::Done(outcome) => outcome,
                // Who is asked says what it came to.
                StepResult::Wait(answer) => return Admission::Asked { answer, next: place + 1 },
            };
            if let Some(policy) = step.counted() {
                Running::count(policy, &outcome);
            }
            if let Outcome::Deny(denial) = outcome {
                return Admission::Denied(step.signed(*denial));
            }
        }
        Admission::Admitted
    }

    /// What somebody who was asked by a step has refused; `next`: the step behind it.
    pub fn refused(&self, next: usize, denial: Denial) -> Denial {
        match next.checked_sub(1).and_then(|place| self.steps.get(place)) {
            Some(step) => step.signed(denial),
            None => denial,
        }
    }

    /// How many of the steps, the first ones, act before a rule is looked for.
    pub fn steps_before_rules(&self) -> usize {
        self.preceding.as_ref().map_or(0, |preceding| preceding.steps)
    }

    /// The steps from one on, as many as are wanted, for traces.
    pub fn names(&self, first: usize, most: usize) -> String {
        self.steps.iter().skip(first).take(most).map(Step::name).collect::<Vec<_>>().join(", ")
    }

    /// Run the steps of a connection, or of the datagrams of one client; `held` as of [`Self::run`].
    ///
    /// # Errors
    /// One of them refuses it.
    pub fn admit_connection(&self, facts: &ConnectionFacts<'_>, held: &mut Held) -> Result<(), L4Reason> {
        if self.invalid {
            refuse_unusable(self.unusable.as_ref());
            return Err(L4Reason::PolicyInvalid);
        }
        self.steps.iter().try_for_each(|step| {
            let admitted = step.admit_connection(facts, held);
            if let Some(policy) = step.counted() {
                Running::count(policy, if admitted.is_ok() { Word::Pass } else { Word::Deny });
            }
            admitted
        })
    }

    /// As [`Self::admit_connection`], of a connection that it has admitted, now that its handshake is done: what counted it
    /// then does not count it again.
    ///
    /// # Errors
    /// One of them refuses it.
    pub fn admit_shown(&self, facts: &ConnectionFacts<'_>) -> Result<(), L4Reason> {
        if self.invalid {
            refuse_unusable(self.unusable.as_ref());
            return Err(L4Reason::PolicyInvalid);
        }
        self.steps.iter().filter(|step| !step.counts()).try_for_each(|step| {
            step.admit_connection(facts, &mut Held::new()).inspect_err(|_| {
                if let Some(policy) = step.counted() {
                    Running::count(policy, Word::Deny);
                }
            })
        })
    }

    /// Proxies whose word about client addresses counts, in place of those of the settings.
    pub fn trusted_proxies(&self) -> Option<&Networks> {
        self.rest.addressing.as_ref()?.addressing().map(|address| &address.proxies)
    }

    /// Without an octet of a body that is waited for; `None`: as the settings have it.
    pub fn body_timeout(&self) -> Option<Duration> {
        self.rest.body_timeout
    }

    /// Of a whole request; `own`: what its route says, which holds in place of what policies say, and beside one that overrides.
    pub fn request_timeout(&self, own: Option<Duration>) -> Option<Duration> {
        match (own, self.rest.request_timeout) {
            (Some(own), Some(limit)) if self.rest.request_overrides => Some(own.min(limit)),
            (own, limit) => own.or(limit),
        }
    }

    /// Which requests have a line in the access log; `None`: all.
    pub fn log(&self) -> Option<&ClientAccessLog> {
        self.rest.log.as_deref()
    }

    /// Who takes the lines of that, besides the log of the process.
    pub fn log_collector(&self) -> Option<&Arc<Destination>> {
        self.rest.collector.as_ref()
    }

    /// What stands in for errors.
    pub fn error_pages(&self) -> Option<&Compiled> {
        self.pages.as_deref()
    }

    /// What the body may have while it streams.
    pub fn body_limit(&self) -> Option<BodyLimit> {
        self.body_limit
    }

    /// Names of the pairs of queries in which its policies look for credentials.
    pub fn secret_pairs(&self) -> &[String] {
        &self.secret_pairs
    }

    /// Whether its conditions ask what header fields say.
    pub fn asks_fields(&self) -> bool {
        self.asks_fields
    }

    /// Fields that its policies may set; `None`: there are none.
    pub fn owned(&self) -> Option<&OwnedFields> {
        Some(&self.owned).filter(|owned| !owned.is_empty())
    }

    /// Those that may be set once the rule is known.
    pub fn owned_behind(&self) -> &OwnedFields {
        self.preceding.as_ref().map_or(&self.owned, |preceding| &preceding.owned_behind)
    }

    /// Those that may be set before; `None`: nothing acts then.
    pub fn owned_before(&self) -> Option<&OwnedFields> {
        self.preceding.as_ref().map(|preceding| &preceding.owned)
    }
}

/// What cannot be honoured refuses everything, and that is counted and told like all that a policy refuses.
fn refuse_unusable(unusable: Option<&Arc<Compiled>>) -> Denial {
    let denial = Denial::from(ErrorCode::PolicyInvalid);
    match unusable {
        Some(policy) => {
            Running::count(policy, Word::Deny);
            denial.by(policy)
        }
        None => denial,
    }
}

/// Make what the policies of a table run by, where that is not there yet. `before`: the table that served so far;
/// `everywhere`: what bodies may have whatever policies say; `sets`: of keys that are fetched.
pub fn prepare(table: &Table, before: &Table, everywhere: Option<BodyLimit>, sets: &KeySets) {
    for (id, policy) in &*table.policies {
        let known = || before.policies.get(id).and_then(|policy| policy.kept.get());
        policy.kept.keep(|| Running::of(policy, known(), sets));
        if let Some(State::RateLimits(limits)) = State::of_policy(policy) {
            limits.share(table.pods.unwrap_or(NonZeroU32::MIN));
        }
    }
    for listener in table.sockets().flat_map(|socket| socket.listeners()) {
        for joined in listener.joined() {
            joined.kept.keep(|| Chain::of(joined, everywhere));
        }
    }
}

/// The sets of keys that the policies of a table name, each with the slot of its backend. A set that several name comes several
/// times.
pub fn published_sets(table: &Table) -> impl Iterator<Item = (&Arc<PublishedSet>, u32)> {
    table.policies.values().flat_map(|policy| {
        let tokens = match State::of_policy(policy) {
            Some(State::Tokens(tokens)) => Some(tokens),
            _ => None,
        };
        // Both are in the order of the providers.
        tokens.into_iter().flat_map(|tokens| tokens.published()).zip(policy.backends.iter().copied())
    })
}
