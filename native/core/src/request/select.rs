//! From an admitted request to what is sent: choose its backend and its mirrors, run the filters, write the head. No I/O, no
//! waiting.

use super::hashed::key_of;
use super::turn::{session_of, turn_of};
use crate::dispatch::outbound::{Outbound, Parts, Standing};
use crate::dispatch::{CopyTo, Forward, MirrorTo, websocket_handshake};
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::forwarding::{ForwardingFields, take_forwarding};
use crate::message::head::Inbound;
use crate::message::pages::Pages;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::message::session::Session;
use crate::policy::Chain;
use crate::telemetry::{Context, REMOVED, is_of_context};
use crate::upstream::{Among, Load, RoutePolicy};
use crate::worker::Generation;
use codec::Field;
use route::expression::Inputs;
use route::ir::BackendProtocol;
use route::policy::{Identity, Networks, Passage, Stripped, Withheld};
use route::resolve::{Edited, NoPath, Picked, Routed, cors_response, edit_request, pick};
use route::session::removal;
use route::table::{EditedFields, Filters, MadeValue, MadeValues, Rule, Timeouts};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::time::Duration;

/// What policies leave of a request that they let pass.
#[derive(Debug)]
pub struct Passed<'c> {
    pub passage: Passage<'c>,
    pub chain: Option<&'c Chain>,
    /// What stands in for errors.
    pub pages: Option<Box<Pages<'c>>>,
}

impl<'c> Passed<'c> {
    /// Whose word about who asks counts; `None`: as the settings have it.
    fn proxies(&self) -> Option<&'c Networks> {
        self.chain?.trusted_proxies()
    }
}

/// Choose the backend of a request that was admitted, and write what goes there. `buffer` is memory for the head.
///
/// # Errors
/// There is no backend that could take it.
pub fn select<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    routed: &Routed<'g, '_>,
    passed: &mut Passed<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Box<Forward<'g>>, ErrorCode> {
    let Routed { head, listener, found, sent_fields, .. } = routed;
    let (rule, chain, proxies) = (found.rule, passed.chain, passed.proxies());
    let (place, chosen, backend) = match pick(&generation.table, found, turn_of(generation, client, routed, proxies)) {
        Picked::NoBackend => return Err(ErrorCode::NoBackend),
        Picked::Invalid(_) => return Err(ErrorCode::BackendInvalid),
        Picked::NoEndpoint(_) => return Err(ErrorCode::NoEndpoint),
        Picked::Backend(place, chosen, backend) => (place, chosen, backend),
    };
    record.backend(&backend.id);
    let grpc = rule.ir.grpc;
    let upgrade = inbound.upgrade.is_some();
    if let Some(protocol) = inbound.upgrade {
        check_upgrade(inbound, protocol, grpc || backend.protocol == BackendProtocol::H2c, grpc)?;
    }
    let mut route =
        generation.client_tls.route(backend, &listener.ir, grpc, upgrade).ok_or(ErrorCode::BackendInvalid)?;
    route.policy = RoutePolicy::of(backend, || client.ends(head.fields, proxies));
    let policy = backend.policy.as_deref();
    let kept = backend.session(&rule.ir);
    let session = kept.and_then(|_| session_of(generation, client, routed, backend, proxies));
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
    let believed = proxies.map(|_| client.is_believed(proxies));
    let Passed { passage, pages, .. } = passed;
    if let Some(pages) = pages {
        pages.backend(&backend.id);
    }
    passage.chosen(place);
    if let Some(removal) = kept.and_then(|session| removal(session, head.fields)) {
        passage.removed.push(removal);
    }
    if let Some(trace) = record.trace() {
        go_on(&trace.context, passage);
    }
    let key = policy.and_then(|policy| key_of(policy, client, routed, proxies, &passage.forward));
    let filters = [&rule.filters, &chosen.filters];
    let make =
        |filters: &Filters| filters.make(|| values(client, inbound, routed, proxies, passage.identity.as_deref()));
    // Hardly any edit has expressions: what others come to is neither made nor carried along.
    let has_expressions = filters.iter().any(|filters| filters.has_expressions());
    let made = has_expressions.then(|| Box::new(filters.map(make)));
    let made_at = |at: usize| made.as_ref().map_or(&[][..], |made| &made[at]);
    let last = listener.answers().map_or_else(MadeValues::new, make);
    let cors = rule.filters.cors.as_ref().or(chosen.filters.cors.as_ref());
    let both = [(filters[0], made_at(0)), (filters[1], made_at(1))];
    let mut outbound =
        write_outbound(client, parts, *sent_fields, (passage, believed), &both, found.prefix_length, buffer)
            .map_err(|NoPath| ErrorCode::BadRequest)?;
    if let Some(trace) = record.trace().filter(|trace| trace.is_recorded()) {
        outbound.say_spans(&trace.context.to_fields(), trace.context.span.hex());
    }
    outbound.idempotent |=
        policy.is_some_and(|policy| policy.retry_methods.iter().any(|method| method == inbound.method));
    Ok(Box::new(Forward {
        outbound,
        among: Among::of(backend).with_key(key).preferring(session.as_ref().and_then(Session::endpoint)),
        session: session.map(Box::new),
        load: Load::of(backend).filter(|load| load.limits_requests()),
        budget: Load::of(backend).and_then(Load::budget),
        route,
        edits: ResponseEdits::new(filters, made, cors.map_or_else(Vec::new, |cors| cors_response(cors, head)))
            .at(listener, |_| last)
            .appending(std::mem::take(&mut passage.respond), passage.respond_to_success.take())
            .paged(pages.take()),
        timeouts: timeouts(rule, chain),
        body_timeout: chain.and_then(Chain::body_timeout),
        first_byte: policy
            .map(|policy| policy.timeouts.first_byte_ms)
            .filter(|limit| *limit > 0)
            .map(Duration::from_millis),
        stall: policy.map(|policy| policy.timeouts.stall_ms).filter(|limit| *limit > 0).map(Duration::from_millis),
        retry: rule.retry.as_ref(),
        retry_within: policy.map(|policy| policy.retry_within_ms).filter(|limit| *limit > 0).map(Duration::from_millis),
        grpc,
        mirrors: if filters.iter().all(|filters| filters.mirrors.is_empty()) {
            SmallVec::new()
        } else {
            mirrors(client, generation, routed, &filters, proxies)
        },
        body_limit: chain.and_then(Chain::body_limit),
        withheld: Withheld::of(chain.and_then(Chain::owned), std::mem::take(&mut passage.removed))
            .edited(&routed.listener.filters.pre_routing, filters),
    }))
}

/// Tell the backend of the trace that its request is part of, in place of what the client said of one, and of what who was asked
/// about the request did: some answer by the fields that they were asked with. Filters may edit that.
#[cold]
#[inline(never)]
fn go_on(context: &Context, passage: &mut Passage<'_>) {
    passage.removed.extend(&REMOVED);
    passage.forward.retain(|(name, _)| !is_of_context(name.as_bytes()));
    passage.forward.extend(context.to_fields().into_iter().map(|said| (Cow::Borrowed(said.name), said.value)));
}

/// What expressions may ask of a request. `proxies`: whose word about who asks counts; `None`: as the settings have it.
pub fn values<'v>(
    client: &'v Client,
    inbound: &Inbound<'_>,
    routed: &'v Routed<'_, '_>,
    proxies: Option<&Networks>,
    identity: Option<&'v Identity>,
) -> Inputs<'v> {
    let head = &routed.head;
    Inputs {
        method: head.method,
        scheme: client.scheme(),
        host: head.host,
        path: head.path,
        query: head.query.unwrap_or_default(),
        authority: head.authority,
        fields: routed.told.unwrap_or(head.fields),
        address: client.asking(&inbound.fields, proxies),
        user: identity.map_or("", |identity| &identity.user),
        claims: identity.map(|identity| &*identity.claims),
        scopes: identity.map_or(&[], |identity| &identity.scopes),
        ..Inputs::default()
    }
}

/// What the route says itself, and what policies say.
fn timeouts(rule: &Rule, chain: Option<&Chain>) -> Timeouts {
    let own = rule.timeouts.request;
    Timeouts { request: chain.map_or(own, |chain| chain.request_timeout(own)), ..rule.timeouts }
}

/// Over HTTP/2 only a WebSocket has a way (RFC 8441), and a call of gRPC is none.
///
/// # Errors
/// The request cannot be sent over HTTP/2, or is no handshake that could be answered (RFC 6455 section 4.2.1).
fn check_upgrade(inbound: &Inbound<'_>, protocol: &[u8], http2: bool, grpc: bool) -> Result<(), ErrorCode> {
    if !http2 {
        return Ok(());
    }
    if grpc || !protocol.eq_ignore_ascii_case(b"websocket") || inbound.method != "GET" {
        return Err(ErrorCode::UpstreamNoUpgrade);
    }
    if websocket_handshake::has_key(&inbound.fields) { Ok(()) } else { Err(ErrorCode::BadRequest) }
}

/// `sent_fields`: how many of the fields are the client's; the listener's filters set the others.
fn write_outbound(
    client: &Client,
    parts: Parts<'_>,
    sent_fields: usize,
    (passage, believed): (&Passage<'_>, Option<bool>),
    filters: &[(&Filters, &[MadeValue]); 2],
    prefix_length: Option<usize>,
    buffer: Vec<u8>,
) -> Result<Outbound, NoPath> {
    let (sent, set) = parts.fields.split_at(sent_fields);
    let told = || passage.forward.iter().map(|(name, value)| Field { name: name.as_bytes(), value });
    if set.is_empty()
        && passage.query.is_none()
        && (passage.removed.is_empty() || passage.removed.is_of_fields())
        && filters.iter().all(|(filters, _)| filters.request.is_empty() && filters.rewrite.is_none())
    {
        let sent = |told| Standing::Sent { believed, removed: &passage.removed, told };
        if passage.forward.is_empty() {
            return Ok(Outbound::write(client, &parts, &sent(&[]), buffer));
        }
        let told: SmallVec<[Field<'_>; 4]> = told().collect();
        return Ok(Outbound::write(client, &parts, &sent(&told), buffer));
    }
    let stripped = Stripped::of(&passage.removed, parts.fields, parts.query);
    // What the client says of where it comes from goes first: what is there afterwards is what a filter wants sent.
    let mut forwarding = ForwardingFields { believed, ..ForwardingFields::default() };
    let kept = sent.iter().filter(|field| !take_forwarding(field, &mut forwarding));
    let mut fields: EditedFields<'_> = kept.chain(set).copied().collect();
    let mut query = parts.query;
    stripped.apply(&mut fields, &mut query);
    let edited_query = passage.query.as_ref().map(|edits| edits.apply(query));
    let query = match &edited_query {
        Some(edited) => edited.as_deref(),
        None => query,
    };
    fields.extend(told());
    let mut authority = Cow::Borrowed(parts.authority);
    let mut path = Cow::Borrowed(parts.path);
    for &(filters, made) in filters {
        let Edited { authority: new_authority, path: new_path } =
            edit_request(filters, made, &mut fields, parts.path, prefix_length)?;
        if let Some(new_authority) = new_authority {
            authority = Cow::Borrowed(new_authority.as_bytes());
        }
        if let Some(new_path) = new_path {
            path = Cow::Owned(new_path);
        }
    }
    Ok(Outbound::write(
        client,
        &Parts { path: &path, query, authority: &authority, fields: &fields, ..parts },
        &Standing::Edited(&forwarding),
        buffer,
    ))
}

/// A function of its own, so that rules without mirrors, as nearly all are, do not carry it.
#[inline(never)]
fn mirrors<'g>(
    client: &Client,
    generation: &'g Generation,
    routed: &Routed<'g, '_>,
    filters: &[&'g Filters; 2],
    proxies: Option<&Networks>,
) -> SmallVec<[CopyTo<'g>; 1]> {
    let (rule, listener) = (routed.found.rule, &routed.listener.ir);
    let mut chosen = SmallVec::new();
    for (place, mirror) in filters.iter().copied().flat_map(|filters| &filters.mirrors).enumerate() {
        let share = u64::from(mirror.percentage.denominator.max(1));
        if client.worker.turns.mirror(rule.uid, place, share) >= u64::from(mirror.percentage.numerator) {
            continue;
        }
        let Some(backend) = generation.table.backend(mirror.slot) else {
            continue;
        };
        let usable = backend.tls.as_ref().is_none_or(|policy| !policy.invalid) && !backend.is_invalid();
        if let Some(mut route) = generation.client_tls.route(backend, listener, rule.ir.grpc, false).filter(|_| usable)
        {
            route.policy = RoutePolicy::of(backend, || client.ends(routed.head.fields, proxies));
            chosen.push(CopyTo {
                to: MirrorTo { backend, route },
                hostname: &mirror.hostname,
                without_body: mirror.without_body,
            });
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::check_upgrade;
    use crate::error::ErrorCode;
    use crate::message::head::Inbound;
    use codec::{Parsed, parse_request};

    /// Over HTTP/1.1 whatever the client asks for; over HTTP/2 a WebSocket with a key, and never for gRPC.
    #[test]
    fn which_upgrades_have_a_way() {
        const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for (method, protocol, key, grpc, wanted) in [
            ("GET", "websocket", KEY, false, Ok(())),
            ("GET", "WebSocket", KEY, false, Ok(())),
            ("GET", "websocket", KEY, true, Err(ErrorCode::UpstreamNoUpgrade)),
            ("POST", "websocket", KEY, false, Err(ErrorCode::UpstreamNoUpgrade)),
            ("GET", "other", KEY, false, Err(ErrorCode::UpstreamNoUpgrade)),
            ("GET", "websocket", "", false, Err(ErrorCode::BadRequest)),
            ("GET", "websocket", "sec-websocket-key: short\r\n", false, Err(ErrorCode::BadRequest)),
        ] {
            let bytes =
                format!("{method} / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n{key}\r\n");
            let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{bytes}") };
            let inbound = Inbound::from_http1(head);
            assert_eq!(check_upgrade(&inbound, protocol.as_bytes(), true, grpc), wanted, "{bytes}");
            assert_eq!(check_upgrade(&inbound, protocol.as_bytes(), false, grpc), Ok(()), "{bytes}");
        }
    }
}
