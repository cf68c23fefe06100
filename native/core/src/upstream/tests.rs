//! What one worker knows of its endpoints; pools and new tables are in `tests/upstreams.rs`.

use super::{Among, ConnectStage, Connection, Limits, Outcome, OwnSockets, Route, Upstreams};
use crate::settings::Settings;
use route::ir::{EndpointState, Transport};
use route::table::{Endpoint, NoTags, State, Table};
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

/// For what comes at once or never.
const LIMIT: Duration = Duration::from_secs(10);

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

async fn listen() -> (TcpListener, Endpoint) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, Endpoint { id: String::new(), address, uid: 0, state: EndpointState::Ready })
}

/// A table with one endpoint, or without.
fn table(address: Option<SocketAddr>) -> Table {
    let endpoint = |at: SocketAddr| json!({"id": "e", "backend": "b", "address": at.ip(), "port": at.port()});
    let endpoints: Vec<Value> = address.into_iter().map(endpoint).collect();
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true,
        "upsert": {"backends": [{"id": "b"}], "endpoints": endpoints}});
    State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap()
}

/// A backend that is the gateway itself is not connected to, neither for requests nor for flows.
#[test]
fn nothing_is_sent_back_to_ourselves() {
    run(async {
        let (listener, endpoint) = listen().await;
        let own = Arc::new(OwnSockets::default());
        let upstreams = Upstreams::new(&Settings::default(), Arc::default()).avoiding(Arc::clone(&own));
        let (state, route) = (upstreams.state(&endpoint), Route::default());
        own.set(vec![(Transport::Tcp, endpoint.address)]);
        assert!(upstreams.is_own(Transport::Tcp, endpoint.address));
        assert!(!upstreams.is_own(Transport::Udp, endpoint.address));
        let http2 = Route { http2: true, ..Route::default() };
        assert!(upstreams.connect(&state, &route, false).await.unwrap_err().loops);
        assert!(upstreams.connect(&state, &http2, false).await.unwrap_err().loops);
        assert!(upstreams.open(&state, &route).await.unwrap_err().loops);
        own.set(Vec::new());
        // The first that comes is this one.
        let (opened, accepted) = tokio::join!(upstreams.open(&state, &route), listener.accept());
        let super::UpstreamStream::Plain(stream) = opened.unwrap().0 else { panic!("no TLS was asked for") };
        assert_eq!(stream.local_addr().unwrap(), accepted.unwrap().1);
    });
}

/// One of HTTP/1.1 is none for who speaks HTTP/2, and one that was kept too long is none for anybody.
#[test]
fn which_connections_are_taken_from_the_pool() {
    run(async {
        let (_listener, endpoint) = listen().await;
        let upstreams = Upstreams::new(&Settings::default(), Arc::default());
        let (state, route, now) = (upstreams.state(&endpoint), Route::default(), Instant::now());
        let Ok(Connection::Http1(connection)) = upstreams.connect(&state, &route, true).await else {
            panic!("HTTP/1.1 was asked for");
        };
        upstreams.release(&state, connection, now);
        let http2 = Route { http2: true, ..Route::default() };
        assert!(upstreams.pooled(&state, &http2, now).is_none());
        assert_eq!(upstreams.idle_connections(), 1);
        let Some(Connection::Http1(connection)) = upstreams.pooled(&state, &route, now) else { panic!("it was kept") };
        upstreams.release(&state, connection, now);
        let idle = Limits::new(&Settings::default()).idle_timeout;
        assert!(upstreams.pooled(&state, &route, now + idle).is_none());
        assert_eq!(upstreams.idle_connections(), 0);
    });
}

/// Who says nothing of what it takes over HTTP/2 is not waited for longer than a connection is.
#[test]
fn a_backend_that_does_not_settle() {
    run(async {
        let (listener, endpoint) = listen().await;
        let settings = Settings { upstream_connect_timeout_ms: 50, ..Settings::default() };
        let upstreams = Upstreams::new(&settings, Arc::default());
        let route = Route { http2: true, ..Route::default() };
        assert_eq!(upstreams.patience(&route), settings.upstream_connect_timeout());
        let state = upstreams.state(&endpoint);
        let (connected, _held) = tokio::join!(upstreams.connect(&state, &route, false), listener.accept());
        let Ok(Connection::Http2(handle)) = connected else { panic!("HTTP/2 was asked for") };
        let begun = Instant::now();
        let error = upstreams.settle(&handle).await.unwrap_err();
        assert_eq!((error.stage, error.timed_out), (ConnectStage::Http2, true));
        assert!(begun.elapsed() >= Duration::from_millis(50));
    });
}

/// What is known of an endpoint lasts as long as somebody uses it, and a while longer where the table has it; one that is
/// ejected is remembered, and counted while it is configured.
#[test]
fn what_sweeps_leave() {
    run(async {
        let (_listener, here) = listen().await;
        let upstreams = Upstreams::new(&Settings::default(), Arc::default());
        let (with, without) = (table(Some(here.address)), table(None));
        let endpoint = Arc::clone(&with.backends().next().unwrap().ready[0]);
        let (now, much_later) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        let known = || upstreams.endpoints.len();
        let state = upstreams.state(&endpoint);
        // Somebody uses it.
        upstreams.sweep(much_later, &without);
        assert_eq!(known(), 1);
        assert!(Rc::ptr_eq(&state, &upstreams.state(&endpoint)));
        drop(state);
        upstreams.sweep(now, &with);
        assert_eq!(known(), 1);
        upstreams.sweep(much_later, &with);
        assert_eq!(known(), 0, "nobody has used it for long");
        drop(upstreams.state(&endpoint));
        upstreams.sweep(now, &without);
        assert_eq!(known(), 0, "the table has it no more");

        let all = [Arc::clone(&endpoint), Arc::new(here)];
        for _ in 0..20 {
            let refused = Outcome::NotConnected(ConnectStage::Tcp);
            upstreams.report(Among::all(&all), &upstreams.state(&endpoint), refused, tokio::time::Instant::now());
        }
        upstreams.sweep(much_later, &with);
        assert_eq!((known(), upstreams.ejected.get()), (1, 1));
        upstreams.sweep(now, &without);
        assert_eq!((known(), upstreams.ejected.get()), (0, 0));
    });
}
