//! Connections that begin with a header of the PROXY protocol, with something else, or with nothing.

use super::{Arrival, proxy_protocol, read};
use crate::observe::l4::L4Reason;
use crate::settings::Settings;
use crate::worker::{Generation, Worker};
use route::policy::{Compiled, Preamble};
use serde_json::json;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// For what comes at once or never.
const LIMIT: Duration = Duration::from_secs(10);

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x03\xe8\x01\xbb";
const UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

fn worker() -> Rc<Worker> {
    let settings = Settings { handshake_timeout_ms: 50, ..Settings::default() };
    Worker::alone_with(Generation::default(), settings).unwrap()
}

/// `wants`: a header of a trusted proxy, which this network is one of.
fn preamble(wants: &str, trusted: &str) -> Preamble {
    let policy = json!({"type": "client_address", "id": "p", "trusted_proxies": [trusted], "proxy_protocol": wants});
    let policy = Arc::new(Compiled::of(serde_json::from_value(policy).unwrap(), Vec::new(), Vec::new()));
    let mut preamble = None;
    Preamble::note(&mut preamble, &policy);
    *preamble.unwrap()
}

/// Both ends of a connection.
async fn connect() -> (TcpStream, Arrival) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    (client, Arrival::new(stream, peer))
}

/// What is left of a connection that says these pieces, each when the one before may have been read, and perhaps ends: whose it
/// is, what that connected to, and what comes behind the header.
async fn arrived(
    worker: &Rc<Worker>,
    preamble: &Preamble,
    pieces: &[&[u8]],
    ends: bool,
) -> Option<(SocketAddr, Option<SocketAddr>, Vec<u8>)> {
    let (mut client, arrival) = connect().await;
    let (peer, pieces) = (arrival.origin.peer, pieces.iter().map(|piece| piece.to_vec()).collect::<Vec<_>>());
    let saying = spawn_local(async move {
        for piece in pieces {
            client.write_all(&piece).await.unwrap();
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
        }
        if ends {
            client.shutdown().await.unwrap();
        }
        client
    });
    let read = read(worker, arrival, preamble).await?;
    let _client = saying.await.unwrap();
    let (_, from, local, ahead) = read.into_parts(worker);
    Some((if from == peer { SocketAddr::from(([0, 0, 0, 0], 0)) } else { from }, local, ahead))
}

fn refused(worker: &Worker) -> u64 {
    worker.metrics.l4_failures.of(L4Reason::ProxyProtocol).get()
}

/// In place of the peer, which every test has another one of.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// However a header is cut, and wherever what comes behind it begins: all that is read with it is kept.
#[test]
fn a_header_in_pieces() {
    run(async {
        let (worker, preamble) = (worker(), preamble("Required", "127.0.0.0/8"));
        let told = (SocketAddr::from(([192, 0, 2, 1], 1000)), Some(SocketAddr::from(([192, 0, 2, 2], 443))));
        for (header, (from, local)) in [(LINE, told), (BINARY, told), (UNKNOWN, (PEER, None)), (LOCAL, (PEER, None))] {
            let sent = [header, b"GET"].concat();
            for at in 1..sent.len() {
                let (found_from, found_local, ahead) =
                    arrived(&worker, &preamble, &[&sent[..at], &sent[at..]], false).await.unwrap();
                assert_eq!((found_from, found_local), (from, local), "{at} of {}", header.escape_ascii());
                // What comes later is read by who serves the connection.
                assert!(b"GET".starts_with(&ahead) && ahead.len() >= at.saturating_sub(header.len()), "{at}");
            }
            let single: Vec<&[u8]> = header.chunks(1).collect();
            assert_eq!(arrived(&worker, &preamble, &single, false).await.unwrap(), (from, local, Vec::new()));
        }
        assert_eq!(refused(&worker), 0);
    });
}

/// Who need not begin with a header and does not goes on as it is, not an octet less; of who is not trusted none is looked for.
#[test]
fn connections_without_a_header() {
    run(async {
        for (wants, trusted, sent, expected) in [
            ("Optional", "127.0.0.0/8", &b"GET / HTTP/1.1\r\n"[..], Some(&b"GET / HTTP/1.1\r\n"[..])),
            ("Optional", "127.0.0.0/8", b"\x16\x03\x01", Some(b"\x16\x03\x01")),
            // Nothing is read of it.
            ("Optional", "192.0.2.0/24", LINE, Some(b"")),
            ("Required", "127.0.0.0/8", b"GET / HTTP/1.1\r\n", None),
            ("Required", "192.0.2.0/24", LINE, None),
            ("Optional", "127.0.0.0/8", b"PROXY TCP4 x\r\n", None),
            ("Required", "127.0.0.0/8", b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", None),
        ] {
            let worker = worker();
            let found = arrived(&worker, &preamble(wants, trusted), &[sent], false).await;
            let expected = expected.map(|ahead| (PEER, None, ahead.to_vec()));
            assert_eq!(found, expected, "{wants} {trusted} {}", sent.escape_ascii());
            assert_eq!(refused(&worker), u64::from(expected.is_none()));
        }
    });
}

/// Who says a part of a header and no more, or more than any header has, is refused; who says nothing at all is no fault.
#[test]
fn headers_without_an_end() {
    run(async {
        let large = [&BINARY[..14], &[0xff; 2 + proxy_protocol::MAX_BYTES]].concat();
        for (sent, ends, is_refused) in [
            (&b""[..], true, false),
            (&LINE[..8], true, true),
            (&LINE[..8], false, true),
            (&BINARY[..12], false, true),
            (b"", false, true),
            (&large, false, true),
        ] {
            let worker = worker();
            let found = arrived(&worker, &preamble("Required", "127.0.0.0/8"), &[sent], ends).await;
            assert_eq!((found, refused(&worker)), (None, u64::from(is_refused)), "{} {ends}", sent.len());
        }
    });
}

/// Before its first byte a connection is an idle one, which a drain ends; behind that it is heard out.
#[test]
fn a_drain_ends_what_has_not_begun() {
    run(async {
        let (worker, preamble) = (worker(), preamble("Required", "127.0.0.0/8"));
        worker.drain.finish();
        let (_client, arrival) = connect().await;
        assert!(read(&worker, arrival, &preamble).await.is_none());
        assert_eq!(refused(&worker), 0);
        let pieces: Vec<&[u8]> = LINE.chunks(1).collect();
        let (mut client, arrival) = connect().await;
        client.write_all(pieces[0]).await.unwrap();
        let pieces: Vec<Vec<u8>> = pieces[1..].iter().map(|piece| piece.to_vec()).collect();
        let saying = spawn_local(async move {
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client
        });
        assert!(read(&worker, arrival, &preamble).await.is_some());
        saying.await.unwrap();
    });
}
