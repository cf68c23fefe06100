//! The `decide` contract: JSON in, JSON out (ARCHITECTURE.md).

use super::{
    Action, L4Routed, Picked, Refused, Request, Routed, Workspace, cors_response, edit_request, pick, pick_l4, resolve,
    route_l4, set_cors,
};
use crate::ir::Transport;
use crate::path_normalization::PathNormalization;
use crate::table::{CorsFilter, Filters, Found, Listener, RequestHead, Socket, SocketKey, Table};
use codec::Field;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// Name and value pairs as JSON carries them.
pub type Headers = Vec<(String, String)>;

/// A request to decide on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    pub bind_port: u16,
    #[serde(default)]
    pub address: String,
    #[serde(default)]
    pub sni: Option<String>,
    pub method: String,
    pub authority: String,
    pub target: String,
    #[serde(default)]
    pub path_normalization: PathNormalization,
    #[serde(default)]
    pub headers: Headers,
    #[serde(default)]
    pub entropy: u64,
    #[serde(default)]
    pub response: Option<Reply>,
}

/// A connection, or a client's datagrams, to decide on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Request {
    pub transport: Transport,
    pub bind_port: u16,
    #[serde(default)]
    pub address: String,
    /// The server name of the `ClientHello`.
    #[serde(default)]
    pub sni: Option<String>,
    #[serde(default)]
    pub entropy: u64,
}

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

/// A response: the backend's sample, or what the gateway writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub status: u16,
    #[serde(default)]
    pub headers: Headers,
}

/// The request as it is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub method: String,
    pub authority: String,
    pub target: String,
    pub headers: Headers,
}

/// What happens to a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub outcome: &'static str,
    pub status: u16,
    pub reason: &'static str,
    pub listener: Option<String>,
    pub rule: Option<String>,
    #[serde(rename = "match")]
    pub match_index: Option<u32>,
    pub backend: Option<usize>,
    pub endpoints: Vec<String>,
    pub request: Option<Message>,
    pub mirrors: Vec<String>,
    pub response: Option<Reply>,
}

impl Decision {
    fn respond(status: u16, reason: &'static str) -> Self {
        Self {
            outcome: "respond",
            status,
            reason,
            listener: None,
            rule: None,
            match_index: None,
            backend: None,
            endpoints: Vec::new(),
            request: None,
            mirrors: Vec::new(),
            response: Some(Reply { status, headers: Vec::new() }),
        }
    }

    fn close(reason: &'static str) -> Self {
        Self { outcome: "close", response: None, ..Self::respond(0, reason) }
    }

    fn with_headers(mut self, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        if let Some(response) = &mut self.response {
            response.headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        }
        self
    }
}

/// Decide on one request.
pub fn decide(table: &Table, request: &DecisionRequest) -> Decision {
    // Nothing of a request is on a wire here: the fields given are all there are.
    let fields: Vec<Field<'_>> = fields_of(&request.headers).collect();
    let sni = request.sni.as_ref().map(|name| name.to_ascii_lowercase());
    let socket = socket_of(table, Transport::Tcp, &request.address, request.bind_port);
    let asked = Request {
        method: &request.method,
        target: request.target.as_bytes(),
        paths: request.path_normalization,
        authority: Some(request.authority.as_bytes()).filter(|authority| !authority.is_empty()),
        may_lack_authority: false,
        sni: sni.as_deref(),
        fields: &fields,
        taken_out: &[],
    };
    let mut space = Workspace::default();
    let at = |listener: &Listener, decision| Decision { listener: Some(listener.id().to_owned()), ..decision };
    let routed = match resolve(socket.map(|socket| &**socket), &asked, &mut space) {
        Err(Refused::Connect) => return Decision::respond(405, "method_not_allowed"),
        Err(Refused::BadRequest) => return Decision::respond(400, "bad_request"),
        Err(Refused::NoListener) => return Decision::respond(404, "no_listener"),
        Err(Refused::Misdirected(listener)) => return at(listener, Decision::respond(421, "misdirected")),
        Err(Refused::NoRoute(listener)) => return at(listener, Decision::respond(404, "no_route")),
        Ok(routed) => routed,
    };
    let Routed { listener, found, head, action, .. } = routed;
    let decision = match action {
        Action::Invalid => Decision::respond(500, "rule_invalid"),
        Action::Preflight(fields) => Decision::respond(204, "cors_preflight").with_headers(fields),
        Action::Answer(own) => Decision::respond(own.status, own.reason).with_headers(own.fields),
        Action::Forward => forward(table, request, &head, &found),
    };
    let decision = at(listener, own_answer(decision, &head, &found));
    Decision { rule: Some(found.rule.ir.id.clone()), match_index: Some(found.match_index), ..decision }
}

/// An answer of the gateway has the rule's response filters, and its CORS fields; a preflight has those already.
fn own_answer(mut decision: Decision, head: &RequestHead<'_>, found: &Found<'_>) -> Decision {
    let filters = &found.rule.filters;
    if decision.outcome == "respond" && !found.rule.ir.invalid {
        let cors = filters.cors.as_ref().filter(|_| decision.reason != "cors_preflight");
        decision.response = decision.response.map(|answer| edited_response(&answer, head, &[filters], cors));
    }
    decision
}

/// Decide on one connection, or on the datagrams of one client.
pub fn decide_l4(table: &Table, request: &L4Request) -> Decision {
    let Some(socket) = socket_of(table, request.transport, &request.address, request.bind_port) else {
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
    let slot = request.entropy % found.rule.total_weight.max(1);
    let decision = match pick_l4(table, listener, found, slot) {
        Picked::NoBackend => Decision::close("no_backend"),
        Picked::Invalid(index) => Decision { backend: Some(index), ..Decision::close("backend_invalid") },
        Picked::NoEndpoint(index) => Decision { backend: Some(index), ..Decision::close("no_endpoint") },
        Picked::Backend(index, _, backend) => Decision {
            outcome: "forward",
            backend: Some(index),
            endpoints: backend.selectable().iter().map(|endpoint| endpoint.id.clone()).collect(),
            ..Decision::close("forwarded")
        },
    };
    Decision { listener: Some(listener.id().to_owned()), rule: Some(found.rule.ir.id.clone()), ..decision }
}

fn socket_of<'t>(table: &'t Table, transport: Transport, address: &str, port: u16) -> Option<&'t Arc<Socket>> {
    match address.parse() {
        Ok(address) => table.socket(SocketKey { transport, address: Some(address), port }),
        Err(_) => table.socket_on_port(transport, port),
    }
}

fn fields_of(headers: &Headers) -> impl Iterator<Item = Field<'_>> {
    headers.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
}

fn forward(table: &Table, request: &DecisionRequest, head: &RequestHead<'_>, found: &Found<'_>) -> Decision {
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
    Decision {
        outcome: "forward",
        status: 0,
        reason: "forwarded",
        backend: Some(index),
        endpoints: backend.selectable().iter().map(|endpoint| endpoint.id.clone()).collect(),
        request: Some(forwarded(head, found, &both)),
        mirrors: mirrors.map(|(_, mirror)| mirror.backend.clone()).collect(),
        response: request.response.as_ref().map(|sample| {
            let cors = both.iter().find_map(|filters| filters.cors.as_ref());
            edited_response(sample, head, &both, cors)
        }),
        ..Decision::respond(0, "")
    }
}

fn forwarded(head: &RequestHead<'_>, found: &Found<'_>, both: &[&Filters; 2]) -> Message {
    let mut fields: SmallVec<[Field<'_>; 32]> = head.fields.iter().copied().collect();
    let mut authority = String::from_utf8_lossy(head.authority);
    let mut path = Cow::Borrowed(head.path);
    for filters in both {
        let edited = edit_request(filters, &mut fields, head.path, found.prefix_length);
        if let Some(host) = edited.authority {
            authority = Cow::Borrowed(host);
        }
        if let Some(new_path) = edited.path {
            path = Cow::Owned(new_path);
        }
    }
    let target = match head.query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    Message { method: head.method.to_owned(), authority: authority.into_owned(), target, headers: owned(&fields) }
}

fn edited_response(sample: &Reply, head: &RequestHead<'_>, all: &[&Filters], cors: Option<&CorsFilter>) -> Reply {
    let cors = cors.map(|cors| cors_response(cors, head));
    let mut fields: SmallVec<[Field<'_>; 32]> = fields_of(&sample.headers).collect();
    for edits in all.iter().flat_map(|filters| &filters.response) {
        edits.apply(&mut fields);
    }
    set_cors(&mut fields, cors.as_deref().unwrap_or_default());
    Reply { status: sample.status, headers: owned(&fields) }
}

fn owned(fields: &[Field<'_>]) -> Headers {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|field| (text(field.name), text(field.value))).collect()
}
