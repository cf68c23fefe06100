//! Single tries at backends that say what their script has: which connection they take, how long they wait, and what is said
//! of it where they fail.

use super::{Attempt, Attempted, stalls};
use crate::dispatch::Forward;
use crate::dispatch::exchange::{ExchangeError, Switched};
use crate::dispatch::failure::Failure;
use crate::dispatch::mirror::Mirrors;
use crate::dispatch::replay::Replay;
use crate::dispatch::scripted::{self, Backend, CLOSE, LIMIT, OK, SILENCE, UNAVAILABLE, outbound};
use crate::io::watchdog::{Expired, Progress, Watchdog};
use crate::message::client::Client;
use crate::message::scripted::{Body, Source, Told};
use crate::settings::Settings;
use crate::upstream::EndpointState;
use crate::worker::{Generation, Worker};
use route::ir::{self, Transport};
use route::policy::Withheld;
use route::table::{Endpoint, SocketKey, Timeouts};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::task::LocalSet;
use tokio::time::Instant;

const SOON: Duration = Duration::from_millis(50);

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// How long a try may take: the request, the try itself, and until its first byte.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    request: Option<Duration>,
    backend_request: Option<Duration>,
    first_byte: Option<Duration>,
}

/// Somebody who tries an endpoint.
struct Trier {
    client: Client,
    state: Rc<EndpointState>,
    told: Told,
}

impl Trier {
    fn of(address: SocketAddr) -> Self {
        let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
        let worker = Worker::alone(Generation::default()).unwrap();
        let endpoint = Endpoint { id: String::new(), address, uid: 1, state: ir::EndpointState::Ready };
        let state = worker.upstreams.state(&endpoint);
        Self { client: Client::new(worker, ([192, 0, 2, 1], 1).into(), socket, None), state, told: Told::default() }
    }

    /// One try; a connection that it leaves in order is kept.
    async fn once(&mut self, fresh: bool, limits: Limits) -> Attempted {
        let forward = Forward {
            first_byte: limits.first_byte,
            timeouts: Timeouts { request: limits.request, backend_request: limits.backend_request },
            ..scripted::forward(outbound(Body::None, false), &[])
        };
        let (begun, progress) = (Instant::now(), Progress::default());
        let mut source = Source::new(Body::None);
        let withheld = Withheld::default();
        let mut body = Replay::new(&mut source, &progress, None, &withheld, 0);
        let attempt = Attempt {
            client: &self.client,
            forward: &forward,
            state: &self.state,
            fresh,
            retry_codes: &[503],
            retry_until: None,
            session: None,
            deadline: limits.request.map(|limit| begun + limit),
            begun,
            progress: &progress,
        };
        let mut mirrors = Mirrors::start(&self.client, &forward);
        let mut watchdog = Watchdog::default();
        let mut scratch = Vec::new();
        match attempt.run(&mut watchdog, &mut scratch, &mut body, &mut self.told, &mut mirrors).await {
            Ok((done, Some(Switched::Http1(connection)))) => {
                if done.reusable {
                    self.client.worker.upstreams.release(&self.state, connection, begun.into_std());
                }
                Ok((done, None))
            }
            attempted => attempted,
        }
    }

    fn figure(&self, name: &str) -> u64 {
        let text = self.client.worker.shared.registry.render(0, 0);
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap()
    }
}

/// The failure of a try, and whether its connection was one that was kept.
fn failed(attempted: Attempted) -> (Failure, Option<bool>) {
    match attempted {
        Ok((done, _)) => panic!("{done:?}"),
        Err(failed) => failed,
    }
}

/// One that was kept is taken, unless the caller wants none of these; who failed says which it was.
#[test]
fn which_connection_is_taken() {
    run(async {
        let backend = Backend::start([OK, OK, UNAVAILABLE, OK, CLOSE, CLOSE]).await;
        let mut trier = Trier::of(backend.address);
        let free = Limits::default();
        for reused in 0..2 {
            assert_eq!(trier.once(false, free).await.ok().unwrap().0.status, 200);
            assert_eq!(trier.figure("sluicegate_upstream_reused_total"), reused);
        }
        assert_eq!(trier.told.lines.len(), 4, "heads and ends of two answers: {:?}", trier.told.lines);
        let (failure, reused) = failed(trier.once(false, free).await);
        assert!(matches!(failure, Failure::Exchange(ExchangeError::RetryStatus(503))));
        assert_eq!((reused, trier.told.lines.len()), (Some(true), 4), "nobody is told of what will be tried again");
        assert!(trier.once(false, free).await.is_ok());
        assert_eq!(trier.client.worker.upstreams.idle_connections(), 1);
        let (failure, reused) = failed(trier.once(true, free).await);
        assert!(failure.is_silent_close());
        assert_eq!((reused, trier.client.worker.upstreams.idle_connections()), (Some(false), 1));
        let (failure, reused) = failed(trier.once(false, free).await);
        assert!(failure.is_silent_close());
        assert_eq!((reused, trier.client.worker.upstreams.idle_connections()), (Some(true), 0));
    });
}

#[test]
fn without_a_connection() {
    run(async {
        // Bound, so that nobody else has it, and not listened on.
        let held = TcpSocket::new_v4().unwrap();
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let (failure, reused) = failed(Trier::of(held.local_addr().unwrap()).once(false, Limits::default()).await);
        assert!(matches!(failure, Failure::Connect(error) if !error.timed_out));
        assert_eq!(reused, None);
        // Nobody waits for one any more.
        let backend = Backend::start([OK]).await;
        let mut trier = Trier::of(backend.address);
        trier.told.gone = true;
        let (failure, reused) = failed(trier.once(false, Limits::default()).await);
        assert!(matches!(failure, Failure::Exchange(ExchangeError::Client(_))));
        assert_eq!((reused, backend.asked().len()), (None, 0));
    });
}

/// Whichever limit is the shortest ends a try, and its connection is not kept.
#[test]
fn how_long_a_try_waits() {
    let (soon, late) = (Some(SOON), Some(2 * LIMIT));
    for limits in [
        Limits { request: soon, ..Limits::default() },
        Limits { request: soon, backend_request: late, first_byte: late },
        Limits { request: late, backend_request: soon, ..Limits::default() },
        Limits { backend_request: soon, ..Limits::default() },
        Limits { first_byte: soon, ..Limits::default() },
        Limits { request: late, backend_request: late, first_byte: soon },
    ] {
        run(async {
            let backend = Backend::start([SILENCE]).await;
            let (mut trier, begun) = (Trier::of(backend.address), Instant::now());
            let (failure, reused) = failed(trier.once(false, limits).await);
            assert!(matches!(failure, Failure::Expired(Expired::Deadline)), "{limits:?}");
            assert!(begun.elapsed() >= SOON, "{limits:?}");
            assert_eq!((reused, trier.client.worker.upstreams.idle_connections()), (Some(false), 0));
        });
    }
    // What came in time is an answer.
    run(async {
        let backend = Backend::start([OK]).await;
        let limits = Limits { request: late, backend_request: late, first_byte: late };
        assert!(Trier::of(backend.address).once(false, limits).await.is_ok());
    });
}

/// A policy makes the limit for bodies shorter, never longer; that of backends is the policy's, whichever it is.
#[test]
fn limits_of_silence() {
    let settings = Settings::default();
    let longest = settings.request_body_timeout();
    for (body, expected) in [(None, longest), (Some(longest / 2), longest / 2), (Some(longest * 2), longest)] {
        let found = stalls(&settings, body, None);
        assert_eq!(found.request_body, expected);
        assert_eq!((found.response, found.backend), (settings.response_read_timeout(), settings.stall_timeout()));
    }
    let patient = settings.stall_timeout() * 2;
    assert_eq!(stalls(&settings, None, Some(patient)).backend, patient);
}
