//! The `decide` contract: JSON in, JSON out (ARCHITECTURE.md).

use super::{
    Action, L4Routed, Picked, Refused, Request, Routed, Workspace, cors_response, edit_request, pick, pick_l4, resolve,
    route_l4, set_cors,
};
use crate::ir::Transport;
use crate::path_normalization::PathNormalization;
use crate::policy::{self, ConnectionFacts, Denial, Facts, Identity, OwnedFields, Passage, Said, Stripped};
use crate::table::{CorsFilter, EditedFields, Filters, Found, Listener, RequestHead, Socket, SocketKey, Table};
use codec::Field;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;
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
    /// The address of who asks; absent: nobody can say.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// Who is taken to have proved who they are.
    #[serde(default)]
    pub identity: Option<Identity>,
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
    /// As of a request.
    #[serde(default)]
    pub from: Option<IpAddr>,
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
    /// What policies said, up to the first that refuses.
    pub policies: Vec<Said>,
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
            policies: Vec::new(),
        }
    }

    fn close(reason: &'static str) -> Self {
        Self { outcome: "close", response: None, ..Self::respond(0, reason) }
    }

    /// What policies add to every response.
    fn with_appended(mut self, passage: &Passage) -> Self {
        if let Some(response) = &mut self.response {
            response.headers.extend(owned_answer(&passage.respond));
        }
        self
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
    let (mut passage, mut policies) = (Passage::default(), Vec::new());
    let decision = match action {
        Action::Invalid => Decision::respond(500, "rule_invalid"),
        Action::Preflight(fields) => Decision::respond(204, "cors_preflight").with_headers(fields),
        action @ (Action::Answer(_) | Action::Forward) => match listener.policies_of(found.rule) {
            None => act(table, request, &head, &found, action, &passage),
            Some(joined) => {
                let owned = OwnedFields::of(&joined.policies);
                let fields: EditedFields<'_> = head.fields.iter().filter(|field| !owned.has(field)).copied().collect();
                let head = RequestHead { fields: &fields, ..head };
                let facts = facts(request, sni.as_deref(), listener, &found, &head);
                let (said, denial) = policy::judge_all(&joined.policies, &facts, &mut passage);
                policies = said;
                match denial {
                    Some(denial) => denied(denial),
                    None => act(table, request, &head, &found, action, &passage),
                }
            }
        },
    };
    let decision = at(listener, own_answer(decision, &head, &found)).with_appended(&passage);
    Decision { rule: Some(found.rule.ir.id.clone()), match_index: Some(found.match_index), policies, ..decision }
}

/// What a request comes to that its policies let pass.
fn act(
    table: &Table,
    request: &DecisionRequest,
    head: &RequestHead<'_>,
    found: &Found<'_>,
    action: Action,
    passage: &Passage,
) -> Decision {
    match action {
        Action::Answer(own) => Decision::respond(own.status, own.reason).with_headers(own.fields),
        _ => forward(table, request, head, found, passage),
    }
}

fn denied(denial: Denial) -> Decision {
    let Denial { reason, status, fields } = denial;
    let mut decision = Decision::respond(status.unwrap_or(reason.status()), reason.name());
    if let Some(response) = &mut decision.response {
        response.headers = owned_answer(&fields);
    }
    decision
}

fn facts<'r>(
    request: &'r DecisionRequest,
    sni: Option<&'r str>,
    listener: &'r Listener,
    found: &Found<'r>,
    head: &RequestHead<'r>,
) -> Facts<'r> {
    let length = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    Facts {
        address: request.from.map(|address| address.to_canonical()),
        method: head.method,
        scheme: listener.ir.protocol.scheme(),
        host: head.host,
        authority: head.authority,
        path: head.path,
        query: head.query,
        fields: head.fields,
        sni,
        listener: listener.id(),
        route: &found.rule.ir.route,
        rule: &found.rule.ir.id,
        rule_uid: found.rule.uid,
        body_length: length.and_then(|(_, value)| value.parse().ok()),
        assumed: request.identity.as_ref(),
    }
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
    let facts = ConnectionFacts {
        address: request.from.map(|address| address.to_canonical()),
        sni: sni.as_deref(),
        listener: listener.id(),
        route: &found.rule.ir.route,
        rule: &found.rule.ir.id,
        rule_uid: found.rule.uid,
    };
    let at = |decision| Decision {
        listener: Some(listener.id().to_owned()),
        rule: Some(found.rule.ir.id.clone()),
        ..decision
    };
    let joined = listener.policies_of_l4(&found.rule).map(|joined| &*joined.policies);
    let (policies, refused) = policy::judge_connection(joined.unwrap_or_default(), &facts);
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
            endpoints: backend.selectable().iter().map(|endpoint| endpoint.id.clone()).collect(),
            ..Decision::close("forwarded")
        },
    };
    Decision { policies, ..at(decision) }
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

fn forward(
    table: &Table,
    request: &DecisionRequest,
    head: &RequestHead<'_>,
    found: &Found<'_>,
    passage: &Passage,
) -> Decision {
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
        request: Some(forwarded(head, found, &both, passage)),
        mirrors: mirrors.map(|(_, mirror)| mirror.backend.clone()).collect(),
        response: request.response.as_ref().map(|sample| {
            let cors = both.iter().find_map(|filters| filters.cors.as_ref());
            edited_response(sample, head, &both, cors)
        }),
        ..Decision::respond(0, "")
    }
}

fn forwarded(head: &RequestHead<'_>, found: &Found<'_>, both: &[&Filters; 2], passage: &Passage) -> Message {
    let stripped = Stripped::of(&passage.removed, head.fields, head.query);
    let mut fields: EditedFields<'_> = head.fields.iter().copied().collect();
    let mut query = head.query;
    stripped.apply(&mut fields, &mut query);
    fields.extend(passage.forward.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
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
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    Message { method: head.method.to_owned(), authority: authority.into_owned(), target, headers: owned(&fields) }
}

fn edited_response(sample: &Reply, head: &RequestHead<'_>, all: &[&Filters], cors: Option<&CorsFilter>) -> Reply {
    let cors = cors.map(|cors| cors_response(cors, head));
    let mut fields: EditedFields<'_> = fields_of(&sample.headers).collect();
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

fn owned_answer(fields: &[policy::AnswerField]) -> Headers {
    fields.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value).into_owned())).collect()
}
