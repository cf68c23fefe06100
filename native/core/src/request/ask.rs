//! Who is asked about a request, over our own connections to backends, so that load balancing, health and TLS are theirs.

use crate::dispatch::MirrorTo;
use crate::dispatch::ask::{Heard, Question, ask};
use crate::dispatch::outbound::{Outbound, Parts};
use crate::message::client::Client;
use crate::message::forwarding::{ForwardingFields, take_forwarding};
use crate::message::grpc;
use crate::policy::Answered;
use crate::policy::external::{Answer, Ask, MAX_ANSWER, Message};
use crate::upstream::RoutePolicy;
use crate::worker::Generation;
use bytes::Bytes;
use codec::{Field, Framing};
use route::table::Listener;
use std::net::SocketAddr;
use std::time::Duration;

/// Where a request comes from about which somebody is asked.
#[derive(Debug, Clone, Copy)]
pub struct Whence<'g> {
    pub listener: &'g Listener,
    /// Who asks, and what it connected to.
    pub ends: (SocketAddr, SocketAddr),
    /// Whether the client is a proxy whose word about who asks counts; `None`: as the settings have it.
    pub believed: Option<bool>,
}

/// Ask about a request; `body`: what the service is given of its body.
pub async fn ask_about(
    client: &Client,
    generation: &Generation,
    whence: Whence<'_>,
    request: &Ask,
    body: Vec<u8>,
) -> Answered {
    let heard = match request.backend {
        Some(slot) => {
            let limits = (Duration::from_millis(request.service.timeout_ms), MAX_ANSWER);
            hear(client, generation, whence, slot, request.message(body), limits).await
        }
        None => None,
    };
    let given: Vec<Field<'_>> = request.fields().iter().map(as_field).collect();
    let believed = whence.believed.unwrap_or_else(|| client.is_believed(None));
    let scheme = if client.is_secure(&given, believed) { "https" } else { "http" };
    let answer = heard.as_ref().map(|heard| Answer {
        status: heard.status,
        fields: &heard.fields,
        body: heard.body.as_deref(),
        grpc_status: grpc_status(heard),
    });
    request.hear(answer, scheme)
}

/// Send a message to a backend; `limits`: how long an answer may take, and how large its body may be. `None`: there is none.
pub async fn hear(
    client: &Client,
    generation: &Generation,
    whence: Whence<'_>,
    slot: u32,
    message: Message,
    (limit, most_kept): (Duration, usize),
) -> Option<Heard> {
    let backend = generation.table.backend(slot)?;
    if backend.is_invalid() || backend.tls.as_ref().is_some_and(|policy| policy.invalid) {
        return None;
    }
    let mut route = generation.client_tls.route(backend, &whence.listener.ir, message.grpc, false)?;
    route.policy = RoutePolicy::of(backend, || whence.ends);
    let question = Question {
        outbound: outbound(client, whence.believed, &message, route.tls.is_some()),
        body: Bytes::from(message.body),
        limit,
        most_kept,
    };
    ask(&client.worker, &MirrorTo { backend, route }, &question).await.ok()
}

/// The head of a message, with what we say of where the request came from.
fn outbound(client: &Client, believed: Option<bool>, message: &Message, tls: bool) -> Outbound {
    let mut forwarding = ForwardingFields { believed, ..ForwardingFields::default() };
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(message.fields.len() + message.own.len());
    for sent in message.fields.iter().map(as_field) {
        if !take_forwarding(&sent, &mut forwarding) {
            fields.push(sent);
        }
    }
    fields.extend(message.own.iter().map(as_field));
    let parts = Parts {
        method: &message.method,
        path: &message.path,
        query: message.query.as_deref(),
        authority: &message.authority,
        original_authority: &message.authority,
        fields: &fields,
        framing: if message.body.is_empty() { Framing::Empty } else { Framing::Length(message.body.len() as u64) },
        expect_continue: false,
        upgrade: None,
        connect: false,
        trailers: message.grpc,
        tls,
    };
    Outbound::write(client, &parts, Some(&forwarding), Vec::new())
}

fn as_field((name, value): &(Vec<u8>, Vec<u8>)) -> Field<'_> {
    Field { name, value }
}

/// Of the trailers; where there is no body the head has it (`Trailers-Only`).
fn grpc_status(heard: &Heard) -> Option<u32> {
    let trailer = heard.trailers.get(grpc::STATUS).map(http::HeaderValue::as_bytes);
    let in_head = || heard.fields.iter().find(|(name, _)| name == grpc::STATUS).map(|(_, value)| value.as_slice());
    trailer.or_else(in_head).and_then(grpc::parse_status)
}
