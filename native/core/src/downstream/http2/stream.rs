//! One request of an HTTP/2 connection, as its life cycle sees it.

use super::reply::Http2Reply;
use crate::dispatch::{Switched, tunnel};
use crate::io::watchdog::Watchdog;
use crate::message::http2::Http2Source;
use crate::request::ClientStream;
use crate::worker::Worker;

/// The body and the response of one request.
pub struct Http2Stream {
    pub source: Http2Source,
    pub reply: Http2Reply,
}

impl ClientStream for Http2Stream {
    type Source = Http2Source;
    type Reply = Http2Reply;

    fn split(&mut self) -> (&mut Self::Source, &mut Self::Reply) {
        (&mut self.source, &mut self.reply)
    }

    async fn tunnel(&mut self, worker: &Worker, watchdog: &mut Watchdog, backend: Switched) -> (u64, u64) {
        self.source.begin_tunnel();
        match self.reply.sink() {
            Ok(Some(sink)) => tunnel::of_stream(worker, watchdog, &mut self.source, sink, backend).await,
            Ok(None) | Err(_) => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Http2Reply, Http2Source, Http2Stream};
    use crate::dispatch::Switched;
    use crate::dispatch::scripted::LIMIT;
    use crate::io::watchdog::Watchdog;
    use crate::message::reply::ReplySink;
    use crate::request::ClientStream;
    use crate::upstream::{Connection, Route};
    use crate::worker::{Generation, Worker};
    use bytes::Bytes;
    use h2::{client, server};
    use http::Request;
    use route::ir::EndpointState;
    use route::table::Endpoint;
    use std::future::Future;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::{LocalSet, spawn_local};

    fn run<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
    }

    async fn backend(worker: &Worker) -> (Switched, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Endpoint { id: String::new(), address, uid: 1, state: EndpointState::Ready };
        let (state, route) = (worker.upstreams.state(&endpoint), Route::default());
        let (connection, accepted) = tokio::join!(worker.upstreams.connect(&state, &route, true), listener.accept());
        let Connection::Http1(connection) = connection.unwrap() else { panic!("HTTP/1.1") };
        (Switched::Http1(connection), accepted.unwrap().0)
    }

    /// A client's stream as the gateway has it, and as the client does.
    async fn stream() -> (Http2Stream, client::ResponseFuture, h2::SendStream<Bytes>) {
        let (near, far) = duplex(64 * 1024);
        let accepted = async {
            let mut connection = server::handshake(near).await.unwrap();
            let (request, respond) = connection.accept().await.unwrap().unwrap();
            spawn_local(async move { while connection.accept().await.is_some() {} });
            let source = Http2Source::before_tunnel(request.into_body());
            Http2Stream { source, reply: Http2Reply::new(respond) }
        };
        let asked = async {
            let (mut sender, connection) = client::handshake(far).await.unwrap();
            spawn_local(connection);
            sender.send_request(Request::post("http://a.test/").body(()).unwrap(), false).unwrap()
        };
        let (stream, (response, write)) = tokio::join!(accepted, asked);
        (stream, response, write)
    }

    /// The head that opens it goes to the client first, then octets both ways to both ends.
    #[test]
    fn a_tunnel_of_a_stream() {
        run(async {
            let worker = Worker::alone(Generation::default()).unwrap();
            let (switched, mut backend) = backend(&worker).await;
            let (mut stream, response, mut write) = stream().await;
            stream.split().1.switching(&[], b"websocket").unwrap();
            let mut watchdog = Watchdog::default();
            let tunnel = stream.tunnel(&worker, &mut watchdog, switched);
            let ends = async {
                let response = response.await.unwrap();
                assert_eq!(response.status(), 200);
                write.send_data(Bytes::from_static(b"up"), true).unwrap();
                let mut heard = String::new();
                backend.read_to_string(&mut heard).await.unwrap();
                assert_eq!(heard, "up");
                backend.write_all(b"down").await.unwrap();
                drop(backend);
                let mut body = response.into_body();
                let mut told = Vec::new();
                while let Some(data) = body.data().await {
                    told.extend_from_slice(&data.unwrap());
                }
                assert_eq!(told, b"down");
            };
            assert_eq!(tokio::join!(tunnel, ends).0, (2, 4));
        });
    }

    /// A client that was told nothing has no tunnel: its backend is let go at once.
    #[test]
    fn a_stream_that_was_not_opened() {
        run(async {
            let worker = Worker::alone(Generation::default()).unwrap();
            let (switched, mut backend) = backend(&worker).await;
            let (mut stream, _response, _write) = stream().await;
            let moved = stream.tunnel(&worker, &mut Watchdog::default(), switched).await;
            assert_eq!(moved, (0, 0));
            let mut heard = Vec::new();
            assert_eq!(backend.read_to_end(&mut heard).await.unwrap_or(0), 0);
        });
    }
}
