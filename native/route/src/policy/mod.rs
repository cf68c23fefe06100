//! What policies say of a request as far as that needs no I/O, no clock and no state: `decide` and the wire judge by the same
//! code. What asks somebody, counts, or looks at the time is in the core, which runs this where it can.
//!
//! A kind has a module here, an arm in [`Judge`] and one in the functions of [`Compiled`].

mod access;
mod address;
mod body_limit;
mod certificate_header;
mod client_certificate;
mod credentials;
mod external;
mod facts;
mod field_name;
mod filter;
mod head;
mod kept;
mod mutation;
mod networks;
mod owned;
mod query_edits;
mod rate_limit;
mod removed;
mod sent_head;
mod told;
mod withheld;

pub use access::{
    ApiKey, Authenticator, Authorization, Basic, Certificate, Credentials, Csrf, Exempt, Group, Jwt, Level, Member,
    Presented, Progress, accept, authenticate, named_claim, told_claims, unauthenticated,
};
pub use address::{ClientAddressing, Preamble};
pub use body_limit::BodyLimit;
pub use certificate_header::CertificateHeader;
pub use client_certificate::ClientCertificate;
pub use credentials::{Stripped, masked, secret_pairs};
pub use external::External;
pub use facts::{ConnectionFacts, Facts, ForwardField, Identity, OfSuccess, Passage, Proof};
pub use field_name::{is_forwardable, same_field};
pub use filter::{Credential, ErrorPages, Fault, Page};
pub use head::HeadLimits;
pub use kept::Kept;
pub use mutation::Mutation;
pub use networks::Networks;
pub use owned::OwnedFields;
pub use query_edits::QueryEdits;
pub use rate_limit::{ExpressionFault, RateLimit, inputs};
pub use removed::{Removal, Removed};
pub use sent_head::SentHead;
pub use told::told;
pub use withheld::Withheld;

use crate::ir::{self, PolicySecret};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// Why a policy refuses a request: a code of `docs/errors.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    BadRequest,
    HeadersTooLarge,
    BodyTooLarge,
    PolicyInvalid,
    Unauthenticated,
    Forbidden,
    Csrf,
    Fault,
}

impl Reason {
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::HeadersTooLarge => "headers_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::PolicyInvalid => "policy_invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Csrf => "csrf",
            Self::Fault => "fault",
        }
    }

    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::HeadersTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::PolicyInvalid => 500,
            Self::Unauthenticated => 401,
            Self::Forbidden | Self::Csrf => 403,
            Self::Fault => 503,
        }
    }
}

/// One field of an answer.
pub type AnswerField = (Cow<'static, str>, Vec<u8>);

/// How a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub reason: Reason,
    /// In place of the reason's own.
    pub status: Option<u16>,
    pub fields: Vec<AnswerField>,
}

impl From<Reason> for Denial {
    fn from(reason: Reason) -> Self {
        Self { reason, status: None, fields: Vec::new() }
    }
}

/// What a policy thinks of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Deny(Denial),
    /// Only somebody who is asked, a clock, or what was counted before can say.
    Ask,
}

impl Verdict {
    /// The word of `decide`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Deny(_) => "deny",
            Self::Ask => "asked",
        }
    }
}

/// A policy with what is made of it once, when it comes.
#[derive(Debug)]
pub struct Compiled {
    pub ir: ir::Policy,
    /// What it needs of the section of secrets.
    pub secrets: Vec<Arc<PolicySecret>>,
    /// Slots of the backends that it needs, in the order of its needs.
    pub backends: Vec<u32>,
    pub judge: Judge,
    /// What the owner of the table makes of it.
    pub kept: Kept,
}

/// What a policy says without asking anybody.
#[derive(Debug)]
pub enum Judge {
    /// Nothing that could be judged: of backends, of connections, or all of it is in the core.
    Nothing,
    /// It cannot be honoured, or does not compile.
    Invalid,
    /// Who says what a client's address is.
    Address(ClientAddressing),
    CertificateHeader(CertificateHeader),
    Head(HeadLimits),
    Body(BodyLimit),
    Exempt(Exempt),
    Certificate(Certificate),
    ApiKey(ApiKey),
    Basic(Basic),
    Jwt(Jwt),
    Csrf(Csrf),
    Authorization(Authorization),
    /// A service is asked.
    External(External),
    /// What was counted before says.
    RateLimits(Vec<RateLimit>),
    Fault(Fault),
    Credential(Credential),
    /// A body is collected that may have so much.
    Buffer(BodyLimit),
    ErrorPages(ErrorPages),
}

impl Compiled {
    /// What cannot be compiled refuses what it holds for, and nothing else.
    pub fn of(ir: ir::Policy, secrets: Vec<Arc<PolicySecret>>, backends: Vec<u32>) -> Self {
        let secret = secrets.first().map_or("", |secret| secret.data.as_str());
        let judge = match &ir {
            _ if ir.stanza().is_some_and(|stanza| stanza.invalid) => Judge::Invalid,
            ir::Policy::BackendTls(_)
            | ir::Policy::BackendPolicy(_)
            | ir::Policy::BackendTraffic(_)
            | ir::Policy::ClientTls(_)
            | ir::Policy::ClientConnections(_)
            | ir::Policy::ClientTimeouts(_)
            | ir::Policy::ClientHttp2(_)
            | ir::Policy::ClientAccessLog(_)
            | ir::Policy::ClientTracing(_)
            | ir::Policy::FilterTelemetry(_)
            | ir::Policy::TelemetryTracing(_) => Judge::Nothing,
            ir::Policy::ClientAddress(address) => compiled(ClientAddressing::compile(address), Judge::Address),
            ir::Policy::ClientCertificateHeader(header) => Judge::CertificateHeader(CertificateHeader::compile(header)),
            ir::Policy::ClientHeaders(limits) => Judge::Head(HeadLimits::compile(limits)),
            ir::Policy::ClientBody(body) => BodyLimit::new(body.max_bytes).map_or(Judge::Nothing, Judge::Body),
            ir::Policy::AccessExempt(exempt) => compiled(Exempt::compile(exempt), Judge::Exempt),
            ir::Policy::AccessCertificate(certificate) => Judge::Certificate(Certificate::compile(certificate)),
            ir::Policy::AccessApiKey(keys) => compiled(ApiKey::compile(keys, secret), Judge::ApiKey),
            ir::Policy::AccessBasic(basic) => Judge::Basic(Basic::compile(basic)),
            ir::Policy::AccessJwt(jwt) => compiled(Jwt::compile(jwt), Judge::Jwt),
            ir::Policy::AccessExternal(external) => {
                external.service.as_ref().map_or(Judge::Invalid, |it| compiled(External::compile(it), Judge::External))
            }
            ir::Policy::AccessCsrf(csrf) => compiled(Csrf::compile(csrf), Judge::Csrf),
            ir::Policy::AccessAuthorization(rules) => compiled(Authorization::compile(rules), Judge::Authorization),
            ir::Policy::ExternalAuth(filter) => compiled(External::compile(&filter.service), Judge::External),
            ir::Policy::RateLimits(limits) => {
                let limits: Result<Vec<_>, _> = limits.limits.iter().map(RateLimit::compile).collect();
                limits.map_or(Judge::Invalid, Judge::RateLimits)
            }
            ir::Policy::FilterFault(fault) => compiled(Fault::compile(fault), Judge::Fault),
            ir::Policy::FilterCredential(credential) => {
                Credential::compile(credential, secret).map_or(Judge::Invalid, Judge::Credential)
            }
            ir::Policy::FilterBuffer(buffer) => BodyLimit::new(buffer.max_bytes).map_or(Judge::Invalid, Judge::Buffer),
            ir::Policy::FilterErrorPages(pages) => Judge::ErrorPages(ErrorPages::compile(pages)),
        };
        Self { ir, secrets, backends, judge, kept: Kept::default() }
    }

    pub fn is_invalid(&self) -> bool {
        matches!(self.judge, Judge::Invalid)
    }

    /// What it lets the body of a request have.
    pub fn body_limit(&self) -> Option<BodyLimit> {
        match self.judge {
            Judge::Body(limit) => Some(limit),
            _ => None,
        }
    }

    /// Whether its conditions ask what header fields say.
    pub fn asks_fields(&self) -> bool {
        match &self.judge {
            Judge::Exempt(exempt) => exempt.asks_fields(),
            Judge::Authorization(rules) => rules.asks_fields(),
            Judge::RateLimits(limits) => limits.iter().any(RateLimit::asks_fields),
            Judge::Fault(fault) => fault.asks_fields(),
            Judge::External(external) => external.asks_fields(),
            _ => false,
        }
    }

    /// Whether it acts on what goes to a backend, so that it is nothing where no rule takes a request.
    pub fn needs_rule(&self) -> bool {
        matches!(self.judge, Judge::Credential(_) | Judge::Fault(_) | Judge::Buffer(_))
    }

    /// Who says what a client's address is.
    pub fn addressing(&self) -> Option<&ClientAddressing> {
        match &self.judge {
            Judge::Address(address) => Some(address),
            _ => None,
        }
    }

    /// Judge a request, as far as that can be done here. `level`: of the policy.
    pub fn judge(&self, level: Level, facts: &Facts<'_>, passage: &mut Passage<'_>) -> Verdict {
        match &self.judge {
            // What stands in for errors is asked where there is one.
            Judge::Nothing | Judge::Address(_) | Judge::ErrorPages(_) => Verdict::Pass,
            Judge::CertificateHeader(header) => {
                if let Some((name, value)) = facts.certificate.and_then(|certificate| header.write(certificate)) {
                    passage.tell(name, value);
                }
                Verdict::Pass
            }
            Judge::Head(limits) => limits.judge(facts),
            Judge::Invalid => Verdict::Deny(Reason::PolicyInvalid.into()),
            // Of calls both sides may speak at once: who waited for all that one says would wait for ever.
            Judge::Buffer(_) if facts.grpc => Verdict::Pass,
            Judge::Body(limit) | Judge::Buffer(limit) => limit.judge(facts),
            Judge::Fault(fault) => fault.judge(facts, passage.identity.as_deref()),
            Judge::Credential(credential) => {
                credential.show(passage);
                Verdict::Pass
            }
            Judge::Csrf(csrf) => csrf.judge(facts),
            Judge::Authorization(rules) => {
                rules.judge(facts, passage.identity.as_deref(), level.believes(passage.proved_by))
            }
            // Credentials are judged together: `Group`.
            Judge::Exempt(_)
            | Judge::Certificate(_)
            | Judge::ApiKey(_)
            | Judge::Jwt(_)
            | Judge::Basic(_)
            | Judge::External(_)
            | Judge::RateLimits(_) => Verdict::Ask,
        }
    }

    /// As [`Self::judge`], of a connection or the datagrams of one client.
    pub fn judge_connection(&self, level: Level, facts: &ConnectionFacts<'_>) -> Verdict {
        match &self.judge {
            Judge::Invalid => Verdict::Deny(Reason::PolicyInvalid.into()),
            Judge::Certificate(policy) if facts.certificate.is_some_and(|shown| !policy.admits_connection(shown)) => {
                Verdict::Deny(Reason::Unauthenticated.into())
            }
            Judge::Authorization(rules) if !rules.admits(level, facts) => Verdict::Deny(Reason::Forbidden.into()),
            Judge::RateLimits(_) => Verdict::Ask,
            _ => Verdict::Pass,
        }
    }
}

/// What one policy said, for people: an entry of `Decision.policies`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    pub kind: &'static str,
    pub stanza: &'static str,
    /// The policy: `<kind>/<namespace>/<name>`.
    pub from: String,
    pub verdict: &'static str,
}

/// Ask policies in their order, up to the first that refuses. Who would have to ask somebody is taken to be content.
/// `levels`: of each policy, as [`Joined`](crate::table::Joined) has them.
pub fn judge_all<'p>(
    policies: &'p [Arc<Compiled>],
    levels: &[Level],
    facts: &Facts<'_>,
    passage: &mut Passage<'p>,
) -> (Vec<Said>, Option<Denial>) {
    let mut said = Vec::new();
    // One that cannot be honoured refuses whatever the others say.
    let invalid = policies.iter().find(|policy| policy.is_invalid());
    let mut groups = Group::all(policies, levels).into_iter();
    // Places at the listener of the credentials that somebody would have to look at.
    let mut undecided = Vec::new();
    if let Some(policy) = invalid {
        said.extend(policy.said("deny"));
        return (said, Some(Reason::PolicyInvalid.into()));
    }
    for (policy, level) in policies.iter().zip(levels) {
        if policy.judge.is_of_authentication() {
            for group in groups.by_ref() {
                let (progress, words) = group.judge(facts, passage);
                said.extend(words.into_iter().filter_map(|(policy, word)| policy.said(word)));
                match progress {
                    Progress::Pass(_) => {}
                    Progress::Ask { place, .. } => undecided.extend(group.members.get(place).map(|(_, place)| *place)),
                    Progress::Deny(_, denial) => return (said, Some(denial)),
                }
            }
            continue;
        }
        let verdict = match &policy.judge {
            Judge::Authorization(rules) if !undecided.is_empty() && rules.asks_identity() => {
                rules.judge_undecided(facts, passage, *level, &undecided)
            }
            _ => policy.judge(*level, facts, passage),
        };
        said.extend(policy.said(verdict.word()));
        if let Verdict::Deny(denial) = verdict {
            return (said, Some(denial));
        }
    }
    (said, None)
}

/// Who a connection is from: the owner of its certificate, where one of its policies takes that for a proof; and the place of
/// the highest one that does.
pub fn user_of_connection<'c>(
    policies: &[Arc<Compiled>],
    levels: &[Level],
    certificate: Option<&'c ClientCertificate>,
) -> Option<(&'c str, Option<usize>)> {
    let shown = certificate?;
    let takes = |policy: &Compiled| matches!(&policy.judge, Judge::Certificate(it) if it.admits(shown));
    let places = policies.iter().zip(levels).filter(|(policy, _)| takes(policy)).map(|(_, level)| level.place);
    places.min_by_key(|place| place.unwrap_or(usize::MAX)).map(|place| (shown.user(), place))
}

/// As [`judge_all`], of a connection or the datagrams of one client.
pub fn judge_connection(
    policies: &[Arc<Compiled>],
    levels: &[Level],
    facts: &ConnectionFacts<'_>,
) -> (Vec<Said>, Option<Reason>) {
    let mut said = Vec::new();
    if let Some(policy) = policies.iter().find(|policy| policy.is_invalid()) {
        said.extend(policy.said("deny"));
        return (said, Some(Reason::PolicyInvalid));
    }
    for (policy, level) in policies.iter().zip(levels) {
        let verdict = policy.judge_connection(*level, facts);
        said.extend(policy.said(verdict.word()));
        if let Verdict::Deny(denial) = verdict {
            return (said, Some(denial.reason));
        }
    }
    (said, None)
}

impl Compiled {
    /// The object that it is a part of: `<kind>/<namespace>/<name>`.
    pub fn object(&self) -> &str {
        let (id, stanza) = (self.ir.id(), self.ir.stanza().map_or("", |stanza| stanza.name));
        id.strip_suffix(stanza).and_then(|id| id.strip_suffix('/')).unwrap_or(id)
    }

    fn said(&self, verdict: &'static str) -> Option<Said> {
        let stanza = self.ir.stanza()?;
        Some(Said { kind: stanza.kind, stanza: stanza.name, from: self.object().to_owned(), verdict })
    }
}

fn compiled<T>(result: Result<T, String>, judge: fn(T) -> Judge) -> Judge {
    result.map_or(Judge::Invalid, judge)
}
