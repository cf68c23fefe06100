//! One connection of HTTP/2 on a clock of its own: what its client is told, how long it waits for what, and how it ends.

use super::{Active, GOAWAY_GRACE, PREFACE, Streams, serve};
use crate::message::client::Client;
use crate::settings::Settings;
use crate::worker::Worker;
use bytes::Bytes;
use codec::FIELD_OVERHEAD;
use h2::client::SendRequest;
use http::Request;
use route::ir::Transport;
use route::table::SocketKey;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, advance, sleep};

/// Longer than any connection takes to end that is to end now.
const SOON: Duration = Duration::from_secs(3);

const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, future)
}

/// A client's end, and how long the connection lasts.
fn connect(worker: &Rc<Worker>) -> (DuplexStream, JoinHandle<Duration>) {
    let (near, far) = duplex(1024 * 1024);
    let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
    let client = Rc::new(Client::new(Rc::clone(worker), ([192, 0, 2, 1], 1).into(), socket, None));
    let begun = Instant::now();
    let serving = spawn_local(async move {
        serve(client, near).await;
        begun.elapsed()
    });
    (far, serving)
}

/// A client that speaks: where requests go, and how its connection ended.
async fn speak(far: DuplexStream) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let (sender, connection) = h2::client::handshake(far).await.unwrap();
    (sender.ready().await.unwrap(), spawn_local(connection))
}

/// The status of an answer, and its body.
async fn ask(sender: &mut SendRequest<Bytes>, request: Request<()>) -> Result<(u16, String), h2::Error> {
    let (response, _) = sender.send_request(request, true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        text.extend_from_slice(&data?);
    }
    Ok((head.status.as_u16(), String::from_utf8(text).unwrap()))
}

fn get() -> Request<()> {
    Request::get("http://a.test/").body(()).unwrap()
}

/// A client of another protocol, or of none, has the time of a head.
#[test]
fn who_does_not_speak_is_let_go() {
    run(async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        for sent in [&b""[..], &PREFACE[..5], &[0; 24]] {
            let (mut far, serving) = connect(&worker);
            far.write_all(sent).await.unwrap();
            let lasted = serving.await.unwrap();
            let limit = worker.settings().head_timeout();
            let is_preface = PREFACE.starts_with(sent);
            assert_eq!(lasted, if is_preface { limit } else { Duration::ZERO }, "{sent:?}");
        }
    });
}

/// `:method GET`, `:scheme http`, `:path /`, `:authority a.test` (RFC 7541).
const FIELDS: &[u8] = b"\x82\x86\x84\x41\x06a.test";

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
}

/// A head has to be there in time, whether its frame does not end or another one is to come, and what comes in between.
#[test]
fn a_head_that_does_not_end() {
    let (end, more, continuation) = (4, 0, 9);
    let cut = |frame: Vec<u8>| frame[..frame.len() - 1].to_vec();
    run(async {
        let settings = Settings { idle_timeout_ms: 3_600_000, ..Settings::default() };
        let worker = Worker::redirecting(settings).unwrap();
        let limit = worker.settings().head_timeout();
        for (first, drops) in [
            (Vec::new(), Vec::new()),
            (SETTINGS[..5].to_vec(), Vec::new()),
            ([SETTINGS, &cut(frame(1, end, FIELDS))].concat(), Vec::new()),
            ([SETTINGS, &frame(1, more, FIELDS)].concat(), Vec::new()),
            ([SETTINGS, &frame(1, more, FIELDS)].concat(), frame(continuation, more, b"\x00")),
        ] {
            let (mut far, serving) = connect(&worker);
            far.write_all(&[PREFACE, &first[..]].concat()).await.unwrap();
            for _ in 0..3 {
                sleep(limit / 4).await;
                far.write_all(&drops).await.unwrap();
            }
            let lasted = serving.await.unwrap();
            assert!((limit..=limit + SOON).contains(&lasted), "{first:?} {lasted:?}");
            let mut told = Vec::new();
            far.read_to_end(&mut told).await.unwrap();
            // GOAWAY: ENHANCE_YOUR_CALM.
            let goaway = told.windows(5).position(|bytes| bytes == [0, 0, 8, 7, 0]).unwrap();
            assert_eq!(&told[goaway + 13..][..4], [0, 0, 0, 0xb]);
        }
        let text = worker.shared.registry.render(0, 0);
        let counted = text.lines().filter(|line| line.contains("request_head_timeout")).collect::<Vec<_>>();
        assert!(counted.iter().any(|line| line.ends_with("} 3")), "{counted:?}");
    });
}

/// One that comes in parts, each in time, is a request as any other; then the connection has nothing to wait for but requests.
#[test]
fn a_head_that_takes_its_time() {
    run(async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let (limit, idle) = (worker.settings().head_timeout(), worker.settings().idle_timeout());
        let (mut far, serving) = connect(&worker);
        far.write_all(&[PREFACE, SETTINGS, &frame(1, 1, &FIELDS[..3])].concat()).await.unwrap();
        sleep(limit / 2).await;
        far.write_all(&frame(9, 4, &FIELDS[3..])).await.unwrap();
        let lasted = serving.await.unwrap();
        assert!((limit / 2 + idle..=limit / 2 + idle + SOON).contains(&lasted), "{lasted:?}");
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();
        // HEADERS of stream 1: the answer.
        assert!(told.windows(5).any(|bytes| bytes[1..] == [0, 0, 0, 1] && bytes[0] & 4 != 0), "{told:?}");
    });
}

/// One that has no streams is told to go, and closes; one that does not close is let go soon all the same.
#[test]
fn a_silent_client_is_let_go() {
    run(async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let idle = worker.settings().idle_timeout();
        let (far, serving) = connect(&worker);
        let (mut sender, ended) = speak(far).await;
        for _ in 0..3 {
            sleep(idle / 2).await;
            assert_eq!(ask(&mut sender, get()).await.unwrap().0, 302);
        }
        ended.await.unwrap().unwrap();
        let lasted = serving.await.unwrap();
        assert!((idle / 2 * 5..=idle / 2 * 5 + SOON).contains(&lasted), "{lasted:?}");
        assert!(ask(&mut sender, get()).await.is_err());

        let (mut far, serving) = connect(&worker);
        far.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
        let lasted = serving.await.unwrap();
        assert!((idle + GOAWAY_GRACE..=idle + SOON).contains(&lasted), "{lasted:?}");
        // All that it was told is there: SETTINGS, their acknowledgement, GOAWAY without an error, and the end.
        let mut told = Vec::new();
        far.read_to_end(&mut told).await.unwrap();
        let goaway = told.windows(5).position(|bytes| bytes == [0, 0, 8, 7, 0]).unwrap();
        assert_eq!(&told[goaway + 13..][..4], [0; 4]);
    });
}

/// Streams are limited as clients are told, and a connection takes no more requests than it may.
#[test]
fn how_many_requests_there_may_be() {
    run(async {
        let settings = Settings { http2_max_streams: 3, max_connection_requests: 2, ..Settings::default() };
        let (far, serving) = connect(&Worker::redirecting(settings).unwrap());
        let (mut sender, ended) = speak(far).await;
        assert_eq!(ask(&mut sender, get()).await.unwrap().0, 302);
        assert_eq!(sender.current_max_send_streams(), 3);
        assert_eq!(ask(&mut sender, get()).await.unwrap().0, 302);
        assert!(ask(&mut sender, get()).await.is_err());
        drop(sender);
        ended.await.unwrap().unwrap();
        assert!(serving.await.unwrap() <= SOON);
    });
}

#[test]
fn a_drain_ends_connections() {
    run(async {
        let worker = Worker::redirecting(Settings::default()).unwrap();
        let (far, serving) = connect(&worker);
        let (mut sender, ended) = speak(far).await;
        assert_eq!(ask(&mut sender, get()).await.unwrap().0, 302);
        sleep(Duration::from_secs(1)).await;
        assert!(!serving.is_finished());
        worker.drain.start();
        ended.await.unwrap().unwrap();
        assert!(serving.await.unwrap() <= Duration::from_secs(1) + SOON);
    });
}

/// To the octet, as over HTTP/1.1; more fields than there may be have an answer that says so, as have targets.
#[test]
fn the_largest_head() {
    const LARGEST: usize = 4000;
    let settings =
        Settings { max_head_bytes: LARGEST, max_target_bytes: 300, max_head_fields: 20, ..Settings::default() };
    let worker = Worker::redirecting(settings).unwrap();
    let head = |target: usize, list: usize| {
        let target = format!("/{}", "t".repeat(target - 1));
        let fields =
            [(":method", "GET"), (":scheme", "http"), (":path", &*target), (":authority", "a.test"), ("x", "")];
        let taken: usize = fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_OVERHEAD).sum();
        let request = Request::get(format!("http://a.test{target}"));
        request.header("x", "v".repeat(list - taken)).body(()).unwrap()
    };
    let many = |count: usize| {
        let mut request = get();
        for number in 0..count {
            let name: http::HeaderName = format!("x-{number}").parse().unwrap();
            request.headers_mut().insert(name, "1".parse().unwrap());
        }
        request
    };
    run(async {
        for (request, status, code) in [
            (head(1, LARGEST), 302, ""),
            // `h2` answers without a word.
            (head(1, LARGEST + 1), 431, ""),
            (head(300, LARGEST), 302, ""),
            (head(301, LARGEST), 414, "target_too_long"),
            (many(20), 302, ""),
            (many(21), 431, "headers_too_large"),
        ] {
            let (far, _serving) = connect(&worker);
            let (mut sender, _ended) = speak(far).await;
            let (found, text) = ask(&mut sender, request).await.unwrap();
            assert_eq!((found, text.split(':').next().unwrap()), (status, code));
            // Its connection goes on.
            assert_eq!(ask(&mut sender, get()).await.unwrap().0, 302);
        }
    });
}

/// A connection is idle from the end of its last stream on.
#[test]
fn since_when_there_is_no_stream() {
    run(async {
        let (second, begun) = (Duration::from_secs(1), Instant::now());
        let streams = Rc::new(Streams { count: Cell::new(0), idle_since: Cell::new(begun) });
        advance(second).await;
        assert_eq!(streams.idle_since(Instant::now()), begun);
        let (one, two) = (Active::begin(&streams), Active::begin(&streams));
        advance(second).await;
        drop(one);
        advance(second).await;
        assert_eq!(streams.idle_since(Instant::now()), Instant::now());
        drop(two);
        let ended = Instant::now();
        advance(second).await;
        assert_eq!(streams.idle_since(Instant::now()), ended);
    });
}
