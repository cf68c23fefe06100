//! Mirrors of a request whose own backend is of no concern; what they get is read at their end.

use super::{MAX_ACTIVE, MAX_RESPONSE, Mirrors, PATIENCE};
use crate::dispatch::outbound::Outbound;
use crate::dispatch::scripted::{self, LIMIT};
use crate::dispatch::{CopyTo, Forward, MirrorTo};
use crate::message::body::{Piece, Tap};
use crate::message::client::Client;
use crate::observe::metrics::MirrorFailure;
use crate::upstream::Route;
use crate::worker::{Generation, Worker};
use bytes::Bytes;
use codec::Framing;
use route::ir::Transport;
use route::table::{Backend, NoTags, SocketKey, State};
use serde_json::json;
use smallvec::SmallVec;
use std::cell::Cell;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::LocalSet;
use tokio::time::Instant;

const OK: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A client of a gateway whose backends have one endpoint each, or none.
fn gateway(endpoints: &[Option<SocketAddr>]) -> (Client, Vec<Arc<Backend>>) {
    let name = |number: usize| format!("b{number}");
    let backends: Vec<_> = (0..endpoints.len()).map(|number| json!({"id": name(number)})).collect();
    let found = endpoints.iter().enumerate().filter_map(|(number, address)| {
        let address = (*address)?;
        let id = format!("{}@{address}", name(number));
        Some(json!({"id": id, "backend": name(number), "address": address.ip(), "port": address.port()}))
    });
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true,
        "upsert": {"backends": backends, "endpoints": found.collect::<Vec<_>>()}});
    let table = State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
    let mut backends: Vec<_> = table.backends().map(Arc::clone).collect();
    backends.sort_by(|one, other| one.id.cmp(&other.id));
    let worker = Worker::alone(Generation::default()).unwrap();
    let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
    (Client::new(worker, ([192, 0, 2, 1], 1).into(), socket, None), backends)
}

/// A request with a body of this framing that each of the backends gets a copy of.
fn forward(backends: &[Arc<Backend>], framing: Framing, upgrade: bool) -> Forward<'_> {
    let mut head = b"POST / HTTP/1.1\r\nhost: a.test\r\n".to_vec();
    if let Framing::Length(length) = framing {
        head.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    if upgrade {
        head.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let to = |backend| MirrorTo { backend, route: Route::default() };
    let mirrors = backends.iter().map(|backend| CopyTo { to: to(backend), hostname: "", without_body: false });
    let mirrors: SmallVec<_> = mirrors.collect();
    let (head_request, idempotent, connect, trailers, tls) = (false, false, false, false, false);
    let outbound = Outbound { head, framing, head_request, idempotent, upgrade, connect, trailers, tls, span: None };
    Forward { mirrors, ..scripted::forward(outbound, &[]) }
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    Piece::Borrowed(bytes)
}

/// Figures of a worker: requests that were mirrored, and those that were not, by the reason.
fn counted(worker: &Worker) -> (u64, Vec<(&'static str, u64)>) {
    let text = worker.shared.registry.render(0, 0);
    let value = |start: String| {
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("{start} in {text}")).trim().parse::<u64>().unwrap()
    };
    let failures = MirrorFailure::ALL.iter().map(|reason| {
        (reason.name(), value(format!("sluicegate_mirror_failures_total{{reason=\"{}\"}}", reason.name())))
    });
    let failures = failures.filter(|(_, count)| *count > 0).collect();
    (value("sluicegate_mirrored_requests_total ".to_owned()), failures)
}

/// Until no mirror is under way.
async fn settled(worker: &Worker) {
    while worker.mirrors.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.mirror_bytes.get(), 0);
}

/// Read a request up to what it ends with.
async fn asked(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{}", bytes.escape_ascii());
    }
    String::from_utf8(bytes).unwrap()
}

/// Tries of the request send it again and again; a mirror gets each byte once, in order, and its answer is counted.
#[test]
fn each_byte_once() {
    let worker = run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, backends) = gateway(&[listener.local_addr().ok()]);
        let forward = forward(&backends, Framing::Length(6), false);
        let mut mirrors = Mirrors::start(&client, &forward);
        assert_eq!(client.worker.mirrors.get(), 1);
        for tries in [&["ab"][..], &["a", "bcd"], &["abc"], &["abcd", "ef"]] {
            mirrors.begin_try();
            for bytes in tries {
                mirrors.piece(&piece(bytes.as_bytes()));
                mirrors.settle().await;
            }
        }
        mirrors.end();
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = asked(&mut stream, "ef").await;
        assert_eq!(request, "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\nabcdef");
        stream.write_all(OK).await.unwrap();
        settled(&client.worker).await;
        Rc::clone(&client.worker)
    });
    assert_eq!(counted(&worker), (1, vec![]));
    assert_eq!(worker.upstreams.idle_connections(), 1);
}

/// A copy asks for no other protocol, and needs no body to be sent.
#[test]
fn a_copy_does_not_switch() {
    let worker = run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, backends) = gateway(&[listener.local_addr().ok()]);
        let forward = forward(&backends, Framing::Empty, true);
        let mirrors = Mirrors::start(&client, &forward);
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_eq!(asked(&mut stream, "\r\n\r\n").await, "POST / HTTP/1.1\r\nhost: a.test\r\n\r\n");
        // The request's own tries may have failed by then: this one has all that there is of it.
        drop(mirrors);
        stream.write_all(OK).await.unwrap();
        settled(&client.worker).await;
        Rc::clone(&client.worker)
    });
    assert_eq!(counted(&worker), (1, vec![]));
}

/// A body that breaks off leaves no mirror that takes it for whole.
#[test]
fn half_a_body() {
    let worker = run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, backends) = gateway(&[listener.local_addr().ok()]);
        let forward = forward(&backends, Framing::Chunked, false);
        let mut mirrors = Mirrors::start(&client, &forward);
        mirrors.piece(&piece(b"half"));
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream, "4\r\nhalf\r\n").await;
        drop(mirrors);
        assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        settled(&client.worker).await;
        Rc::clone(&client.worker)
    });
    assert_eq!(counted(&worker), (0, vec![("broken", 1)]));
}

/// Who does not read holds the request up for a moment, once, and then gets nothing more; the others get it all.
#[test]
fn a_slow_mirror_is_given_up() {
    let worker = run(async {
        let (slow, other) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (client, backends) = gateway(&[slow.local_addr().ok(), other.local_addr().ok()]);
        let worker = &client.worker;
        let limit = worker.settings().mirror_buffer_bytes;
        // More than all sockets on the way can hold.
        let large = Bytes::from(vec![b'x'; 32 * 1024 * 1024]);
        let length = large.len() as u64 + limit as u64 + 2;
        let forward = forward(&backends, Framing::Length(length), false);
        let forward_head = forward.outbound.head.len();
        let mut mirrors = Mirrors::start(&client, &forward);
        let (_held, _) = slow.accept().await.unwrap();
        let read = Rc::new(Cell::new(0));
        let reader = tokio::task::spawn_local({
            let read = Rc::clone(&read);
            async move {
                let (mut stream, _) = other.accept().await.unwrap();
                let mut all = Vec::new();
                while !all.ends_with(b"end") {
                    assert_ne!(stream.read_buf(&mut all).await.unwrap(), 0);
                    read.set(all.len());
                }
                assert_eq!(all.len(), forward_head + usize::try_from(length).unwrap());
                stream.write_all(OK).await.unwrap();
            }
        });
        let fits = vec![b'y'; limit - 1];
        let most = forward_head + large.len() + fits.len();
        mirrors.piece(&Piece::Shared(large));
        // Both take that over, and write it as far as that goes.
        while worker.mirror_bytes.get() > 0 {
            tokio::task::yield_now().await;
        }
        mirrors.piece(&piece(&fits));
        mirrors.settle().await;
        while read.get() < most {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        mirrors.piece(&piece(b"e"));
        mirrors.settle().await;
        assert_eq!((counted(worker), mirrors.patience), ((0, vec![]), PATIENCE));
        mirrors.piece(&piece(b"n"));
        mirrors.settle().await;
        assert_eq!(counted(worker), (0, vec![("slow", 1)]));
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
        assert_eq!((mirrors.queues.len(), mirrors.patience), (1, Duration::ZERO));
        mirrors.piece(&piece(b"d"));
        mirrors.end();
        reader.await.unwrap();
        // Long before the limit of time: the one that does not read is left as it is.
        settled(worker).await;
        Rc::clone(worker)
    });
    // Counted once, by who gave it up.
    assert_eq!(counted(&worker), (1, vec![("slow", 1)]));
}

#[test]
fn what_is_not_mirrored_has_its_reason() {
    // Bound, so that nobody else has it, and not listened on.
    let held = TcpSocket::new_v4().unwrap();
    held.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let refused = held.local_addr().ok();
    for (endpoint, under_way, reason) in
        [(refused, 0, "connect"), (None, 0, "no_endpoint"), (refused, MAX_ACTIVE, "busy")]
    {
        let worker = run(async {
            let (client, backends) = gateway(&[endpoint]);
            client.worker.mirrors.set(under_way);
            let forward = forward(&backends, Framing::Empty, false);
            drop(Mirrors::start(&client, &forward));
            client.worker.mirrors.set(client.worker.mirrors.get() - under_way);
            settled(&client.worker).await;
            Rc::clone(&client.worker)
        });
        assert_eq!(counted(&worker), (0, vec![(reason, 1)]));
    }
}

/// An answer is read so far that its connection can be used again; one that is longer is an answer all the same.
#[test]
fn what_a_mirror_answers() {
    let long = [b"HTTP/1.1 200 OK\r\n\r\n", &vec![b'x'; usize::try_from(MAX_RESPONSE).unwrap() + 1][..]].concat();
    for (answer, counts, kept) in [
        (&b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno"[..], (1, vec![]), 1),
        (&long, (1, vec![]), 0),
        (b"SSH-2.0-x\r\n\r\n", (0, vec![("exchange", 1)]), 0),
        (b"", (0, vec![("exchange", 1)]), 0),
    ] {
        let worker = run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (client, backends) = gateway(&[listener.local_addr().ok()]);
            let forward = forward(&backends, Framing::Empty, false);
            let _mirrors = Mirrors::start(&client, &forward);
            let (mut stream, _) = listener.accept().await.unwrap();
            asked(&mut stream, "\r\n\r\n").await;
            // Who has enough closes before it is all sent.
            let _ = stream.write_all(answer).await;
            stream.shutdown().await.unwrap_or_default();
            settled(&client.worker).await;
            Rc::clone(&client.worker)
        });
        assert_eq!((counted(&worker), worker.upstreams.idle_connections()), (counts, kept));
    }
}
