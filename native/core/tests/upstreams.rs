//! Pools of connections to backends, and what a new table does to them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not in test functions")]

use route::table::{Endpoint, NoTags, State, Table};
use serde_json::{Value, json};
use sluicegate_core::settings::Settings;
use sluicegate_core::upstream::{Connection, EndpointState, Http1Connection, Route, UpstreamStream, Upstreams};
use socket2::SockRef;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

const BACKEND: &str = "a/app:80";

/// Fails a test; never reached by a pool that works.
const LIMIT: Duration = Duration::from_secs(10);

fn within<Output>(test: impl Future<Output = Output>) -> Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A state with one backend and an endpoint for each address, named by its place.
fn tables(addresses: &[SocketAddr]) -> (State, Table) {
    let endpoints: Vec<Value> = addresses.iter().enumerate().map(|(at, address)| endpoint(at, *address)).collect();
    let mut state = State::default();
    let table = apply(&mut state, json!({"upsert": {"backends": [{"id": BACKEND}], "endpoints": endpoints}}));
    (state, table)
}

fn endpoint(at: usize, address: SocketAddr) -> Value {
    json!({"id": at.to_string(), "backend": BACKEND, "address": address.ip(), "port": address.port()})
}

fn apply(state: &mut State, mut change: Value) -> Table {
    change["version"] = json!(route::ir::VERSION);
    change["generation"] = json!(1);
    state.apply(serde_json::from_value(change).unwrap(), &NoTags).unwrap()
}

fn endpoints(table: &Table) -> Vec<Arc<Endpoint>> {
    table.backends().next().unwrap().ready.clone()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A connection to an endpoint, and the backend's end of it.
async fn open(
    upstreams: &Upstreams,
    state: &Rc<EndpointState>,
    listener: &TcpListener,
) -> (Box<Http1Connection>, TcpStream) {
    match upstreams.connect(state, &Route::default(), true).await.unwrap() {
        Connection::Http1(connection) => (connection, listener.accept().await.unwrap().0),
        Connection::Http2(_) => panic!("an HTTP/1.1 connection was asked for"),
    }
}

async fn is_at_end(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0]).await.unwrap() == 0
}

#[test]
fn idle_connections_end_with_their_endpoint() {
    within(async {
        let ((going, going_at), (staying, staying_at)) = (listen().await, listen().await);
        let (mut state, table) = tables(&[going_at, staying_at]);
        let upstreams = Upstreams::new(&Settings::default(), Arc::default());
        let states: Vec<_> = endpoints(&table).iter().map(|endpoint| upstreams.state(endpoint)).collect();
        let (idle, mut idle_end) = open(&upstreams, &states[0], &going).await;
        let (mut busy, mut busy_end) = open(&upstreams, &states[0], &going).await;
        let (other, _other_end) = open(&upstreams, &states[1], &staying).await;
        upstreams.release(&states[0], idle, Instant::now());
        upstreams.release(&states[1], other, Instant::now());
        // Neither time nor a change of something else is a reason.
        upstreams.sweep(Instant::now(), &table);
        let mut draining = endpoint(0, going_at);
        draining["state"] = json!("draining");
        let table = apply(&mut state, json!({"upsert": {"endpoints": [draining]}}));
        upstreams.sweep(Instant::now(), &table);
        assert_eq!(upstreams.idle_connections(), 2);

        let table = apply(&mut state, json!({"remove": {"endpoints": ["0"]}}));
        upstreams.sweep(Instant::now(), &table);
        assert!(is_at_end(&mut idle_end).await);
        assert_eq!(upstreams.idle_connections(), 1);

        // A request under way goes on, and what it used is closed by the next sweep.
        busy.stream.get_mut().write_all(b"x").await.unwrap();
        assert!(!is_at_end(&mut busy_end).await);
        upstreams.release(&states[0], busy, Instant::now());
        upstreams.sweep(Instant::now(), &table);
        assert!(is_at_end(&mut busy_end).await);
        assert_eq!(upstreams.idle_connections(), 1);
    });
}

#[test]
fn an_endpoint_with_another_address_is_another_endpoint() {
    within(async {
        let ((before, before_at), (_after, after_at)) = (listen().await, listen().await);
        let (mut state, table) = tables(&[before_at]);
        let upstreams = Upstreams::new(&Settings::default(), Arc::default());
        let old = Arc::clone(&endpoints(&table)[0]);
        let (connection, mut end) = open(&upstreams, &upstreams.state(&old), &before).await;
        upstreams.release(&upstreams.state(&old), connection, Instant::now());
        let table = apply(&mut state, json!({"upsert": {"endpoints": [endpoint(0, after_at)]}}));
        upstreams.sweep(Instant::now(), &table);
        assert!(is_at_end(&mut end).await);

        // A request of the generation before may still go there: the endpoint is not remembered for it.
        let (connection, mut end) = open(&upstreams, &upstreams.state(&old), &before).await;
        upstreams.release(&upstreams.state(&old), connection, Instant::now());
        upstreams.sweep(Instant::now(), &table);
        assert!(is_at_end(&mut end).await);
    });
}

#[test]
fn http2_connections_end_with_their_endpoint_and_their_last_stream() {
    within(async {
        let (listener, address) = listen().await;
        let (mut state, table) = tables(&[address]);
        let upstreams = Upstreams::new(&Settings::default(), Arc::default());
        let known = upstreams.state(&endpoints(&table)[0]);
        let (ended, mut end) = tokio::sync::mpsc::channel(1);
        tokio::task::spawn_local(async move {
            let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
            while connection.accept().await.is_some() {}
            ended.send(()).await.unwrap();
        });
        let route = Route { http2: true, ..Route::default() };
        let Connection::Http2(handle) = upstreams.connect(&known, &route, false).await.unwrap() else {
            panic!("an HTTP/2 connection was asked for");
        };
        let stream = handle.begin();
        drop(handle);
        // Room for a second stream is there once the backend's SETTINGS are.
        drop(upstreams.connect(&known, &route, false).await.unwrap());
        let table = apply(&mut state, json!({"remove": {"endpoints": ["0"]}}));
        upstreams.sweep(Instant::now(), &table);
        let found = upstreams.pooled(&known, &route, Instant::now());
        assert!(found.is_some(), "the stream's connection was closed");
        drop((found, stream));
        assert!(end.try_recv().is_err());
        upstreams.sweep(Instant::now(), &table);
        end.recv().await.unwrap();
    });
}

#[test]
fn a_backend_that_is_gone_is_found() {
    within(async {
        let (listener, address) = listen().await;
        let (_, table) = tables(&[address]);
        let upstreams = Upstreams::new(&Settings { stall_timeout_ms: 200_000, ..Settings::default() }, Arc::default());
        let state = upstreams.state(&endpoints(&table)[0]);
        let (pooled, _end) = open(&upstreams, &state, &listener).await;
        let (opened, _) = upstreams.open(&state, &Route::default()).await.unwrap();
        for stream in [pooled.stream.into_inner(), opened] {
            let UpstreamStream::Plain(stream) = stream else { panic!("no TLS was asked for") };
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(200)));
        }
    });
}

/// A request on a new HTTP/2 connection to `serve`: what becomes of it within `limit`.
async fn ask<Served: Future<Output = ()> + 'static>(
    serve: impl FnOnce(TcpStream) -> Served + 'static,
    limit: Duration,
) -> Option<Result<(), h2::Error>> {
    let (listener, address) = listen().await;
    let (_, table) = tables(&[address]);
    let upstreams = Upstreams::new(&Settings { http2_ping_after_ms: 200, ..Settings::default() }, Arc::default());
    let known = upstreams.state(&endpoints(&table)[0]);
    tokio::task::spawn_local(async move { serve(listener.accept().await.unwrap().0).await });
    let route = Route { http2: true, ..Route::default() };
    let Connection::Http2(handle) = upstreams.connect(&known, &route, false).await.unwrap() else {
        panic!("an HTTP/2 connection was asked for");
    };
    let _active = handle.begin();
    let mut sender = handle.sender.clone().ready().await.unwrap();
    let (response, _) = sender.send_request(http::Request::get("http://a/").body(()).unwrap(), true).unwrap();
    let ended = tokio::time::timeout(limit, response).await.ok();
    ended.map(|response| response.map(drop))
}

/// It speaks its preface and nothing more: its system acknowledges, so TCP sees nothing.
#[test]
fn a_silent_backend_is_asked_and_given_up() {
    within(async {
        let serve = async |mut stream: TcpStream| {
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            while stream.read(&mut [0; 1024]).await.unwrap() > 0 {}
        };
        let started = Instant::now();
        let error = ask(serve, LIMIT).await.expect("an end").expect_err("an error");
        assert_eq!(error.to_string(), "no answer to a PING within 200ms");
        assert!(error.is_io() && started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    });
}

/// Its requests take long: it answers PING, and is not asked more often than servers bear.
#[test]
fn a_slow_backend_is_not_given_up() {
    within(async {
        let serve = async |stream: TcpStream| {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut held = Vec::new();
            while let Some(request) = connection.accept().await {
                held.push(request);
            }
        };
        assert!(ask(serve, Duration::from_secs(2)).await.is_none());
    });
}
