//! The relay of a `WebSocket`, and other switches of protocols: bytes both ways until both sides have ended (RFC 9110
//! section 7.8, RFC 8441 section 5), or nothing comes any more.
//!
//! - The end of one direction is passed on as such (half-close, `END_STREAM`); the other direction goes on.
//! - What cannot be read any more ends the tunnel; what cannot be written ends that direction alone.
//! - A stream whose tunnel did not end in order is reset with CANCEL, and so is the connection of a backend that may be told a
//!   wrong end: one in order would stand behind bytes that it may never take.
//! - A client that has broken off is noticed also while what it sent stands still. One that has ended its side is waited with.

use super::exchange::{Http2Tunnel, Switched};
use crate::io::relay;
use crate::io::relay::{End, Limits, Meter};
use crate::io::watchdog::{Progress, Stalls, Watchdog};
use crate::io::{Reset, Shared};
use crate::message::body::{BodyError, BodySink, BodySource, NoWatch, Piece, PumpError, Tap, Watch, pump, pump_for};
use crate::message::http1::{Http1Sink, Http1Source};
use crate::message::http2::{Http2Sink, Http2Source};
use crate::upstream::Http1Connection;
use crate::worker::Worker;
use codec::Buffer;
use codec::Framing;
use h2::Reason;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Between a client's connection and a backend. `ahead`: what was read of the client already.
/// Returns the bytes from client to backend and back.
pub async fn of_connection<C>(
    worker: &Worker,
    watchdog: &mut Watchdog,
    client: &RefCell<C>,
    ahead: &mut Buffer,
    backend: Switched,
) -> (u64, u64)
where
    C: AsyncRead + AsyncWrite + Reset + Unpin,
{
    let moved = Moved::default();
    match backend {
        Switched::Http1(mut connection) => {
            let settings = worker.settings();
            let limits = Limits { idle: settings.l4_idle_timeout(), stall: settings.stall_timeout() };
            let ahead = (take(ahead), take(&mut connection.buffer));
            let upstream = connection.stream.get_mut();
            let end = relay::run(&worker.scratch, &mut Shared(client), upstream, ahead, limits, &moved).await;
            match end {
                End::Finished | End::Idle => {}
                End::Client(error) | End::Upstream(error) if error.kind() == ErrorKind::UnexpectedEof => {}
                End::Client(_) | End::Upstream(_) | End::Stalled => upstream.reset(),
            }
        }
        Switched::Http2(mut tunnel) => {
            let Http2Tunnel { source, sink, .. } = &mut *tunnel;
            let ended = {
                let up = async {
                    let mut from_client = Http1Source::new(client, ahead, Framing::UntilClose);
                    to_stream(from_client.watch(), &mut from_client, sink, moved.up()).await
                };
                let down = to_connection(source, client, moved.down());
                in_order(worker, watchdog, &moved, up, down).await
            };
            if !ended {
                sink.reset(Reason::CANCEL);
            }
        }
    }
    moved.total()
}

/// As [`of_connection`], of a client's stream of HTTP/2.
pub async fn of_stream(
    worker: &Worker,
    watchdog: &mut Watchdog,
    source: &mut Http2Source,
    sink: &mut Http2Sink,
    backend: Switched,
) -> (u64, u64) {
    let moved = Moved::default();
    let ended = match backend {
        Switched::Http1(mut connection) => {
            let Http1Connection { stream, buffer, .. } = &mut *connection;
            let up = to_connection(source, stream, moved.up());
            let down = async {
                let mut from_backend = Http1Source::new(stream, buffer, Framing::UntilClose);
                to_stream(NoWatch, &mut from_backend, sink, moved.down()).await
            };
            let ended = in_order(worker, watchdog, &moved, up, down).await;
            if !ended {
                stream.borrow().reset();
            }
            ended
        }
        Switched::Http2(mut tunnel) => {
            let Http2Tunnel { source: from_backend, sink: to_backend, .. } = &mut *tunnel;
            let ended = {
                let up = to_stream(NoWatch, source, to_backend, moved.up());
                let down = to_stream(NoWatch, from_backend, sink, moved.down());
                in_order(worker, watchdog, &moved, up, down).await
            };
            if !ended {
                to_backend.reset(Reason::CANCEL);
            }
            ended
        }
    };
    if !ended {
        sink.reset(Reason::CANCEL);
    }
    moved.total()
}

/// Everything in the buffer; its memory goes.
fn take(buffer: &mut Buffer) -> Vec<u8> {
    let bytes = buffer.filled().to_vec();
    buffer.consume(bytes.len());
    buffer.release();
    bytes
}

/// Into a byte stream, and its end behind it.
async fn to_connection<S: AsyncWrite + Unpin>(
    source: &mut impl BodySource,
    stream: &RefCell<S>,
    mut tap: Counted<'_>,
) -> Result<u64, PumpError> {
    let mut scratch = Vec::new();
    let moved = pump(source, &mut Http1Sink::new(stream, &mut scratch, Framing::UntilClose), &mut tap).await?;
    let ended = poll_fn(|context| Pin::new(&mut *stream.borrow_mut()).poll_shutdown(context)).await;
    ended.map(|()| moved).map_err(|error| PumpError::Sink(error.into()))
}

/// Into a stream of HTTP/2, and its end behind it.
async fn to_stream(
    mut watch: impl Watch,
    source: &mut impl BodySource,
    sink: &mut Http2Sink,
    mut tap: Counted<'_>,
) -> Result<u64, PumpError> {
    match pump_for(&mut watch, source, sink, &mut tap).await {
        // TLS without close_notify: WebSocket tells its end itself, and a reset would take back what came before.
        Err(PumpError::Source(BodyError::Io(error))) if error.kind() == ErrorKind::UnexpectedEof => {
            sink.finish(None).await.map(|()| 0).map_err(PumpError::Sink)
        }
        ended => ended,
    }
}

/// Both directions to their ends, for as long as something moves. True: all that was sent has arrived.
async fn in_order(
    worker: &Worker,
    watchdog: &mut Watchdog,
    moved: &Moved,
    up: impl Future<Output = Result<u64, PumpError>>,
    down: impl Future<Output = Result<u64, PumpError>>,
) -> bool {
    let (mut up, mut down) = (pin!(up), pin!(down));
    let mut ends = [None, None];
    let both = poll_fn(|context| {
        for (at, end) in ends.iter_mut().enumerate().filter(|(_, end)| end.is_none()) {
            let polled = if at == 0 { up.as_mut().poll(context) } else { down.as_mut().poll(context) };
            match polled {
                Poll::Ready(Err(PumpError::Source(_))) => return Poll::Ready(false),
                Poll::Ready(ended) => *end = Some(ended.is_ok()),
                Poll::Pending => {}
            }
        }
        match ends {
            [Some(up), Some(down)] => Poll::Ready(up && down),
            _ => Poll::Pending,
        }
    });
    let idle = Stalls::all(worker.settings().l4_idle_timeout());
    watchdog.guard(Instant::now(), None, idle, &moved.progress, both).await.unwrap_or(false)
}

/// What has passed.
#[derive(Default)]
struct Moved {
    up: Cell<u64>,
    down: Cell<u64>,
    progress: Progress,
}

impl Moved {
    fn up(&self) -> Counted<'_> {
        Counted { count: &self.up, progress: &self.progress }
    }

    fn down(&self) -> Counted<'_> {
        Counted { count: &self.down, progress: &self.progress }
    }

    fn total(&self) -> (u64, u64) {
        (self.up.get(), self.down.get())
    }
}

impl Meter for Moved {
    fn received(&self, count: usize) {
        self.up.set(self.up.get() + count as u64);
    }

    fn sent(&self, count: usize) {
        self.down.set(self.down.get() + count as u64);
    }
}

/// Counts one direction.
struct Counted<'m> {
    count: &'m Cell<u64>,
    progress: &'m Progress,
}

impl Tap for Counted<'_> {
    fn piece(&mut self, piece: &Piece<'_>) {
        self.count.set(self.count.get() + piece.as_slice().len() as u64);
        self.progress.sent();
    }

    fn end(&mut self) {}

    fn waits(&mut self) {
        self.progress.sent();
    }
}

#[cfg(test)]
mod tests;
