//! From a head to what will be done about it: resolve it, run the chain of its policies, select its backend. No I/O; where
//! a policy has to ask somebody, the head is kept for later.

use super::select::select;
use crate::dispatch::Forward;
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::grpc::{self, End};
use crate::message::head::{HttpVersion, Inbound, OwnedHead};
use crate::message::local_reply::Answer;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::policy::{Admission, Asked, Facts, Verdict};
use crate::worker::Generation;
use route::resolve::{Action, Refused, Request, Workspace, cors_response, resolve};
use std::time::Duration;

/// What will be done about a request.
// An answer of the gateway is made on the stack and sent at once.
#[allow(clippy::large_enum_variant)]
pub enum Plan<'g> {
    Answer(Answer, ResponseEdits<'g>),
    Forward(Box<Forward<'g>>),
    Wait(Box<Waiting>),
}

/// A request about which somebody was asked.
pub struct Waiting {
    pub verdict: Asked,
    pub head: OwnedHead,
    /// Step of the chain that comes next.
    pub next: usize,
    /// Of the whole request, from its start (`HTTPRouteTimeouts.request`).
    pub limit: Option<Duration>,
    pub buffer: Vec<u8>,
}

/// Where in the chain a request stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Steps that were run.
    pub step: usize,
    /// What the last one of them said.
    pub verdict: Verdict,
}

impl Place {
    /// Of a request that has just come.
    pub const START: Self = Self { step: 0, verdict: Verdict::Continue };
}

/// Decide. `buffer` is memory for the forwarded head. A request about which somebody was asked comes again, with the same
/// head and generation: what it resolves to is the same.
pub fn admit<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    place: Place,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Plan<'g> {
    match try_admit(client, generation, inbound, place, buffer, record) {
        Ok(plan) => plan,
        Err(Failed { code, edits }) => {
            // A client that wants a tunnel would take the 200 of gRPC's answers for one.
            let grpc = inbound.upgrade.is_none() && (record.is_of_grpc_rule() || grpc::is_grpc(&inbound.fields));
            Plan::Answer(Answer::failure(End { code, reset: None }, grpc), edits)
        }
    }
}

/// Why a request is not forwarded, and what its rule, where it has one, does to such an answer.
struct Failed<'g> {
    code: ErrorCode,
    edits: ResponseEdits<'g>,
}

impl From<ErrorCode> for Failed<'_> {
    fn from(code: ErrorCode) -> Self {
        Self { code, edits: ResponseEdits::default() }
    }
}

fn try_admit<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    place: Place,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, Failed<'g>> {
    let asked = Request {
        method: inbound.method,
        target: inbound.target,
        paths: client.worker.settings().path_normalization,
        authority: inbound.authority,
        may_lack_authority: inbound.version == HttpVersion::Http10,
        sni: client.sni(),
        fields: &inbound.fields,
        taken_out: &inbound.taken_out,
    };
    let socket = generation.table.socket(client.socket).map(|socket| &**socket);
    let mut space = Workspace::default();
    let mut routed = match resolve(socket, &asked, &mut space) {
        Err(Refused::Connect) => return Err(ErrorCode::MethodNotAllowed.into()),
        Err(Refused::BadRequest) => return Err(ErrorCode::BadRequest.into()),
        Err(Refused::NoListener) => return Err(ErrorCode::NoListener.into()),
        Err(Refused::Misdirected(listener)) => {
            record.listener(listener);
            return Err(ErrorCode::Misdirected.into());
        }
        Err(Refused::NoRoute(listener)) => {
            record.listener(listener);
            return Err(ErrorCode::NoRoute.into());
        }
        Ok(routed) => routed,
    };
    record.listener(routed.listener);
    record.rule(routed.found.rule, routed.found.tag);
    let rule = routed.found.rule;
    let filters = &rule.filters;
    // A preflight asks for what the browser may ask: it is no use of what policies guard, and carries no credentials.
    let own = match std::mem::replace(&mut routed.action, Action::Forward) {
        Action::Invalid => return Err(ErrorCode::RuleInvalid.into()),
        Action::Preflight(fields) => {
            let mut answer = Answer::with_status(204);
            answer.fields.extend(fields.into_iter().map(|(name, value)| (name, value.into_bytes())));
            return Ok(Plan::Answer(answer, ResponseEdits::of_rule(filters, Vec::new())));
        }
        Action::Answer(own) => Some(own),
        Action::Forward => None,
    };
    let cors = || filters.cors.as_ref().map_or_else(Vec::new, |cors| cors_response(cors, &routed.head));
    let failed = |code| Failed { code, edits: ResponseEdits::of_rule(filters, cors()) };
    if let Some(chain) = &generation.chain {
        let admission = match place.verdict {
            Verdict::Continue => chain.run(place.step, Facts { framing: inbound.framing }),
            Verdict::Deny(code) => Admission::Denied(code),
        };
        match admission {
            Admission::Admitted => {}
            Admission::Denied(code) => return Err(failed(code)),
            Admission::Asked { verdict, next } => {
                let (head, limit) = (OwnedHead::of(inbound), rule.timeouts.request);
                return Ok(Plan::Wait(Box::new(Waiting { verdict, head, next, limit, buffer })));
            }
        }
    }
    if let Some(own) = own {
        let mut answer = Answer::with_status(own.status);
        answer.fields.extend(own.fields.into_iter().map(|(name, value)| (name, value.into_bytes())));
        return Ok(Plan::Answer(answer, ResponseEdits::of_rule(filters, cors())));
    }
    select(client, generation, inbound, &routed, buffer, record).map(Plan::Forward).map_err(failed)
}
