//! Tunnels between what clients and backends speak, each end played by the test.

use super::{of_connection, of_stream};
use crate::dispatch::exchange::{Http2Tunnel, Switched};
use crate::io::Reset;
use crate::io::watchdog::Watchdog;
use crate::message::http2::{Http2Sink, Http2Source};
use crate::upstream::{Connection, Route};
use crate::worker::{Generation, Worker};
use bytes::Bytes;
use codec::Buffer;
use h2::{Reason, RecvStream, SendStream, client, server};
use http::{Request, Response};
use route::ir::EndpointState;
use route::table::Endpoint;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// For what comes at once or never.
const LIMIT: Duration = Duration::from_secs(10);

fn run<F: Future>(test: impl FnOnce(Rc<Worker>) -> F) -> F::Output {
    run_within(LIMIT, test)
}

fn run_within<F: Future>(limit: Duration, test: impl FnOnce(Rc<Worker>) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = Worker::alone(Generation::default()).unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(limit, test(worker)).await.unwrap() })
}

/// The far end of a stream of HTTP/2.
struct Far {
    read: RecvStream,
    write: SendStream<Bytes>,
}

impl Far {
    fn send(&mut self, bytes: &'static [u8], end: bool) {
        self.write.send_data(Bytes::from_static(bytes), end).unwrap();
    }

    /// All that comes, and how it ended: `None` in order.
    async fn rest(&mut self) -> (Vec<u8>, Option<Reason>) {
        let mut all = Vec::new();
        while let Some(data) = self.read.data().await {
            match data {
                Ok(data) => {
                    self.read.flow_control().release_capacity(data.len()).unwrap();
                    all.extend_from_slice(&data);
                }
                Err(error) => return (all, error.reason()),
            }
        }
        (all, None)
    }
}

/// The next stream that a client opens.
async fn accepted<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> (RecvStream, SendStream<Bytes>) {
    let mut connection = server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    spawn_local(async move { while connection.accept().await.is_some() {} });
    (request.into_body(), respond.send_response(Response::new(()), false).unwrap())
}

/// A client's stream: our ends of it, and its own.
async fn client_stream() -> (Http2Source, Http2Sink, Far) {
    let (near, far) = duplex(64 * 1024);
    let asked = async {
        let (mut sender, connection) = client::handshake(far).await.unwrap();
        spawn_local(connection);
        let request = Request::post("http://a.test/").body(()).unwrap();
        let (response, write) = sender.send_request(request, false).unwrap();
        Far { read: response.await.unwrap().into_body(), write }
    };
    let ((read, write), far) = tokio::join!(accepted(near), asked);
    (Http2Source::new(read), Http2Sink::new(write), far)
}

/// A new connection to a backend, and the backend's end.
async fn connected(worker: &Worker, http2: bool) -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint { id: String::new(), address, uid: 1, state: EndpointState::Ready };
    let state = worker.upstreams.state(&endpoint);
    let route = Route { http2, ..Route::default() };
    let (connection, end) = tokio::join!(worker.upstreams.connect(&state, &route, true), listener.accept());
    (connection.unwrap(), end.unwrap().0)
}

/// `ahead`: what was read of the backend already.
async fn http1_backend(worker: &Worker, ahead: &[u8]) -> (Switched, TcpStream) {
    let (Connection::Http1(mut connection), end) = connected(worker, false).await else { panic!("HTTP/1.1") };
    connection.buffer.space(1024).unwrap()[..ahead.len()].copy_from_slice(ahead);
    connection.buffer.filled_by(ahead.len());
    (Switched::Http1(connection), end)
}

async fn http2_backend(worker: &Worker) -> (Switched, Far) {
    let (Connection::Http2(handle), end) = connected(worker, true).await else { panic!("HTTP/2") };
    let asked = async {
        let mut sender = handle.sender.clone();
        let (response, write) = sender.send_request(Request::post("http://b.test/").body(()).unwrap(), false).unwrap();
        let source = Http2Source::new(response.await.unwrap().into_body());
        Http2Tunnel { source, sink: Http2Sink::upload(write, handle.uploads()), _active: handle.begin() }
    };
    let (tunnel, (read, write)) = tokio::join!(asked, accepted(end));
    (Switched::Http2(Box::new(tunnel)), Far { read, write })
}

fn buffer(bytes: &[u8]) -> Buffer {
    let mut buffer = Buffer::new();
    buffer.space(1024).unwrap()[..bytes.len()].copy_from_slice(bytes);
    buffer.filled_by(bytes.len());
    buffer
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

/// Run the tunnel of a client's connection while `ends` plays the other ends. Returns the bytes of both directions.
async fn connection<C: AsyncRead + AsyncWrite + Reset + Unpin>(
    worker: &Worker,
    client: C,
    ahead: &[u8],
    backend: Switched,
    ends: impl Future<Output = ()>,
) -> (u64, u64) {
    let (mut ahead, client) = (buffer(ahead), RefCell::new(client));
    let tunnel = async {
        let mut watchdog = Watchdog::default();
        let moved = of_connection(worker, &mut watchdog, &client, &mut ahead, backend).await;
        drop(client);
        moved
    };
    tokio::join!(tunnel, ends).0
}

/// As [`connection`], of a client's stream.
async fn stream(
    worker: &Worker,
    (mut source, mut sink): (Http2Source, Http2Sink),
    backend: Switched,
    ends: impl Future<Output = ()>,
) -> (u64, u64) {
    let tunnel = async {
        let mut watchdog = Watchdog::default();
        let moved = of_stream(worker, &mut watchdog, &mut source, &mut sink, backend).await;
        drop((source, sink));
        moved
    };
    tokio::join!(tunnel, ends).0
}

/// What was read ahead goes first, either way; the end of one direction leaves the other one open.
#[test]
fn a_connection_to_http1() {
    for client_first in [true, false] {
        let moved = run(|worker| async move {
            let (client, near) = duplex(64);
            let (backend, end) = http1_backend(&worker, b"down-ahead ").await;
            connection(&worker, near, b"up-ahead ", backend, async {
                both_ways(client, end, client_first).await;
            })
            .await
        });
        assert_eq!(moved, (9 + 2, 11 + 4), "{client_first}");
    }
}

async fn both_ways(mut client: DuplexStream, mut backend: TcpStream, client_first: bool) {
    if client_first {
        client.write_all(b"up").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(read_all(&mut backend).await, b"up-ahead up");
        backend.write_all(b"down").await.unwrap();
        drop(backend);
        assert_eq!(read_all(&mut client).await, b"down-ahead down");
    } else {
        backend.write_all(b"down").await.unwrap();
        backend.shutdown().await.unwrap();
        assert_eq!(read_all(&mut client).await, b"down-ahead down");
        client.write_all(b"up").await.unwrap();
        drop(client);
        assert_eq!(read_all(&mut backend).await, b"up-ahead up");
    }
}

#[test]
fn a_connection_to_http2() {
    for client_first in [true, false] {
        let moved = run(|worker| async move {
            let (mut client, near) = duplex(64);
            let (backend, mut end) = http2_backend(&worker).await;
            connection(&worker, near, b"ahead ", backend, async {
                if client_first {
                    client.write_all(b"up").await.unwrap();
                    client.shutdown().await.unwrap();
                    assert_eq!(end.rest().await, (b"ahead up".to_vec(), None));
                    end.send(b"down", true);
                    assert_eq!(read_all(&mut client).await, b"down");
                } else {
                    end.send(b"down", true);
                    assert_eq!(read_all(&mut client).await, b"down");
                    client.write_all(b"up").await.unwrap();
                    client.shutdown().await.unwrap();
                    assert_eq!(end.rest().await, (b"ahead up".to_vec(), None));
                }
            })
            .await
        });
        assert_eq!(moved, (8, 4), "{client_first}");
    }
}

#[test]
fn a_stream_to_http1() {
    for client_first in [true, false] {
        let moved = run(|worker| async move {
            let (source, sink, mut client) = client_stream().await;
            let (backend, mut end) = http1_backend(&worker, b"ahead ").await;
            stream(&worker, (source, sink), backend, async {
                if client_first {
                    client.send(b"up", true);
                    assert_eq!(read_all(&mut end).await, b"up");
                    end.write_all(b"down").await.unwrap();
                    end.shutdown().await.unwrap();
                    assert_eq!(client.rest().await, (b"ahead down".to_vec(), None));
                } else {
                    end.write_all(b"down").await.unwrap();
                    end.shutdown().await.unwrap();
                    assert_eq!(client.rest().await, (b"ahead down".to_vec(), None));
                    client.send(b"up", true);
                    assert_eq!(read_all(&mut end).await, b"up");
                }
            })
            .await
        });
        assert_eq!(moved, (2, 10), "{client_first}");
    }
}

#[test]
fn a_stream_to_http2() {
    let moved = run(|worker| async move {
        let (source, sink, mut client) = client_stream().await;
        let (backend, mut end) = http2_backend(&worker).await;
        stream(&worker, (source, sink), backend, async {
            client.send(b"up", true);
            assert_eq!(end.rest().await, (b"up".to_vec(), None));
            end.send(b"down", true);
            assert_eq!(client.rest().await, (b"down".to_vec(), None));
        })
        .await
    });
    assert_eq!(moved, (2, 4));
}

/// Whoever breaks off, the other one learns that it does not have everything.
#[test]
fn a_reset_is_passed_on_to_a_stream() {
    for client_breaks in [true, false] {
        run(|worker| async move {
            let (source, sink, mut client) = client_stream().await;
            let (backend, mut end) = http2_backend(&worker).await;
            stream(&worker, (source, sink), backend, async {
                let (one, other) = if client_breaks { (&mut client, &mut end) } else { (&mut end, &mut client) };
                one.write.send_reset(Reason::INTERNAL_ERROR);
                assert_eq!(other.rest().await, (Vec::new(), Some(Reason::CANCEL)), "{client_breaks}");
            })
            .await
        });
    }
    // A backend of HTTP/1.1 that breaks off, and one whose client does.
    run(|worker| async move {
        let (source, sink, mut client) = client_stream().await;
        let (backend, end) = http1_backend(&worker, b"").await;
        stream(&worker, (source, sink), backend, async {
            end.set_zero_linger().unwrap();
            drop(end);
            assert_eq!(client.rest().await, (Vec::new(), Some(Reason::CANCEL)));
        })
        .await
    });
    run(|worker| async move {
        let (source, sink, mut client) = client_stream().await;
        let (backend, mut end) = http1_backend(&worker, b"").await;
        stream(&worker, (source, sink), backend, async {
            client.write.send_reset(Reason::CANCEL);
            assert_eq!(end.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        })
        .await
    });
}

/// A client that says something, and then cannot be read.
struct Breaking {
    reads: VecDeque<io::Result<&'static [u8]>>,
    written: Rc<RefCell<Vec<u8>>>,
    shut: Rc<RefCell<bool>>,
}

impl Reset for Breaking {
    fn reset(&self) {}
}

impl AsyncRead for Breaking {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let next = self.reads.pop_front().unwrap_or(Ok(b""));
        Poll::Ready(next.map(|bytes| space.put_slice(bytes)))
    }
}

impl AsyncWrite for Breaking {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        *self.shut.borrow_mut() = true;
        Poll::Ready(Ok(()))
    }
}

/// TLS without `close_notify` is an end like any other here: the answer still comes. A reset is none.
#[test]
fn how_a_connection_can_end() {
    for (kind, reason) in [(ErrorKind::UnexpectedEof, None), (ErrorKind::ConnectionReset, Some(Reason::CANCEL))] {
        let (written, shut) = (Rc::<RefCell<Vec<u8>>>::default(), Rc::<RefCell<bool>>::default());
        let reads = VecDeque::from([Ok(&b"up"[..]), Err(kind.into())]);
        let client = Breaking { reads, written: Rc::clone(&written), shut: Rc::clone(&shut) };
        run(|worker| async move {
            let (backend, mut end) = http2_backend(&worker).await;
            connection(&worker, client, b"", backend, async {
                let (came, ended) = end.rest().await;
                assert_eq!(ended, reason, "{kind}");
                if reason.is_none() {
                    assert_eq!(came, b"up");
                    end.send(b"down", true);
                }
            })
            .await
        });
        let wanted = if reason.is_none() { (b"down".to_vec(), true) } else { (Vec::new(), false) };
        assert_eq!((written.take(), shut.take()), wanted, "{kind}");
    }
}

/// Nothing for the idle limit ends a tunnel, for both sides.
#[test]
fn a_silent_tunnel_ends() {
    let idle = Worker::alone(Generation::default()).unwrap().settings().l4_idle_timeout();
    run_within(3 * idle, |worker| async move {
        let (source, sink, mut client) = client_stream().await;
        let (backend, mut end) = http1_backend(&worker, b"").await;
        tokio::time::pause();
        let begun = tokio::time::Instant::now();
        stream(&worker, (source, sink), backend, async {
            assert_eq!(client.rest().await, (Vec::new(), Some(Reason::CANCEL)));
            assert!(begun.elapsed() >= idle, "{:?}", begun.elapsed());
            tokio::time::resume();
            assert_eq!(end.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        })
        .await
    });
}
