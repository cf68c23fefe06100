//! Bodies in motion: where pieces come from, where they go, and the pump between them.
//!
//! Rules
//! - A source hands out one piece at a time and takes it back at the next call, so HTTP/1.1 to HTTP/1.1 copies
//!   bytes once, from read buffer to socket.
//! - A sink may hold small writes back until `flush` or `finish`; the pump flushes when the source would wait. So a
//!   head and a small body leave in one write, and nothing is ever kept from the peer while we sleep.
//! - While a source waits, the sink's peer may go away: who waits learns it from `poll_gone`.
//! - Nothing here buffers a body: memory per direction is one read buffer.

use bytes::Bytes;
use codec::WireError;
use http::HeaderMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

/// One piece of a body.
#[derive(Debug, Clone)]
pub enum Piece<'a> {
    Borrowed(&'a [u8]),
    Shared(Bytes),
}

impl Piece<'_> {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(slice) => slice,
            Self::Shared(bytes) => bytes,
        }
    }

    /// Copies only what is borrowed.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(slice) => Bytes::copy_from_slice(slice),
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Why a body stopped.
#[derive(Debug)]
pub enum BodyError {
    Io(io::Error),
    Wire(WireError),
    Http2(h2::Error),
    /// The stream ended before the body did.
    Truncated,
    /// The body is longer than a limit of ours.
    TooLarge,
}

impl std::fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(formatter),
            Self::Wire(error) => error.fmt(formatter),
            Self::Http2(error) => error.fmt(formatter),
            Self::Truncated => formatter.write_str("closed before the message was whole"),
            Self::TooLarge => formatter.write_str("longer than max_body_bytes"),
        }
    }
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WireError> for BodyError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<h2::Error> for BodyError {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error)
    }
}

/// Where a body comes from. Cancel safe: a dropped `next` loses nothing.
pub trait BodySource {
    /// The next piece; `None` at the end, after which `take_trailers` has the trailers.
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError>;

    /// Nothing comes any more; true from the start for a message without body.
    fn is_finished(&self) -> bool;

    /// All that is left stands in memory: a pump would not wait for it.
    fn is_whole(&self) -> bool {
        self.is_finished()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap>;

    /// The peer went away after it had sent all of the body. Pending for ever where something else tells.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        Poll::Pending
    }
}

/// Where a body goes.
pub trait BodySink {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError>;

    async fn flush(&mut self) -> Result<(), BodyError>;

    /// The body is whole. Flushes.
    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError>;

    /// The peer wants nothing any more. Pending for ever where only a write can tell.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        Poll::Pending
    }
}

/// Wait for `future` until `gone` says that nobody needs it any more.
///
/// # Errors
/// What `gone` said; the future is dropped.
pub async fn unless_gone<F: Future>(
    future: F,
    mut gone: impl FnMut(&mut Context<'_>) -> Poll<BodyError>,
) -> Result<F::Output, BodyError> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => gone(context).map(Err),
    })
    .await
}

/// Wait for `future` for as long as the peer of `sink` is there.
///
/// # Errors
/// The peer went away; the future is dropped.
pub async fn while_there<Sink: BodySink, F: Future>(sink: &mut Sink, future: F) -> Result<F::Output, BodyError> {
    unless_gone(future, |context| sink.poll_gone(context)).await
}

/// Which end of a pump failed.
#[derive(Debug)]
pub enum PumpError {
    Source(BodyError),
    Sink(BodyError),
}

/// Sees every piece that passes; for mirrors.
pub trait Tap {
    fn piece(&mut self, piece: &Piece<'_>);
    fn end(&mut self);

    /// Wait for who looks on, where that is asked for.
    async fn settle(&mut self) {}

    /// The source has nothing now, and the sink has everything.
    fn waits(&mut self) {}
}

/// Nobody looks on.
impl Tap for () {
    fn piece(&mut self, _: &Piece<'_>) {}
    fn end(&mut self) {}
}

/// Move a whole body. Returns the bytes moved.
///
/// # Errors
/// Which end failed and why; the other end is left as it stands.
pub async fn pump<Source: BodySource, Sink: BodySink, T: Tap>(
    source: &mut Source,
    sink: &mut Sink,
    tap: &mut T,
) -> Result<u64, PumpError> {
    let mut moved = 0;
    loop {
        let mut next = pin!(source.next());
        let piece = match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                sink.flush().await.map_err(PumpError::Sink)?;
                tap.waits();
                while_there(sink, next).await.map_err(PumpError::Sink)?
            }
        };
        let Some(piece) = piece.map_err(PumpError::Source)? else {
            break;
        };
        moved += piece.as_slice().len() as u64;
        tap.piece(&piece);
        sink.write(piece).await.map_err(PumpError::Sink)?;
        tap.settle().await;
    }
    tap.end();
    sink.finish(source.take_trailers()).await.map_err(PumpError::Sink)?;
    Ok(moved)
}
