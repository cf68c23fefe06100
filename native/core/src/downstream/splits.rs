//! What a client sends means the same however it is cut into reads: whole, in two at every place, byte by byte. What is
//! written for it is the same however little the stream takes at once.

use super::http1;
use crate::io::Reset;
use crate::io::watchdog::Watchdog;
use crate::message::body::{BodyError, BodySink, BodySource, Piece};
use crate::message::client::Client;
use crate::message::http1::{Http1Sink, Http1Source};
use crate::settings::Settings;
use crate::worker::Worker;
use codec::{Buffer, Framing};
use http::HeaderMap;
use http::header::HeaderValue;
use route::ir::Transport;
use route::table::SocketKey;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A client that sends these pieces, one for each read, then ends; what it gets is written down.
struct Scripted {
    pieces: VecDeque<Vec<u8>>,
    /// Bytes that it takes at once; where that is a limit, each write has to wait first.
    room: usize,
    has_waited: bool,
    received: Rc<RefCell<Vec<u8>>>,
}

impl Scripted {
    fn new(pieces: &[&[u8]]) -> Self {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
        Self { pieces, room: usize::MAX, has_waited: false, received: Rc::default() }
    }

    /// It sends nothing, and takes so much at once.
    fn taking(room: usize) -> Self {
        Self { room, ..Self::new(&[]) }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(space.remaining()));
            space.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.has_waited = !self.has_waited;
        if self.room < usize::MAX && self.has_waited {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let taken = bytes.len().min(self.room);
        self.received.borrow_mut().extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Reset for Scripted {
    fn reset(&self) {}
}

/// Every way to cut `bytes`: in two at each place, and into single bytes.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let in_two = (1..bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
    in_two.chain(std::iter::once(bytes.chunks(1).collect()))
}

fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(future)
}

/// Everything that a client gets for these pieces, without the dates.
fn answers(worker: &Rc<Worker>, pieces: &[&[u8]]) -> String {
    let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
    let client = Client::new(Rc::clone(worker), ([192, 0, 2, 1], 1).into(), socket, None);
    let stream = Scripted::new(pieces);
    let received = Rc::clone(&stream.received);
    run(http1::serve(&client, stream, Buffer::new(), None, Watchdog::default()));
    let text = String::from_utf8(received.take()).unwrap();
    text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect()
}

/// Statuses and targets: `302 /a`.
fn outline(answers: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in answers.split("\r\n") {
        if let Some(status) = line.strip_prefix("HTTP/1.1 ") {
            found.push(status[..3].to_owned());
        } else if let (Some(location), Some(last)) = (line.strip_prefix("location: http://a.test"), found.last_mut()) {
            *last = format!("{last} {location}");
        } else if let ("connection: close", Some(last)) = (line, found.last_mut()) {
            last.push_str(" close");
        }
    }
    found
}

const A: &str = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
const B: &str = "GET /b HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn requests_mean_the_same_however_they_are_cut() {
    let head = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a.test\r\n\r\n");
    let cases: &[(String, &[&str])] = &[
        (A.to_owned(), &["302 /a"]),
        ([A, B].concat(), &["302 /a", "302 /b"]),
        (head("Cookie: a=1\r\nX-Empty:\r\nX-Blank:  \t x \t\r\n") + B, &["302 /a", "302 /b"]),
        (head("Connection: close\r\n") + B, &["302 /a close"]),
        (line("GET /a HTTP/1.0") + B, &["302 /a close"]),
        (line("GET http://a.test/c?d HTTP/1.1"), &["302 /c?d"]),
        (line("OPTIONS * HTTP/1.1"), &["404"]),
        // Empty lines in front of a request line: as many as are skipped, between requests too, and one more.
        (format!("\r\n{A}"), &["302 /a"]),
        (format!("\r\n\r\n{A}"), &["302 /a"]),
        (format!("\r\n\r\n\r\n{A}"), &["400 close"]),
        (format!("{A}\r\n\r\n{B}"), &["302 /a", "302 /b"]),
        (format!("{A}\r\n\r\n\r\n{B}"), &["302 /a", "400 close"]),
        (format!("\r\n\r\n{A}\r\n\r\n{B}"), &["302 /a", "302 /b"]),
        ("\r\n\r\n".to_owned(), &[]),
        ("\r\n\r\n\r\n".to_owned(), &["400 close"]),
        ("\r\n".repeat(1000), &["400 close"]),
        // Bare CR and LF are none.
        (format!("\n{A}"), &["400 close"]),
        (format!("\r{A}"), &["400 close"]),
        (format!("\r\r\n{A}"), &["400 close"]),
        (format!("\n\r\n{A}"), &["400 close"]),
        (format!("\r\n\n{A}"), &["400 close"]),
        (format!("\r\n\r{A}"), &["400 close"]),
        (format!("\n\n{A}"), &["400 close"]),
        ("\r\r\n".to_owned(), &["400 close"]),
        ("\n".to_owned(), &["400 close"]),
        // Not whole when the client ends: no answer.
        ("\r".to_owned(), &[]),
        (A[..A.len() - 1].to_owned(), &[]),
        // Refused.
        (line("GET /a HTTP/2.0") + B, &["505 close"]),
        (line("GET /a HTTP/0.9") + B, &["505 close"]),
        ("GET /a HTTP/2.0\nHost: a.test\n\n".to_owned() + B, &["505 close"]),
        (line("CONNECT a.test:443 HTTP/1.1") + B, &["405 close"]),
        (line("CONNECT a.test:443 HTTP/1.0") + B, &["405 close"]),
        (line("GET /../a HTTP/1.1") + B, &["400 close"]),
        (line("GET a HTTP/1.1") + B, &["400 close"]),
        ("GET /a HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned() + B, &["400 close"]),
        // No HTTP at all: no answer either.
        ("HELO a b\nHost: a.test/b\r\n\r\n".to_owned() + B, &[]),
        (line("INVALID CONNECTION PREFACE") + B, &[]),
        // More words than a request line has, whatever they are.
        (line("GET a b c") + B, &["400 close"]),
        ("GET a b c\nHost: a.test\n\n".to_owned() + B, &["400 close"]),
        (line("GET a b HTTP/1.1") + B, &["400 close"]),
        (line("GET /a b HTTP/1.1") + B, &["400 close"]),
        (line("GET /a b HTTP/2.0") + B, &["400 close"]),
        (line("GET /a HTTP/1.1 b") + B, &["400 close"]),
        (line("GET /a HTTP/2.0 b") + B, &["400 close"]),
        (line("GET a b ") + B, &["400 close"]),
        (line("GET  /a HTTP/1.1") + B, &["400 close"]),
        (line("GET /a\tHTTP/1.1") + B, &["400 close"]),
        ("GET /a HTTP/1.1\nHost: a.test\n\n".to_owned() + B, &["400 close"]),
        ("GET /a HTTP/1.1\r\nHost: a.test\nX: 1\r\n\r\n".to_owned() + B, &["400 close"]),
        ("GET /a HTTP/1.1\r\n\r\n".to_owned() + B, &["400 close"]),
        (head("Host: a.test\r\n") + B, &["400 close"]),
        (head(" folded\r\n") + B, &["400 close"]),
        (head("X: a\rb\r\n") + B, &["400 close"]),
        (head("X : 1\r\n") + B, &["400 close"]),
        (head("Content-Length: 1, 1\r\n") + B, &["400 close"]),
        (head("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n") + B, &["400 close"]),
        (head("Transfer-Encoding: gzip\r\n") + B, &["501 close"]),
        (head("Expect: 200-ok\r\n") + B, &["417 close"]),
        (head(&"X: 1\r\n".repeat(256)) + B, &["431 close"]),
        (head(&format!("Connection: {}\r\n", "x,".repeat(40))) + B, &["431 close"]),
    ];
    // What it takes for a request is told in the `Location` of its answer.
    let worker = Worker::redirecting(Settings::default()).unwrap();
    for (sent, expected) in cases {
        let whole = answers(&worker, &[sent.as_bytes()]);
        assert_eq!(outline(&whole), *expected, "{sent:?}");
        for pieces in cuts(sent.as_bytes()) {
            assert_eq!(answers(&worker, &pieces), whole, "{sent:?} in {} from {}", pieces.len(), pieces[0].len());
        }
    }
}

/// Body, trailers as `name: value`, and what is left behind the body.
type Body = Result<(Vec<u8>, Vec<String>, Vec<u8>), ()>;

async fn body(framing: Framing, pieces: &[&[u8]]) -> Body {
    let stream = RefCell::new(Scripted::new(pieces));
    let mut buffer = Buffer::new();
    let mut source = Http1Source::new(&stream, &mut buffer, framing);
    let mut bytes = Vec::new();
    while let Some(piece) = source.next().await.map_err(|_: BodyError| ())? {
        bytes.extend_from_slice(piece.as_slice());
    }
    let trailers = source.take_trailers().unwrap_or_default();
    let trailers = trailers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    drop(source);
    let mut stream = stream.into_inner();
    while crate::io::fill::fill(&mut buffer, &mut stream, 1024).await.unwrap() > 0 {}
    Ok((bytes, trailers, buffer.filled().to_vec()))
}

#[test]
fn bodies_mean_the_same_however_they_are_cut() {
    type Expected<'e> = Option<(&'e [u8], &'e [&'e str])>;
    let cases: &[(Framing, &[u8], Expected<'_>)] = &[
        (Framing::Empty, b"", Some((b"", &[]))),
        (Framing::Length(5), b"hello", Some((b"hello", &[]))),
        (Framing::Length(6), b"hello", None),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\n", Some((b"hello", &[]))),
        (Framing::Chunked, b"0\r\n\r\n", Some((b"", &[]))),
        (Framing::Chunked, b"A;x=\"y\"\r\n0123456789\r\n1 \r\n\n\r\n000\r\n\r\n", Some((b"0123456789\n", &[]))),
        (Framing::Chunked, b"1\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\nz:  1 \r\n\r\n", Some((b"abc", &["x: y", "z: 1"]))),
        (Framing::Chunked, b"0\r\nHost: evil\r\nx: y\r\nContent-Length: 9\r\n\r\n", Some((b"", &["x: y"]))),
        (Framing::Chunked, b"0\r\nx y: 1\r\n\r\n", None),
        (Framing::Chunked, b"0\r\nx: 1\n\r\n", None),
        (Framing::Chunked, b"0\r\n x: 1\r\n\r\n", None),
        (Framing::Chunked, b"5\r\nhelloX\r\n0\r\n\r\n", None),
        (Framing::Chunked, b"5\nhello\r\n0\r\n\r\n", None),
        (Framing::Chunked, b"5\r\nhello\r\n\r\n", None),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n\n", None),
        (Framing::Chunked, b"g\r\n", None),
    ];
    for (framing, sent, expected) in cases {
        let sent = if expected.is_some() { [sent, A.as_bytes()].concat() } else { sent.to_vec() };
        let whole = run(body(*framing, &[&sent]));
        let expected = expected.map(|(bytes, trailers)| {
            (bytes.to_vec(), trailers.iter().map(ToString::to_string).collect(), A.as_bytes().to_vec())
        });
        assert_eq!(whole, expected.ok_or(()), "{sent:?}");
        for pieces in cuts(&sent) {
            assert_eq!(run(body(*framing, &pieces)), whole, "{sent:?} in {} from {}", pieces.len(), pieces[0].len());
        }
    }
    let (sent, whole) = (b"until the end", Ok((b"until the end".to_vec(), Vec::new(), Vec::new())));
    for pieces in cuts(sent) {
        assert_eq!(run(body(Framing::UntilClose, &pieces)), whole);
    }
}

/// What a sink writes of a body is what a source reads of it, in every framing, however little the stream takes at once.
#[test]
fn bodies_are_the_same_however_they_are_written() {
    // Some are joined with what waits, some are not; the last one is too large for that.
    let large = b"0123456789abcdef\r\n".repeat(1000);
    let pieces: [&[u8]; 5] = [b"h", b"", b"ello ", &large, b"0\r\n\r\n"];
    let all = pieces.concat();
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"x\""))]);
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    for (framing, expected, told) in [
        (Framing::Empty, &b""[..], None),
        (Framing::Length(all.len() as u64), &all[..], None),
        (Framing::Chunked, &all[..], Some("etag: \"x\"")),
        (Framing::UntilClose, &all[..], None),
    ] {
        for room in (1..=40).chain([1000, 16 * 1024, usize::MAX]) {
            let stream = RefCell::new(Scripted::taking(room));
            let mut out = head.to_vec();
            let mut sink = Http1Sink::new(&stream, &mut out, framing);
            run(async {
                for piece in pieces {
                    sink.write(Piece::Borrowed(piece)).await.unwrap();
                }
                sink.finish(Some(trailers.clone())).await.unwrap();
            });
            let written = stream.borrow().received.take();
            let read = run(body(framing, &[written.strip_prefix(head).unwrap()]));
            let trailers = told.iter().map(ToString::to_string).collect();
            assert_eq!(read, Ok((expected.to_vec(), trailers, Vec::new())), "{framing:?} by {room}");
        }
    }
}
