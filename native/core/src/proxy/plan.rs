//! From a head to what will be done about it: normalise, match, filter, choose a backend. No I/O, no waiting.
//!
//! The order is the one of ARCHITECTURE.md, "The routing semantics, once".

use super::answer::Answer;
use super::client::Client;
use super::grpc::{self, End};
use super::log::Entry;
use super::outbound::{Outbound, Parts};
use super::response::ResponseEdits;
use crate::codec::{FieldList, Framing, RequestHead as WireHead, TakenFields};
use crate::decision::{self, Edited, EditedHead, Picked, Unserved, cors_preflight, cors_response, is_preflight};
use crate::error::ErrorCode;
use crate::ir::BackendProtocol;
use crate::runtime::Generation;
use crate::table::{EditedFields, Endpoint, Filters, Found, Listener, RequestHead, Retry, Timeouts, authority, target};
use crate::upstream::Route;
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
    Answer(Answer),
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
        Err(code) => {
            // A client that wants a tunnel would take the 200 of gRPC's answers for one.
            let grpc = inbound.upgrade.is_none() && (entry.is_of_grpc_rule() || grpc::is_grpc(&inbound.fields));
            Plan::Answer(Answer::failure(End { code, reset: None }, grpc))
        }
    }
}

fn try_plan<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    buffer: Vec<u8>,
    entry: &mut Entry<'g>,
) -> Result<Plan<'g>, ErrorCode> {
    if inbound.method == "CONNECT" {
        return Err(ErrorCode::MethodNotAllowed);
    }
    let target = target::normalise(inbound.method, inbound.target).map_err(|_| ErrorCode::BadRequest)?;
    let sent_authority = target.authority.map(str::as_bytes).or(inbound.authority).unwrap_or_default();
    // A second name beside an absolute-form target must be well formed too, although the target's counts.
    if inbound.authority.is_some_and(|host| authority::parse(host).is_none()) {
        return Err(ErrorCode::BadRequest);
    }
    let authority = match authority::parse(sent_authority) {
        Some(authority) => authority,
        // HTTP/1.0 may come without a host: only listeners and routes without hostname can match it.
        None if inbound.version == HttpVersion::Http10 && sent_authority.is_empty() => {
            authority::Authority { host: Cow::Borrowed(""), port: None }
        }
        None => return Err(ErrorCode::BadRequest),
    };
    let head = RequestHead {
        method: inbound.method,
        path: &target.path,
        query: target.query,
        host: &authority.host,
        authority: sent_authority,
        fields: &inbound.fields,
        taken_out: &inbound.taken_out,
    };
    let socket = generation.table.socket(client.socket).ok_or(ErrorCode::NoListener)?;
    let listener = match decision::listener(socket, client.sni(), &authority.host) {
        Ok(listener) => listener,
        Err(Unserved::NoListener) => return Err(ErrorCode::NoListener),
        Err(Unserved::Misdirected(listener)) => {
            entry.listener(listener);
            return Err(ErrorCode::Misdirected);
        }
    };
    entry.listener(listener);
    let mut space = EditedHead::default();
    let head = decision::pre_route(listener, head, &mut space);
    let found = listener.find(&head).ok_or(ErrorCode::NoRoute)?;
    entry.rule(found.rule, found.series);
    if let Some(answer) = local_answer(listener, &found, &head)? {
        return Ok(Plan::Answer(answer));
    }
    forward(client, generation, inbound, &head, listener, found, sent_authority, buffer, entry)
}

/// What the rule answers without a backend.
fn local_answer(listener: &Listener, found: &Found<'_>, head: &RequestHead<'_>) -> Result<Option<Answer>, ErrorCode> {
    let filters = &found.rule.filters;
    if found.rule.ir.invalid {
        return Err(ErrorCode::RuleInvalid);
    }
    if let Some(cors) = filters.cors.as_ref().filter(|_| is_preflight(head)) {
        let mut answer = Answer::with_status(204);
        answer.fields.extend(cors_preflight(cors, head).into_iter().map(|(name, value)| (name, value.into_bytes())));
        return Ok(Some(answer));
    }
    Ok(filters.redirect.as_ref().map(|redirect| {
        let mut answer = Answer::with_status(redirect.status);
        let location = decision::location(redirect, listener, head, found.prefix_length);
        answer.fields.push(("location", location.into_bytes()));
        answer
    }))
}

#[allow(clippy::too_many_arguments, reason = "the parts of one request, each needed once")]
fn forward<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    head: &RequestHead<'_>,
    listener: &'g Arc<Listener>,
    found: Found<'g>,
    sent_authority: &[u8],
    buffer: Vec<u8>,
    entry: &mut Entry<'g>,
) -> Result<Plan<'g>, ErrorCode> {
    let rule = found.rule;
    let (chosen, backend) = match decision::pick(&generation.table, &found, client.worker.slot(rule.total_weight)) {
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
        authority: sent_authority,
        original_authority: sent_authority,
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
        mirrors: mirrors(client, generation, listener, &filters, grpc),
    })))
}

fn write_outbound(
    client: &Client,
    parts: Parts<'_>,
    filters: &[&Filters; 2],
    prefix_length: Option<usize>,
    buffer: Vec<u8>,
) -> Outbound {
    if filters.iter().all(|filters| filters.request.is_empty() && filters.rewrite.is_none()) {
        return Outbound::write(client, &parts, buffer);
    }
    let mut fields: EditedFields<'_> = parts.fields.iter().copied().collect();
    let mut authority = Cow::Borrowed(parts.authority);
    let mut path = Cow::Borrowed(parts.path);
    for filters in filters {
        let Edited { authority: new_authority, path: new_path } =
            decision::edit_request(filters, &mut fields, parts.path, prefix_length);
        if let Some(new_authority) = new_authority {
            authority = Cow::Borrowed(new_authority.as_bytes());
        }
        if let Some(new_path) = new_path {
            path = Cow::Owned(new_path);
        }
    }
    Outbound::write(client, &Parts { path: &path, authority: &authority, fields: &fields, ..parts }, buffer)
}

fn mirrors<'g>(
    client: &Client,
    generation: &'g Generation,
    listener: &Listener,
    filters: &[&'g Filters; 2],
    grpc: bool,
) -> SmallVec<[MirrorTo<'g>; 1]> {
    let mut chosen = SmallVec::new();
    for mirror in filters.iter().flat_map(|filters| &filters.mirrors) {
        let share = u64::from(mirror.percentage.denominator.max(1));
        if client.worker.slot(share) >= u64::from(mirror.percentage.numerator) {
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
