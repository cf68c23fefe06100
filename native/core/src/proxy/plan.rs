//! From a head to what will be done about it: resolve it, choose a backend, write the head that goes there. No I/O, no waiting.

use super::answer::Answer;
use super::client::{Client, ForwardingFields, take_forwarding};
use super::grpc::{self, End};
use super::log::Entry;
use super::outbound::{Outbound, Parts};
use super::response::ResponseEdits;
use crate::error::ErrorCode;
use crate::runtime::Generation;
use crate::upstream::Route;
use codec::{FieldList, Framing, RequestHead as WireHead, TakenFields};
use route::ir::BackendProtocol;
use route::resolve::{
    Action, Edited, Picked, Refused, Request, Routed, Workspace, cors_response, edit_request, pick, resolve,
};
use route::table::{EditedFields, Endpoint, Filters, Found, Listener, RequestHead, Retry, Rule, Timeouts};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// The protocol of a request, as logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
    Http2,
}

impl HttpVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// A request head of either protocol, hop-by-hop fields taken out.
#[derive(Debug)]
pub struct Inbound<'b> {
    pub version: HttpVersion,
    pub method: &'b str,
    /// As sent.
    pub target: &'b [u8],
    pub authority: Option<&'b [u8]>,
    pub fields: FieldList<'b>,
    /// What was taken out of `fields`, `Host` apart: matching sees it.
    pub taken_out: TakenFields<'b>,
    pub framing: Framing,
    pub expect_continue: bool,
    pub upgrade: Option<&'b [u8]>,
    /// The upgrade is an extended CONNECT, where any 2xx would say that the tunnel is open (RFC 8441 section 5).
    pub connect: bool,
    pub accepts_trailers: bool,
}

impl<'b> Inbound<'b> {
    pub fn from_http1(head: WireHead<'b>) -> Self {
        Self {
            version: if head.minor == 0 { HttpVersion::Http10 } else { HttpVersion::Http11 },
            method: head.method,
            target: head.target,
            authority: head.host,
            fields: head.fields,
            taken_out: head.taken_out,
            framing: head.framing,
            expect_continue: head.expect_continue,
            upgrade: head.upgrade,
            connect: false,
            accepts_trailers: head.accepts_trailers,
        }
    }
}

/// What will be done about a request.
#[derive(Debug)]
// An answer of the gateway is made on the stack and sent at once.
#[allow(clippy::large_enum_variant)]
pub enum Plan<'g> {
    Answer(Answer, ResponseEdits<'g>),
    Forward(Box<Forward<'g>>),
}

/// A request on its way to a backend.
#[derive(Debug)]
pub struct Forward<'g> {
    pub outbound: Outbound,
    pub endpoints: &'g [Arc<Endpoint>],
    pub route: Route,
    pub edits: ResponseEdits<'g>,
    pub timeouts: Timeouts,
    pub retry: Option<&'g Retry>,
    /// The rule is a `GRPCRoute`'s.
    pub grpc: bool,
    pub mirrors: SmallVec<[MirrorTo<'g>; 1]>,
}

/// Where a copy goes.
#[derive(Debug)]
pub struct MirrorTo<'g> {
    pub endpoints: &'g [Arc<Endpoint>],
    pub route: Route,
}

impl Forward<'_> {
    /// The rule may want the request sent again, and it may be.
    pub fn retries(&self) -> bool {
        self.outbound.idempotent && self.retry.is_some_and(|retry| retry.attempts > 0)
    }

    /// The head's memory, for the next request.
    pub fn into_buffer(self) -> Vec<u8> {
        self.outbound.head
    }
}

/// Decide. `buffer` is memory for the forwarded head.
pub fn plan<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: Inbound<'_>,
    buffer: Vec<u8>,
    entry: &mut Entry<'g>,
) -> Plan<'g> {
    match try_plan(client, generation, &inbound, buffer, entry) {
        Ok(plan) => plan,
        Err(Failed { code, edits }) => {
            // A client that wants a tunnel would take the 200 of gRPC's answers for one.
            let grpc = inbound.upgrade.is_none() && (entry.is_of_grpc_rule() || grpc::is_grpc(&inbound.fields));
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

fn try_plan<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    buffer: Vec<u8>,
    entry: &mut Entry<'g>,
) -> Result<Plan<'g>, Failed<'g>> {
    let asked = Request {
        method: inbound.method,
        target: inbound.target,
        authority: inbound.authority,
        may_lack_authority: inbound.version == HttpVersion::Http10,
        sni: client.sni(),
        fields: &inbound.fields,
        taken_out: &inbound.taken_out,
    };
    let socket = generation.table.socket(client.socket).map(|socket| &**socket);
    let mut space = Workspace::default();
    let routed = match resolve(socket, &asked, &mut space) {
        Err(Refused::Connect) => return Err(ErrorCode::MethodNotAllowed.into()),
        Err(Refused::BadRequest) => return Err(ErrorCode::BadRequest.into()),
        Err(Refused::NoListener) => return Err(ErrorCode::NoListener.into()),
        Err(Refused::Misdirected(listener)) => {
            entry.listener(listener);
            return Err(ErrorCode::Misdirected.into());
        }
        Err(Refused::NoRoute(listener)) => {
            entry.listener(listener);
            return Err(ErrorCode::NoRoute.into());
        }
        Ok(routed) => routed,
    };
    entry.listener(routed.listener);
    entry.rule(routed.found.rule, routed.found.tag);
    let filters = &routed.found.rule.filters;
    let cors = || filters.cors.as_ref().map_or_else(Vec::new, |cors| cors_response(cors, &routed.head));
    let code = match routed.action {
        Action::Invalid => return Err(ErrorCode::RuleInvalid.into()),
        Action::Preflight(fields) => {
            let mut answer = Answer::with_status(204);
            answer.fields.extend(fields.into_iter().map(|(name, value)| (name, value.into_bytes())));
            return Ok(Plan::Answer(answer, ResponseEdits::of_rule(filters, Vec::new())));
        }
        Action::Redirect { status, location } => {
            let mut answer = Answer::with_status(status);
            answer.fields.push(("location", location.into_bytes()));
            return Ok(Plan::Answer(answer, ResponseEdits::of_rule(filters, cors())));
        }
        // Told in advance: not a byte of it need go up.
        Action::Forward if is_too_large(client, inbound.framing) => ErrorCode::BodyTooLarge,
        Action::Forward => {
            let Routed { head, listener, found, .. } = &routed;
            match forward(client, generation, inbound, head, listener, *found, buffer, entry) {
                Ok(plan) => return Ok(plan),
                Err(code) => code,
            }
        }
    };
    Err(Failed { code, edits: ResponseEdits::of_rule(filters, cors()) })
}

#[allow(clippy::too_many_arguments, reason = "the parts of one request, each needed once")]
fn forward<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    head: &RequestHead<'_>,
    listener: &'g Arc<Listener>,
    found: Found<'g>,
    buffer: Vec<u8>,
    entry: &mut Entry<'g>,
) -> Result<Plan<'g>, ErrorCode> {
    let rule = found.rule;
    let (chosen, backend) = match pick(&generation.table, &found, turn(client, rule)) {
        Picked::NoBackend => return Err(ErrorCode::NoBackend),
        Picked::Invalid(_) => return Err(ErrorCode::BackendInvalid),
        Picked::NoEndpoint(_) => return Err(ErrorCode::NoEndpoint),
        Picked::Backend(_, chosen, backend) => (chosen, backend),
    };
    entry.backend(&backend.id);
    let grpc = rule.ir.grpc;
    let upgrade = inbound.upgrade.is_some();
    if upgrade && (grpc || backend.protocol == BackendProtocol::H2c) {
        return Err(ErrorCode::UpstreamNoUpgrade);
    }
    let route = generation.client_tls.route(backend, &listener.ir, grpc, upgrade).ok_or(ErrorCode::BackendInvalid)?;
    let parts = Parts {
        method: inbound.method,
        path: head.path,
        query: head.query,
        authority: head.authority,
        original_authority: head.authority,
        fields: head.fields,
        framing: inbound.framing,
        expect_continue: inbound.expect_continue,
        upgrade: inbound.upgrade,
        connect: inbound.connect,
        trailers: inbound.accepts_trailers || grpc,
        tls: route.tls.is_some(),
    };
    let filters = [&rule.filters, &chosen.filters];
    let cors = rule.filters.cors.as_ref().or(chosen.filters.cors.as_ref());
    Ok(Plan::Forward(Box::new(Forward {
        outbound: write_outbound(client, parts, &filters, found.prefix_length, buffer),
        endpoints: backend.selectable(),
        route,
        edits: ResponseEdits::new(filters[0], filters[1], cors.map_or_else(Vec::new, |cors| cors_response(cors, head))),
        timeouts: rule.timeouts,
        retry: rule.retry.as_ref(),
        grpc,
        mirrors: mirrors(client, generation, listener, rule.uid, &filters, grpc),
    })))
}

fn is_too_large(client: &Client, framing: Framing) -> bool {
    let limit = client.worker.settings().max_body_bytes;
    limit > 0 && matches!(framing, Framing::Length(length) if length > limit)
}

/// Which of the rule's backends is next; most rules have one.
fn turn(client: &Client, rule: &Rule) -> u64 {
    if rule.backends.len() < 2 { 0 } else { client.worker.turns.backend(rule.uid, rule.total_weight) }
}

fn write_outbound(
    client: &Client,
    parts: Parts<'_>,
    filters: &[&Filters; 2],
    prefix_length: Option<usize>,
    buffer: Vec<u8>,
) -> Outbound {
    if filters.iter().all(|filters| filters.request.is_empty() && filters.rewrite.is_none()) {
        return Outbound::write(client, &parts, None, buffer);
    }
    // What the client says of where it comes from goes first: what is there afterwards is what a filter wants sent.
    let mut forwarding = ForwardingFields::default();
    let kept = parts.fields.iter().filter(|field| !take_forwarding(field, &mut forwarding));
    let mut fields: EditedFields<'_> = kept.copied().collect();
    let mut authority = Cow::Borrowed(parts.authority);
    let mut path = Cow::Borrowed(parts.path);
    for filters in filters {
        let Edited { authority: new_authority, path: new_path } =
            edit_request(filters, &mut fields, parts.path, prefix_length);
        if let Some(new_authority) = new_authority {
            authority = Cow::Borrowed(new_authority.as_bytes());
        }
        if let Some(new_path) = new_path {
            path = Cow::Owned(new_path);
        }
    }
    Outbound::write(
        client,
        &Parts { path: &path, authority: &authority, fields: &fields, ..parts },
        Some(&forwarding),
        buffer,
    )
}

fn mirrors<'g>(
    client: &Client,
    generation: &'g Generation,
    listener: &Listener,
    rule: u64,
    filters: &[&'g Filters; 2],
    grpc: bool,
) -> SmallVec<[MirrorTo<'g>; 1]> {
    let mut chosen = SmallVec::new();
    for (place, mirror) in filters.iter().flat_map(|filters| &filters.mirrors).enumerate() {
        let share = u64::from(mirror.percentage.denominator.max(1));
        if client.worker.turns.mirror(rule, place, share) >= u64::from(mirror.percentage.numerator) {
            continue;
        }
        let Some(backend) = generation.table.backend(mirror.slot) else {
            continue;
        };
        let usable = backend.tls.as_ref().is_none_or(|policy| !policy.invalid);
        if let Some(route) = generation.client_tls.route(backend, &listener.ir, grpc, false).filter(|_| usable) {
            chosen.push(MirrorTo { endpoints: backend.selectable(), route });
        }
    }
    chosen
}
