//! Datagrams that are all there before the worker has its turn, so that batches are full.

use super::udp::serve;
use crate::observe::l4::L4Reason;
use crate::settings::Settings;
use crate::worker::{Generation, Worker};
use route::ir::Transport;
use route::table::SocketKey;
use serde_json::json;
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

/// For what comes at once or never.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A worker, and the socket of its listener that leads to backends with these endpoints.
fn listener(address: &str, backends: &[&[&UdpSocket]]) -> (Rc<Worker>, SocketKey, UdpSocket) {
    listener_with(Settings::default(), address, backends)
}

/// The same under other settings.
pub fn listener_with(
    settings: Settings,
    address: &str,
    backends: &[&[&UdpSocket]],
) -> (Rc<Worker>, SocketKey, UdpSocket) {
    let socket = bound(address);
    let port = socket.local_addr().unwrap().port();
    let mut weighted = Vec::new();
    let mut names = Vec::new();
    let mut endpoints = Vec::new();
    for (number, sockets) in backends.iter().enumerate() {
        let name = format!("backend-{number}");
        for address in sockets.iter().map(|socket| socket.local_addr().unwrap()) {
            endpoints.push(json!({"id": format!("{name}@{address}"), "backend": name, "address": address.ip(),
                "port": address.port(), "state": "ready"}));
        }
        weighted.push(json!({"backend": name, "weight": 1}));
        names.push(json!({"id": name}));
    }
    let worker = Worker::alone_with(Generation::default(), settings).unwrap();
    let upsert = json!({
        "listeners": [{"id": "udp", "gateway": "default/gateway", "port": port, "bind_port": port, "protocol": "UDP"}],
        "l4_rules": [{"id": "rule", "route": "route", "index": 0, "listeners": ["udp"], "backends": weighted}],
        "backends": names, "endpoints": endpoints});
    worker.apply(&upsert).unwrap();
    (worker, SocketKey { transport: Transport::Udp, address: None, port }, socket)
}

pub fn bound(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

pub fn client_of(listener: &UdpSocket) -> UdpSocket {
    let to = listener.local_addr().unwrap();
    let client = bound(if to.is_ipv4() { "127.0.0.1" } else { "::1" });
    client.connect(to).unwrap();
    client
}

/// All that comes to a socket, until as many as are wanted have come.
pub async fn arrivals(socket: &UdpSocket, wanted: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let socket = tokio::net::UdpSocket::from_std(socket.try_clone().unwrap()).unwrap();
    let mut found = Vec::new();
    let mut space = vec![0; 65_535];
    while found.len() < wanted {
        let received = tokio::time::timeout(LIMIT, socket.recv_from(&mut space)).await;
        let (count, peer) = received.unwrap_or_else(|_| panic!("{} of {wanted} came", found.len())).unwrap();
        found.push((space[..count].to_vec(), peer));
    }
    found
}

pub fn run(worker: &Rc<Worker>, key: SocketKey, socket: UdpSocket, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let serving = tokio::task::spawn_local(serve(Rc::clone(worker), Rc::default(), key, socket));
        test.await;
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    });
    // Nothing that was on its way keeps its session.
    assert_eq!(worker.drain.sessions(), 0);
}

#[test]
fn a_burst_of_three_clients_arrives_whole_and_in_order() {
    let backends = [bound("127.0.0.1"), bound("127.0.0.1")];
    let (worker, key, socket) = listener("127.0.0.1", &[&[&backends[0]], &[&backends[1]]]);
    let clients: Vec<_> = (0..3).map(|_| client_of(&socket)).collect();
    let mut sent = vec![Vec::new(); clients.len()];
    for number in 0..200_usize {
        // By turns at first, then in a row; empty ones among them.
        let client = if number < 100 { number % 3 } else { number / 34 % 3 };
        let bytes = if number % 7 == 3 { Vec::new() } else { format!("{client}:{number:03}").into_bytes() };
        clients[client].send(&bytes).unwrap();
        sent[client].push(bytes);
    }
    run(&worker, key, socket, async {
        let mut homes = Vec::new();
        let mut left = sent.clone();
        // Turns are even: both backends have sessions, and each client's datagrams come by one session.
        let one = arrivals_of_sessions(&backends[0], &backends[1], 200).await;
        for (home, datagrams) in one {
            let place = left.iter().position(|each| *each == datagrams);
            left.remove(place.unwrap_or_else(|| panic!("no client sent this: {datagrams:?}")));
            homes.push(home);
        }
        homes.sort_unstable();
        homes.dedup();
        assert_eq!((left.len(), homes), (0, vec![0, 1]));
    });
}

/// What comes to two backends, by sessions: at which of them, and what.
async fn arrivals_of_sessions(a: &UdpSocket, b: &UdpSocket, wanted: usize) -> Vec<(usize, Vec<Vec<u8>>)> {
    let mut sessions: Vec<(usize, SocketAddr, Vec<Vec<u8>>)> = Vec::new();
    let sockets = [a, b].map(|socket| tokio::net::UdpSocket::from_std(socket.try_clone().unwrap()).unwrap());
    let (mut space, mut other) = ([0; 64], [0; 64]);
    for number in 0..wanted {
        let next = async {
            tokio::select! {
                found = sockets[0].recv_from(&mut space) => found.map(|(count, peer)| (0, space[..count].to_vec(), peer)),
                found = sockets[1].recv_from(&mut other) => found.map(|(count, peer)| (1, other[..count].to_vec(), peer)),
            }
        };
        let found = tokio::time::timeout(LIMIT, next).await;
        let (home, bytes, peer) = found.unwrap_or_else(|_| panic!("{number} of {wanted} came")).unwrap();
        match sessions.iter_mut().find(|session| (session.0, session.1) == (home, peer)) {
            Some(session) => session.2.push(bytes),
            None => sessions.push((home, peer, vec![bytes])),
        }
    }
    sessions.into_iter().map(|(home, _, datagrams)| (home, datagrams)).collect()
}

#[test]
fn answers_to_several_clients_come_whole_and_in_order() {
    let backend = bound("127.0.0.1");
    // Bound to every address: the answers leave from the one that was asked.
    let (worker, key, socket) = listener("0.0.0.0", &[&[&backend]]);
    let port = socket.local_addr().unwrap().port();
    let clients: Vec<_> = (0..12).map(|_| bound("127.0.0.1")).collect();
    run(&worker, key, socket, async {
        // The socket asks to be told of addresses before anything comes.
        tokio::task::yield_now().await;
        for (number, client) in clients.iter().enumerate() {
            client.connect((["127.0.0.1", "127.9.8.7", "127.1.1.1"][number % 3], port)).unwrap();
            client.send(number.to_string().as_bytes()).unwrap();
        }
        let asked = arrivals(&backend, clients.len()).await;
        for turn in 0..20 {
            for (name, peer) in &asked {
                let bytes = [name, format!("/{turn}").as_bytes()].concat();
                backend.send_to(if turn == 5 { &[] } else { &bytes }, peer).unwrap();
            }
        }
        for (number, client) in clients.iter().enumerate() {
            let answers: Vec<_> = arrivals(client, 20).await.into_iter().map(|(bytes, _)| bytes).collect();
            let wanted = |turn| if turn == 5 { Vec::new() } else { format!("{number}/{turn}").into_bytes() };
            assert_eq!(answers, (0..20).map(wanted).collect::<Vec<_>>());
        }
    });
    assert_eq!(worker.metrics.l4_failures.of(L4Reason::Full).get(), 0);
}

#[test]
fn what_is_too_large_for_the_backend_is_dropped_alone() {
    // IPv6 carries 20 bytes more than IPv4.
    let backend = bound("127.0.0.1");
    let (worker, key, socket) = listener("::1", &[&[&backend]]);
    let client = client_of(&socket);
    let too_large = vec![b'x'; 65_527];
    let sent: [&[u8]; 7] = [b"1", b"", &too_large, b"2", b"", &too_large[..65_507], b"3"];
    for bytes in sent {
        client.send(bytes).unwrap();
    }
    run(&worker, key, socket, async {
        let arrived: Vec<_> = arrivals(&backend, 6).await.into_iter().map(|(bytes, _)| bytes).collect();
        assert_eq!(arrived, sent.into_iter().filter(|bytes| bytes.len() <= 65_507).collect::<Vec<_>>());
    });
    assert_eq!(worker.metrics.l4_failures.of(L4Reason::Full).get(), 1);
}

#[test]
fn a_burst_leaves_an_unreachable_endpoint() {
    let (gone, alive) = (bound("127.0.0.1"), bound("127.0.0.1"));
    let (worker, key, socket) = listener("127.0.0.1", &[&[&gone, &alive]]);
    drop(gone);
    let clients = [client_of(&socket), client_of(&socket)];
    for number in 0..20_u8 {
        for client in &clients {
            client.send(&[number]).unwrap();
        }
    }
    run(&worker, key, socket, async {
        // One of the clients has its first session at the endpoint that is gone.
        let resets = || worker.metrics.l4_failures.of(L4Reason::UpstreamReset).get();
        let found = async {
            while resets() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, found).await.expect("it is found out");
        for client in &clients {
            client.send(b"last").unwrap();
        }
        let mut lasts = 0;
        while lasts < clients.len() {
            lasts += arrivals(&alive, 1).await.iter().filter(|(bytes, _)| bytes == b"last").count();
        }
    });
}
