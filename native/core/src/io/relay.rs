//! Bytes both ways between two streams until both directions have ended.
//!
//! - The end of one direction is passed on as such (half-close); the other direction goes on.
//! - A flow that waits has no buffer: reads go into the worker's scratch space, and only what the other side does not take
//!   at once is kept, at most [`CHUNK`] per direction. Nothing more is read before that is gone: back-pressure.
//! - TLS that ends without `close_notify` ends the flow, as it is hardly ever more than carelessness: what came is
//!   delivered, but no side is told that it has everything.
//! - A client that has broken off is noticed also while the other side does not take what it sent.
//! - What cannot be written does not end the other direction: an answer that a backend gave before it closed still arrives.

use super::{Lookout, Reset, Scratch};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// Bytes that one read takes, and that one direction may keep.
pub const CHUNK: usize = 64 * 1024;

/// How a flow ended.
#[derive(Debug)]
pub enum End {
    /// Both directions ended in order.
    Finished,
    Client(io::Error),
    Upstream(io::Error),
    /// Nothing came for the idle limit.
    Idle,
    /// One side took nothing for the stall limit.
    Stalled,
}

/// How long a flow may be silent, and how long bytes may wait for a side that does not read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub idle: Duration,
    pub stall: Duration,
}

/// Who counts the bytes: from the client, or to it.
pub trait Meter {
    fn received(&self, count: usize);
    fn sent(&self, count: usize);
}

/// Relay until the end. `ahead`: what was read before, from the client and from the other side.
pub async fn run<C, U>(
    scratch: &Scratch,
    client: &mut C,
    upstream: &mut U,
    ahead: (Vec<u8>, Vec<u8>),
    limits: Limits,
    meter: &impl Meter,
) -> End
where
    C: AsyncRead + AsyncWrite + Reset + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    meter.received(ahead.0.len());
    meter.sent(ahead.1.len());
    let mut up = Half { pending: ahead.0, ..Half::default() };
    let mut down = Half { pending: ahead.1, ..Half::default() };
    let mut moved = false;
    let mut last = Instant::now();
    // Boxed: hardly a flow needs it.
    let mut lookout: Option<Box<Lookout>> = None;
    let period = limits.idle.min(limits.stall);
    let mut timer = pin!(sleep_until(last + period));
    poll_fn(|context| {
        let mut scratch = scratch.borrow();
        let space = &mut scratch[..CHUNK];
        let mut move_up = |count| {
            moved = true;
            meter.received(count);
        };
        if let Poll::Ready(Err(error)) = up.poll(client, upstream, context, space, &mut move_up) {
            return Poll::Ready(End::Client(error));
        }
        let mut move_down = |count| {
            moved = true;
            meter.sent(count);
        };
        if let Poll::Ready(Err(error)) = down.poll(upstream, client, context, space, &mut move_down) {
            return Poll::Ready(End::Upstream(error));
        }
        if up.state == State::Ended && down.state == State::Ended {
            return Poll::Ready(match (up.fault.take(), down.fault.take()) {
                (_, Some(error)) => End::Client(error),
                (Some(error), None) => End::Upstream(error),
                (None, None) => End::Finished,
            });
        }
        if up.is_held_up() && lookout.get_or_insert_default().poll(context, client, true).is_ready() {
            return Poll::Ready(End::Client(io::ErrorKind::ConnectionReset.into()));
        }
        while timer.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            if std::mem::take(&mut moved) {
                last = now;
            }
            let silent = now - last;
            if silent >= limits.stall && (up.is_held_up() || down.is_held_up()) {
                return Poll::Ready(End::Stalled);
            }
            if silent >= limits.idle {
                return Poll::Ready(End::Idle);
            }
            timer.as_mut().reset(now + period.min(limits.idle.saturating_sub(silent)));
        }
        Poll::Pending
    })
    .await
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Copying,
    /// The reader has ended; the writer is to be told.
    Ending,
    /// The reader has broken off; the writer gets what there is.
    Truncated,
    Ended,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// Read and not yet written.
    pending: Vec<u8>,
    written: usize,
    /// A TLS writer may hold back what it took.
    unflushed: bool,
    state: State,
    /// The writer takes no more.
    fault: Option<io::Error>,
}

impl Half {
    fn is_held_up(&self) -> bool {
        self.written < self.pending.len()
    }

    /// Move what can be moved. Ready: this direction has ended.
    ///
    /// # Errors
    /// What the reader says. What the writer says is kept in `fault` and ends this direction alone.
    fn poll<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        context: &mut Context<'_>,
        space: &mut [u8],
        moved: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    let ended = ready!(self.poll_pending(writer, context)).map_or_else(
                        |error| Poll::Ready(Err(error)),
                        |()| Pin::new(&mut *writer).poll_shutdown(context),
                    );
                    self.fault = ready!(ended).err();
                    self.state = State::Ended;
                }
                State::Truncated => {
                    let flushed = ready!(self.poll_pending(writer, context))
                        .map_or_else(|error| Poll::Ready(Err(error)), |()| Pin::new(&mut *writer).poll_flush(context));
                    return Poll::Ready(Err(ready!(flushed).err().unwrap_or(io::ErrorKind::UnexpectedEof.into())));
                }
                State::Copying => {
                    if let Err(error) = ready!(self.poll_pending(writer, context)) {
                        self.give_up(error);
                        continue;
                    }
                    let mut read = ReadBuf::new(space);
                    match Pin::new(&mut *reader).poll_read(context, &mut read) {
                        Poll::Pending => return self.poll_flush(writer, context),
                        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                            self.state = State::Truncated;
                            continue;
                        }
                        Poll::Ready(result) => result?,
                    }
                    let read = read.filled();
                    if read.is_empty() {
                        self.state = State::Ending;
                        continue;
                    }
                    moved(read.len());
                    self.unflushed = true;
                    if let Err(error) = self.write(read, writer, context) {
                        self.give_up(error);
                    }
                }
            }
        }
    }

    /// Write what was kept and let its memory go.
    fn poll_pending<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.is_held_up() {
            let count = ready!(Pin::new(&mut *writer).poll_write(context, &self.pending[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.unflushed = true;
        }
        self.pending = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Write what the writer takes, keep the rest.
    fn write<W: AsyncWrite + Unpin>(
        &mut self,
        mut bytes: &[u8],
        writer: &mut W,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            match Pin::new(&mut *writer).poll_write(context, bytes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => bytes = &bytes[count..],
                Poll::Pending => {
                    self.pending = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    fn poll_flush<W: AsyncWrite + Unpin>(&mut self, writer: &mut W, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            match ready!(Pin::new(writer).poll_flush(context)) {
                Ok(()) => self.unflushed = false,
                Err(error) => self.give_up(error),
            }
        }
        Poll::Pending
    }

    fn give_up(&mut self, error: io::Error) {
        self.pending = Vec::new();
        self.written = 0;
        self.fault = Some(error);
        self.state = State::Ended;
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, End, Limits, Meter, Scratch, run};
    use std::cell::Cell;
    use std::future::Future;
    use std::io;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    const LIMITS: Limits = Limits { idle: Duration::from_secs(100), stall: Duration::from_secs(10) };

    #[derive(Default)]
    struct Counts(Cell<usize>, Cell<usize>);

    impl Meter for Counts {
        fn received(&self, count: usize) {
            self.0.set(self.0.get() + count);
        }

        fn sent(&self, count: usize) {
            self.1.set(self.1.get() + count);
        }
    }

    /// Relay between two pipes of `size` bytes while `ends` plays client and backend.
    async fn relay<F: Future>(
        size: usize,
        ahead: &[u8],
        ends: impl FnOnce(DuplexStream, DuplexStream) -> F,
    ) -> (End, F::Output, (usize, usize)) {
        let ((client, mut client_side), (mut backend_side, backend)) = (duplex(size), duplex(size));
        let (scratch, counts) = (Scratch::default(), Counts::default());
        let ahead = (ahead.to_vec(), Vec::new());
        let relayed = async {
            let end = run(&scratch, &mut client_side, &mut backend_side, ahead, LIMITS, &counts).await;
            drop((client_side, backend_side));
            end
        };
        let (end, output) = tokio::join!(relayed, ends(client, backend));
        (end, output, (counts.0.get(), counts.1.get()))
    }

    async fn read_all(stream: &mut DuplexStream) -> Vec<u8> {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_one_direction_does_not_end_the_other() {
        for client_first in [true, false] {
            let (end, (), counts) = relay(7, b"ahead ", |client, backend| async move {
                let (mut first, mut last) = if client_first { (client, backend) } else { (backend, client) };
                first.write_all(b"everything").await.unwrap();
                first.shutdown().await.unwrap();
                let ahead = if client_first { "ahead " } else { "" };
                assert_eq!(read_all(&mut last).await, format!("{ahead}everything").as_bytes());
                last.write_all(b"the answer").await.unwrap();
                last.shutdown().await.unwrap();
                let ahead = if client_first { "" } else { "ahead " };
                assert_eq!(read_all(&mut first).await, format!("{ahead}the answer").as_bytes());
            })
            .await;
            assert!(matches!(end, End::Finished), "{end:?}");
            assert_eq!(counts, (16, 10));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_read_while_the_other_side_does_not() {
        let (end, written, (received, _)) = relay(1024, b"", |mut client, backend| async move {
            let mut written = 0;
            while let Ok(count) = client.write(&[7; 4096]).await {
                written += count;
            }
            drop(backend);
            written
        })
        .await;
        assert!(matches!(end, End::Stalled), "{end:?}");
        assert!(received <= CHUNK && written <= received + 2048, "{received} {written}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_flow_only_after_the_idle_limit() {
        let start = Instant::now();
        let (end, (), _) = relay(64, b"", |mut client, mut backend| async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(60)).await;
                backend.write_all(b"x").await.unwrap();
                client.read_exact(&mut [0]).await.unwrap();
            }
            read_all(&mut client).await;
        })
        .await;
        assert!(matches!(end, End::Idle), "{end:?}");
        let took = start.elapsed().as_secs();
        assert!((400..=420).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_arrives_although_the_backend_reads_no_more() {
        let (end, (), counts) = relay(1024, b"", |mut client, mut backend| async move {
            backend.write_all(b"too much").await.unwrap();
            drop(backend);
            // Into a pipe that nobody reads any more.
            let _ = client.write_all(&[7; 100]).await;
            assert_eq!(read_all(&mut client).await, b"too much");
            client.shutdown().await.unwrap();
        })
        .await;
        assert!(matches!(&end, End::Upstream(error) if error.kind() == io::ErrorKind::BrokenPipe), "{end:?}");
        assert_eq!(counts.1, 8);
    }
}
