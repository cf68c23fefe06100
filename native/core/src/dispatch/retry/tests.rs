//! Requests to backends that say, one request after another, what their script has.

use super::{CONNECT_TRIES, Exchange, Forwarded, allowed_connects, backoff};
use crate::dispatch::Forward;
use crate::dispatch::outbound::Outbound;
use crate::dispatch::scripted::{self, Backend, CLOSE, LIMIT, OK, UNAVAILABLE, endpoints, outbound};
use crate::io::watchdog::Watchdog;
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::record::Entry;
use crate::message::scripted::{Body, Source, Told};
use crate::worker::{Generation, Worker};
use codec::{Parsed, parse_request};
use route::ir::Transport;
use route::table::{Endpoint, Retry, SocketKey, Timeouts};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpSocket;
use tokio::task::LocalSet;
use tokio::time::Instant;

fn forward<'g>(endpoints: &'g [Arc<Endpoint>], idempotent: bool, retry: Option<&'g Retry>) -> Forward<'g> {
    let outbound = Outbound { idempotent, ..outbound(Body::None, false) };
    Forward { retry, ..scripted::forward(outbound, endpoints) }
}

fn client() -> Client {
    let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
    Client::new(Worker::alone(Generation::default()).unwrap(), ([192, 0, 2, 1], 1).into(), socket, None)
}

/// The statuses that the client is told: one.
async fn run(client: &Client, forward: &Forward<'_>) -> String {
    let Ok(Parsed::Complete(head)) = parse_request(b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", 16) else {
        panic!("a head")
    };
    let mut entry = Entry::begin(client, &Inbound::from_http1(head));
    let (mut source, mut told) = (Source::new(Body::None), Told::default());
    let exchange = Exchange { client, forward, scratch: &mut Vec::new(), begun: Instant::now(), in_memory: 0 };
    let forwarded = exchange.run(&mut Watchdog::default(), &mut source, &mut told, &mut entry).await;
    assert!(matches!(forwarded, Forwarded::Complete), "{forwarded:?}");
    let statuses = told.lines.iter().filter_map(|line| line.strip_prefix("head ")).map(|line| &line[..3]);
    statuses.collect::<Vec<_>>().join(" ")
}

fn within<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// As often as the rule says, and only what is safe to be sent twice; what the last try says goes to the client.
#[test]
fn what_the_rule_wants_retried() {
    let retry = |attempts| Some(Retry { codes: vec![503], attempts, backoff: Duration::ZERO });
    for (script, idempotent, retry, status, asked) in [
        (&[UNAVAILABLE, UNAVAILABLE, OK][..], true, retry(2), "200", 3),
        (&[UNAVAILABLE, UNAVAILABLE, OK], true, retry(1), "503", 2),
        (&[UNAVAILABLE, OK], true, retry(0), "503", 1),
        (&[UNAVAILABLE, OK], true, None, "503", 1),
        (&[UNAVAILABLE, OK], false, retry(2), "503", 1),
        (&[CLOSE, OK], true, retry(1), "200", 2),
        (&[CLOSE, OK], false, retry(1), "502", 1),
        (&[CLOSE, OK], true, None, "502", 1),
    ] {
        within(async {
            let backend = Backend::start(script.iter().copied()).await;
            let endpoints = endpoints(&[backend.address]);
            let forward = forward(&endpoints, idempotent, retry.as_ref());
            assert_eq!(run(&client(), &forward).await, status, "{script:?}");
            assert_eq!(backend.asked().len(), asked, "{script:?}");
        });
    }
}

/// A connection that was kept and has ended meanwhile is nobody's fault: one more try on a new one, where that is safe.
#[test]
fn a_connection_that_was_kept() {
    for (idempotent, status, asked) in [(true, "200", 3), (false, "502", 2)] {
        within(async {
            let backend = Backend::start([OK, CLOSE, OK]).await;
            let (endpoints, client) = (endpoints(&[backend.address]), client());
            let forward = forward(&endpoints, idempotent, None);
            assert_eq!(run(&client, &forward).await, "200");
            assert_eq!(client.worker.upstreams.idle_connections(), 1);
            assert_eq!(run(&client, &forward).await, status);
            assert_eq!(backend.asked().len(), asked);
        });
    }
}

/// Nothing was sent to who cannot be reached, so any request goes on to another one.
#[test]
fn an_endpoint_that_cannot_be_reached() {
    within(async {
        // Bound, so that nobody else has it, and not listened on.
        let held = TcpSocket::new_v4().unwrap();
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let refused = held.local_addr().unwrap();
        let backend = Backend::start([OK; 8]).await;
        let (both, client) = (endpoints(&[refused, backend.address]), client());
        for asked in 1..=8 {
            assert_eq!(run(&client, &forward(&both, false, None)).await, "200");
            assert_eq!(backend.asked().len(), asked);
        }
        let (gone, none) = (endpoints(&[refused; 2]), endpoints(&[]));
        assert_eq!(run(&client, &forward(&gone, true, None)).await, "502");
        assert_eq!(run(&client, &forward(&none, true, None)).await, "503");
    });
}

/// A pause that ends behind the rule's limit is not begun.
#[test]
fn no_pause_beyond_the_limit() {
    within(async {
        let backend = Backend::start([UNAVAILABLE, OK]).await;
        let endpoints = endpoints(&[backend.address]);
        let retry = Retry { codes: vec![503], attempts: 1, backoff: 4 * LIMIT };
        let timeouts = Timeouts { request: Some(2 * LIMIT), backend_request: None };
        let forward = Forward { timeouts, ..forward(&endpoints, true, Some(&retry)) };
        assert_eq!(run(&client(), &forward).await, "504");
        assert_eq!(backend.asked().len(), 1);
    });
}

/// Doubled up to sixteen times, and up to a quarter more.
#[test]
fn pauses_between_tries() {
    let base = Duration::from_millis(100);
    for (retries, factor) in [(0, 1), (1, 2), (3, 8), (4, 16), (5, 16), (u32::MAX, 16)] {
        assert_eq!(backoff(base, retries, 0), base * factor);
        assert_eq!(backoff(base, retries, u32::MAX), base * factor * 5 / 4);
    }
    assert_eq!(backoff(Duration::ZERO, 3, u32::MAX), Duration::ZERO);
}

#[test]
fn tries_to_connect() {
    let address = SocketAddr::from(([192, 0, 2, 1], 1));
    for (count, allowed, wanted) in
        [(0, 0, 0), (1, 0, 0), (2, 0, 1), (3, 0, CONNECT_TRIES - 1), (9, 0, CONNECT_TRIES - 1), (9, 5, 5), (1, 1, 1)]
    {
        let endpoints = endpoints(&vec![address; count]);
        assert_eq!(allowed_connects(&forward(&endpoints, true, None), allowed), wanted, "{count} {allowed}");
    }
}
