//! A request survives a wait for a policy, in both protocols: its head, its body, and what comes behind it.

use super::{http1, http2};
use crate::error::ErrorCode;
use crate::io::Reset;
use crate::io::watchdog::Watchdog;
use crate::message::client::Client;
use crate::policy::{Chain, Denial, Gate, Outcome, Step};
use crate::worker::{Generation, Worker};
use bytes::Bytes;
use codec::Buffer;
use h2::client::SendRequest;
use http::Request;
use route::ir::Transport;
use route::policy::{BodyLimit, Passage, Removal};
use route::table::{NoTags, SocketKey, State};
use serde_json::json;
use std::cell::RefCell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, LocalSet};

impl Reset for DuplexStream {
    fn reset(&self) {}
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(Duration::from_secs(60), future).await.unwrap() })
}

/// A backend that answers with what it was asked, `POST /a x=1 body`, and remembers it.
struct Backend {
    address: SocketAddr,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Backend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Rc::<RefCell<Vec<String>>>::default());
        let heard = Rc::clone(&asked);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(echo(stream, Rc::clone(&heard)));
            }
        });
        Self { address, asked }
    }
}

async fn echo(mut stream: TcpStream, asked: Rc<RefCell<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let field = |name: &str| {
            let found = head.lines().find_map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")));
            found.unwrap_or_default().to_owned()
        };
        let length: usize = field("content-length").parse().unwrap_or(0);
        let whole = match field("transfer-encoding").as_str() {
            "chunked" => body.ends_with("0\r\n\r\n"),
            _ => body.len() >= length,
        };
        if !whole {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        }
        let line = head.split(" HTTP/").next().unwrap_or_default();
        let body: String = match field("transfer-encoding").as_str() {
            // Every second line of chunks is data.
            "chunked" => body.split("\r\n").skip(1).step_by(2).collect(),
            _ => body.to_owned(),
        };
        let answer = format!("{line} x={} {body}", field("x"));
        asked.borrow_mut().push(answer.clone());
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        let _ = stream.write_all(response.as_bytes()).await;
        bytes.clear();
    }
}

/// A client of a gateway with these steps, whose rule gives a request this long.
async fn client(steps: Vec<Step>, request_ms: Option<u64>) -> (Client, Backend) {
    let backend = Backend::start().await;
    let id = format!("b@{}", backend.address);
    let timeouts = request_ms.map_or(json!({}), |limit| json!({"request_ms": limit}));
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
        "listeners": [{"id": "l", "gateway": "default/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
        "http_rules": [{"id": "rule", "route": "route", "index": 0, "listeners": ["l"], "timeouts": timeouts,
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backends": [{"backend": "b", "weight": 1}]}],
        "backends": [{"id": "b"}],
        "endpoints": [{"id": id, "backend": "b", "address": backend.address.ip(), "port": backend.address.port()}]}});
    let table = State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
    let generation = Generation { table, chain: Some(Arc::new(Chain::new(steps))), ..Generation::default() };
    let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
    let worker = Worker::alone(generation).unwrap();
    (Client::new(worker, ([192, 0, 2, 1], 1).into(), socket, None), backend)
}

/// Two gates: what goes on is what was kept, twice.
fn gates(outcome: Outcome) -> (Vec<Step>, [Gate; 2]) {
    let gates = [Gate::new(Outcome::Pass), Gate::new(outcome)];
    (gates.iter().cloned().map(Step::Gate).collect(), gates)
}

/// Let everybody through.
fn open(gates: &[Gate]) {
    for gate in gates {
        gate.passes.add_permits(100);
    }
}

/// What a client of HTTP/1.1 is answered and a backend is asked. Each of `pieces` is sent once as many requests wait at the
/// first gate as it says; then the gates are open.
async fn over_http1(steps: Vec<Step>, gates: &[Gate], pieces: &[(usize, &str)]) -> (String, Vec<String>) {
    let (client, backend) = client(steps, None).await;
    let (near, mut far) = duplex(1024 * 1024);
    let serving =
        tokio::task::spawn_local(
            async move { http1::serve(&client, near, Buffer::new(), None, Watchdog::default()).await },
        );
    for &(waiting, piece) in pieces {
        for _ in 0..waiting {
            gates[0].wait().await;
        }
        far.write_all(piece.as_bytes()).await.unwrap();
    }
    open(gates);
    let mut received = String::new();
    far.read_to_string(&mut received).await.unwrap();
    serving.await.unwrap();
    let asked = backend.asked.take();
    (received, asked)
}

#[test]
fn http1_requests_survive_a_wait() {
    run(async {
        let first = "POST /a HTTP/1.1\r\nHost: a.test\r\nx: 1\r\nContent-Length: 5\r\n\r\nhello";
        let rest = "GET /b?c HTTP/1.1\r\nHost: a.test\r\nx: 2\r\n\r\n\
            PUT /d HTTP/1.1\r\nHost: a.test\r\nx: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
            3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let whole = [first, rest].concat();
        let (head, body) = first.split_at(first.len() - 5);
        // Pipelined; behind a request that waits; a body that comes while its head waits.
        for pieces in [&[(0, whole.as_str())][..], &[(0, first), (1, rest)], &[(0, head), (1, body), (0, rest)]] {
            let (steps, gates) = gates(Outcome::Pass);
            let (received, asked) = over_http1(steps, &gates, pieces).await;
            assert_eq!(asked, ["POST /a x=1 hello", "GET /b?c x=2 ", "PUT /d x=3 abcde"]);
            for (answer, asked) in received.split("HTTP/1.1 200").skip(1).zip(&asked) {
                assert!(answer.ends_with(asked.as_str()), "{received}");
            }
            assert_eq!(received.matches("HTTP/1.1 200").count(), 3, "{received}");
        }
    });
}

#[test]
fn http1_requests_are_denied_after_a_wait() {
    run(async {
        let get = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let whole = "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
        let broken = "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhell";
        let last = "GET /b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        // A body that is there with its head costs the connection nothing; one that is not ends it.
        for (sent, answers) in [([get, last].concat(), 2), ([whole, last].concat(), 2), (broken.to_owned(), 1)] {
            let (steps, gates) = gates(Outcome::deny(ErrorCode::BodyTooLarge));
            let (received, asked) = over_http1(steps, &gates, &[(0, &sent)]).await;
            assert_eq!((received.matches("HTTP/1.1 413").count(), asked.len()), (answers, 0), "{received}");
            assert_eq!(received.matches("connection: close").count(), 1, "{received}");
        }
    });
}

/// What a step has found out goes to the backend in place of what the client said, and to the client.
#[test]
fn what_was_found_goes_on_behind_the_wait() {
    run(async {
        let found = Passage {
            forward: vec![("x".into(), b"found".to_vec())],
            respond: vec![("y".into(), b"added".to_vec())],
            removed: vec![Removal::Field("X".into())].into(),
            ..Passage::default()
        };
        let gate = Gate::finding(Outcome::Pass, found);
        let sent = "GET /a HTTP/1.1\r\nHost: a.test\r\nx: 1\r\nX: 2\r\nConnection: close\r\n\r\n";
        let (received, asked) = over_http1(vec![Step::Gate(gate.clone())], &[gate], &[(0, sent)]).await;
        assert_eq!(asked, ["GET /a x=found "]);
        assert!(received.contains("\r\ny: added\r\n"), "{received}");
    });
}

/// Who was asked may say what the client is told.
#[test]
fn a_denial_may_have_its_own_answer() {
    run(async {
        let denial = Denial {
            status: Some(302),
            fields: vec![("location".into(), b"https://sign.in/".to_vec())],
            body: Some(b"elsewhere".to_vec()),
            ..ErrorCode::BodyTooLarge.into()
        };
        let gate = Gate::new(Outcome::deny(denial));
        let sent = "GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        let (received, asked) = over_http1(vec![Step::Gate(gate.clone())], &[gate], &[(0, sent)]).await;
        assert!(asked.is_empty());
        assert!(received.starts_with("HTTP/1.1 302 "), "{received}");
        assert!(
            received.contains("\r\nlocation: https://sign.in/\r\n") && received.ends_with("\r\n\r\nelsewhere"),
            "{received}"
        );
    });
}

#[test]
fn steps_go_in_their_order() {
    run(async {
        let limit = || Step::BodyLimit(BodyLimit::new(4).unwrap());
        let length = "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n";
        let chunked = "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        // The limit answers before anybody is asked; or behind the wait, for what is told and for what streams.
        let before = vec![limit(), Step::Gate(Gate::new(Outcome::Pass))];
        let (received, asked) = over_http1(before, &[], &[(0, length)]).await;
        assert!(received.starts_with("HTTP/1.1 413") && asked.is_empty(), "{received}");
        for sent in [length, chunked] {
            let gate = Gate::new(Outcome::Pass);
            let behind = vec![Step::Gate(gate.clone()), limit()];
            let (received, asked) = over_http1(behind, &[gate], &[(0, sent)]).await;
            assert!(received.starts_with("HTTP/1.1 413") && asked.is_empty(), "{received}");
        }
    });
}

#[test]
fn a_wait_ends_with_the_time_of_its_rule() {
    run(async {
        let (client, backend) = client(vec![Step::Gate(Gate::new(Outcome::Pass))], Some(50)).await;
        let (near, mut far) = duplex(1024);
        let serving = tokio::task::spawn_local(async move {
            http1::serve(&client, near, Buffer::new(), None, Watchdog::default()).await;
        });
        far.write_all(b"GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut received = String::new();
        far.read_to_string(&mut received).await.unwrap();
        assert!(received.starts_with("HTTP/1.1 504"), "{received}");
        serving.await.unwrap();
        assert!(backend.asked.borrow().is_empty());
    });
}

#[test]
fn a_client_that_leaves_ends_its_wait() {
    run(async {
        let gate = Gate::new(Outcome::Pass);
        let (client, backend) = client(vec![Step::Gate(gate.clone())], None).await;
        let (near, mut far) = duplex(1024);
        let serving = tokio::task::spawn_local(async move {
            http1::serve(&client, near, Buffer::new(), None, Watchdog::default()).await;
        });
        far.write_all(b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        gate.wait().await;
        drop(far);
        serving.await.unwrap();
        assert!(backend.asked.borrow().is_empty());
    });
}

/// A connection of HTTP/2 to a gateway with these steps.
async fn over_http2(steps: Vec<Step>) -> (SendRequest<Bytes>, [JoinHandle<()>; 2], Backend) {
    let (client, backend) = client(steps, None).await;
    let (near, far) = duplex(1024 * 1024);
    let serving = tokio::task::spawn_local(http2::serve(Rc::new(client), near));
    let (sender, connection) = h2::client::handshake(far).await.unwrap();
    let connection = tokio::task::spawn_local(async move { drop(connection.await) });
    (sender.ready().await.unwrap(), [serving, connection], backend)
}

#[test]
fn http2_requests_survive_a_wait() {
    run(async {
        let (steps, gates) = gates(Outcome::Pass);
        let (mut sender, _, backend) = over_http2(steps).await;
        let mut waiting = Vec::new();
        let bodies = ["", "hello", "", "a second body"];
        for (at, body) in bodies.into_iter().enumerate() {
            let request = Request::builder().method(if body.is_empty() { "GET" } else { "POST" });
            let request = request.uri(format!("http://a.test/{at}")).header("x", at).body(()).unwrap();
            let (response, mut stream) = sender.send_request(request, body.is_empty()).unwrap();
            gates[0].wait().await;
            if !body.is_empty() {
                stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
            }
            waiting.push(response);
        }
        assert!(backend.asked.borrow().is_empty());
        open(&gates);
        for (at, (response, body)) in waiting.into_iter().zip(bodies).enumerate() {
            let mut response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            let mut received = Vec::new();
            while let Some(data) = response.body_mut().data().await {
                received.extend_from_slice(&data.unwrap());
            }
            let method = if body.is_empty() { "GET" } else { "POST" };
            assert_eq!(String::from_utf8_lossy(&received), format!("{method} /{at} x={at} {body}"));
        }
    });
}

#[test]
fn http2_requests_are_denied_or_given_up_while_they_wait() {
    run(async {
        for given_up in [false, true] {
            let (steps, gates) = gates(Outcome::deny(ErrorCode::BodyTooLarge));
            let (mut sender, tasks, backend) = over_http2(steps).await;
            let request = Request::builder().uri("http://a.test/").body(()).unwrap();
            let (response, mut stream) = sender.send_request(request, !given_up).unwrap();
            gates[0].wait().await;
            if given_up {
                stream.send_reset(h2::Reason::CANCEL);
                drop(response);
            } else {
                open(&gates);
                assert_eq!(response.await.unwrap().status(), 413);
            }
            drop((stream, sender));
            // Nothing holds the connection.
            for task in tasks {
                task.await.unwrap();
            }
            assert!(backend.asked.borrow().is_empty());
        }
    });
}

/// Ten thousand idle clients are to fit into a small container.
#[test]
fn a_connection_that_waits_is_small() {
    fn size_of_future<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    let size = size_of_future(super::serve_connection);
    assert!(size <= 1536, "{size}");
}
