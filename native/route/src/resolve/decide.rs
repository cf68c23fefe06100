//! The decision on one request, as the wire would come to it: from the handshake to the filters.

use super::contract::{Decision, DecisionRequest, L4Request, Scheme};
use super::decide_l4::{decide_l4, socket_of};
use super::forward::forward;
use super::reply::{denied, fields_of, owned_answer};
use super::ruled::{Made, Ruled, answered, own_answer};
use super::sample::facts;
use super::unrouted::decide_unrouted;
use super::{Action, Refused, Request, Routed, Workspace, resolve};
use crate::ir::{ListenerProtocol, Transport};
use crate::policy::{self, OwnedFields, Passage};
use crate::table::{EditedFields, Filters, Listener, RequestHead, Socket, Table};
use codec::{Field, RequestHead as WireHead, WireError, is_token, is_value};

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

/// What a request comes to that its policies let pass.
fn act(table: &Table, ruled: &Ruled<'_>, action: Action, passage: &Passage<'_>) -> Decision {
    match action {
        Action::Answer(own) => answered(own, ruled),
        _ => forward(table, ruled, passage),
    }
}
