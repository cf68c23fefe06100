//! The decision on one request or connection, as the wire would come to it: from the handshake to the filters.

use super::contract::{Decision, DecisionRequest, L4Request, Message, Scheme};
use super::reply::{Edits, denied, edited_response, fields_of, located, owned, owned_answer};
use super::sample::facts;
use super::unrouted::decide_unrouted;
use super::whence::Whence;
use super::{
    Action, L4Routed, NoPath, OwnAnswer, Picked, Refused, Request, Routed, Workspace, cors_response, edit_request,
    pick, pick_l4, resolve, route_l4,
};
use crate::expression::Inputs;
use crate::ir::{ListenerProtocol, Session, Transport};
use crate::policy::{self, ConnectionFacts, OwnedFields, Passage, Stripped};
use crate::session;
use crate::table::{EditedFields, Filters, Found, Listener, MadeValues, RequestHead, Socket, SocketKey, Table};
use codec::{Field, RequestHead as WireHead, WireError, is_forwarding_name, is_token, is_value};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// What [`decide`] or [`decide_l4`] is asked.
#[derive(Debug, Clone)]
pub enum Question {
    Http(DecisionRequest),
    L4(L4Request),
}

impl Question {
    /// Read a request: one with `transport` is about a connection.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Kind {
            transport: Option<IgnoredAny>,
        }
        let is_l4 = serde_json::from_slice::<Kind>(bytes)?.transport.is_some();
        if is_l4 { serde_json::from_slice(bytes).map(Self::L4) } else { serde_json::from_slice(bytes).map(Self::Http) }
    }

    pub fn decide(&self, table: &Table) -> Decision {
        match self {
            Self::Http(request) => decide(table, request),
            Self::L4(request) => decide_l4(table, request),
        }
    }
}

/// Decide on one request.
pub fn decide(table: &Table, request: &DecisionRequest) -> Decision {
    let sni = request.sni.as_ref().map(|name| name.to_ascii_lowercase());
    let socket = socket_of(table, Transport::Tcp, request.address, request.bind_port);
    if let Some(decision) = socket.and_then(|socket| before_the_head(table, socket, request, sni.as_deref())) {
        return decision;
    }
    let sent = match read_head(request) {
        Ok(sent) => sent,
        Err(error) => return refuse(error),
    };
    let asked = Request {
        method: sent.method,
        target: sent.target,
        paths: request.path_normalization,
        authority: sent.host,
        may_lack_authority: false,
        sni: sni.as_deref(),
        fields: &sent.fields,
        taken_out: &sent.taken_out,
        whence: request,
    };
    let (mut space, framing) = (Workspace::default(), sent.framing);
    let at = |listener: &Listener, decision| Decision { listener: Some(listener.id().to_owned()), ..decision };
    let routed = match resolve(socket.map(|socket| &**socket), &asked, &mut space) {
        Err(Refused::Connect) => return Decision::respond(405, "method_not_allowed"),
        Err(Refused::BadRequest) => return Decision::respond(400, "bad_request"),
        Err(Refused::NoListener) => return Decision::respond(404, "no_listener"),
        Err(Refused::Misdirected(listener)) => return at(listener, Decision::respond(421, "misdirected")),
        Err(Refused::NoRoute(unrouted)) => return decide_unrouted(request, (&asked, framing), &unrouted),
        Ok(routed) => routed,
    };
    let action = routed.action();
    let Routed { listener, found, head, sent_fields, .. } = routed;
    let (mut passage, mut policies) = (Passage::default(), Vec::new());
    let as_sent = Ruled { request, listener, found: &found, head: &head, sent_fields, told: None };
    let asks_fields = found.rule.has_expressions()
        || listener.answers().is_some_and(Filters::has_expressions)
        || listener.policies_of(found.rule).is_some_and(|joined| joined.policies.iter().any(|it| it.asks_fields()));
    let mut list = Vec::new();
    let told = if asks_fields { Some(as_sent.told_by(&mut list)) } else { None };
    let as_sent = Ruled { told: told.as_deref(), ..as_sent };
    // What edits write into an answer of the gateway.
    let made: Made;
    let decision = match action {
        Action::Invalid => {
            made = as_sent.made(&passage);
            Decision::respond(500, "rule_invalid")
        }
        Action::Preflight(fields) => {
            made = as_sent.made(&passage);
            Decision::respond(204, "cors_preflight").with_headers(fields)
        }
        action @ (Action::Answer(_) | Action::Forward) => match listener.policies_of(found.rule) {
            None => {
                made = as_sent.made(&passage);
                act(table, &as_sent, action, &passage)
            }
            Some(joined) => {
                let owned = OwnedFields::of(&joined.policies);
                let all = head.fields;
                let (sent, set) = all.split_at(sent_fields);
                let mut fields: EditedFields<'_> = sent.iter().filter(|field| !owned.takes(field)).copied().collect();
                let sent_fields = fields.len();
                fields.extend(set.iter().filter(|field| !owned.has(field.name)).copied());
                let head = RequestHead { fields: &fields, ..head };
                let ruled = Ruled { head: &head, sent_fields, ..as_sent };
                let mut list = Vec::new();
                let told = if asks_fields { Some(ruled.told_by(&mut list)) } else { None };
                let ruled = Ruled { told: told.as_deref(), ..ruled };
                let judged = owned.judged(all, &fields);
                let seen = RequestHead { fields: judged.as_deref().unwrap_or(&fields), ..head };
                let facts = facts(request, (&asked, framing), listener, Some(&**found.rule), &seen, ruled.told);
                let (said, denial) = policy::judge_all(&joined.policies, &joined.levels, &facts, &mut passage);
                policies = said;
                made = ruled.made(&passage);
                match denial {
                    Some(denial) => denied(denial),
                    None => act(table, &ruled, action, &passage),
                }
            }
        },
    };
    let decision = at(listener, own_answer(decision, &as_sent, &made)).with_appended(owned_answer(&passage.respond));
    Decision { rule: Some(found.rule.ir.id.clone()), match_index: Some(found.match_index), policies, ..decision }
}

/// A request that has its rule; `sent_fields`: how many of the fields are the client's, the listener's filters set the others.
#[derive(Clone, Copy)]
struct Ruled<'r> {
    request: &'r DecisionRequest,
    listener: &'r Listener,
    found: &'r Found<'r>,
    head: &'r RequestHead<'r>,
    sent_fields: usize,
    /// As of [`Routed::told`].
    told: Option<&'r [Field<'r>]>,
}

/// What expressions of edits came to: of the rule, and of the listener.
struct Made {
    rule: MadeValues,
    listener: MadeValues,
}

impl<'r> Ruled<'r> {
    /// Its fields as a backend is told them; `list`: memory.
    fn told_by(&self, list: &'r mut Vec<u8>) -> EditedFields<'r> {
        let sent = &self.head.fields[..self.sent_fields];
        let origin = self.request.origin(self.listener, sent, self.head.authority, list);
        origin.tell(self.head.fields, self.sent_fields)
    }

    /// What edits write.
    fn made(&self, passage: &Passage<'_>) -> Made {
        let of = |filters: &Filters| filters.make(|| self.inputs(passage));
        Made { rule: of(&self.found.rule.filters), listener: self.listener.answers().map(of).unwrap_or_default() }
    }

    /// What expressions may ask of it.
    fn inputs<'i>(&'i self, passage: &'i Passage<'_>) -> Inputs<'i> {
        let identity = passage.identity.as_deref();
        Inputs {
            method: self.head.method,
            scheme: self.listener.ir.protocol.scheme(),
            host: self.head.host,
            path: self.head.path,
            query: self.head.query.unwrap_or_default(),
            authority: self.head.authority,
            fields: self.told.unwrap_or(self.head.fields),
            address: self.request.from.map(|address| address.to_canonical()),
            user: identity.map_or("", |identity| &identity.user),
            claims: identity.map(|identity| &*identity.claims),
            scopes: identity.map_or(&[], |identity| &identity.scopes),
            ..Inputs::default()
        }
    }
}

/// What a request comes to that its policies let pass.
fn act(table: &Table, ruled: &Ruled<'_>, action: Action, passage: &Passage<'_>) -> Decision {
    match action {
        Action::Answer(own) => answered(own, ruled),
        _ => forward(table, ruled, passage),
    }
}

/// What a filter answers: a redirect with its own fields, or a `respond` with those that it has.
fn answered(own: OwnAnswer, ruled: &Ruled<'_>) -> Decision {
    let mut decision = Decision::respond(own.status, own.reason).with_headers(own.fields);
    let respond = ruled.listener.respond(ruled.found.rule).filter(|_| own.body.is_some());
    if let (Some(respond), Some(response)) = (respond, &mut decision.response) {
        let mut fields = EditedFields::new();
        respond.fields.apply(&mut fields, &[]);
        response.headers = owned(&fields);
    }
    decision
}

/// What becomes of a connection whose requests nobody here reads: it is carried, or ends in its handshake.
fn before_the_head(table: &Table, socket: &Socket, request: &DecisionRequest, sni: Option<&str>) -> Option<Decision> {
    let carried = || {
        let DecisionRequest { bind_port, address, sni, entropy, from, certificate, .. } = request.clone();
        let transport = Transport::Tcp;
        let connection = L4Request { transport, bind_port, address, sni, entropy, from, certificate };
        Some(decide_l4(table, &connection))
    };
    let speaks = match socket.protocol {
        ListenerProtocol::Tcp | ListenerProtocol::Udp => return carried(),
        ListenerProtocol::Http => Scheme::Http,
        ListenerProtocol::Https | ListenerProtocol::Tls => Scheme::Https,
    };
    if request.scheme.is_some_and(|scheme| scheme != speaks) {
        return Some(Decision::close("scheme_mismatch"));
    }
    if speaks == Scheme::Http {
        return None;
    }
    match socket.listener_for_sni(sni) {
        None => Some(Decision::close("unrecognized_name")),
        Some(listener) if listener.ir.protocol.is_http() => None,
        Some(_) => carried(),
    }
}

/// The head as one of HTTP/1.1 would be read.
fn read_head(request: &DecisionRequest) -> Result<WireHead<'_>, WireError> {
    if !is_token(request.method.as_bytes()) {
        return Err(WireError::Malformed("the method is no token"));
    }
    if !request.headers.iter().all(|(name, value)| is_token(name.as_bytes()) && is_value(value.as_bytes())) {
        return Err(WireError::Malformed("a malformed field"));
    }
    let host = Field { name: b"host", value: request.authority.as_bytes() };
    let fields = std::iter::once(host).chain(fields_of(&request.headers));
    let fields = fields.map(|field| Field { value: field.value.trim_ascii(), ..field });
    WireHead::of(&request.method, request.target.as_bytes(), 1, fields)
}

/// What the wire answers to a head that it cannot read; the reasons are the codes of `docs/errors.md`.
fn refuse(error: WireError) -> Decision {
    match error {
        WireError::UnknownExpectation => Decision::respond(417, "expectation_failed"),
        WireError::HeadTooLarge => Decision::respond(431, "headers_too_large"),
        WireError::UnsupportedCoding => Decision::respond(501, "unsupported_transfer_coding"),
        WireError::Malformed(_) | WireError::NotHttp | WireError::TargetTooLong | WireError::UnsupportedVersion => {
            Decision::respond(400, "bad_request")
        }
    }
}

/// An answer of the gateway has the rule's response filters, and its CORS fields; a preflight has those already. Of a rule that
/// is invalid only what the listener does is left.
fn own_answer(mut decision: Decision, ruled: &Ruled<'_>, made: &Made) -> Decision {
    let rule = ruled.found.rule;
    if decision.outcome == "respond" {
        let of_rule = Some(&rule.filters).filter(|_| !rule.ir.invalid);
        let cors = of_rule.and_then(|filters| filters.cors.as_ref());
        let cors = cors.filter(|_| decision.reason != "cors_preflight").map(|cors| cors_response(cors, ruled.head));
        let of_rule = of_rule.map(|filters| (filters, &*made.rule));
        let all: Vec<Edits<'_>> =
            of_rule.into_iter().chain(ruled.listener.answers().map(|own| (own, &*made.listener))).collect();
        decision.response = decision.response.map(|answer| edited_response(&answer, &all, cors));
    }
    decision
}

/// Decide on one connection, or on the datagrams of one client.
pub fn decide_l4(table: &Table, request: &L4Request) -> Decision {
    let Some(socket) = socket_of(table, request.transport, request.address, request.bind_port) else {
        return Decision::close("no_listener");
    };
    let sni = request.sni.as_ref().map(|name| name.to_ascii_lowercase());
    let (listener, found) = match route_l4(socket, sni.as_deref()) {
        L4Routed::NoListener => return Decision::close("no_listener"),
        L4Routed::NoRoute(listener) => {
            return Decision { listener: Some(listener.id().to_owned()), ..Decision::close("no_route") };
        }
        L4Routed::Found(listener, found) => (listener, found),
    };
    let joined = listener.policies_of_l4(&found.rule);
    let (policies, levels) = joined.map(|joined| (&*joined.policies, &*joined.levels)).unwrap_or_default();
    // Where TLS does not end nobody has shown anything.
    let certificate = request.certificate.as_ref().filter(|_| listener.ends_tls());
    let facts = ConnectionFacts {
        address: request.from.map(|address| address.to_canonical()),
        sni: sni.as_deref(),
        listener: listener.id(),
        route: &found.rule.ir.route,
        rule: &found.rule.ir.id,
        certificate: Some(certificate),
        user: policy::user_of_connection(policies, levels, certificate),
        rule_uid: found.rule.uid,
    };
    let at = |decision| Decision {
        listener: Some(listener.id().to_owned()),
        rule: Some(found.rule.ir.id.clone()),
        ..decision
    };
    let (policies, refused) = policy::judge_connection(policies, levels, &facts);
    if let Some(reason) = refused {
        return Decision { policies, ..at(Decision::close(reason.name())) };
    }
    let slot = request.entropy % found.rule.total_weight.max(1);
    let decision = match pick_l4(table, listener, found, slot) {
        Picked::NoBackend => Decision::close("no_backend"),
        Picked::Invalid(index) => Decision { backend: Some(index), ..Decision::close("backend_invalid") },
        Picked::NoEndpoint(index) => Decision { backend: Some(index), ..Decision::close("no_endpoint") },
        Picked::Backend(index, _, backend) => Decision {
            outcome: "forward",
            backend: Some(index),
            endpoints: backend.endpoint_ids(),
            ..Decision::close("forwarded")
        },
    };
    Decision { policies, ..at(decision) }
}

fn socket_of(table: &Table, transport: Transport, address: Option<IpAddr>, port: u16) -> Option<&Arc<Socket>> {
    match address {
        Some(_) => table.socket(SocketKey { transport, address, port }),
        None => table.socket_on_port(transport, port),
    }
}

fn forward(table: &Table, ruled: &Ruled<'_>, passage: &Passage<'_>) -> Decision {
    let Ruled { request, found, head, .. } = *ruled;
    let slot = if found.rule.total_weight == 0 { 0 } else { request.entropy % found.rule.total_weight };
    let (index, chosen, backend) = match pick(table, found, slot) {
        Picked::NoBackend => return Decision::respond(500, "no_backend"),
        Picked::Invalid(index) => {
            return Decision { backend: Some(index), ..Decision::respond(500, "backend_invalid") };
        }
        Picked::NoEndpoint(index) => {
            return Decision { backend: Some(index), ..Decision::respond(503, "no_endpoint") };
        }
        Picked::Backend(index, chosen, backend) => (index, chosen, backend),
    };
    let both = [&found.rule.filters, &chosen.filters];
    let mirrors = both.iter().flat_map(|filters| &filters.mirrors).enumerate();
    let mirrors = mirrors.filter(|(at, mirror)| {
        let denominator = u64::from(mirror.percentage.denominator.max(1));
        (request.entropy / 7 + *at as u64 * 13) % denominator < u64::from(mirror.percentage.numerator)
    });
    let session = backend.session(&found.rule.ir);
    let made = both.map(|filters| filters.make(|| ruled.inputs(passage)));
    let edits = [(both[0], &*made[0]), (both[1], &*made[1])];
    let mut passage = passage.clone();
    passage.chosen(index);
    let Ok(sent) = forwarded(ruled, &edits, &passage, session) else {
        return Decision { backend: Some(index), ..Decision::respond(400, "bad_request") };
    };
    Decision {
        outcome: "forward",
        status: 0,
        reason: "forwarded",
        backend: Some(index),
        endpoints: backend.endpoint_ids(),
        request: Some(sent),
        mirrors: mirrors.map(|(_, mirror)| mirror.backend.clone()).collect(),
        response: request.response.as_ref().map(|sample| {
            let cors = both.iter().find_map(|filters| filters.cors.as_ref()).map(|cors| cors_response(cors, head));
            let last = ruled.made(&passage).listener;
            let all: Vec<Edits<'_>> =
                edits.into_iter().chain(ruled.listener.answers().map(|own| (own, &*last))).collect();
            edited_response(&located(sample, &both), &all, cors)
        }),
        ..Decision::respond(0, "")
    }
}

/// What a client says of where it comes from is never sent on as it is.
fn forwarded(
    ruled: &Ruled<'_>,
    edits: &[Edits<'_>; 2],
    passage: &Passage<'_>,
    session: Option<&Session>,
) -> Result<Message, NoPath> {
    let Ruled { found, head, sent_fields, .. } = *ruled;
    let (sent, set) = head.fields.split_at(sent_fields);
    let kept = sent.iter().filter(|field| !is_forwarding_name(field.name));
    let mut removed = passage.removed.clone();
    if let Some(removal) = session.and_then(|session| session::removal(session, head.fields)) {
        removed.push(removal);
    }
    let stripped = Stripped::of(&removed, head.fields, head.query);
    let mut fields: EditedFields<'_> = kept.chain(set).copied().collect();
    let mut query = head.query;
    stripped.apply(&mut fields, &mut query);
    fields.extend(passage.forward.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
    let mut authority = String::from_utf8_lossy(head.authority);
    let mut path = Cow::Borrowed(head.path);
    for &(filters, made) in edits {
        let edited = edit_request(filters, made, &mut fields, head.path, found.prefix_length)?;
        if let Some(host) = edited.authority {
            authority = Cow::Borrowed(host);
        }
        if let Some(new_path) = edited.path {
            path = Cow::Owned(new_path);
        }
    }
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    Ok(Message { method: head.method.to_owned(), authority: authority.into_owned(), target, headers: owned(&fields) })
}
