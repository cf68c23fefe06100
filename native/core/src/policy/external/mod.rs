//! External authorisation (GEP-1494): what a service is asked about a request, and what its answer means. Who asks is
//! `request/ask.rs`.
//!
//! - What is asked about is what would be forwarded. Where a request comes from is said by us, never by an untrusted client.
//! - An answer is heard as what comes from a hostile peer: fields of connections and messages are never taken over, names and
//!   values that could not stand in a head are not either.
//! - A service that is away, slow, or answers nonsense is no denial: 503, so that nobody is logged out by it; or the request
//!   passes where the policy says so.

mod answers;
mod grpc;
mod http;
mod sign_in;

pub use answers::Answers;

use super::marks::Mark;
use super::verdicts::Word;
use super::{Answered, Denial, Outcome, Pending, Running, State, StepResult};
use crate::error::ErrorCode;
use crate::telemetry::is_of_context;
use codec::Field;
use route::ir::{ExternalProtocol, ExternalService, Policy, SignIn};
use route::policy::{AnswerField, Compiled, Facts, Judge, OfSuccess, Passage, QueryEdits, Removal, is_forwardable};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Octets of the body of an answer; a page for people, or a message of gRPC.
pub const MAX_ANSWER: usize = 64 * 1024;

/// A request that a service is asked about, kept for as long as that takes.
#[derive(Debug)]
pub struct Ask {
    pub service: Arc<ExternalService>,
    /// Slot of its backend.
    pub backend: Option<u32>,
    method: String,
    scheme: &'static str,
    path: String,
    query: Option<String>,
    host: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// What it is given in any case, in place of what the request has under such a name.
    set: Vec<(Vec<u8>, Vec<u8>)>,
    address: Option<IpAddr>,
    /// Whose verdict the answer is.
    policy: Option<Arc<Compiled>>,
    /// Where it is remembered, and by what.
    remembered: Option<(Arc<Answers>, Mark)>,
    /// It comes of a browser that opens a page.
    navigates: bool,
}

/// A message for a service. Who sends it adds where the request came from.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub authority: Vec<u8>,
    /// What the client has asked for, where that is not who is asked.
    pub asked_for: Option<Vec<u8>>,
    /// Of the request, as the client sent them.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// What the gateway says itself, and nobody else may.
    pub own: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
    /// It is a call of gRPC.
    pub grpc: bool,
}

/// What came back.
#[derive(Debug)]
pub struct Answer<'a> {
    pub status: u16,
    /// Names in lower case; none of a connection.
    pub fields: &'a [(String, Vec<u8>)],
    /// `None`: it was too long.
    pub body: Option<&'a [u8]>,
    /// `grpc-status` of the trailers, or of a head without a body.
    pub grpc_status: Option<u32>,
}

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Allowed {
        forward: Vec<AnswerField>,
        respond: Vec<AnswerField>,
        removed: Vec<String>,
        query: QueryEdits,
    },
    Denied {
        status: u16,
        fields: Vec<AnswerField>,
        body: Option<Vec<u8>>,
    },
    /// Nothing that could be understood, or that it is in trouble itself.
    Nothing,
}

/// Ask about a request, unless what would be said is remembered.
pub fn run(policy: &Arc<Compiled>, facts: &Facts<'_>, passage: &mut Passage<'_>) -> StepResult {
    let Judge::External(external) = &policy.judge else {
        return StepResult::Done(Outcome::deny(ErrorCode::PolicyInvalid));
    };
    let set = external.set_fields(facts, passage.identity.as_deref());
    let remembered = match State::of_policy(policy) {
        Some(State::Answers(answers)) => Some((Arc::clone(answers), answers.mark(facts, &set))),
        _ => None,
    };
    let known = remembered.as_ref().and_then(|(answers, mark)| answers.get(mark, Instant::now()));
    if let Some(Answered { outcome, found }) = known {
        passage.add(found);
        return StepResult::Done(outcome);
    }
    let ask = Ask::new(&external.service, policy.backends.first().copied(), facts).setting(set);
    let navigates = sign_in::navigates(facts);
    StepResult::Wait(Pending::Ask(Box::new(Ask { policy: Some(Arc::clone(policy)), remembered, navigates, ..ask })))
}

impl Ask {
    pub fn new(service: &Arc<ExternalService>, backend: Option<u32>, facts: &Facts<'_>) -> Self {
        let is_given: &dyn Fn(&ExternalService, &Field<'_>) -> bool = match service.protocol {
            ExternalProtocol::Http => &http::is_given,
            ExternalProtocol::Grpc => &grpc::is_given,
        };
        let given = facts.fields.iter().filter(|field| is_given(service, field));
        Self {
            service: Arc::clone(service),
            backend,
            method: facts.method.to_owned(),
            scheme: if facts.scheme == "https" { "https" } else { "http" },
            path: facts.path.to_owned(),
            query: facts.query.map(str::to_owned),
            host: facts.authority.to_vec(),
            fields: given.map(|field| (field.name.to_vec(), field.value.to_vec())).collect(),
            set: Vec::new(),
            address: facts.address,
            policy: None,
            remembered: None,
            navigates: false,
        }
    }

    /// With fields that the service is given in any case.
    #[must_use]
    fn setting(self, set: Vec<(&str, Option<Vec<u8>>)>) -> Self {
        let written = set.into_iter().filter_map(|(name, value)| Some((name.as_bytes().to_vec(), value?)));
        Self { set: written.collect(), ..self }
    }

    /// Octets of the body that are to be asked about.
    pub fn body_bytes(&self) -> usize {
        self.service.forward_body_bytes
    }

    /// What is sent; `body`: of the request.
    pub fn message(&self, body: Vec<u8>) -> Message {
        match self.service.protocol {
            ExternalProtocol::Http => http::message(self, body),
            ExternalProtocol::Grpc => grpc::message(self, &body),
        }
    }

    /// The method of the question.
    fn asked_by(&self) -> &str {
        if self.service.method.is_empty() { &self.method } else { &self.service.method }
    }

    /// Whose question it is, for traces.
    pub fn policy(&self) -> String {
        self.policy.as_deref().map_or_else(String::new, super::part_of)
    }

    /// Leave out what the client says of a trace: the service is told of ours. What the policy gives it stays.
    pub fn without_context(&mut self) {
        self.fields.retain(|(name, _)| !is_of_context(name));
    }

    /// What a client sent that the service is given.
    pub fn fields(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.fields
    }

    fn sign_in(&self) -> Option<&SignIn> {
        match &self.policy.as_ref()?.ir {
            Policy::AccessExternal(external) => external.sign_in.as_ref(),
            _ => None,
        }
    }

    /// What was said. `None`: nothing was, in time. `scheme`: of what the client has asked for.
    pub fn hear(&self, answer: Option<Answer<'_>>, scheme: &str) -> Answered {
        let meaning = answer.map_or(Meaning::Nothing, |answer| match self.service.protocol {
            ExternalProtocol::Http => http::meaning(self, &answer),
            ExternalProtocol::Grpc => grpc::meaning(&answer),
        });
        let is_said = meaning != Meaning::Nothing;
        let mut found = Passage::default();
        let outcome = match meaning {
            Meaning::Allowed { forward, respond, removed, query } => {
                // What the client sent by that name is not what the service has said.
                let replaced = forward.iter().map(|(name, _)| Removal::Field(name.clone()));
                let removed = removed.into_iter().map(|name| Removal::Field(name.into()));
                found.removed = replaced.chain(removed).collect::<Vec<_>>().into();
                let later = |(name, _): &AnswerField| self.service.cookies_with_success && name == "set-cookie";
                let (of_success, respond): (Vec<_>, Vec<_>) = respond.into_iter().partition(later);
                found.respond_to_success = (!of_success.is_empty()).then(|| Box::new(OfSuccess(of_success)));
                (found.forward, found.respond) = (forward, respond);
                found.query = (!query.is_empty()).then(|| Box::new(query));
                Outcome::Pass
            }
            Meaning::Denied { status: 401, fields, .. } if self.navigates && self.sign_in().is_some() => {
                let sent = self.sign_in().map(|it| sign_in::fields(self, it, scheme, fields));
                let fields = sent.unwrap_or_default();
                let denial =
                    Denial { status: Some(302), fields, body: Some(Vec::new()), ..ErrorCode::Unauthenticated.into() };
                Outcome::deny(denial)
            }
            Meaning::Denied { status, fields, body } => {
                let code = if status == 401 { ErrorCode::Unauthenticated } else { ErrorCode::Forbidden };
                Outcome::deny(Denial { status: Some(status), fields, body, ..code.into() })
            }
            Meaning::Nothing if self.service.allow_unavailable => Outcome::Pass,
            Meaning::Nothing => Outcome::deny(ErrorCode::AuthUnavailable),
        };
        if let Some(policy) = &self.policy {
            Running::count(policy, if is_said { Word::from(&outcome) } else { Word::Unavailable });
        }
        let answered = Answered { outcome, found };
        // Who is sent to sign in, and who is not, have the same question.
        let is_of_sign_in = self.sign_in().is_some() && matches!(answered.outcome, Outcome::Deny(_));
        if let Some((answers, mark)) = self.remembered.as_ref().filter(|_| is_said && !is_of_sign_in) {
            answers.put(*mark, &answered, Instant::now());
        }
        answered
    }
}

/// A field that the policy names for the service.
fn is_named(service: &ExternalService, field: &Field<'_>) -> bool {
    service.allowed_headers.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_bytes()))
}

/// Fields that belong to one connection, or say what a message is: those of the service's own answer, and of nothing else.
fn belongs_to_message(name: &str) -> bool {
    const OF_AN_ANSWER: [&str; 4] = ["alt-svc", "date", "server", "via"];
    !is_forwardable(name) || OF_AN_ANSWER.contains(&name)
}

/// What could stand in a head (RFC 9110 section 5).
fn is_field(name: &str, value: &[u8]) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let visible = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    !name.is_empty() && name.bytes().all(token) && value.iter().all(visible)
}

/// The status of a denial: those that send elsewhere, and those that refuse. Another one would look like what the client has
/// asked for.
fn refusing(status: u16) -> u16 {
    match status {
        301 | 302 | 303 | 307 | 308 | 400..=499 => status,
        _ => 403,
    }
}

#[cfg(test)]
mod tests;
