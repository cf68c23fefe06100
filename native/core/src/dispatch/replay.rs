//! The body of a request on its way: what may be sent more than once, and no more than the chain of its rule allows: neither
//! of octets, nor of trailers.
//!
//! It is kept on the way, within bounds: a request is never held back for it, and what a backend says before the body is
//! whole (100-continue, a refusal) reaches the client at once. What outgrows the bounds is sent once.

use crate::io::watchdog::Progress;
use crate::message::body::{BodyError, BodySink, BodySource, Piece, Watch, trailers_without};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use route::policy::{BodyLimit, Withheld};
use smallvec::SmallVec;
use std::task::{Context, Poll, ready};

/// Pieces that are kept apart; each may hold on to more memory than it shows. Those behind are copied into one.
const REPLAY_PIECES: usize = 64;

/// A request body that may be needed again.
pub(super) struct Replay<'s, Source> {
    /// What was read so far, to be sent in each try.
    kept: SmallVec<[Bytes; 1]>,
    /// What came after [`REPLAY_PIECES`] pieces; kept as one from the next try on.
    gathered: BytesMut,
    kept_bytes: usize,
    /// Octets that are kept at most: larger bodies are sent once (`retry_buffer_bytes`).
    most_kept: usize,
    kept_trailers: Option<HeaderMap>,
    /// Where the rest comes from.
    rest: &'s mut Source,
    /// Octets that the rest may still have.
    allowed: u64,
    withheld: &'s Withheld<'s>,
    progress: &'s Progress,
    /// Octets that the last try was given.
    pub(super) sent: u64,
}

impl<'s, Source: BodySource> Replay<'s, Source> {
    pub(super) fn new(
        source: &'s mut Source,
        progress: &'s Progress,
        limit: Option<BodyLimit>,
        withheld: &'s Withheld<'s>,
        most_kept: usize,
    ) -> Self {
        Self {
            kept: SmallVec::new(),
            gathered: BytesMut::new(),
            kept_bytes: 0,
            most_kept,
            kept_trailers: None,
            rest: source,
            allowed: limit.map_or(u64::MAX, BodyLimit::octets),
            withheld,
            progress,
            sent: 0,
        }
    }

    /// Nothing has been taken that could not be given again.
    pub(super) fn can_replay(&self) -> bool {
        !self.progress.is_spent()
    }

    /// `record`: keep what is sent while it is little and no answer has begun.
    pub(super) fn attempt(&mut self, record: bool) -> ReplayAttempt<'_, 's, Source> {
        self.sent = 0;
        if !self.gathered.is_empty() {
            self.kept.push(self.gathered.split().freeze());
        }
        ReplayAttempt { given: 0, record, body: self }
    }

    /// See [`BodySource::poll_gone`].
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        unless_given(self.progress, || self.rest.poll_gone(context))
    }

    /// Whichever tells first that the client is gone, its body or the place for its response.
    pub(super) fn poll_client_gone(&mut self, sink: &mut impl BodySink, context: &mut Context<'_>) -> Poll<BodyError> {
        match sink.poll_gone(context) {
            Poll::Pending => self.poll_gone(context),
            gone @ Poll::Ready(_) => gone,
        }
    }

    /// Remember a piece, or forget everything where that is no longer of use.
    fn keep(&mut self, piece: &Bytes) {
        if self.progress.is_spent() {
            return;
        }
        if self.progress.is_answered() || self.kept_bytes + piece.len() > self.most_kept {
            self.progress.spend();
            self.kept = SmallVec::new();
            self.gathered = BytesMut::new();
            return;
        }
        self.kept_bytes += piece.len();
        if self.kept.len() < REPLAY_PIECES {
            self.kept.push(piece.clone());
        } else {
            self.gathered.extend_from_slice(piece);
        }
    }
}

/// A client that takes its response is there, though it has closed its half of the connection.
fn unless_given(progress: &Progress, mut gone: impl FnMut() -> Poll<BodyError>) -> Poll<BodyError> {
    while !progress.is_giving() {
        let gone = ready!(gone());
        if !(matches!(gone, BodyError::Truncated) && progress.take_moved()) {
            return Poll::Ready(gone);
        }
    }
    Poll::Pending
}

/// The body for one try.
pub(super) struct ReplayAttempt<'r, 's, Source> {
    /// Pieces of what is kept that were given.
    given: usize,
    record: bool,
    body: &'r mut Replay<'s, Source>,
}

impl<'r, 's, Source: BodySource> BodySource for ReplayAttempt<'r, 's, Source> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        if let Some(kept) = self.body.kept.get(self.given) {
            self.given += 1;
            self.body.sent += kept.len() as u64;
            return Ok(Some(Piece::Shared(kept.clone())));
        }
        if self.record {
            let Some(piece) = self.body.rest.next().await? else {
                return Ok(None);
            };
            let piece = piece.into_bytes();
            self.body.allowed = left(self.body.allowed, piece.len())?;
            self.body.keep(&piece);
            self.given = self.body.kept.len();
            self.body.sent += piece.len() as u64;
            return Ok(Some(Piece::Shared(piece)));
        }
        let Replay { rest, progress, allowed, sent, .. } = &mut *self.body;
        if !rest.is_finished() {
            progress.spend();
        }
        let piece = rest.next().await?;
        let length = piece.as_ref().map_or(0, |piece| piece.as_slice().len());
        *allowed = left(*allowed, length)?;
        *sent += length as u64;
        Ok(piece)
    }

    fn is_finished(&self) -> bool {
        self.given >= self.body.kept.len() && self.body.rest.is_finished()
    }

    fn is_whole(&self) -> bool {
        self.body.rest.is_whole()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        if let Some(trailers) = self.body.rest.take_trailers() {
            let left = trailers_without(trailers, |name| self.body.withheld.has(name));
            self.body.kept_trailers = Some(left).filter(|left| !left.is_empty());
        }
        self.body.kept_trailers.clone()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        self.body.poll_gone(context)
    }

    fn watch(&self) -> impl Watch + use<'r, 's, Source> {
        Sender { of: self.body.rest.watch(), progress: self.body.progress }
    }
}

/// The client whose body it is.
struct Sender<'s, W> {
    of: W,
    progress: &'s Progress,
}

impl<W: Watch> Watch for Sender<'_, W> {
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        unless_given(self.progress, || self.of.poll_gone(context))
    }

    fn moved(&mut self) {
        self.of.moved();
    }
}

/// What may come after `length` octets more.
fn left(allowed: u64, length: usize) -> Result<u64, BodyError> {
    allowed.checked_sub(length as u64).ok_or(BodyError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::Replay;
    use crate::dispatch::exchange::Watched;
    use crate::io::watchdog::{Expired, Progress, Side, Stalls, Watchdog};
    use crate::message::body::pump;
    use crate::message::http1::{Http1Sink, Http1Source};
    use codec::{Buffer, Framing};
    use route::policy::Withheld;
    use std::cell::RefCell;
    use std::future::pending;
    use std::time::Duration;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::Instant;

    /// As long as a backend does not take what its client has sent, more of that is not asked for, and not waited for.
    #[tokio::test(start_paused = true)]
    async fn a_client_is_waited_for_once_the_backend_has_what_it_sent() {
        let seconds = Duration::from_secs;
        let stalls = Stalls { request_body: seconds(10), response: seconds(20), backend: seconds(100) };
        for record in [false, true] {
            for (room, side) in [(4, Side::Backend), (64, Side::RequestBody)] {
                let (client, mut sending) = duplex(64);
                sending.write_all(b"5\r\nhello\r\n").await.unwrap();
                let (backend, _reading) = duplex(room);
                let (client, backend) = (RefCell::new(client), RefCell::new(backend));
                let withheld = Withheld::default();
                let (mut buffer, mut out, progress) = (Buffer::new(), Vec::new(), Progress::default());
                let mut source = Http1Source::new(&client, &mut buffer, Framing::Chunked);
                let mut body = Replay::new(&mut source, &progress, None, &withheld, 1024);
                let mut attempt = body.attempt(record);
                let mut sink = Http1Sink::new(&backend, &mut out, Framing::Chunked);
                let mut watchdog = Watchdog::default();
                let upload = async {
                    let mut tap = Watched { tap: &mut (), progress: &progress };
                    pump(&mut attempt, &mut sink, &mut tap).await
                };
                let expired = watchdog.guard(Instant::now(), None, stalls, &progress, upload).await;
                assert_eq!(expired.unwrap_err(), Expired::Stalled(side), "{record} {room}");
                // What comes after that try has nothing to do with the client.
                let after = watchdog.guard(Instant::now(), None, stalls, &progress, pending::<()>()).await;
                assert_eq!(after, Err(Expired::Stalled(Side::Backend)), "{record} {room}");
            }
        }
    }
}
