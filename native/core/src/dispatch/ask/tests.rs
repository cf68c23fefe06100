//! Questions to backends that answer, or do not, as their script has it.

use super::{Heard, MAX_HEAD, Question, TRIES, Unanswered, ask};
use crate::dispatch::MirrorTo;
use crate::dispatch::scripted::{Backend, CLOSE, LIMIT, OK, SILENCE, outbound};
use crate::message::scripted::Body;
use crate::upstream::{Load, Route};
use crate::worker::{Generation, Worker};
use bytes::Bytes;
use codec::Framing;
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

/// Octets of an answer that are kept.
const MOST: usize = 4;

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A worker with one backend that has these endpoints, and may have so many requests under way.
fn worker(endpoints: &[SocketAddr], requests: Option<u32>) -> Rc<Worker> {
    let worker = Worker::alone(Generation::default()).unwrap();
    let endpoint = |at: &SocketAddr| json!({"id": at, "backend": "b", "address": at.ip(), "port": at.port()});
    let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
    let mut upsert = json!({"backends": [{"id": "b"}], "endpoints": endpoints});
    if let Some(requests) = requests {
        let limits = json!({"requests": requests, "pending": 0});
        upsert["policies"] = json!([{"type": "backend_policy", "id": "p", "limits": limits}]);
        upsert["backends"][0]["policies"] = json!(["p"]);
    }
    worker.apply(&upsert).unwrap();
    worker
}

async fn asked(worker: &Worker, limit: Duration, http2: bool) -> Result<Heard, Unanswered> {
    let generation = worker.generation();
    let backend = generation.table.backends().next().unwrap();
    let route = Route { http2, ..Route::default() };
    let outbound = outbound(Body::None, false);
    let question = Question { outbound, body: Bytes::new(), limit, most_kept: MOST, trace: None };
    ask(worker, &MirrorTo { backend, route }, &question).await
}

/// What an answer says that is heard: status, fields, body, trailers.
fn said(heard: &Heard) -> String {
    let Heard { status, fields, body, trailers } = heard;
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!(" {name}={}", value.escape_ascii())).collect();
    let body = body.as_ref().map_or("none".to_owned(), |body| format!("[{}]", body.escape_ascii()));
    let trailers = trailers.iter().map(|(name, value)| format!(" {name}={}", value.to_str().unwrap()));
    format!("{status}{} {body}{}", fields.concat(), trailers.collect::<Vec<_>>().concat())
}

/// Whatever the status; of a body that is too long nothing is kept, and its connection neither.
#[test]
fn answers_are_heard() {
    for (answer, expected, kept) in [
        (OK, "200 []", 1),
        ("HTTP/1.1 500 No\r\ncontent-length: 2\r\nX-A: 1\r\n\r\nno", "500 x-a=1 [no]", 1),
        (
            "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /\r\ncontent-length: 0\r\n\r\n",
            "302 location=/ []",
            1,
        ),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nt: 1\r\n\r\n", "200 [hi] t=1", 1),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfour", "200 [four]", 1),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfive!", "200 none", 0),
        ("HTTP/1.1 200 OK\r\n\r\nhi", "200 [hi]", 0),
    ] {
        run(async {
            let backend = Backend::start([answer]).await;
            let worker = worker(&[backend.address], None);
            assert_eq!(said(&asked(&worker, LIMIT, false).await.unwrap()), expected, "{answer}");
            assert_eq!(worker.upstreams.idle_connections(), kept, "{answer}");
            assert_eq!(backend.asked(), ["GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"]);
        });
    }
}

/// What is no answer is asked for again, so often and no more; a head is one, and what breaks off behind it is nobody's.
#[test]
fn what_is_no_answer() {
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(MAX_HEAD));
    let half = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n\r\nha";
    for (answer, times, is_closed) in
        [(CLOSE, TRIES, true), ("SSH-2.0-x\r\n\r\n", TRIES, false), (&large, TRIES, false), (half, 1, false)]
    {
        run(async {
            let backend = Backend::start([answer; TRIES + 1]).await;
            let worker = worker(&[backend.address], None);
            let Unanswered::Broken(why) = asked(&worker, LIMIT, false).await.unwrap_err() else { panic!("{answer}") };
            assert_eq!(why == "it closed the connection", is_closed, "{answer}: {why}");
            assert_eq!(backend.asked().len(), times, "{answer}");
        });
    }
}

/// A question has a limit of time, whatever is tried within it.
#[test]
fn silence_ends() {
    run(async {
        let backend = Backend::start([SILENCE; 2]).await;
        let worker = worker(&[backend.address], None);
        let (limit, begun) = (Duration::from_millis(50), Instant::now());
        assert_eq!(asked(&worker, limit, false).await.unwrap_err(), Unanswered::Silent);
        assert!(begun.elapsed() >= limit && backend.asked().len() == 1);
        // Nobody is there to be asked.
        assert_eq!(asked(&self::worker(&[], None), LIMIT, false).await.unwrap_err(), Unanswered::NoEndpoint);
        // Bound, so that nobody else has it, and not listened on.
        let held = TcpSocket::new_v4().unwrap();
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let refused = asked(&self::worker(&[held.local_addr().unwrap()], None), LIMIT, false).await.unwrap_err();
        assert_eq!(refused, Unanswered::Unreachable("Connection refused (os error 111)".to_owned()));
    });
}

/// One that was kept and has ended meanwhile is no reason to leave its endpoint: there is a new one, not another that was kept.
#[test]
fn a_connection_that_was_kept() {
    run(async {
        let backend = Backend::start([OK, OK, CLOSE, OK]).await;
        let worker = worker(&[backend.address], None);
        let (one, two) = tokio::join!(asked(&worker, LIMIT, false), asked(&worker, LIMIT, false));
        assert_eq!((said(&one.unwrap()).as_str(), said(&two.unwrap()).as_str()), ("200 []", "200 []"));
        assert_eq!(worker.upstreams.idle_connections(), 2);
        assert_eq!(said(&asked(&worker, LIMIT, false).await.unwrap()), "200 []");
        assert_eq!((backend.asked().len(), worker.upstreams.idle_connections()), (4, 2));
    });
}

/// Who cannot be reached, or breaks off, has others.
#[test]
fn another_endpoint_is_asked() {
    run(async {
        // Bound, so that nobody else has it, and not listened on.
        let held = TcpSocket::new_v4().unwrap();
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let (bad, good) = (Backend::start([CLOSE; 8]).await, Backend::start([OK; 8]).await);
        let worker = worker(&[held.local_addr().unwrap(), bad.address, good.address], None);
        for times in 1..=8 {
            assert_eq!(said(&asked(&worker, LIMIT, false).await.unwrap()), "200 []");
            assert_eq!(good.asked().len(), times);
        }
    });
}

/// A question takes a place as a request does, and gives it back.
#[test]
fn places_of_a_backend() {
    run(async {
        let backend = Backend::start([OK; 2]).await;
        let worker = worker(&[backend.address], Some(1));
        let generation = worker.generation();
        let load = Load::of(generation.table.backends().next().unwrap()).unwrap();
        let taken = load.try_request().unwrap();
        assert_eq!(asked(&worker, LIMIT, false).await.unwrap_err(), Unanswered::Overloaded);
        assert_eq!(backend.asked().len(), 0);
        drop(taken);
        for _ in 0..2 {
            assert_eq!(said(&asked(&worker, LIMIT, false).await.unwrap()), "200 []");
        }
    });
}

/// The body of a question goes with it, and answers over HTTP/2 are heard alike.
#[test]
fn questions_over_http2() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let worker = worker(&[listener.local_addr().unwrap()], None);
        spawn_local(async move {
            let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let response = http::Response::builder().status(200).header("x", "1").body(()).unwrap();
                let mut stream = respond.send_response(response, false).unwrap();
                stream.send_data(Bytes::from_static(b"hi"), false).unwrap();
                stream.send_trailers([("t".parse().unwrap(), "1".parse().unwrap())].into_iter().collect()).unwrap();
            }
        });
        for _ in 0..2 {
            assert_eq!(said(&asked(&worker, LIMIT, true).await.unwrap()), "200 x=1 [hi] t=1");
        }
    });
    run(async {
        let backend = Backend::start([OK]).await;
        let worker = worker(&[backend.address], None);
        let generation = worker.generation();
        let to = MirrorTo { backend: generation.table.backends().next().unwrap(), route: Route::default() };
        let mut outbound = outbound(Body::None, false);
        outbound.head = b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\n".to_vec();
        outbound.framing = Framing::Length(4);
        let question =
            Question { outbound, body: Bytes::from_static(b"text"), limit: LIMIT, most_kept: MOST, trace: None };
        ask(&worker, &to, &question).await.unwrap();
        assert_eq!(backend.asked(), ["POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\ntext"]);
    });
}
