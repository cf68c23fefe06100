//! A gateway without a socket of its own: a request goes in as its head and body, and what its client is told comes out.

use crate::dispatch::Switched;
use crate::dispatch::scripted::{Backend, LIMIT};
use crate::io::watchdog::Watchdog;
use crate::message::body::{BodyError, BodySource, Piece};
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::scripted::{Body, Source, Told};
use crate::policy::{Chain, KeySets, Step, prepare};
use crate::request::serve::{ClientStream, LONGEST_COLLECTION, Request, Served};
use crate::worker::{Generation, Worker};
use codec::{Parsed, parse_request};
use http::HeaderMap;
use route::ir::Transport;
use route::table::{NoTags, SocketKey, State, Table};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

/// `paused`: time passes only where everybody waits, so that nobody may be asked over a socket.
pub fn run<F: Future>(paused: bool, test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap();
    let limit = if paused { 2 * LONGEST_COLLECTION } else { LIMIT };
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(limit, test).await.unwrap() })
}

pub struct Gateway {
    pub client: Client,
    pub app: Backend,
    /// Who is asked, where a rule has that.
    pub auth: Backend,
}

impl Gateway {
    /// Of rules whose backend, and whose service, says these. `steps`: of every request whose rule has no policies of its own.
    pub async fn says(app: &[&str], auth: &[&str], steps: Vec<Step>) -> Self {
        Self::start(app, auth, steps, &json!({}), &[]).await
    }

    /// One whose listener is traced by a policy.
    pub async fn traced(app: &[&str], auth: &[&str], policy: Value) -> Self {
        Self::start(app, auth, Vec::new(), &json!({}), &[policy]).await
    }

    /// The same, with other policies of the listener.
    pub async fn traced_by(app: &[&str], auth: &[&str], policies: &[Value]) -> Self {
        Self::start(app, auth, Vec::new(), &json!({}), policies).await
    }

    /// One whose requests wait for steps alone; `timeouts`: of the rule.
    pub async fn waits(steps: Vec<Step>, timeouts: &Value) -> Self {
        Self::start(&[], &[], steps, timeouts, &[]).await
    }

    async fn start(app: &[&str], auth: &[&str], steps: Vec<Step>, timeouts: &Value, listener: &[Value]) -> Self {
        let app = Backend::start(app.iter().copied()).await;
        let auth = Backend::start(auth.iter().copied()).await;
        let endpoint = |id: &str, backend: &Backend| {
            let address = backend.address;
            json!({"id": id, "backend": id, "address": address.ip(), "port": address.port()})
        };
        let rule = |path: &str, more: Value| {
            let mut rule = json!({"id": path, "route": "route", "index": 0, "listeners": ["l"],
                "matches": [{"path": {"type": "PathPrefix", "value": path}}]});
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            rule
        };
        let to = |backend: &str| json!([{"backend": backend, "weight": 1}]);
        let page = json!({"statuses": [{"first": 500, "last": 599}],
            "content": {"type": "body", "content_type": "text/plain", "body": "sorry"}});
        let service = json!({"protocol": "http", "backend": "auth", "timeout_ms": 5000, "forward_body_bytes": 5});
        let listener_policies: Vec<_> = listener.iter().map(|policy| policy["id"].clone()).collect();
        let mut transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP",
                "policies": listener_policies}],
            "backends": [{"id": "app"}, {"id": "auth"}, {"id": "empty"}, {"id": "b"}],
            "endpoints": [endpoint("app", &app), endpoint("auth", &auth)],
            "policies": [
                {"type": "filter_error_pages", "id": "pages/errorPages", "pages": [page]},
                {"type": "access_external", "id": "AccessPolicy/a/p/external", "service": service},
                {"type": "filter_telemetry", "id": "always/telemetry", "sampling": {"numerator": 1, "denominator": 1}},
                {"type": "filter_telemetry", "id": "never/telemetry", "sampling": {"numerator": 0, "denominator": 1}}],
            "http_rules": [
                rule("/app", json!({"backends": to("app"), "timeouts": timeouts})),
                rule("/empty", json!({"backends": to("empty")})),
                rule("/gone", json!({"filters": [{"type": "respond", "status": 410, "body": "gone"}]})),
                rule("/paged", json!({"backends": to("app"), "policies": ["pages/errorPages"]})),
                rule("/paged/empty", json!({"backends": to("empty"), "policies": ["pages/errorPages"]})),
                rule("/asked", json!({"backends": to("app"), "policies": ["AccessPolicy/a/p/external"]})),
                rule("/always", json!({"backends": to("app"), "policies": ["always/telemetry"]})),
                rule("/never", json!({"backends": to("app"), "policies": ["never/telemetry"]})),
                rule("/never/asked", json!({"backends": to("app"),
                    "policies": ["never/telemetry", "AccessPolicy/a/p/external"]})),
                rule("/retried", json!({"backends": to("app"), "retry": {"attempts": 3, "codes": [503], "backoff_ms": 1}})),
                rule("/edited", json!({"backends": to("app"),
                    "filters": [{"type": "request_headers", "remove": ["traceparent"]}]}))]}});
        transaction["upsert"]["policies"].as_array_mut().unwrap().extend_from_slice(listener);
        let table = State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
        prepare(&table, &Table::default(), None, &KeySets::default());
        let chain = (!steps.is_empty()).then(|| Arc::new(Chain::new(steps)));
        let worker = Worker::alone(Generation { table, chain, ..Generation::default() }).unwrap();
        Self { client: Client::new(worker, ([192, 0, 2, 1], 1).into(), SOCKET, None), app, auth }
    }

    pub async fn serve(&self, head: &str, body: Body) -> Done {
        self.serve_to(Told::default(), head, Source::new(body)).await
    }

    pub async fn serve_to<S: BodySource>(&self, reply: Told, head: &str, source: S) -> Done {
        let (line, fields) = head.split_once(", ").unwrap_or((head, ""));
        let fields = fields.replace(", ", "\r\n");
        let between = if fields.is_empty() { "" } else { "\r\n" };
        let bytes = format!("{line} HTTP/1.1\r\nhost: a.test\r\n{fields}{between}\r\n");
        let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{bytes}") };
        let generation = self.client.worker.generation();
        let (mut stream, begun) = (Stream { source, reply }, Instant::now());
        let request = Request::new(&self.client, &generation, &Inbound::from_http1(head));
        let (served, ended) = request.serve(&mut Watchdog::default(), &mut stream).await;
        let end = match served {
            Served::Complete => "complete".to_owned(),
            Served::Refused => "refused".to_owned(),
            Served::Broken(end) => format!("broken {}", end.code.name()),
            Served::Tunnelled => "tunnelled".to_owned(),
        };
        Done { end, told: outline(&stream.reply), lasted: ended - begun }
    }

    pub fn rehearse(&self, path: &str) -> bool {
        let bytes = format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n");
        let Ok(Parsed::Complete(head)) = parse_request(bytes.as_bytes(), 16) else { panic!("{bytes}") };
        let generation = self.client.worker.generation();
        Request::new(&self.client, &generation, &Inbound::from_http1(head)).rehearse()
    }
}

/// What became of a request.
pub struct Done {
    pub end: String,
    pub told: String,
    pub lasted: Duration,
}

impl Done {
    pub fn said(&self) -> (&str, &str) {
        (&self.end, &self.told)
    }
}

/// Statuses without their fields, and errors without what they mean.
fn outline(told: &Told) -> String {
    let short = |line: &String| match line.strip_prefix("head ") {
        Some(_) => line[..8].to_owned(),
        None => line.split(": ").next().unwrap_or_default().to_owned(),
    };
    told.lines.iter().map(short).collect::<Vec<_>>().join(", ")
}

struct Stream<S> {
    source: S,
    reply: Told,
}

impl<S: BodySource> ClientStream for Stream<S> {
    type Source = S;
    type Reply = Told;

    fn split(&mut self) -> (&mut S, &mut Told) {
        (&mut self.source, &mut self.reply)
    }

    async fn tunnel(&mut self, _: &Worker, _: &mut Watchdog, _: Switched) -> (u64, u64) {
        self.reply.lines.push("tunnel".to_owned());
        (3, 5)
    }
}

/// A body of which an octet comes every second, for ever.
pub struct Dripping;

impl BodySource for Dripping {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        sleep(Duration::from_secs(1)).await;
        Ok(Some(Piece::Borrowed(b"x")))
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn is_whole(&self) -> bool {
        false
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        Poll::Pending
    }
}
