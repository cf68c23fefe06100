//! What a connection without TLS is taken for by its first bytes, and how long it has for them.

use super::{PREFACE, serve_connection};
use crate::observe::l4::L4Reason;
use crate::settings::Settings;
use crate::worker::{Generation, Worker};
use route::ir::Transport;
use route::table::SocketKey;
use serde_json::{Value, json};
use std::future::Future;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

/// For what comes at once or never.
const LIMIT: Duration = Duration::from_secs(10);

const SOON: Duration = Duration::from_millis(50);

const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

fn worker(settings: Settings) -> Rc<Worker> {
    under(settings, &json!([]))
}

/// The same whose listener has these policies.
fn under(settings: Settings, policies: &Value) -> Rc<Worker> {
    let worker = Worker::alone_with(Generation::default(), settings).unwrap();
    let ids: Vec<&Value> = policies.as_array().unwrap().iter().map(|policy| &policy["id"]).collect();
    let listener =
        json!({"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP", "policies": ids});
    worker.apply(&json!({"listeners": [listener], "policies": policies})).unwrap();
    worker
}

/// A client of a socket of the worker.
async fn connect(worker: &Rc<Worker>, socket: SocketKey) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    spawn_local(serve_connection(Rc::clone(worker), stream, peer, socket));
    client.set_nodelay(true).unwrap();
    client
}

/// What a client is told that says these pieces, each when the one before may have been read: the first octets.
async fn told(worker: &Rc<Worker>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut client = connect(worker, SOCKET).await;
    for piece in pieces {
        client.write_all(piece).await.unwrap();
        // Once the reactor has been asked, and what it told has been read.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
    }
    let mut first = vec![0; 12];
    client.read_exact(&mut first).await.unwrap();
    first
}

/// However its first bytes are cut; what is nearly a preface is HTTP/1.1, and gets an answer in that.
#[test]
fn each_protocol_is_known_by_its_beginning() {
    let http2 = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    let version = b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n".to_vec();
    let method = b"PRINT / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec();
    let plain = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec();
    for (sent, answer) in
        [(http2, &b"\x04"[..]), (version, b"HTTP/1.1 505"), (method, b"HTTP/1.1 404"), (plain, b"HTTP/1.1 404")]
    {
        run(async {
            let worker = worker(Settings::default());
            let in_two = (1..sent.len()).map(|at| vec![&sent[..at], &sent[at..]]);
            for pieces in in_two.chain([sent.chunks(1).collect()]) {
                let first = told(&worker, &pieces).await;
                // The kind of a frame of HTTP/2 stands behind its length: SETTINGS.
                let found = if answer.len() == 1 { &first[3..4] } else { &first[..] };
                assert_eq!(found, answer, "{} from {}", pieces.len(), pieces[0].len());
            }
        });
    }
}

/// Nothing at all has the time of an idle connection; what has begun that of a head, and is told so where that is understood.
#[test]
fn how_long_a_beginning_may_take() {
    let long = 3_600_000;
    for (sent, idle_timeout_ms, head_timeout_ms, answer) in [
        (&b""[..], 50, long, &b""[..]),
        (b"P", long, 50, b"HTTP/1.1 408"),
        (b"GE", long, 50, b"HTTP/1.1 408"),
        // Only HTTP/2 begins so, and has no answer to that.
        (&PREFACE[..PREFACE.len() - 1], long, 50, b""),
    ] {
        run(async {
            let settings = Settings { head_timeout_ms, idle_timeout_ms, ..Settings::default() };
            let (mut client, begun) = (connect(&worker(settings), SOCKET).await, Instant::now());
            client.write_all(sent).await.unwrap();
            let mut told = Vec::new();
            client.read_to_end(&mut told).await.unwrap();
            assert_eq!(&told[..told.len().min(12)], answer, "{}", sent.escape_ascii());
            assert!(begun.elapsed() >= SOON);
        });
    }
}

/// A drain ends what has said nothing, and nothing that has begun.
#[test]
fn a_drain_ends_idle_connections() {
    run(async {
        let worker = worker(Settings::default());
        let (mut idle, mut begun) = (connect(&worker, SOCKET).await, connect(&worker, SOCKET).await);
        begun.write_all(&PREFACE[..3]).await.unwrap();
        // Until both are where they wait.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        worker.drain.finish();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        begun.write_all(&PREFACE[3..]).await.unwrap();
        let mut first = [0; 9];
        begun.read_exact(&mut first).await.unwrap();
        assert_eq!(first[3], 4, "SETTINGS");
    });
}

/// A socket that the table has no more, as where its listener has just gone.
#[test]
fn a_socket_without_a_listener() {
    run(async {
        let mut client = connect(&worker(Settings::default()), SocketKey { port: 81, ..SOCKET }).await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

/// One connection more than a policy allows is broken off, and counted; the place of one that has gone is free.
#[test]
fn connections_of_a_listener() {
    run(async {
        let policy = json!([{"type": "client_connections", "id": "ClientPolicy/a/p/connections", "max": 1}]);
        let worker = under(Settings::default(), &policy);
        let first = connect(&worker, SOCKET).await;
        tokio::task::yield_now().await;
        let refused = || worker.metrics.l4_failures.of(L4Reason::ConnectionLimit).get();
        let mut second = connect(&worker, SOCKET).await;
        assert_eq!(second.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(refused(), 1);
        drop(first);
        while Rc::strong_count(&worker) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(told(&worker, &[b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"]).await[..9], *b"HTTP/1.1 ");
        assert_eq!(refused(), 1);
    });
}

/// What comes behind the header of a proxy is looked at as what comes first elsewhere.
#[test]
fn connections_of_a_proxy() {
    run(async {
        let policy = json!([{"type": "client_address", "id": "ClientPolicy/a/p/clientAddress",
            "trusted_proxies": ["127.0.0.0/8"], "proxy_protocol": "Required"}]);
        let worker = under(Settings::default(), &policy);
        let header = &b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"[..];
        let get = &b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..];
        let http2 = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
        for (behind, at, expected) in [(get, 0, &b"HTTP/1.1 "[..]), (&http2, 3, b"\x04")] {
            let whole = [header, behind].concat();
            for pieces in [vec![&whole[..]], vec![header, behind], whole.chunks(30).collect()] {
                assert_eq!(told(&worker, &pieces).await[at..][..expected.len()], *expected);
            }
        }
        let mut client = connect(&worker, SOCKET).await;
        client.write_all(get).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(worker.metrics.l4_failures.of(L4Reason::ProxyProtocol).get(), 1);
    });
}
