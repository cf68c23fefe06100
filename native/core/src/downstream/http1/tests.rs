//! One connection of HTTP/1.1 on a clock of its own: how long it waits for what, and how it ends.

use super::{DRAIN_LINGER, LINGER, LINGER_SILENCE, SHUTDOWN, serve};
use crate::dispatch::scripted::{Backend, LIMIT};
use crate::io::Reset;
use crate::io::around::{Around, stream};
use crate::io::watchdog::Watchdog;
use crate::message::client::Client;
use crate::settings::Settings;
use crate::worker::{Generation, Worker};
use codec::{Buffer, FIELD_OVERHEAD};
use route::ir::Transport;
use route::table::SocketKey;
use serde_json::json;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex, split};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
/// Refused, and the last thing that is read as HTTP.
const BAD: &[u8] = b"GET / HTTP/9.9\r\n\r\n";

/// `paused`: time passes only where everybody waits.
fn run<F: Future>(paused: bool, future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(paused).build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

fn client(worker: &Rc<Worker>) -> Client {
    let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
    Client::new(Rc::clone(worker), ([192, 0, 2, 1], 1).into(), socket, None)
}

/// A client's end, and how long the connection lasts.
fn connect(worker: &Rc<Worker>) -> (DuplexStream, JoinHandle<Duration>) {
    let (near, far) = duplex(64 * 1024);
    let (client, begun) = (client(worker), Instant::now());
    let serving = spawn_local(async move {
        serve(&client, near, Buffer::new(), None, Watchdog::default()).await;
        begun.elapsed()
    });
    (far, serving)
}

/// Say something every second until nobody listens.
async fn drip(mut stream: impl AsyncWrite + Unpin) {
    while stream.write_all(b"x").await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
}

async fn end_of(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// One answer without a body.
async fn answer(stream: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{}", bytes.escape_ascii());
    }
    String::from_utf8(bytes).unwrap()
}

/// From its beginning, and from the end of each request.
#[test]
fn a_silent_client_is_let_go() {
    run(true, async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let idle = worker.settings().idle_timeout();
        let (mut far, serving) = connect(&worker);
        assert_eq!((end_of(&mut far).await.as_str(), serving.await.unwrap()), ("", idle));
        let (mut far, serving) = connect(&worker);
        for _ in 0..3 {
            sleep(idle / 2).await;
            far.write_all(GET).await.unwrap();
            assert!(answer(&mut far).await.starts_with("HTTP/1.1 302 "));
        }
        assert_eq!((end_of(&mut far).await.as_str(), serving.await.unwrap()), ("", idle / 2 * 3 + idle));
    });
}

/// A head has its time from its first byte on, whatever drips in; where that came before, from then on.
#[test]
fn a_slow_head_is_told_so() {
    run(true, async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let limit = worker.settings().head_timeout();
        for sent in [&b"G"[..], b"\r\n", b"GET / HTTP/1.1\r\nHost: a.test\r\n"] {
            let (far, _serving) = connect(&worker);
            let (mut reader, mut writer) = split(far);
            sleep(limit / 2).await;
            let begun = Instant::now();
            writer.write_all(sent).await.unwrap();
            let dripping = spawn_local(drip(writer));
            let said = end_of(&mut reader).await;
            assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
            assert_eq!(begun.elapsed(), limit);
            drop(reader);
            dripping.abort();
        }
        let (near, mut far) = duplex(1024);
        let (client, mut buffer, before) = (client(&worker), Buffer::new(), Duration::from_secs(3));
        buffer.space(1024).unwrap()[0] = b'G';
        buffer.filled_by(1);
        let begun = Instant::now();
        sleep(before).await;
        spawn_local(async move { serve(&client, near, buffer, Some(begun), Watchdog::default()).await });
        assert!(end_of(&mut far).await.starts_with("HTTP/1.1 408 "));
        assert_eq!(begun.elapsed(), limit);
    });
}

/// Who was refused is heard on for a while, so that it sees why; not for ever, whatever it says, and not while it is silent.
#[test]
fn who_was_refused_may_go_on_for_a_while() {
    run(true, async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let (far, serving) = connect(&worker);
        let (mut reader, mut writer) = split(far);
        writer.write_all(BAD).await.unwrap();
        spawn_local(drip(writer));
        assert!(end_of(&mut reader).await.starts_with("HTTP/1.1 505 "));
        assert_eq!(serving.await.unwrap(), LINGER);

        let (mut far, serving) = connect(&worker);
        far.write_all(BAD).await.unwrap();
        let lasted = serving.await.unwrap();
        assert!((LINGER_SILENCE..=2 * LINGER_SILENCE).contains(&lasted), "{lasted:?}");

        let (mut far, serving) = connect(&worker);
        far.write_all(BAD).await.unwrap();
        end_of(&mut far).await;
        drop(far);
        assert_eq!(serving.await.unwrap(), Duration::ZERO);
    });
}

/// Clients are asked to go with an answer; then those that are idle are let go, and a head that has begun is still heard.
#[test]
fn a_drain_ends_connections() {
    run(true, async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let (mut asked, asked_serving) = connect(&worker);
        let (mut idle, idle_serving) = connect(&worker);
        let (mut busy, busy_serving) = connect(&worker);
        busy.write_all(&GET[..7]).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        worker.drain.start();
        asked.write_all(GET).await.unwrap();
        assert!(end_of(&mut asked).await.contains("\r\nconnection: close\r\n"));
        assert_eq!(asked_serving.await.unwrap(), Duration::from_secs(1));
        sleep(Duration::from_secs(1)).await;
        assert!(!idle_serving.is_finished());
        let begun = Instant::now();
        worker.drain.finish();
        assert_eq!(end_of(&mut idle).await, "");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        idle_serving.await.unwrap();
        assert!(begun.elapsed() <= 2 * DRAIN_LINGER, "{:?}", begun.elapsed());
        sleep(Duration::from_secs(1)).await;
        assert!(!busy_serving.is_finished());
        busy.write_all(&GET[7..]).await.unwrap();
        let said = end_of(&mut busy).await;
        assert!(said.starts_with("HTTP/1.1 302 ") && said.contains("\r\nconnection: close\r\n"), "{said}");
        busy_serving.await.unwrap();
    });
}

/// To the octet: the target, the head as a list of fields, and its bytes.
#[test]
fn the_largest_head() {
    const LARGEST: usize = 2000;
    let settings = || Settings { max_head_bytes: LARGEST, max_target_bytes: 300, ..Settings::default() };
    let head = |target: usize, list: usize, blanks: usize| {
        let (host, target) = ("a.test", format!("/{}", "t".repeat(target - 1)));
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", &*target), (":authority", host), ("x", "")];
        let taken: usize = fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum();
        let value = "v".repeat(list - taken);
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nx:{}{value}\r\n\r\n", " ".repeat(blanks))
    };
    // Of its bytes so many are no field's.
    let wire = |blanks: usize| head(1, 1000, blanks).len();
    let most_blanks = LARGEST - wire(0);
    for (sent, expected) in [
        (head(1, LARGEST, 1), "302"),
        (head(1, LARGEST + 1, 1), "431"),
        (head(300, LARGEST, 0), "302"),
        (head(301, LARGEST, 0), "414"),
        (head(1, 1000, most_blanks), "302"),
        (head(1, 1000, most_blanks + 1), "431"),
        // Not whole.
        (format!("GET / HTTP/1.1\r\nx: {}", "v".repeat(LARGEST)), "431"),
        (format!("GET /{}", "t".repeat(LARGEST)), "414"),
    ] {
        run(true, async {
            for step in [1, 7, usize::MAX] {
                let (far, _serving) = connect(&Worker::redirecting(settings()).unwrap());
                let (mut reader, mut writer) = split(far);
                for piece in sent.as_bytes().chunks(step) {
                    writer.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                let mut status = [0; 12];
                reader.read_exact(&mut status).await.unwrap();
                assert_eq!(&status[9..], expected.as_bytes(), "{} by {step}", sent.len());
            }
        });
    }
}

/// The client has ended, and never takes what TLS has to say at its end.
struct Stuck;

impl AsyncRead for Stuck {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Reset for Stuck {
    const WRITES_ITS_END: bool = true;

    fn reset(&self) {}
}

#[test]
fn an_end_that_nobody_takes() {
    run(true, async {
        let (client, begun) = (client(&Worker::redirecting(Settings::default()).unwrap()), Instant::now());
        serve(&client, Stuck, Buffer::new(), None, Watchdog::default()).await;
        assert_eq!(begun.elapsed(), SHUTDOWN);
    });
}

/// Notes whether it was reset.
struct Noted {
    stream: DuplexStream,
    reset: Rc<Cell<bool>>,
}

impl Around for Noted {
    type Inside = DuplexStream;

    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut DuplexStream>) -> R) -> R {
        then(Pin::new(&mut self.stream))
    }
}

stream!([] Noted);

impl Reset for Noted {
    fn reset(&self) {
        self.reset.set(true);
    }
}

/// Where the end of the connection is all that tells the end of a body, half a body must not look like a whole one.
#[test]
fn half_a_response_is_no_whole_one() {
    let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n4\r\nhalf\r\n0\r\n\r\n";
    let half = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n9\r\nhalf";
    for (minor, says, ends, resets) in [
        (0, whole, "half", false),
        (0, half, "half", true),
        (1, whole, "4\r\nhalf\r\n0\r\n\r\n", false),
        (1, half, "4\r\nhalf\r\n", false),
    ] {
        run(false, async {
            let backend = Backend::start([says]).await;
            let (address, port) = (backend.address.ip(), backend.address.port());
            let worker = Worker::alone(Generation::default()).unwrap();
            let upsert = json!({
                "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
                "http_rules": [{"id": "r", "route": "route", "index": 0, "listeners": ["l"],
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backends": [{"backend": "b", "weight": 1}]}],
                "backends": [{"id": "b"}],
                "endpoints": [{"id": "e", "backend": "b", "address": address, "port": port}]});
            worker.apply(&upsert).unwrap();
            let ((stream, mut far), reset) = (duplex(1024), Rc::<Cell<bool>>::default());
            let (client, noted) = (client(&worker), Noted { stream, reset: Rc::clone(&reset) });
            spawn_local(async move { serve(&client, noted, Buffer::new(), None, Watchdog::default()).await });
            let sent = format!("GET / HTTP/1.{minor}\r\nHost: a.test\r\nConnection: close\r\n\r\n");
            far.write_all(sent.as_bytes()).await.unwrap();
            let said = tokio::time::timeout(LIMIT, end_of(&mut far)).await.unwrap();
            let (_, body) = said.split_once("\r\n\r\n").unwrap();
            assert_eq!((body, reset.get()), (ends, resets), "{minor} {says}");
        });
    }
}
