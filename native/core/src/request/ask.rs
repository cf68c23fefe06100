//! Who is asked about a request, over our own connections to backends, so that load balancing, health and TLS are theirs.

use crate::dispatch::MirrorTo;
use crate::dispatch::ask::{Heard, Question, Unanswered, ask};
use crate::dispatch::outbound::{Outbound, Parts, Standing};
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::forwarding::{ForwardingFields, take_forwarding};
use crate::message::grpc;
use crate::policy::Answered;
use crate::policy::external::{Answer, Ask, MAX_ANSWER, Message};
use crate::telemetry::{self, TryEnded};
use crate::upstream::RoutePolicy;
use crate::worker::Generation;
use bytes::Bytes;
use codec::{Field, Framing};
use route::policy::same_field;
use route::table::Listener;
use std::net::SocketAddr;
use std::rc::Rc;
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

/// Ask about a request; `body`: what the service is given of its body; `trace`: what it is told of the trace.
pub async fn ask_about(
    client: &Client,
    generation: &Generation,
    whence: Whence<'_>,
    request: &Ask,
    body: Vec<u8>,
    trace: Option<Rc<telemetry::Question>>,
) -> Answered {
    let heard = match request.backend {
        Some(slot) => {
            let limits = (Duration::from_millis(request.service.timeout_ms), MAX_ANSWER);
            hear(client, generation, whence, slot, request.message(body), limits, trace).await
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

/// Send a message to a backend; `limits`: how long an answer may take, and how large its body may be; `trace`: that it is part
/// of. `None`: there is no answer.
pub async fn hear(
    client: &Client,
    generation: &Generation,
    whence: Whence<'_>,
    slot: u32,
    message: Message,
    (limit, most_kept): (Duration, usize),
    trace: Option<Rc<telemetry::Question>>,
) -> Option<Heard> {
    let backend = generation.table.backend(slot)?;
    if backend.is_invalid() || backend.tls.as_ref().is_some_and(|policy| policy.invalid) {
        return None;
    }
    let mut route = generation.client_tls.route(backend, &whence.listener.ir, message.grpc, false)?;
    route.policy = RoutePolicy::of(backend, || whence.ends);
    let question = Question {
        outbound: outbound(client, whence.believed, &message, route.tls.is_some(), trace.as_deref()),
        body: Bytes::from(message.body),
        limit,
        most_kept,
        trace,
    };
    if let Some(trace) = &question.trace {
        trace.begin(&message.method, || question.outbound.url());
    }
    let heard = ask(&client.worker, &MirrorTo { backend, route }, &question).await;
    if let Some(trace) = &question.trace {
        let status = heard.as_ref().ok().filter(|_| message.grpc).and_then(grpc_status);
        trace.end(ended(&heard), status);
    }
    heard.ok()
}

/// How a question ended, for its span.
fn ended(heard: &Result<Heard, Unanswered>) -> TryEnded {
    let error = |code: ErrorCode| TryEnded { status: 0, error: Some(code.name()) };
    match heard {
        Ok(heard) => TryEnded { status: heard.status, error: None },
        Err(Unanswered::Overloaded) => error(ErrorCode::BackendOverloaded),
        Err(_) => error(ErrorCode::AuthUnavailable),
    }
}

/// The head of a message, with what we say of where the request came from, and of its trace unless the policy says that itself.
fn outbound(
    client: &Client,
    believed: Option<bool>,
    message: &Message,
    tls: bool,
    trace: Option<&telemetry::Question>,
) -> Outbound {
    let mut forwarding = ForwardingFields { believed, ..ForwardingFields::default() };
    let mut fields: Vec<Field<'_>> = Vec::with_capacity(message.fields.len() + message.own.len());
    for sent in message.fields.iter().map(as_field) {
        if !take_forwarding(&sent, &mut forwarding) {
            fields.push(sent);
        }
    }
    fields.extend(message.own.iter().map(as_field));
    if let Some(trace) = trace {
        let is_said = |name: &str| message.own.iter().any(|(own, _)| same_field(own, name.as_bytes()));
        let said = trace.fields().iter().filter(|said| !is_said(said.name));
        fields.extend(said.map(|said| Field { name: said.name.as_bytes(), value: &said.value }));
    }
    let parts = Parts {
        method: &message.method,
        path: &message.path,
        query: message.query.as_deref(),
        authority: &message.authority,
        original_authority: message.asked_for.as_ref().unwrap_or(&message.authority),
        fields: &fields,
        framing: if message.body.is_empty() { Framing::Empty } else { Framing::Length(message.body.len() as u64) },
        expect_continue: false,
        upgrade: None,
        connect: false,
        trailers: message.grpc,
        tls,
    };
    Outbound::write(client, &parts, &Standing::Edited(&forwarding), Vec::new())
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

#[cfg(test)]
mod tests {
    use super::{Whence, grpc_status, hear, outbound};
    use crate::dispatch::ask::Heard;
    use crate::dispatch::scripted::{Backend, LIMIT};
    use crate::message::client::Client;
    use crate::policy::external::Message;
    use crate::worker::{Generation, Worker};
    use codec::Framing;
    use http::HeaderMap;
    use route::ir::Transport;
    use route::table::{SocketKey, Table};
    use serde_json::json;
    use tokio::task::LocalSet;

    const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

    fn client() -> Client {
        Client::new(Worker::alone(Generation::default()).unwrap(), ([192, 0, 2, 1], 1).into(), SOCKET, None)
    }

    fn message(body: &[u8]) -> Message {
        let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        Message {
            method: "POST".to_owned(),
            path: "/check".to_owned(),
            query: Some("a=b".to_owned()),
            authority: b"auth.test".to_vec(),
            asked_for: None,
            fields: vec![field("X-Forwarded-For", "198.51.100.7"), field("cookie", "c"), field("x-real-ip", "::1")],
            own: vec![field("x-original-uri", "/b")],
            body: body.to_vec(),
            grpc: false,
        }
    }

    /// A service is told where a request came from by us; what an untrusted client says of it is nobody's.
    #[test]
    fn what_a_service_is_told() {
        let client = client();
        for (believed, addresses) in
            [(None, "192.0.2.1"), (Some(false), "192.0.2.1"), (Some(true), "198.51.100.7, 192.0.2.1")]
        {
            let asked = outbound(&client, believed, &message(b"text"), false, None);
            let expected = format!(
                "POST /check?a=b HTTP/1.1\r\nhost: auth.test\r\ncookie: c\r\nx-original-uri: /b\r\n\
                x-forwarded-for: {addresses}\r\nx-forwarded-proto: http\r\nx-forwarded-host: auth.test\r\n\
                content-length: 4\r\n\r\n"
            );
            assert_eq!(String::from_utf8(asked.head).unwrap(), expected);
            assert_eq!((asked.framing, asked.trailers, asked.tls), (Framing::Length(4), false, false));
        }
        let call = Message { grpc: true, ..message(b"") };
        let asked = outbound(&client, None, &call, true, None);
        assert_eq!((asked.framing, asked.trailers, asked.tls), (Framing::Empty, true, true));
        assert!(asked.head.ends_with(b"\r\ncontent-length: 0\r\n\r\n"));
    }

    /// Trailers say more than a head, which has it only where nothing else comes.
    #[test]
    fn where_the_status_of_a_call_stands() {
        for (head, trailer, expected) in [
            (None, None, None),
            (Some("7"), None, Some(7)),
            (None, Some("0"), Some(0)),
            (Some("7"), Some("16"), Some(16)),
            (Some("7"), Some("x"), None),
            (Some(""), None, None),
        ] {
            let fields = head.map(|status| ("grpc-status".to_owned(), status.as_bytes().to_vec()));
            let trailers = trailer.map(|status| ("grpc-status".parse().unwrap(), status.parse().unwrap()));
            let heard = Heard {
                fields: fields.into_iter().collect(),
                trailers: trailers.into_iter().collect::<HeaderMap>(),
                ..Heard::default()
            };
            assert_eq!(grpc_status(&heard), expected, "{head:?} {trailer:?}");
        }
    }

    fn slot(table: &Table, id: &str) -> u32 {
        (0..8).find(|slot| table.backend(*slot).is_some_and(|backend| backend.id == id)).unwrap()
    }

    /// Where a policy of the service cannot be honoured nobody is asked at all.
    #[tokio::test]
    async fn who_is_asked() {
        let asking = async {
            let service = Backend::start(["HTTP/1.1 403 No\r\nx: 1\r\ncontent-length: 2\r\n\r\nno"]).await;
            let client = client();
            let endpoint = |backend: &str| {
                let (address, port) = (service.address.ip(), service.address.port());
                json!({"id": backend, "backend": backend, "address": address, "port": port})
            };
            let upsert = json!({
                "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
                "policies": [{"type": "backend_policy", "id": "broken", "invalid": true}],
                "backends": [{"id": "good"}, {"id": "bad", "policies": ["broken"]}],
                "endpoints": [endpoint("good"), endpoint("bad")]});
            client.worker.apply(&upsert).unwrap();
            let generation = client.worker.generation();
            let listener = generation.table.socket(SOCKET).unwrap().listeners().next().unwrap();
            let whence = Whence { listener, ends: client.ends(&[], None), believed: None };
            let (good, bad) = (slot(&generation.table, "good"), slot(&generation.table, "bad"));
            for slot in [bad, 99] {
                assert!(hear(&client, &generation, whence, slot, message(b""), (LIMIT, 9), None).await.is_none());
            }
            assert_eq!(service.asked().len(), 0);
            let heard = hear(&client, &generation, whence, good, message(b"text"), (LIMIT, 9), None).await.unwrap();
            assert_eq!((heard.status, heard.body.as_deref()), (403, Some(&b"no"[..])));
            assert!(service.asked()[0].ends_with("\r\n\r\ntext"));
        };
        Box::pin(LocalSet::new().run_until(asking)).await;
    }
}
