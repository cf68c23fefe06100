//! From a request as its client sent it to what its rule says: the routing semantics of ARCHITECTURE.md, sections 1 to 5.
//!
//! [`resolve`] is the only place that knows their order. The wire calls it, and [`decide`] does for `explain`, the library,
//! the parity tests and the benchmarks. Pure; what a client sent is borrowed, what had to be made anew is kept in a
//! [`Workspace`].

mod affinity;
mod asked;
mod contract;
mod cors;
mod decide;
mod decide_l4;
mod edit;
mod forward;
mod question;
mod reply;
mod routed;
mod ruled;
mod sample;
mod select;
mod unrouted;
mod whence;

pub use affinity::{affinity, asks_forwarded, flow_affinity};
pub use contract::{Decision, DecisionRequest, L4Request, Message, Reply, Scheme};
pub use cors::{CorsFields, cors_response, is_cors, set_cors};
pub use decide::decide;
pub use decide_l4::decide_l4;
pub use edit::{Edited, NoPath, edit_request};
pub use question::Question;
pub use select::{L4Routed, Picked, may_speak_tls, pick, pick_l4, route_l4};
pub use whence::{Origin, Whence, without_forwarded};

use crate::ir::ListenerProtocol;
use crate::path_normalization::{self, PathNormalization, Target};
use crate::table::authority::{self, Authority};
use crate::table::{EditedFields, Found, Listener, RequestHead, Socket};
use codec::Field;
use std::borrow::Cow;
use std::sync::Arc;

/// A request as its client sent it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'r> {
    pub method: &'r str,
    /// Not yet checked or normalised.
    pub target: &'r [u8],
    /// What its path is before it is matched.
    pub paths: PathNormalization,
    /// `Host` or `:authority`.
    pub authority: Option<&'r [u8]>,
    /// Only a request of HTTP/1.0 may come without an authority: listeners and routes without hostname can take it.
    pub may_lack_authority: bool,
    /// The server name of its connection's TLS handshake, lower case.
    pub sni: Option<&'r str>,
    /// Those that are forwarded.
    pub fields: &'r [Field<'r>],
    /// See [`RequestHead::taken_out`].
    pub taken_out: &'r [Field<'r>],
    /// Who can say where it comes from.
    pub whence: &'r dyn Whence,
}

/// Why no rule takes a request.
#[derive(Debug)]
pub enum Refused<'t, 's> {
    /// The method is CONNECT, and nobody asks for a tunnel here: 405.
    Connect,
    /// The target or the authority is none: 400.
    BadRequest,
    /// 404.
    NoListener,
    /// The TLS handshake belongs to another listener than the authority: 421 (GEP-3567).
    Misdirected(&'t Arc<Listener>),
    /// No rule is looked for yet: its listener asks somebody before ([`Unrouted::find`] goes on behind that).
    Asks(Box<Unrouted<'t, 's>>),
    /// 404, unless what holds for its listener refuses it.
    NoRoute(Box<Unrouted<'t, 's>>),
}

/// A request that no rule takes, or none yet.
#[derive(Debug, Clone, Copy)]
pub struct Unrouted<'t, 's> {
    pub listener: &'t Arc<Listener>,
    /// As of [`Routed`].
    pub head: RequestHead<'s>,
    pub sent_fields: usize,
}

/// The rule that takes a request, and the request as that rule sees it.
#[derive(Debug, Clone, Copy)]
pub struct Routed<'t, 's> {
    pub listener: &'t Arc<Listener>,
    pub found: Found<'t>,
    /// Normalised as the request says, with the edits of the listener's filters.
    pub head: RequestHead<'s>,
    /// How many of the head's fields are the client's; those behind are what the listener's filters set.
    pub sent_fields: usize,
    /// The head's fields as the backend is told where the request comes from ([`told`](crate::policy::told)), once somebody asks.
    pub told: Option<&'s [Field<'s>]>,
}

/// What is to be done for a request that has its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The rule cannot be honoured: 500.
    Invalid,
    /// Answer a CORS preflight with these fields: 204.
    Preflight(CorsFields),
    /// A filter answers, behind the policies of the rule.
    Answer(OwnAnswer),
    Forward,
}

/// What a filter answers in place of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAnswer {
    /// The word of `decide`.
    pub reason: &'static str,
    pub status: u16,
    pub fields: Vec<(&'static str, String)>,
    /// Of a `Respond`, which has its fields ([`Listener::respond`]).
    pub body: Option<Arc<str>>,
}

/// Memory for what is made of a request while it is resolved.
#[derive(Debug, Default)]
pub struct Workspace<'f> {
    path: Cow<'f, str>,
    host: Cow<'f, str>,
    fields: EditedFields<'f>,
    taken_out: EditedFields<'f>,
}

/// Resolve a request that came to a socket; `None` where the table has no such socket.
///
/// # Errors
/// [`Refused`].
pub fn resolve<'t: 'f, 'f: 's, 's>(
    socket: Option<&'t Socket>,
    request: &Request<'f>,
    space: &'s mut Workspace<'f>,
) -> Result<Routed<'t, 's>, Refused<'t, 's>> {
    if request.method == "CONNECT" {
        return Err(Refused::Connect);
    }
    let (target, sent_authority, host) = read(request).ok_or(Refused::BadRequest)?;
    let listener = listener(socket.ok_or(Refused::NoListener)?, request.sni, &host)?;
    let Workspace { path, host: host_space, fields, taken_out } = space;
    *path = target.path;
    *host_space = host;
    let mut head = RequestHead {
        method: request.method,
        path,
        query: target.query,
        host: host_space,
        authority: sent_authority,
        fields: request.fields,
        taken_out: request.taken_out,
    };
    let mut sent_fields = request.fields.len();
    if listener.precedes() {
        fields.extend(request.fields.iter().copied());
        taken_out.extend(request.taken_out.iter().copied());
        sent_fields = listener.filters.pre_routing.apply(fields, taken_out);
        head = RequestHead { fields, taken_out, ..head };
        if listener.asks_before_rules().is_some() {
            return Err(Refused::Asks(Box::new(Unrouted { listener, head, sent_fields })));
        }
    }
    let Some(found) = whence::find(listener, request.whence, &head, sent_fields) else {
        return Err(Refused::NoRoute(Box::new(Unrouted { listener, head, sent_fields })));
    };
    Ok(Routed { listener, found, head, sent_fields, told: None })
}

/// Target, authority as sent, and host; `None` where a part is malformed.
fn read<'f>(request: &Request<'f>) -> Option<(Target<'f>, &'f [u8], Cow<'f, str>)> {
    let target = path_normalization::normalise(request.method, request.target, request.paths).ok()?;
    let (sent, is_sent) = match (target.authority, request.authority) {
        // A second name beside an absolute-form target must be well formed too, although the target's counts.
        (Some(_), Some(beside)) if authority::parse(beside).is_none() => return None,
        (Some(named), _) => (named.as_bytes(), !named.is_empty()),
        (None, Some(named)) => (named, true),
        (None, None) => (&b""[..], false),
    };
    let host = match authority::parse(sent) {
        Some(Authority { host, .. }) => host,
        None if request.may_lack_authority && !is_sent => Cow::Borrowed(""),
        None => return None,
    };
    Some((target, sent, host))
}

/// The listener of a request. The server name is ignored on sockets without TLS.
fn listener<'t, 's>(socket: &'t Socket, sni: Option<&str>, host: &str) -> Result<&'t Arc<Listener>, Refused<'t, 's>> {
    let listener = socket.listener_for_host(host).ok_or(Refused::NoListener)?;
    match socket.protocol {
        ListenerProtocol::Http => return Ok(listener),
        ListenerProtocol::Https | ListenerProtocol::Tls => {}
        ListenerProtocol::Tcp | ListenerProtocol::Udp => return Err(Refused::NoListener),
    }
    let presented = socket.listener_for_sni(sni);
    if !presented.is_some_and(|presented| Arc::ptr_eq(presented, listener)) {
        return Err(Refused::Misdirected(listener));
    }
    if listener.ir.protocol.is_http() { Ok(listener) } else { Err(Refused::NoListener) }
}

impl<'t, 's> Unrouted<'t, 's> {
    /// The rule that takes it, now that nobody has to be asked before.
    pub fn find(self, whence: &dyn Whence) -> Option<Routed<'t, 's>> {
        let Self { listener, head, sent_fields } = self;
        let found = whence::find(listener, whence, &head, sent_fields)?;
        Some(Routed { listener, found, head, sent_fields, told: None })
    }
}

impl Routed<'_, '_> {
    /// What is to be done, going by the fields that it has when this is asked.
    pub fn action(&self) -> Action {
        let Self { listener, found, head, .. } = self;
        let filters = &found.rule.filters;
        if found.rule.ir.invalid {
            return Action::Invalid;
        }
        if let Some(cors) = filters.cors.as_ref().filter(|_| cors::is_preflight(head)) {
            return Action::Preflight(cors::cors_preflight(cors, head));
        }
        // What the listener answers it answers whatever its rules do.
        let is_answered = listener.answers().is_some_and(|own| own.respond.is_some());
        if let Some(redirect) = filters.redirect.as_ref().filter(|_| !is_answered) {
            return Action::Answer(OwnAnswer {
                reason: "redirect",
                status: redirect.status,
                fields: vec![("location", edit::location(redirect, listener, head, found.prefix_length))],
                body: None,
            });
        }
        match listener.respond(found.rule) {
            Some(respond) => Action::Answer(OwnAnswer {
                reason: "respond",
                status: respond.status,
                fields: Vec::new(),
                body: Some(Arc::clone(&respond.body)),
            }),
            None => Action::Forward,
        }
    }
}

#[cfg(test)]
mod tests;
