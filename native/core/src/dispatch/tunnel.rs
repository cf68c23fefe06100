//! WebSockets and other upgrades, after a 101: bytes both ways until both sides have ended (RFC 9110 section 7.8), or nothing comes any more.

use super::exchange::Watched;
use crate::io::relay;
use crate::io::relay::{Limits, Meter};
use crate::io::watchdog::{Progress, Stalls, Watchdog};
use crate::message::body::{BodyError, BodySink, PumpError, pump};
use crate::message::http1::{Http1Sink, Http1Source};
use crate::message::http2::{Http2Sink, Http2Source};
use crate::upstream::Http1Connection;
use crate::worker::Worker;
use codec::Buffer;
use codec::Framing;
use h2::Reason;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Relay as a connection that is not HTTP, within its limits. What was read ahead goes first.
/// Returns the bytes from client to backend and back.
pub async fn run<C, U>(
    worker: &Worker,
    client: &mut C,
    ahead_of_client: &mut Buffer,
    upstream: &mut U,
    ahead_of_upstream: &mut Buffer,
) -> (u64, u64)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let settings = worker.settings();
    let limits = Limits { idle: settings.l4_idle_timeout(), stall: settings.stall_timeout() };
    let ahead = (take(ahead_of_client), take(ahead_of_upstream));
    let moved = Moved::default();
    relay::run(&worker.scratch, client, upstream, ahead, limits, &moved).await;
    (moved.up.get(), moved.down.get())
}

/// Everything in the buffer; its memory goes.
fn take(buffer: &mut Buffer) -> Vec<u8> {
    let bytes = buffer.filled().to_vec();
    buffer.consume(bytes.len());
    buffer.release();
    bytes
}

#[derive(Default)]
struct Moved {
    up: Cell<u64>,
    down: Cell<u64>,
}

impl Meter for Moved {
    fn received(&self, count: usize) {
        self.up.set(self.up.get() + count as u64);
    }

    fn sent(&self, count: usize) {
        self.down.set(self.down.get() + count as u64);
    }
}

/// The same between a stream of HTTP/2 and an HTTP/1.1 backend, until both have ended or nothing comes for `idle`.
/// Returns the bytes from client to backend and back.
pub async fn over_stream(
    watchdog: &mut Watchdog,
    idle: Duration,
    source: &mut Http2Source,
    sink: &mut Http2Sink,
    mut connection: Http1Connection,
) -> (u64, u64) {
    let Http1Connection { stream, buffer, .. } = &mut connection;
    let mut scratch = Vec::new();
    let progress = Progress::default();
    let up = async {
        let mut to_backend = Http1Sink::new(stream, &mut scratch, Framing::UntilClose);
        let mut tap = Watched { tap: &mut (), progress: &progress };
        let moved = pump(source, &mut to_backend, &mut tap).await;
        let _ = poll_fn(|context| std::pin::Pin::new(&mut *stream.borrow_mut()).poll_shutdown(context)).await;
        moved
    };
    let down = async {
        let mut from_backend = Http1Source::new(stream, buffer, Framing::UntilClose);
        let mut tap = Watched { tap: &mut (), progress: &progress };
        match pump(&mut from_backend, sink, &mut tap).await {
            // TLS without close_notify: WebSocket tells its end itself, and a reset would take back what came before.
            Err(PumpError::Source(BodyError::Io(error))) if error.kind() == ErrorKind::UnexpectedEof => {
                sink.finish(None).await.map(|()| 0).map_err(PumpError::Sink)
            }
            ended => ended,
        }
    };
    let both = async { tokio::join!(up, down) };
    let ended = watchdog.guard(Instant::now(), None, Stalls::all(idle), &progress, both).await;
    if !matches!(ended, Ok((_, Ok(_)))) {
        sink.reset(Reason::CANCEL);
    }
    let Ok((up, down)) = ended else {
        return (0, 0);
    };
    (up.unwrap_or(0), down.unwrap_or(0))
}
