//! Who is taken, by whom, and until when.

use super::{accept, take_over};
use crate::runtime::spread::{Handed, Spread};
use crate::settings::Settings;
use crate::worker::{ConnectionGuard, Worker};
use route::ir::Transport;
use route::table::SocketKey;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

/// For what comes at once or never.
const LIMIT: Duration = Duration::from_secs(10);

const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A worker that takes so many connections, one of two, and what is handed to the other one.
struct Taking {
    worker: Rc<Worker>,
    spread: Arc<Spread>,
    others: mpsc::Receiver<Handed>,
    address: SocketAddr,
    listener: Option<TcpListener>,
}

impl Taking {
    async fn new(max_connections: usize) -> Self {
        let worker = Worker::redirecting(Settings { max_connections, ..Settings::default() }).unwrap();
        let (spread, mut receivers) = Spread::new(2);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, listener) = (listener.local_addr().unwrap(), Some(listener));
        Self { worker, spread, others: receivers.pop().unwrap(), address, listener }
    }

    /// Take connections until told to end, and to the end of that.
    fn start(&mut self) -> (oneshot::Sender<ConnectionGuard>, JoinHandle<()>) {
        let (end, ended) = oneshot::channel();
        let (worker, spread) = (Rc::clone(&self.worker), Arc::clone(&self.spread));
        let listener = self.listener.take().unwrap();
        (end, spawn_local(accept(worker, spread, SOCKET, listener, ended)))
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Ask for something, whose answer has no body; its status.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "{}", bytes.escape_ascii());
    }
    String::from_utf8(bytes[9..12].to_vec()).unwrap()
}

/// Who finds no place waits in the kernel, and is served once there is one.
#[test]
fn no_more_than_there_may_be() {
    run(async {
        let mut taking = Taking::new(2).await;
        // The other worker has more, so nothing is handed over.
        let _theirs: Vec<_> = (0..10).map(|_| taking.spread.take(1)).collect();
        let (_end, _accepting) = taking.start();
        let (mut one, mut two) = (taking.connect().await, taking.connect().await);
        assert_eq!((ask(&mut one).await.as_str(), ask(&mut two).await.as_str()), ("302", "302"));
        let mut three = taking.connect().await;
        let waiting = spawn_local(async move { (ask(&mut three).await, three) });
        for _ in 0..3 {
            // The others go on, and it is not counted.
            assert_eq!(ask(&mut one).await, "302");
            assert_eq!((taking.worker.drain.connections(), waiting.is_finished()), (2, false));
        }
        drop(two);
        let (status, _three) = waiting.await.unwrap();
        assert_eq!((status.as_str(), taking.worker.drain.connections()), ("302", 2));
    });
}

/// Nobody who is connected when a listener is closed is left out, and afterwards nobody can connect.
#[test]
fn who_waits_at_the_end_is_served() {
    run(async {
        let mut taking = Taking::new(100).await;
        let _theirs: Vec<_> = (0..100).map(|_| taking.spread.take(1)).collect();
        // Before anybody accepts, so that all of them wait in the kernel.
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(taking.connect().await);
        }
        let (end, accepting) = taking.start();
        end.send(taking.worker.drain.connection()).unwrap();
        accepting.await.unwrap();
        assert_eq!(taking.worker.drain.connections(), 5, "what stood for the listener is given back");
        for client in &mut clients {
            assert_eq!(ask(client).await, "302");
        }
        assert!(TcpStream::connect(taking.address).await.is_err());
    });
}

/// The lighter worker gets the next one, and serves it; on the way out each keeps its own.
#[test]
fn a_connection_goes_to_who_has_fewer() {
    run(async {
        let mut taking = Taking::new(100).await;
        let mine: Vec<_> = (0..10).map(|_| taking.spread.take(0)).collect();
        let (_end, _accepting) = taking.start();
        let mut client = taking.connect().await;
        let handed = taking.others.recv().await.unwrap();
        assert_eq!((handed.peer, handed.key), (client.local_addr().unwrap(), SOCKET));
        assert_eq!(taking.worker.drain.connections(), 0);
        take_over(&taking.worker, handed);
        assert_eq!((taking.worker.drain.connections(), ask(&mut client).await.as_str()), (1, "302"));
        taking.worker.drain.start();
        let mut last = taking.connect().await;
        assert_eq!(ask(&mut last).await, "302");
        assert!(taking.others.try_recv().is_err());
        // Closed behind the answer, and counted no more.
        drop((client, last, mine));
        while taking.worker.drain.connections() > 0 {
            yield_now().await;
        }
    });
}
