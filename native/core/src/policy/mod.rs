//! What has to hold before a request goes on: the chain of its rule, step by step.
//!
//! Here a step is what it says, compiled; it is run where a request is admitted (`request/admit.rs`). What policies say without
//! asking anybody is `route::policy`, the same for `decide`; what counts, remembers or asks is here. Most steps are done at
//! once. One that has to ask somebody waits: only then the head is copied and a future is boxed. A rule without policies
//! costs one branch.

mod access;
mod ages;
mod chain;
mod draws;
pub mod external;
mod faults;
mod figures;
#[cfg(test)]
mod gate;
mod marks;
mod rate_limit;
mod running;
#[cfg(test)]
pub mod samples;
mod site;
mod verdicts;

pub use access::{Due, Inspection, KeySets, News, PublishedSet, inspect, since_1970};
pub use chain::{Admission, Chain, prepare, published_sets};
pub use figures::{render_faults, render_verdicts};
#[cfg(test)]
pub use gate::Gate;
pub use rate_limit::{Believed, Held, RateLimits, render as render_limits};
pub use running::{Running, State, render_telemetry};

use crate::error::ErrorCode;
use crate::observe::l4::L4Reason;
use access::Authenticate;
use external::Ask;
use rate_limit::Turn;
use route::policy::{
    self, AnswerField, BodyLimit, Compiled, ConnectionFacts, Facts, Judge, Level, Passage, Reason, Verdict,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// How a request is refused.
#[derive(Debug, Clone)]
pub struct Denial {
    pub code: ErrorCode,
    /// In place of the code's own.
    pub status: Option<u16>,
    pub fields: Vec<AnswerField>,
    /// In place of the line that says the code.
    pub body: Option<Vec<u8>>,
    /// For the operator: which part of which policy.
    pub detail: Option<String>,
}

impl From<ErrorCode> for Denial {
    fn from(code: ErrorCode) -> Self {
        Self { code, status: None, fields: Vec::new(), body: None, detail: None }
    }
}

impl From<policy::Denial> for Denial {
    fn from(denial: policy::Denial) -> Self {
        let code = match denial.reason {
            Reason::BadRequest => ErrorCode::BadRequest,
            Reason::HeadersTooLarge => ErrorCode::HeadersTooLarge,
            Reason::BodyTooLarge => ErrorCode::BodyTooLarge,
            Reason::PolicyInvalid => ErrorCode::PolicyInvalid,
            Reason::Unauthenticated => ErrorCode::Unauthenticated,
            Reason::Forbidden => ErrorCode::Forbidden,
            Reason::Csrf => ErrorCode::Csrf,
            Reason::Fault => ErrorCode::Fault,
        };
        Self { status: denial.status, fields: denial.fields, ..code.into() }
    }
}

/// A part of a policy, for the operator: `basic of AccessPolicy/shop/staff`.
fn part_of(policy: &Compiled) -> String {
    match policy.ir.stanza() {
        Some(stanza) => format!("{} of {}", stanza.name, policy.object()),
        None => policy.ir.id().to_owned(),
    }
}

impl Denial {
    /// With the part of a policy that it comes from, unless somebody has said more.
    fn by(self, policy: &Compiled) -> Self {
        let detail = self.detail.or_else(|| Some(part_of(policy)));
        Self { detail, ..self }
    }
}

/// Why a connection is refused.
fn reason_of(reason: Reason) -> L4Reason {
    match reason {
        // Nothing that is refused for its head or body has come by a connection that is only passed on.
        Reason::BadRequest | Reason::HeadersTooLarge | Reason::BodyTooLarge | Reason::PolicyInvalid => {
            L4Reason::PolicyInvalid
        }
        Reason::Unauthenticated => L4Reason::Unauthenticated,
        // Of these the last two are about requests alone.
        Reason::Forbidden | Reason::Csrf | Reason::Fault => L4Reason::Forbidden,
    }
}

/// What a step thinks of a request.
#[derive(Debug, Clone)]
pub enum Outcome {
    Pass,
    Deny(Box<Denial>),
}

impl Outcome {
    pub fn deny(denial: impl Into<Denial>) -> Self {
        Self::Deny(Box::new(denial.into()))
    }
}

/// What somebody who was asked has said.
#[derive(Debug, Clone)]
pub struct Answered {
    pub outcome: Outcome,
    /// What was found out by that, in addition to what was known.
    pub found: Passage<'static>,
}

/// An answer that somebody has to be asked for.
pub type Asked = Pin<Box<dyn Future<Output = Answered>>>;

/// What a request waits for.
pub enum Pending {
    /// What goes on elsewhere.
    Answer(Asked),
    /// A service that is to be asked, over our own connections.
    Ask(Box<Ask>),
    /// The rest of the body, which may have so much.
    Collect(BodyLimit),
}

/// How far a step came.
pub enum StepResult {
    Done(Outcome),
    Wait(Pending),
}

/// When a step has its turn, whatever the order of the policies: who floods is stopped before anybody has to verify a
/// password, and nobody is asked about a request that others refuse anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Head,
    Body,
    AddressLimits,
    Authenticate,
    Csrf,
    Authorize,
    External,
    IdentityLimits,
    Credential,
    Fault,
    /// Last: nobody may fill memory who does not pass.
    Buffer,
}

/// One step. A closed list: no step is called through a table of functions.
#[derive(Debug)]
pub enum Step {
    /// Done at once, by what `decide` judges by.
    Judged(Arc<Compiled>, Level),
    Authenticate(Authenticate),
    /// Limits that have their turn then, and whose word they take for who asks.
    RateLimits(Arc<Compiled>, Turn, Believed),
    /// Of the settings.
    BodyLimit(BodyLimit),
    /// Asks a service.
    External(Arc<Compiled>),
    Credential(Arc<Compiled>),
    Fault(Arc<Compiled>),
    /// Collects the body.
    Buffer(BodyLimit),
    /// Asks a test, which shows that a request survives the wait.
    #[cfg(test)]
    Gate(Gate),
}

impl Step {
    fn phase(&self) -> Phase {
        match self {
            Self::External(_) => Phase::External,
            Self::Credential(_) => Phase::Credential,
            Self::Fault(_) => Phase::Fault,
            Self::Buffer(_) => Phase::Buffer,
            Self::Judged(policy, _) => match policy.judge {
                Judge::Head(_) => Phase::Head,
                Judge::Csrf(_) => Phase::Csrf,
                Judge::Authorization(_) => Phase::Authorize,
                _ => Phase::Body,
            },
            Self::BodyLimit(_) => Phase::Body,
            Self::Authenticate(_) => Phase::Authenticate,
            Self::RateLimits(_, Turn::BehindAuthentication, _) => Phase::IdentityLimits,
            Self::RateLimits(..) => Phase::AddressLimits,
            #[cfg(test)]
            Self::Gate(_) => Phase::Body,
        }
    }

    /// The steps of a policy; `level`: how high it stands; `believed`: who may say who asks.
    fn of(policy: &Arc<Compiled>, level: Level, believed: &Believed) -> Vec<Self> {
        match &policy.judge {
            Judge::External(_) => vec![Self::External(Arc::clone(policy))],
            Judge::Credential(_) => vec![Self::Credential(Arc::clone(policy))],
            Judge::Fault(_) => vec![Self::Fault(Arc::clone(policy))],
            Judge::Buffer(limit) => vec![Self::Buffer(*limit)],
            // They refuse nothing; pages are asked for where there is an error.
            Judge::Nothing | Judge::Address(_) | Judge::ErrorPages(_) => Vec::new(),
            Judge::RateLimits(limits) => Turn::OF_REQUESTS
                .into_iter()
                .filter(|turn| limits.iter().any(|limit| rate_limit::has_turn(limit, *turn)))
                .map(|turn| Self::RateLimits(Arc::clone(policy), turn, believed.by(level)))
                .collect(),
            _ => vec![Self::Judged(Arc::clone(policy), level)],
        }
    }

    /// `held`: takes what it counts for as long as the request lasts.
    fn run<'g>(&'g self, facts: &Facts<'_>, passage: &mut Passage<'g>, held: &mut Held) -> StepResult {
        StepResult::Done(match self {
            Self::Judged(policy, level) => match policy.judge(*level, facts, passage) {
                // Who says that others have to be asked has a step of its own.
                Verdict::Pass | Verdict::Ask => Outcome::Pass,
                Verdict::Deny(denial) => Outcome::deny(denial),
            },
            Self::Authenticate(group) => return group.run(facts, passage),
            Self::RateLimits(policy, turn, believed) => {
                rate_limit::run(policy, (*turn, believed), facts, passage, held)
            }
            Self::BodyLimit(limit) if limit.admits(facts.body_length) => Outcome::Pass,
            Self::BodyLimit(_) => Outcome::deny(ErrorCode::BodyTooLarge),
            Self::External(policy) => return external::run(policy, facts, passage),
            Self::Credential(policy) => match &policy.judge {
                Judge::Credential(credential) => {
                    credential.give(passage);
                    Outcome::Pass
                }
                _ => Outcome::deny(ErrorCode::PolicyInvalid),
            },
            Self::Fault(policy) => return faults::run(policy, facts, passage),
            Self::Buffer(_) if facts.grpc => Outcome::Pass,
            Self::Buffer(limit) if !limit.admits(facts.body_length) => Outcome::deny(ErrorCode::BodyTooLarge),
            Self::Buffer(_) if facts.body_length == Some(0) => Outcome::Pass,
            Self::Buffer(limit) => return StepResult::Wait(Pending::Collect(*limit)),
            #[cfg(test)]
            Self::Gate(gate) => return StepResult::Wait(Pending::Answer(gate.clone().pass())),
        })
    }

    /// As [`Self::run`], of a connection. Nobody is asked about one.
    fn admit_connection(&self, facts: &ConnectionFacts<'_>, held: &mut Held) -> Result<(), L4Reason> {
        match self {
            Self::Judged(policy, level) => match policy.judge_connection(*level, facts) {
                Verdict::Pass | Verdict::Ask => Ok(()),
                Verdict::Deny(denial) => Err(reason_of(denial.reason)),
            },
            Self::Authenticate(group) => group.admit_connection(facts),
            Self::RateLimits(policy, Turn::BeforeAuthentication, _) => rate_limit::connection(policy, facts, held),
            Self::BodyLimit(_)
            | Self::External(_)
            | Self::RateLimits(..)
            | Self::Credential(_)
            | Self::Fault(_)
            | Self::Buffer(_) => Ok(()),
            #[cfg(test)]
            Self::Gate(_) => Ok(()),
        }
    }

    /// What it is, for traces.
    fn name(&self) -> String {
        match self {
            Self::Judged(policy, _)
            | Self::External(policy)
            | Self::RateLimits(policy, ..)
            | Self::Credential(policy)
            | Self::Fault(policy) => part_of(policy),
            Self::Authenticate(_) => "credentials".to_owned(),
            Self::BodyLimit(_) => "max_body_bytes".to_owned(),
            Self::Buffer(_) => "buffer".to_owned(),
            #[cfg(test)]
            Self::Gate(_) => "gate".to_owned(),
        }
    }

    /// The policy whose verdicts these are; credentials of several kinds say by themselves which one it was.
    fn counted(&self) -> Option<&Arc<Compiled>> {
        match self {
            Self::Judged(policy, _) | Self::External(policy) | Self::RateLimits(policy, ..) => Some(policy),
            Self::Authenticate(_) | Self::BodyLimit(_) | Self::Credential(_) | Self::Fault(_) | Self::Buffer(_) => None,
            #[cfg(test)]
            Self::Gate(_) => None,
        }
    }

    /// A denial with who it comes from.
    fn signed(&self, denial: Denial) -> Denial {
        match self {
            Self::Judged(policy, _)
            | Self::External(policy)
            | Self::RateLimits(policy, ..)
            | Self::Credential(policy)
            | Self::Fault(policy) => denial.by(policy),
            // Kinds of credentials say by themselves which one it was.
            Self::Authenticate(_) | Self::BodyLimit(_) | Self::Buffer(_) => denial,
            #[cfg(test)]
            Self::Gate(_) => denial,
        }
    }

    /// Whether it acts on what goes to a backend, so that it is nothing where no rule takes a request.
    fn needs_rule(&self) -> bool {
        matches!(self, Self::Credential(_) | Self::Fault(_) | Self::Buffer(_))
    }

    /// Whether it acts before a rule is looked for, as these policies do; the limit of the settings goes before them.
    fn precedes(&self, policies: &[Arc<Compiled>]) -> bool {
        match self {
            Self::BodyLimit(_) => true,
            Self::Judged(policy, _) | Self::RateLimits(policy, ..) | Self::External(policy) => {
                policies.iter().any(|other| Arc::ptr_eq(other, policy))
            }
            _ => false,
        }
    }

    /// Whether asking it twice is not as asking it once.
    fn counts(&self) -> bool {
        matches!(self, Self::RateLimits(..))
    }

    /// What it lets a body have while that streams.
    fn body_limit(&self) -> Option<BodyLimit> {
        match self {
            Self::Judged(policy, _) => policy.body_limit(),
            Self::BodyLimit(limit) => Some(*limit),
            _ => None,
        }
    }
}
