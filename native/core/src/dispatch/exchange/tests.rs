//! What a backend says, byte by byte where that matters, and what becomes of it.

mod http2;

use super::{ExchangeError, Exchanged, MAX_INFORMATIONAL, Terms, over_http1};
use crate::dispatch::outbound::Outbound;
use crate::dispatch::scripted::{LIMIT, outbound};
use crate::io::watchdog::Progress;
use crate::message::body::BodyError;
use crate::message::response_filters::ResponseEdits;
use crate::message::scripted::{Body, Source, Told};
use crate::upstream::{Connection, Http1Connection, Route};
use crate::worker::{Generation, Worker};
use codec::{MAX_FIELDS, WireError};
use route::ir::EndpointState;
use route::table::Endpoint;
use std::future::Future;
use std::io::ErrorKind;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const MAX_HEAD: usize = 256;

fn run<F: Future>(test: impl FnOnce(Rc<Worker>) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = Worker::alone(Generation::default()).unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test(worker)).await.unwrap() })
}

/// A new connection to a backend, and the backend's end.
async fn connected(worker: &Worker, http2: bool) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint { id: String::new(), address, uid: 1, state: EndpointState::Ready };
    let state = worker.upstreams.state(&endpoint);
    let route = Route { http2, ..Route::default() };
    let (connection, end) = tokio::join!(worker.upstreams.connect(&state, &route, true), listener.accept());
    (connection.unwrap(), end.unwrap().0)
}

/// One exchange with a backend that says `answer` and ends.
struct Done {
    result: Result<Exchanged, ExchangeError>,
    told: String,
    /// What is left in the connection's buffer.
    behind: Vec<u8>,
}

fn http1(outbound: &Outbound, body: Body, retry_codes: &[u16], spent: bool, answer: &[u8]) -> Done {
    in_pieces(usize::MAX, outbound, body, retry_codes, spent, answer)
}

/// As [`http1`], of a backend that says so many octets at once.
fn in_pieces(size: usize, outbound: &Outbound, body: Body, retry_codes: &[u16], spent: bool, answer: &[u8]) -> Done {
    run(|worker| async move {
        let (Connection::Http1(mut connection), mut end) = connected(&worker, false).await else { panic!("HTTP/1.1") };
        end.set_nodelay(true).unwrap();
        let (mut source, mut told, progress) = (Source::new(body), Told::default(), Progress::default());
        if spent {
            progress.spend();
        }
        let edits = &ResponseEdits::default();
        let terms = Terms {
            outbound,
            edits,
            retry_codes,
            retry_until: None,
            session: None,
            progress: &progress,
            max_head_bytes: MAX_HEAD,
            max_head_fields: MAX_FIELDS,
        };
        let connection: &mut Http1Connection = &mut connection;
        let backend = async {
            for piece in answer.chunks(size) {
                end.write_all(piece).await.unwrap();
                // Once the reactor has been asked, and what it told has been read.
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                }
            }
            end.shutdown().await.unwrap();
        };
        let (mut scratch, mut tap) = (Vec::new(), ());
        let exchange = over_http1(connection, &mut scratch, terms, &mut source, &mut tap, &mut told);
        let (result, ()) = tokio::join!(exchange, backend);
        Done { result, told: told.lines.join(", "), behind: connection.buffer.filled().to_vec() }
    })
}

/// Status, reusable, switched.
fn good(done: &Done) -> (u16, bool, bool) {
    let Exchanged { status, reusable, switched } = *done.result.as_ref().unwrap();
    (status, reusable, switched)
}

/// Whether some byte of a response had come.
fn answered(done: &Done) -> Option<bool> {
    match done.result {
        Err(ExchangeError::Upstream { answered, .. }) => Some(answered),
        _ => None,
    }
}

#[test]
fn whole_responses_over_http1() {
    let plain = outbound(Body::None, false);
    for (answer, reusable, told) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", true, "head 200 Length(2), body hi, end"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            true,
            "head 200 Chunked, body hi, end",
        ),
        ("HTTP/1.1 204 No\r\nx: 1\r\n\r\n", true, "head 204 Empty x=1, end"),
        ("HTTP/1.1 200 OK\r\n\r\nhi", false, "head 200 UntilClose, body hi, end"),
        ("HTTP/1.0 204 No\r\n\r\n", false, "head 204 Empty, end"),
        ("HTTP/1.1 204 No\r\nconnection: close\r\n\r\n", false, "head 204 Empty, end"),
        // What nobody asked for comes behind it.
        ("HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false, "head 204 Empty, end"),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            true,
            "interim 100, interim 103 link=a, head 204 Empty, end",
        ),
    ] {
        let done = http1(&plain, Body::None, &[], false, answer.as_bytes());
        assert_eq!(done.told, told, "{answer}");
        assert_eq!(good(&done).1, reusable, "{answer}");
    }
}

#[test]
fn broken_responses_over_http1() {
    let plain = outbound(Body::None, false);
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(MAX_INFORMATIONAL + 1);
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(MAX_HEAD));
    let large = format!("{endless}\r\n\r\n");
    for (answer, later, told) in [
        ("", false, ""),
        ("HTTP/1.1 200", true, ""),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi", true, "head 200 Length(3), body hi"),
        ("SSH-2.0-x\r\n", true, ""),
        ("HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", true, ""),
        (&endless, true, ""),
        (&large, true, ""),
    ] {
        let done = http1(&plain, Body::None, &[], false, answer.as_bytes());
        assert_eq!((answered(&done), done.told.as_str()), (Some(later), told), "{answer}: {:?}", done.result);
    }
    for head in [&endless, &large] {
        let done = http1(&plain, Body::None, &[], false, head.as_bytes());
        let error = done.result.unwrap_err();
        let large = matches!(error, ExchangeError::Upstream { error: BodyError::Wire(WireError::HeadTooLarge), .. });
        assert!(large, "{error:?}");
    }
    let done = http1(&plain, Body::None, &[], false, interim.as_bytes());
    assert_eq!((answered(&done), done.told.matches("interim").count()), (Some(true), MAX_INFORMATIONAL + 1));
}

/// A status that the rule wants retried is told nobody, for as long as the request can be sent again.
#[test]
fn a_status_to_retry() {
    let plain = outbound(Body::None, false);
    let answer = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
    let done = http1(&plain, Body::None, &[500, 503], false, answer);
    assert!(matches!(done.result, Err(ExchangeError::RetryStatus(503))), "{:?}", done.result);
    assert_eq!(done.told, "");
    for (codes, spent) in [(&[503][..], true), (&[500], false)] {
        let done = http1(&plain, Body::None, codes, spent, answer);
        assert_eq!((good(&done), done.told.as_str()), ((503, true, false), "head 503 Length(0), end"));
    }
}

#[test]
fn protocols_over_http1() {
    let asks = outbound(Body::None, true);
    let switch = b"HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nahead";
    let done = http1(&asks, Body::None, &[], false, switch);
    assert_eq!((good(&done), &done.behind[..]), ((101, false, true), &b"ahead"[..]));
    assert!(done.told.starts_with("switch websocket"), "{}", done.told);
    // Who declines may still read what comes next in another way.
    let done = http1(&asks, Body::None, &[], false, b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(good(&done), (403, false, false));
    // A server of HTTP/2 alone begins with SETTINGS.
    let done = http1(&asks, Body::None, &[], false, b"\0\0\0\x04\0\0\0\0\0");
    assert!(matches!(done.result, Err(ExchangeError::NotSwitched(None))), "{:?}", done.result);
    // A client that asked by CONNECT would take any 2xx for a tunnel.
    let connect = Outbound { connect: true, ..asks };
    let done = http1(&connect, Body::None, &[], false, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(matches!(done.result, Err(ExchangeError::NotSwitched(Some(200)))), "{:?}", done.result);
    assert_eq!(done.told, "");
    let done = http1(&connect, Body::None, &[], false, b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(good(&done), (404, false, false));
}

/// Before the request is through, an answer is the last one of both connections.
#[test]
fn requests_over_http1() {
    let answer = b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n";
    for (body, reusable, told) in [
        (Body::Whole(b"all"), true, "head 413 Length(0), end"),
        (Body::Endless(b"some"), false, "last, head 413 Length(0), end"),
    ] {
        let done = http1(&outbound(body, false), body, &[], false, answer);
        assert_eq!((good(&done), done.told.as_str()), ((413, reusable, false), told));
    }
    // Who sent it broke off, or is not there any more.
    let broken = run(|worker| async move { waits(&worker, Body::Broken).await });
    assert!(matches!(broken, ExchangeError::Client(BodyError::Truncated)), "{broken:?}");
    let left = run(|worker| async move { waits(&worker, Body::Left).await });
    assert!(matches!(left, ExchangeError::Client(BodyError::Truncated)), "{left:?}");
}

/// What a request meets whose backend reads it and says nothing.
async fn waits(worker: &Worker, body: Body) -> ExchangeError {
    let (Connection::Http1(mut connection), mut end) = connected(worker, false).await else { panic!("HTTP/1.1") };
    let outbound = outbound(body, false);
    let (mut source, mut told, progress) = (Source::new(body), Told::default(), Progress::default());
    let edits = &ResponseEdits::default();
    let terms = Terms {
        outbound: &outbound,
        edits,
        retry_codes: &[],
        retry_until: None,
        session: None,
        progress: &progress,
        max_head_bytes: MAX_HEAD,
        max_head_fields: MAX_FIELDS,
    };
    let result = over_http1(&mut connection, &mut Vec::new(), terms, &mut source, &mut (), &mut told).await;
    drop(connection);
    let mut sent = Vec::new();
    let ended = end.read_to_end(&mut sent).await.map_err(|error| error.kind());
    // The head left, and no end of a body: who has but a part of a request is told that by a reset.
    assert_eq!(ended.err(), (body == Body::Broken).then_some(ErrorKind::ConnectionReset));
    assert_eq!(sent, outbound.head);
    result.unwrap_err()
}

#[test]
fn answers_mean_the_same_however_they_are_cut() {
    let (plain, asks) = (outbound(Body::None, false), outbound(Body::None, true));
    for (outbound, answer) in [
        (&plain, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"),
        (&plain, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nt: 1\r\n\r\n"),
        (&plain, "HTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhi"),
        (&plain, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"),
        (&plain, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi"),
        (&plain, "HTTP/1.1 200 OK\r\nx"),
        (&plain, "SSH-2.0-x\r\n"),
        (&asks, "HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    ] {
        let whole = http1(outbound, Body::None, &[503], false, answer.as_bytes());
        // Pieces of bodies are handed on as they come.
        let told = |done: &Done| done.told.replace(", body ", "");
        for size in [1, 2, 3, 7, 16, 17] {
            let cut = in_pieces(size, outbound, Body::None, &[503], false, answer.as_bytes());
            assert_eq!(told(&cut), told(&whole), "{answer} by {size}");
            assert_eq!(format!("{:?}", cut.result), format!("{:?}", whole.result), "{answer} by {size}");
        }
    }
}

/// To the octet, whether a head comes whole or grows.
#[test]
fn the_largest_head_over_http1() {
    let plain = outbound(Body::None, false);
    for (size, fits) in [(MAX_HEAD - 1, true), (MAX_HEAD, true), (MAX_HEAD + 1, false)] {
        let start = "HTTP/1.1 204 No\r\nx: ";
        let head = format!("{start}{}\r\n\r\n", "x".repeat(size - start.len() - 4));
        for piece in [1, 100, usize::MAX] {
            let done = in_pieces(piece, &plain, Body::None, &[], false, head.as_bytes());
            assert_eq!(done.result.is_ok(), fits, "{size} by {piece}: {:?}", done.result);
        }
    }
}
