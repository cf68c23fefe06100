//! Bodies in motion: where pieces come from, where they go, and the pump between them.
//!
//! Rules
//! - A source hands out one piece at a time and takes it back at the next call, so HTTP/1.1 to HTTP/1.1 copies
//!   bytes once, from read buffer to socket.
//! - A sink may hold small writes back until `flush` or `finish`; the pump flushes when the source would wait. So a
//!   head and a small body leave in one write, and nothing is ever kept from the peer while we sleep.
//! - While a source waits, the sink's peer may go away: who waits learns it from `poll_gone`. While a sink waits, the peer of a
//!   source that somebody waits behind may: `Watch` tells, without a read, as nothing more is read then.
//! - Nothing here buffers a body: memory per direction is one read buffer.

use bytes::Bytes;
use codec::WireError;
use http::header::{HeaderMap, HeaderName};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
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

    /// The peer went away, though nobody asks for more of the body. Pending for ever where something else tells.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        Poll::Pending
    }

    /// Tells the same while a piece is lent.
    fn watch(&self) -> impl Watch + use<Self> {
        NoWatch
    }
}

/// The peer of a source, for who waits with a piece of it in hand.
pub trait Watch {
    /// It went away. Pending for ever where something else tells.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError>;

    /// What it sent moves on.
    fn moved(&mut self) {}
}

/// Nobody is watched, or something else tells.
pub struct NoWatch;

impl Watch for NoWatch {
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        Poll::Pending
    }
}

/// Trailers but for those whose names `is_left_out` knows.
pub fn trailers_without(trailers: HeaderMap, is_left_out: impl Fn(&[u8]) -> bool) -> HeaderMap {
    let is_left_out = |name: &HeaderName| is_left_out(name.as_str().as_bytes());
    if !trailers.keys().any(is_left_out) {
        return trailers;
    }
    let mut kept = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers.iter().filter(|(name, _)| !is_left_out(name)) {
        kept.append(name.clone(), value.clone());
    }
    kept
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

    /// What goes on of the trailers.
    fn trailers(&mut self, trailers: HeaderMap) -> HeaderMap {
        trailers
    }

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

/// Move a whole body, whether or not who sent it is there still. Returns the bytes moved.
///
/// # Errors
/// Which end failed and why; the other end is left as it stands.
pub async fn pump<Source: BodySource, Sink: BodySink, T: Tap>(
    source: &mut Source,
    sink: &mut Sink,
    tap: &mut T,
) -> Result<u64, PumpError> {
    pump_for(&mut NoWatch, source, sink, tap).await
}

/// As [`pump`], for as long as who is watched is there: nothing is to be done for a client that has left.
///
/// # Errors
/// As [`pump`]; that of the source where its peer has left.
pub async fn pump_for<Source: BodySource, Sink: BodySink, T: Tap>(
    watch: &mut impl Watch,
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
                watched(watch, pin!(sink.flush())).await?;
                tap.waits();
                while_there(sink, next).await.map_err(PumpError::Sink)?
            }
        };
        let Some(piece) = piece.map_err(PumpError::Source)? else {
            break;
        };
        moved += piece.as_slice().len() as u64;
        tap.piece(&piece);
        watched(watch, pin!(sink.write(piece))).await?;
        tap.settle().await;
        watch.moved();
    }
    tap.end();
    let trailers = source.take_trailers().map(|trailers| tap.trailers(trailers));
    watched(watch, pin!(sink.finish(trailers))).await?;
    Ok(moved)
}

/// Wait for a sink for as long as who is watched is there. Where it does not wait it costs a branch: nothing is moved.
fn watched<F: Future<Output = Result<(), BodyError>>>(
    watch: &mut impl Watch,
    mut given: Pin<&mut F>,
) -> impl Future<Output = Result<(), PumpError>> {
    poll_fn(move |context| match given.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(done.map_err(PumpError::Sink)),
        Poll::Pending => watch.poll_gone(context).map(|left| Err(PumpError::Source(left))),
    })
}

#[cfg(test)]
mod tests {
    use super::{BodyError, BodySink, BodySource, Piece, PumpError, Tap, Watch, pump, pump_for};
    use codec::WireError;
    use http::HeaderMap;
    use std::cell::RefCell;
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// What happened, in its order.
    type Told = RefCell<Vec<String>>;

    enum Step {
        Piece(&'static [u8]),
        /// Nothing comes for a while.
        Wait,
        Fail,
    }

    struct Script<'t> {
        steps: std::vec::IntoIter<Step>,
        told: &'t Told,
    }

    impl BodySource for Script<'_> {
        async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
            loop {
                match self.steps.next() {
                    Some(Step::Piece(bytes)) => return Ok(Some(Piece::Borrowed(bytes))),
                    Some(Step::Wait) => {
                        // Asked by the pump, and by what waits for one of the two.
                        let mut polls = 0..2;
                        poll_fn(|_| polls.next().map_or(Poll::Ready(()), |_| Poll::Pending)).await;
                    }
                    Some(Step::Fail) => return Err(BodyError::Truncated),
                    None => {
                        self.told.borrow_mut().push("end".to_owned());
                        return Ok(None);
                    }
                }
            }
        }

        fn is_finished(&self) -> bool {
            self.steps.len() == 0
        }

        fn take_trailers(&mut self) -> Option<HeaderMap> {
            None
        }
    }

    struct Notes<'t> {
        told: &'t Told,
        full_after: usize,
        /// It takes nothing, and says nothing.
        stuck: bool,
        gone: bool,
    }

    impl BodySink for Notes<'_> {
        async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
            if self.full_after == 0 {
                return Err(BodyError::TooLarge);
            }
            if self.stuck {
                std::future::pending::<()>().await;
            }
            self.full_after -= 1;
            self.told.borrow_mut().push(format!("write {}", piece.as_slice().escape_ascii()));
            Ok(())
        }

        async fn flush(&mut self) -> Result<(), BodyError> {
            self.told.borrow_mut().push("flush".to_owned());
            Ok(())
        }

        async fn finish(&mut self, _: Option<HeaderMap>) -> Result<(), BodyError> {
            self.told.borrow_mut().push("finish".to_owned());
            Ok(())
        }

        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
            if self.gone { Poll::Ready(BodyError::Wire(WireError::NotHttp)) } else { Poll::Pending }
        }
    }

    struct Look<'t>(&'t Told);

    impl Tap for Look<'_> {
        fn piece(&mut self, piece: &Piece<'_>) {
            self.0.borrow_mut().push(format!("seen {}", piece.as_slice().escape_ascii()));
        }

        fn end(&mut self) {
            self.0.borrow_mut().push("seen all".to_owned());
        }

        fn waits(&mut self) {
            self.0.borrow_mut().push("waits".to_owned());
        }
    }

    fn pumped(steps: Vec<Step>, full_after: usize, gone: bool) -> (Result<u64, PumpError>, Vec<String>) {
        let told = Told::default();
        let mut source = Script { steps: steps.into_iter(), told: &told };
        let mut sink = Notes { told: &told, full_after, stuck: false, gone };
        let mut tap = Look(&told);
        let mut context = Context::from_waker(Waker::noop());
        let result = {
            let mut pumping = pin!(pump(&mut source, &mut sink, &mut tap));
            // Each wait of the script is over when it is asked again.
            let polled = (0..10).find_map(|_| match pumping.as_mut().poll(&mut context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            });
            polled.expect("an end")
        };
        (result, told.into_inner())
    }

    /// What is held back leaves before anybody sleeps, and not sooner.
    #[test]
    fn a_sink_is_flushed_where_the_source_waits() {
        let steps = vec![Step::Piece(b"a"), Step::Piece(b"b"), Step::Wait, Step::Piece(b"c")];
        let (result, told) = pumped(steps, 9, false);
        assert_eq!(result.unwrap(), 3);
        let expected = "seen a, write a, seen b, write b, flush, waits, seen c, write c, end, seen all, finish";
        assert_eq!(told.join(", "), expected);
    }

    #[test]
    fn which_end_failed() {
        let (result, told) = pumped(vec![Step::Piece(b"a"), Step::Fail], 9, false);
        assert!(matches!(result, Err(PumpError::Source(BodyError::Truncated))));
        assert!(!told.contains(&"finish".to_owned()));
        let (result, told) = pumped(vec![Step::Piece(b"a"), Step::Piece(b"b")], 1, false);
        assert!(matches!(result, Err(PumpError::Sink(BodyError::TooLarge))));
        assert!(!told.contains(&"seen all".to_owned()));
    }

    struct Left;

    impl Watch for Left {
        fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
            Poll::Ready(BodyError::Truncated)
        }
    }

    /// A client that has left is noticed while what it sent stands still, and not while it moves.
    #[test]
    fn who_is_watched_ends_the_wait() {
        for stuck in [true, false] {
            let told = Told::default();
            let mut source = Script { steps: vec![Step::Piece(b"a"), Step::Piece(b"b")].into_iter(), told: &told };
            let mut sink = Notes { told: &told, full_after: 9, stuck, gone: false };
            let mut context = Context::from_waker(Waker::noop());
            let pumped = pin!(pump_for(&mut Left, &mut source, &mut sink, &mut ())).poll(&mut context);
            match pumped {
                Poll::Ready(Err(PumpError::Source(BodyError::Truncated))) => assert!(stuck),
                Poll::Ready(Ok(2)) => assert!(!stuck),
                other => panic!("{stuck} {other:?}"),
            }
        }
    }

    /// Only who waits asks whether the other one is there.
    #[test]
    fn a_sink_that_is_gone_ends_the_wait() {
        assert_eq!(pumped(vec![Step::Piece(b"a")], 9, true).0.unwrap(), 1);
        let (result, told) = pumped(vec![Step::Wait, Step::Piece(b"a")], 9, true);
        assert!(matches!(result, Err(PumpError::Sink(BodyError::Wire(WireError::NotHttp)))));
        assert_eq!(told, ["flush", "waits"]);
    }
}
