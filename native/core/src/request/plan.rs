//! From a head to what will be done about it: resolve it, choose a backend, write the head that goes there. No I/O, no waiting.

use crate::dispatch::outbound::{Outbound, Parts};
use crate::dispatch::{Forward, MirrorTo};
use crate::error::ErrorCode;
use crate::message::client::{Client, ForwardingFields, take_forwarding};
use crate::message::grpc;
use crate::message::grpc::End;
use crate::message::head::{HttpVersion, Inbound};
use crate::message::local_reply::Answer;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::worker::Generation;
use codec::Framing;
use route::ir::BackendProtocol;
use route::resolve::{
    Action, Edited, Picked, Refused, Request, Routed, Workspace, cors_response, edit_request, pick, resolve,
};
use route::table::{EditedFields, Filters, Found, Listener, RequestHead, Rule};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// What will be done about a request.
#[derive(Debug)]
// An answer of the gateway is made on the stack and sent at once.
#[allow(clippy::large_enum_variant)]
pub enum Plan<'g> {
    Answer(Answer, ResponseEdits<'g>),
    Forward(Box<Forward<'g>>),
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
