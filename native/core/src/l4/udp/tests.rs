//! When a session begins, where it leads, and when it ends; bursts of datagrams are in `l4/bursts.rs`.

use crate::l4::bursts::{LIMIT, arrivals, bound, client_of, listener_with, run};
use crate::observe::l4::L4Reason;
use crate::settings::Settings;
use crate::worker::{Generation, Worker};
use route::table::{NoTags, State};
use serde_json::json;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

/// The next datagram of a backend, and whom it came from: one for each session.
async fn next(backend: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    arrivals(backend, 1).await.remove(0)
}

fn counted(worker: &Worker, reason: L4Reason) -> u64 {
    worker.metrics.l4_failures.of(reason).get()
}

/// Until it is so, but not for ever.
async fn until(so: impl Fn() -> bool) {
    let looking = async {
        while !so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.unwrap();
}

/// Clients beyond the limit are dropped and counted; those that have a session keep it.
#[test]
fn as_many_sessions_as_there_may_be() {
    let backend = bound("127.0.0.1");
    let settings = Settings { udp_max_sessions: 1, ..Settings::default() };
    let (worker, key, socket) = listener_with(settings, "127.0.0.1", &[&[&backend]]);
    let (one, two) = (client_of(&socket), client_of(&socket));
    run(&worker, key, socket, async {
        one.send(b"1").unwrap();
        let (_, session) = next(&backend).await;
        for lost in 1..=3 {
            two.send(b"lost").unwrap();
            until(|| counted(&worker, L4Reason::Sessions) == lost).await;
        }
        one.send(b"2").unwrap();
        assert_eq!(next(&backend).await, (b"2".to_vec(), session));
        assert_eq!(worker.drain.sessions(), 1);
    });
}

/// A session that is silent ends, in order; an answer is no silence. The client's next datagram begins another one.
#[test]
fn a_silent_session_ends() {
    let backend = bound("127.0.0.1");
    let settings = Settings { udp_idle_timeout_ms: 100, ..Settings::default() };
    let (worker, key, socket) = listener_with(settings, "127.0.0.1", &[&[&backend]]);
    let client = client_of(&socket);
    run(&worker, key, socket, async {
        client.send(b"1").unwrap();
        let (_, first) = next(&backend).await;
        let begun = tokio::time::Instant::now();
        backend.send_to(b"answer", first).unwrap();
        assert_eq!(arrivals(&client, 1).await[0].0, b"answer");
        until(|| worker.drain.sessions() == 0).await;
        assert!(begun.elapsed() >= worker.settings().udp_idle_timeout());
        client.send(b"2").unwrap();
        let (bytes, second) = next(&backend).await;
        assert_eq!((bytes, worker.drain.sessions()), (b"2".to_vec(), 1));
        assert_ne!(first, second);
    });
    assert!(L4Reason::ALL.iter().all(|reason| counted(&worker, *reason) == 0));
}

/// While the gateway ends nobody begins, and who has begun goes on.
#[test]
fn a_drain_begins_nothing() {
    let backend = bound("127.0.0.1");
    let (worker, key, socket) = listener_with(Settings::default(), "127.0.0.1", &[&[&backend]]);
    let (one, two) = (client_of(&socket), client_of(&socket));
    run(&worker, key, socket, async {
        one.send(b"1").unwrap();
        let (_, session) = next(&backend).await;
        worker.drain.close();
        two.send(b"lost").unwrap();
        until(|| counted(&worker, L4Reason::Draining) == 1).await;
        one.send(b"2").unwrap();
        assert_eq!(next(&backend).await, (b"2".to_vec(), session));
    });
}

/// A session stays with its endpoint while a rule leads there, also while that drains; then the client has another one, or
/// none where nothing leads anywhere.
#[test]
fn a_session_follows_the_table() {
    let (first, second) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let (worker, key, socket) = listener_with(Settings::default(), "127.0.0.1", &[&[&first]]);
    let client = client_of(&socket);
    let mut state = State::default();
    let mut has = |endpoints: &[(&UdpSocket, &str)], listens: bool| {
        let endpoint = |(socket, state): &(&UdpSocket, &str)| {
            let at = socket.local_addr().unwrap();
            json!({"id": at.to_string(), "backend": "b", "address": at.ip(), "port": at.port(), "state": state})
        };
        let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
        let listener = json!({"id": "udp", "gateway": "default/gateway", "port": key.port, "bind_port": key.port,
            "protocol": "UDP"});
        let listeners: Vec<_> = listens.then_some(listener).into_iter().collect();
        let rule = json!({"id": "rule", "route": "route", "index": 0, "backends": [{"backend": "b", "weight": 1}],
            "listeners": if listens { vec!["udp"] } else { vec![] }});
        let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "listeners": listeners, "l4_rules": [rule], "backends": [{"id": "b"}], "endpoints": endpoints}});
        let table = state.apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
        worker.shared.generation.store(Arc::new(Generation { table, ..Generation::default() }));
    };
    run(&worker, key, socket, async {
        has(&[(&first, "ready")], true);
        client.send(b"1").unwrap();
        let (_, session) = next(&first).await;
        for endpoints in [&[(&first, "ready"), (&second, "ready")][..], &[(&first, "draining"), (&second, "ready")]] {
            has(endpoints, true);
            client.send(b"2").unwrap();
            assert_eq!(next(&first).await, (b"2".to_vec(), session));
        }
        has(&[(&second, "ready")], true);
        client.send(b"3").unwrap();
        assert_eq!(next(&second).await.0, b"3");
        has(&[(&second, "ready")], false);
        client.send(b"lost").unwrap();
        until(|| counted(&worker, L4Reason::NoListener) == 1).await;
        assert_eq!(worker.drain.sessions(), 0);
    });
}
