//! One request of an HTTP/1.1 connection, as its life cycle sees it.

use super::reply::{Http1Reply, Http1Terms};
use crate::dispatch::{Switched, tunnel};
use crate::io::Reset;
use crate::io::watchdog::Watchdog;
use crate::message::body::BodySource;
use crate::message::http1::Http1Source;
use crate::message::reply::ReplySink;
use crate::request::ClientStream;
use crate::worker::{Drain, Worker};
use codec::{Buffer, Framing};
use std::cell::RefCell;
use tokio::io::{AsyncRead, AsyncWrite};

/// The body and the response of one request.
pub struct Http1Stream<'c, S> {
    stream: &'c RefCell<S>,
    source: Http1Source<'c, S>,
    reply: Http1Reply<'c, S>,
}

/// What is to be known of a request that is over.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    /// The connection ends with it.
    pub close: bool,
    /// Nothing but the end of the connection tells the client where the body ends.
    pub ends_with_connection: bool,
    /// All of its body was read.
    pub whole: bool,
    /// Octets of its response's body.
    pub given: u64,
}

impl<'c, S: AsyncRead + AsyncWrite + Reset + Unpin> Http1Stream<'c, S> {
    /// `buffer`: what was read behind the head. `out` and `drain`: as of [`Http1Reply::new`].
    pub fn new(
        stream: &'c RefCell<S>,
        buffer: &'c mut Buffer,
        out: &'c mut Vec<u8>,
        drain: &'c Drain,
        framing: Framing,
        terms: Http1Terms,
    ) -> Self {
        let source = Http1Source::new(stream, buffer, framing);
        Self { stream, source, reply: Http1Reply::new(stream, out, drain, terms) }
    }

    /// Read what is left of a body that stands whole in the buffer.
    pub async fn end(mut self) -> Over {
        let whole = self.source.is_finished() || (self.source.is_whole() && discard(&mut self.source).await);
        Over {
            close: self.reply.terms.close,
            ends_with_connection: self.reply.ends_with_connection(),
            whole,
            given: self.reply.body_bytes(),
        }
    }
}

impl<'c, S: AsyncRead + AsyncWrite + Reset + Unpin> ClientStream for Http1Stream<'c, S> {
    type Source = Http1Source<'c, S>;
    type Reply = Http1Reply<'c, S>;

    fn split(&mut self) -> (&mut Self::Source, &mut Self::Reply) {
        (&mut self.source, &mut self.reply)
    }

    async fn tunnel(&mut self, worker: &Worker, watchdog: &mut Watchdog, backend: Switched) -> (u64, u64) {
        tunnel::of_connection(worker, watchdog, self.stream, self.source.ahead(), backend).await
    }
}

async fn discard(source: &mut impl BodySource) -> bool {
    loop {
        match source.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Http1Stream, Http1Terms};
    use crate::dispatch::Switched;
    use crate::dispatch::scripted::LIMIT;
    use crate::io::watchdog::Watchdog;
    use crate::message::body::{BodySink, BodySource, Piece};
    use crate::message::reply::{Reply, ReplySink};
    use crate::request::ClientStream;
    use crate::upstream::{Connection, Route};
    use crate::worker::{Generation, Worker};
    use codec::{Buffer, Framing};
    use route::ir::EndpointState;
    use route::table::Endpoint;
    use std::cell::RefCell;
    use std::future::Future;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    const TERMS: Http1Terms = Http1Terms { minor: 1, head_request: false, close: false };

    fn run<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
    }

    fn buffer(bytes: &[u8]) -> Buffer {
        let mut buffer = Buffer::new();
        buffer.space(1024).unwrap()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled_by(bytes.len());
        buffer
    }

    /// What stands in the buffer of a body that nobody has read is read, so that the next request begins behind it; nothing is
    /// waited for.
    #[test]
    fn what_is_left_of_a_request() {
        for (framing, ahead, whole, behind) in [
            (Framing::Empty, &b"GET"[..], true, &b"GET"[..]),
            (Framing::Length(3), b"allGET", true, b"GET"),
            (Framing::Length(3), b"all", true, b""),
            (Framing::Length(3), b"al", false, b"al"),
            (Framing::Length(3), b"", false, b""),
        ] {
            run(async {
                let worker = Worker::alone(Generation::default()).unwrap();
                let (near, _far) = duplex(1024);
                let (near, mut buffer, mut out) = (RefCell::new(near), buffer(ahead), Vec::new());
                let stream = Http1Stream::new(&near, &mut buffer, &mut out, &worker.drain, framing, TERMS);
                let over = stream.end().await;
                assert_eq!((over.whole, over.close, over.given), (whole, false, 0), "{framing:?}");
                assert_eq!(buffer.filled(), behind, "{framing:?}");
            });
        }
    }

    /// A body that was begun is not read to its end: who began it may have left it for a reason.
    #[test]
    fn what_was_read_of_a_request() {
        run(async {
            let worker = Worker::alone(Generation::default()).unwrap();
            for (reads, sent, whole) in [(2, &b"all"[..], true), (1, b"a", false)] {
                let (near, _far) = duplex(1024);
                let (near, mut buffer, mut out) = (RefCell::new(near), buffer(sent), Vec::new());
                let framing = Framing::Length(3);
                let mut stream = Http1Stream::new(&near, &mut buffer, &mut out, &worker.drain, framing, TERMS);
                for _ in 0..reads {
                    stream.split().0.next().await.unwrap();
                }
                assert_eq!(stream.end().await.whole, whole, "{reads}");
            }
        });
    }

    /// Whether the connection goes on is said by the response as it was sent.
    #[test]
    fn how_a_response_ends() {
        for (terms, framing, close, ends_with_connection) in [
            (TERMS, Framing::Length(2), false, false),
            (TERMS, Framing::UntilClose, false, false),
            (Http1Terms { close: true, ..TERMS }, Framing::Length(2), true, false),
            (Http1Terms { minor: 0, ..TERMS }, Framing::Length(2), false, false),
            (Http1Terms { minor: 0, ..TERMS }, Framing::UntilClose, true, true),
        ] {
            run(async {
                let worker = Worker::alone(Generation::default()).unwrap();
                let (near, _far) = duplex(1024);
                let (near, mut buffer, mut out) = (RefCell::new(near), Buffer::new(), Vec::new());
                let mut stream = Http1Stream::new(&near, &mut buffer, &mut out, &worker.drain, Framing::Empty, terms);
                let (_, reply) = stream.split();
                let head = Reply { status: 200, reason: b"", fields: &[], framing, announced_length: None };
                reply.head(&head).unwrap();
                reply.write(Piece::Borrowed(b"hi")).await.unwrap();
                reply.finish(None).await.unwrap();
                let over = stream.end().await;
                assert_eq!(
                    (over.close, over.ends_with_connection),
                    (close, ends_with_connection),
                    "{terms:?} {framing:?}"
                );
                assert_eq!((over.whole, over.given), (true, 2));
            });
        }
    }

    /// What came behind the head that asked for it belongs to the tunnel, and goes first.
    #[test]
    fn a_tunnel_begins_with_what_is_there() {
        run(async {
            let worker = Worker::alone(Generation::default()).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let endpoint = Endpoint { id: String::new(), address, uid: 1, state: EndpointState::Ready };
            let (state, route) = (worker.upstreams.state(&endpoint), Route::default());
            let (connection, accepted) =
                tokio::join!(worker.upstreams.connect(&state, &route, true), listener.accept());
            let (Connection::Http1(connection), mut backend) = (connection.unwrap(), accepted.unwrap().0) else {
                panic!("HTTP/1.1")
            };
            let (near, mut far) = duplex(1024);
            let (near, mut buffer, mut out) = (RefCell::new(near), buffer(b"ahead"), Vec::new());
            let mut stream = Http1Stream::new(&near, &mut buffer, &mut out, &worker.drain, Framing::Empty, TERMS);
            let mut watchdog = Watchdog::default();
            let tunnel = stream.tunnel(&worker, &mut watchdog, Switched::Http1(connection));
            let ends = async {
                far.write_all(b" and more").await.unwrap();
                far.shutdown().await.unwrap();
                let mut heard = String::new();
                backend.read_to_string(&mut heard).await.unwrap();
                assert_eq!(heard, "ahead and more");
                backend.write_all(b"back").await.unwrap();
                drop(backend);
                let mut back = [0; 4];
                far.read_exact(&mut back).await.unwrap();
                assert_eq!(&back, b"back");
            };
            assert_eq!(tokio::join!(tunnel, ends).0, (14, 4));
        });
    }
}
