//! HTTP/1.1 bodies over a byte stream, both directions and both sides.
//!
//! Reader and writer of one connection live in one task; each borrows the stream only while it is polled, hence the
//! `RefCell` and never a lock.

use super::body::{BodyError, BodySink, BodySource, Piece, Watch};
use crate::io::fill::poll_fill;
use crate::io::{HangUp, Lookout, Reset};
use codec::{Buffer, ChunkHeader, ChunkedDecoder, Framing, Parsed, parse_trailers, push_field};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes read ahead of the peer that takes them; more only delays back-pressure.
pub const READ_AHEAD: usize = 64 * 1024;

/// A piece up to this size is copied behind the bytes that wait already, to leave in the same write.
const COALESCE: usize = 16 * 1024;

/// What is left of a body that is being read.
#[derive(Debug)]
enum Remaining {
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
    Finished,
}

/// Reads one body.
#[derive(Debug)]
pub struct Http1Source<'c, S> {
    stream: &'c RefCell<S>,
    buffer: &'c mut Buffer,
    remaining: Remaining,
    /// Bytes of the piece that is handed out: consumed at the next call.
    lent: usize,
    trailers: Option<HeaderMap>,
    lookout: Lookout,
}

impl<'c, S: AsyncRead + Unpin> Http1Source<'c, S> {
    pub fn new(stream: &'c RefCell<S>, buffer: &'c mut Buffer, framing: Framing) -> Self {
        let remaining = match framing {
            Framing::Empty | Framing::Length(0) => Remaining::Finished,
            Framing::Length(length) => Remaining::Length(length),
            Framing::Chunked => Remaining::Chunked(Box::default()),
            Framing::UntilClose => Remaining::UntilClose,
        };
        Self { stream, buffer, remaining, lent: 0, trailers: None, lookout: Lookout::default() }
    }

    /// What was read behind the body.
    pub fn ahead(&mut self) -> &mut Buffer {
        self.buffer.consume(std::mem::take(&mut self.lent));
        self.buffer
    }

    /// The end of the stream is that of the body.
    fn ends_in_order(&self) -> bool {
        matches!(self.remaining, Remaining::UntilClose)
    }

    async fn fill(&mut self) -> Result<usize, BodyError> {
        let (stream, buffer) = (self.stream, &mut *self.buffer);
        Ok(poll_fn(|context| poll_fill(buffer, &mut *stream.borrow_mut(), context, READ_AHEAD)).await?)
    }

    fn finish_chunked(&mut self, trailer: &[u8]) -> Result<(), BodyError> {
        self.remaining = Remaining::Finished;
        if trailer.len() > 2
            && let Parsed::Complete(fields) = parse_trailers(trailer)?
        {
            let mut map = HeaderMap::with_capacity(fields.len());
            for field in fields {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::from_bytes(field.name), HeaderValue::from_bytes(field.value))
                {
                    map.append(name, value);
                }
            }
            self.trailers = Some(map).filter(|map| !map.is_empty());
        }
        Ok(())
    }
}

impl<'c, S: AsyncRead + Reset + Unpin> BodySource for Http1Source<'c, S> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        self.buffer.consume(std::mem::take(&mut self.lent));
        loop {
            if matches!(self.remaining, Remaining::Finished) {
                return Ok(None);
            }
            if self.buffer.is_empty() && self.fill().await? == 0 {
                return match self.remaining {
                    Remaining::UntilClose => {
                        self.remaining = Remaining::Finished;
                        Ok(None)
                    }
                    _ => Err(BodyError::Truncated),
                };
            }
            match &mut self.remaining {
                Remaining::Finished => {}
                Remaining::UntilClose => {
                    self.lent = self.buffer.len();
                    return Ok(Some(Piece::Borrowed(self.buffer.filled())));
                }
                Remaining::Length(length) => {
                    let count = self.buffer.len().min(usize::try_from(*length).unwrap_or(usize::MAX));
                    *length -= count as u64;
                    if *length == 0 {
                        self.remaining = Remaining::Finished;
                    }
                    self.lent = count;
                    return Ok(Some(Piece::Borrowed(&self.buffer.filled()[..count])));
                }
                Remaining::Chunked(decoder) => {
                    let step = decoder.step(self.buffer.filled())?;
                    if step.finished {
                        let trailer = std::mem::take(decoder).into_trailer();
                        self.buffer.consume(step.consumed);
                        self.finish_chunked(&trailer)?;
                    } else if step.data.is_empty() {
                        self.buffer.consume(step.consumed);
                    } else {
                        self.lent = step.consumed;
                        return Ok(Some(Piece::Borrowed(&self.buffer.filled()[step.data])));
                    }
                }
            }
        }
    }

    fn is_finished(&self) -> bool {
        matches!(self.remaining, Remaining::Finished)
    }

    fn is_whole(&self) -> bool {
        match self.remaining {
            // What is handed out is in the buffer still, and no longer part of what is left.
            Remaining::Length(length) => (self.buffer.len() - self.lent) as u64 >= length,
            Remaining::Finished => true,
            Remaining::Chunked(_) | Remaining::UntilClose => false,
        }
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Reads ahead into the buffer: what comes is the next request, and the end of the stream tells that nobody waits. Where
    /// nothing may be read, the system tells.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        let reads = self.is_finished() && self.lent == 0;
        while !self.lookout.has_ended() {
            if !reads || self.buffer.len() >= READ_AHEAD / 2 {
                let stream = self.stream.borrow();
                return self.lookout.poll(context, &*stream, self.ends_in_order()).map(left);
            }
            match ready!(poll_fill(self.buffer, &mut *self.stream.borrow_mut(), context, READ_AHEAD)) {
                Ok(0) => self.lookout.end(),
                Ok(_) => {}
                Err(error) => return Poll::Ready(error.into()),
            }
        }
        self.lookout.poll_grace(context).map(left)
    }

    fn watch(&self) -> impl Watch + use<'c, S> {
        Watched { stream: self.stream, ends_in_order: self.ends_in_order(), lookout: Lookout::default() }
    }
}

/// Whose bytes stand still.
struct Watched<'c, S> {
    stream: &'c RefCell<S>,
    ends_in_order: bool,
    lookout: Lookout,
}

impl<S: Reset> Watch for Watched<'_, S> {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        self.lookout.poll(context, &*self.stream.borrow(), self.ends_in_order).map(left)
    }

    fn moved(&mut self) {
        self.lookout.moved();
    }
}

fn left(how: HangUp) -> BodyError {
    match how {
        HangUp::Ended => BodyError::Truncated,
        HangUp::BrokenOff => io::Error::from(io::ErrorKind::ConnectionReset).into(),
    }
}

/// What was lent is consumed even when nobody asks for the next piece.
impl<S> Drop for Http1Source<'_, S> {
    fn drop(&mut self) {
        self.buffer.consume(self.lent);
    }
}

/// Writes heads and one body. `out` holds what waits for the next write.
#[derive(Debug)]
pub struct Http1Sink<'c, S> {
    pub stream: &'c RefCell<S>,
    pub out: &'c mut Vec<u8>,
    /// How much of `out` is written already: a write that was cut short by a time limit goes on where it stopped.
    written: usize,
    framing: Framing,
}

impl<'c, S: AsyncWrite + Unpin> Http1Sink<'c, S> {
    pub fn new(stream: &'c RefCell<S>, out: &'c mut Vec<u8>, framing: Framing) -> Self {
        Self { stream, out, written: 0, framing }
    }

    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    pub fn framing(&self) -> Framing {
        self.framing
    }

    async fn write_out(&mut self, tail: &[u8]) -> io::Result<()> {
        let (stream, out, written) = (self.stream, &mut *self.out, &mut self.written);
        poll_fn(|context| poll_write_both(&mut *stream.borrow_mut(), context, out, tail, written)).await?;
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

/// Write `first`, then `second`, in as few system calls as the stream takes; flush.
fn poll_write_both<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    first: &[u8],
    second: &[u8],
    written: &mut usize,
) -> Poll<io::Result<()>> {
    let total = first.len() + second.len();
    while *written < total {
        let count = if *written >= first.len() {
            ready!(Pin::new(&mut *stream).poll_write(context, &second[*written - first.len()..]))?
        } else if second.is_empty() {
            ready!(Pin::new(&mut *stream).poll_write(context, &first[*written..]))?
        } else {
            let slices = [IoSlice::new(&first[*written..]), IoSlice::new(second)];
            ready!(Pin::new(&mut *stream).poll_write_vectored(context, &slices))?
        };
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *written += count;
    }
    Pin::new(stream).poll_flush(context)
}

impl<S: AsyncWrite + Unpin> BodySink for Http1Sink<'_, S> {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        let bytes = piece.as_slice();
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Chunked => self.out.extend_from_slice(ChunkHeader::new(bytes.len()).as_bytes()),
            Framing::Length(left) => {
                // A source that gives more than its head announced would frame the next message.
                *left = left.checked_sub(bytes.len() as u64).ok_or(BodyError::Truncated)?;
            }
            Framing::Empty => return Ok(()),
            Framing::UntilClose => {}
        }
        if self.out.len() + bytes.len() <= COALESCE {
            self.out.extend_from_slice(bytes);
        } else {
            self.write_out(bytes).await?;
        }
        if self.framing == Framing::Chunked {
            self.out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        if !self.out.is_empty() {
            self.write_out(&[]).await?;
        }
        Ok(())
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(BodyError::Truncated),
            Framing::Chunked => {
                self.out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().flatten() {
                    push_field(self.out, name.as_str().as_bytes(), value.as_bytes());
                }
                self.out.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        self.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::{BodySink, Framing, Http1Sink};
    use std::cell::RefCell;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, duplex};

    /// A time limit ends a write; what follows on the connection goes on where that one stopped.
    #[tokio::test(start_paused = true)]
    async fn a_write_that_was_cut_short_goes_on() {
        let (near, mut far) = duplex(4);
        let (stream, mut out) = (RefCell::new(near), b"informational, ".to_vec());
        let mut sink = Http1Sink::new(&stream, &mut out, Framing::Empty);
        assert!(tokio::time::timeout(Duration::from_secs(1), sink.flush()).await.is_err());
        sink.out.extend_from_slice(b"final");
        let mut received = [0; 20];
        let (flushed, read) = tokio::join!(sink.flush(), far.read_exact(&mut received));
        flushed.unwrap();
        read.unwrap();
        assert_eq!(&received, b"informational, final");
    }
}
