//! Collectors that answer as their script has it.

use super::{Sent, current, export, flush_telemetry, of_grpc, of_http, send};
use crate::dispatch::ask::Heard;
use crate::dispatch::scripted::{Backend, CLOSE, LIMIT, SILENCE};
use crate::policy::{KeySets, prepare};
use crate::protobuf::framed;
use crate::telemetry::samples::policy;
use crate::telemetry::{Batch, Destination};
use crate::worker::{Generation, Worker};
use http::HeaderMap;
use route::ir::VERSION;
use route::table::{NoTags, State, Table};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A worker of a table with a policy of tracing, whose collector is there.
fn worker(address: SocketAddr, more: &Value) -> Rc<Worker> {
    let endpoint = json!({"id": "e", "backend": "b", "address": address.ip(), "port": address.port()});
    let secret = json!({"id": "secret", "data": "authorization: Bearer x\nx-tenant: a"});
    let transaction = json!({"version": VERSION, "generation": 1, "full": true,
        "upsert": {"policies": [policy(more)], "backends": [{"id": "b"}], "endpoints": [endpoint]},
        "secrets": {"policy_secrets": [secret]}});
    let table = State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
    prepare(&table, &Table::default(), None, &KeySets::default());
    Worker::alone(Generation { table, ..Generation::default() }).unwrap()
}

fn destination(worker: &Worker) -> Arc<Destination> {
    current(&worker.generation(), "XTelemetryPolicy/a/p").unwrap().1
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn said(worker: &Worker, limit: Duration) -> Sent {
    send(worker, &worker.generation(), &destination(worker), b"\x12\x00", limit).await
}

/// OTLP, "OTLP/HTTP Response": only some failures may end.
#[test]
fn what_a_collector_says() {
    let later = |why: &str| Sent::Later(why.to_owned());
    let megabytes = "x".repeat(3_000_000);
    for (script, expected) in [
        (answer(200, ""), Sent::Taken { refused: 0 }),
        (answer(202, "anything"), Sent::Taken { refused: 0 }),
        (answer(200, "\x0a\x02\x08\x03"), Sent::Taken { refused: 3 }),
        (answer(200, &megabytes), Sent::Taken { refused: 0 }),
        (answer(503, ""), later("it answers 503")),
        (answer(429, &megabytes), later("it answers 429")),
        (answer(400, ""), Sent::Never("it answers 400".to_owned())),
        (answer(302, ""), Sent::Never("it answers 302".to_owned())),
        (CLOSE.to_owned(), later("it gave no answer: it closed the connection")),
        ("no HTTP at all\r\n\r\n".to_owned(), later("it gave no answer: a malformed response head")),
    ] {
        run(async {
            let backend = Backend::start([script.clone(), script.clone(), script]).await;
            assert_eq!(said(&worker(backend.address, &json!({})), SECOND).await, expected);
        });
    }
}

#[test]
fn a_collector_that_says_nothing_is_not_waited_for_long() {
    run(async {
        let backend = Backend::start([SILENCE]).await;
        let limit = Duration::from_millis(50);
        let expected = Sent::Later("it gave no answer within 0.05 s".to_owned());
        assert_eq!(said(&worker(backend.address, &json!({})), limit).await, expected);
    });
}

#[test]
fn what_a_collector_is_asked() {
    run(async {
        let backend = Backend::start([answer(200, "")]).await;
        let to = json!({"backend": "b", "protocol": "http", "service": "otel.a.svc", "headers": "secret"});
        said(&worker(backend.address, &json!({"collector": to})), SECOND).await;
        let asked = backend.asked();
        let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
        let lines: Vec<_> = head.lines().take(6).collect();
        assert_eq!(
            lines,
            [
                "POST /v1/traces HTTP/1.1",
                "host: otel.a.svc",
                "content-type: application/x-protobuf",
                "user-agent: sluicegate",
                "authorization: Bearer x",
                "x-tenant: a",
            ]
        );
        assert!(body.contains("service.name") && body.contains("shop"));
    });
}

/// Nothing that can go wrong here is a reason to stop.
#[test]
fn collectors_that_cannot_be_asked() {
    run(async {
        let worker = Worker::alone(Generation::default()).unwrap();
        let gone = crate::telemetry::samples::destination(&json!({}));
        let found = send(&worker, &worker.generation(), &gone, b"", SECOND).await;
        assert_eq!(found, Sent::Never("the policy is gone".to_owned()));
        // Nobody listens there.
        let backend = Backend::start([CLOSE]).await;
        let address = SocketAddr::new(backend.address.ip(), 1);
        let expected = Sent::Later("it cannot be reached: Connection refused (os error 111)".to_owned());
        assert_eq!(said(&self::worker(address, &json!({})), SECOND).await, expected);
    });
}

fn heard(status: u16, body: Option<&[u8]>, fields: &[(&str, &str)], trailer: Option<&str>) -> Heard {
    let mut trailers = HeaderMap::new();
    if let Some(trailer) = trailer {
        trailers.insert("grpc-status", trailer.parse().unwrap());
    }
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Heard { status, fields, body: body.map(<[u8]>::to_vec), trailers }
}

#[test]
fn what_grpc_says() {
    let partial = framed(b"\x0a\x02\x08\x07");
    for (heard, expected) in [
        (heard(200, Some(&framed(b"")), &[], Some("0")), Sent::Taken { refused: 0 }),
        (heard(200, Some(&partial), &[], Some("0")), Sent::Taken { refused: 7 }),
        (heard(200, None, &[], Some("0")), Sent::Taken { refused: 0 }),
        (heard(200, None, &[("grpc-status", "14")], None), Sent::Later("it answers gRPC status 14".to_owned())),
        (heard(200, None, &[], Some("3")), Sent::Never("it answers gRPC status 3".to_owned())),
        (heard(200, None, &[], Some("x")), Sent::Later("its answer has no gRPC status".to_owned())),
        (heard(200, None, &[], None), Sent::Later("its answer has no gRPC status".to_owned())),
        (heard(503, None, &[], None), Sent::Later("it answers 503".to_owned())),
        (heard(415, None, &[], None), Sent::Never("it answers 415".to_owned())),
    ] {
        assert_eq!(of_grpc(&heard), expected, "{heard:?}");
    }
    // More than there were: an answer like any other.
    let many =
        heard(200, Some(&[0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), &[], None);
    assert_eq!(of_http(&many), Sent::Taken { refused: u64::MAX });
}

fn batch(worker: &Worker) -> (Arc<Destination>, Batch) {
    let to = destination(worker);
    worker.outboxes.push(&to, b"\x12\x00", 1, Instant::now());
    worker.outboxes.take(Instant::now(), true).unwrap()
}

/// The operator hears when a collector goes, and when it is back; what became of spans is counted.
#[test]
fn what_the_operator_hears() {
    run(async {
        let script =
            [answer(400, ""), answer(500, ""), answer(200, ""), answer(200, "\x0a\x02\x08\x09"), answer(503, "")];
        let backend = Backend::start(script).await;
        let worker = worker(backend.address, &json!({}));
        let mut heard = Vec::new();
        for _ in 0..5 {
            let (to, batch) = batch(&worker);
            export(&worker, &to, batch, SECOND).await;
            let events = worker.shared.events.take(10);
            assert!(events.iter().all(|event| event.about == "collector of XTelemetryPolicy/a/p"));
            heard.push(events.into_iter().map(|event| event.code).collect::<Vec<_>>().join(" "));
        }
        assert_eq!(heard, ["collector_unavailable", "", "collector_available", "", "collector_unavailable"]);
        let figures = destination(&worker).figures.all().map(|(_, spans)| spans);
        assert_eq!(figures, [1, 0, 3], "a collector that refuses more than it got refuses all");
    });
}

/// A worker that ends gives its spans, as far as somebody takes them at once.
#[test]
fn what_is_left_at_the_end() {
    run(async {
        let backend = Backend::start([answer(200, "")]).await;
        let kept = worker(backend.address, &json!({}));
        let to = destination(&kept);
        kept.outboxes.push(&to, b"\x12\x00", 2, Instant::now());
        flush_telemetry(&kept).await;
        assert!(kept.outboxes.is_empty() && to.figures.all()[0].1 == 2);
        let silent = Backend::start([SILENCE]).await;
        let lost = worker(silent.address, &json!({}));
        lost.outboxes.push(&destination(&lost), b"\x12\x00", 2, Instant::now());
        let begun = Instant::now();
        flush_telemetry(&lost).await;
        assert!(begun.elapsed() < 3 * SECOND);
    });
}
