//! The body of a request that may be sent more than once.
//!
//! It is kept where that is asked for before the first try (`collect`), or on the way while it costs nothing (HTTP/2
//! backends, see `Replay::attempt`); both within bounds.

use super::attempt::Failure;
use crate::proxy::body::{BodyError, BodySource, Piece};
use crate::proxy::exchange::ExchangeError;
use crate::proxy::watchdog::{Progress, Watchdog};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use smallvec::SmallVec;
use std::time::Duration;
use tokio::time::Instant;

/// Request bodies up to this size are kept for a retry; larger ones are sent once.
const REPLAY_BYTES: usize = 64 * 1024;

/// Pieces that are kept; each may hold on to more memory than it shows.
const REPLAY_PIECES: usize = 64;

/// A request body that may be needed again.
pub(super) struct Replay<'s, Source> {
    /// What was read so far, to be sent in each try.
    kept: SmallVec<[Bytes; 1]>,
    kept_bytes: usize,
    kept_trailers: Option<HeaderMap>,
    /// Where the rest comes from, where there is one.
    rest: Option<&'s mut Source>,
    /// Something was given out that is not kept.
    lost: bool,
    /// Somebody waits for the client to send more of it.
    pub(super) waiting: bool,
    /// Octets that the last try was given.
    pub(super) sent: u64,
}

impl<'s, Source: BodySource> Replay<'s, Source> {
    pub(super) fn streaming(source: &'s mut Source) -> Self {
        Self {
            kept: SmallVec::new(),
            kept_bytes: 0,
            kept_trailers: None,
            rest: Some(source),
            lost: false,
            waiting: false,
            sent: 0,
        }
    }

    /// Keep the body, up to [`REPLAY_BYTES`]; a longer one streams on behind what was kept.
    pub(super) async fn collect(
        source: &'s mut Source,
        watchdog: &mut Watchdog,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let mut kept = BytesMut::new();
        loop {
            let next = watchdog.until(Instant::now() + limit, source.next()).await;
            match next.map_err(|_| Failure::Body)?.map_err(|error| Failure::Exchange(ExchangeError::Client(error)))? {
                None => {
                    let kept_trailers = source.take_trailers();
                    return Ok(Self { kept_trailers, rest: None, ..Self::streaming(source) }.with(kept));
                }
                Some(piece) => kept.extend_from_slice(piece.as_slice()),
            }
            if kept.len() > REPLAY_BYTES {
                return Ok(Self::streaming(source).with(kept));
            }
        }
    }

    fn with(mut self, kept: BytesMut) -> Self {
        self.kept_bytes = kept.len();
        if !kept.is_empty() {
            self.kept.push(kept.freeze());
        }
        self
    }

    /// Nothing has been taken that could not be given again.
    pub(super) fn can_replay(&self) -> bool {
        !self.lost
    }

    /// `record`: keep what is sent while it is little and no answer has begun. HTTP/2 costs that no copy, and tells which
    /// requests a backend never looked at.
    pub(super) fn attempt<'r>(&'r mut self, record: Option<&'r Progress>) -> ReplayAttempt<'r, 's, Source> {
        self.sent = 0;
        ReplayAttempt { given: 0, record, body: self }
    }

    /// Remember a piece, or forget everything where that is no longer of use.
    fn keep(&mut self, piece: &Bytes, progress: &Progress) {
        let fits = self.kept.len() < REPLAY_PIECES && self.kept_bytes + piece.len() <= REPLAY_BYTES;
        if fits && !self.lost && !progress.is_answered() {
            self.kept_bytes += piece.len();
            self.kept.push(piece.clone());
        } else {
            self.lost = true;
            self.kept = SmallVec::new();
        }
    }
}

/// The body for one try.
pub(super) struct ReplayAttempt<'r, 's, Source> {
    /// Pieces of what is kept that were given.
    given: usize,
    record: Option<&'r Progress>,
    body: &'r mut Replay<'s, Source>,
}

impl<Source: BodySource> BodySource for ReplayAttempt<'_, '_, Source> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        if let Some(kept) = self.body.kept.get(self.given) {
            self.given += 1;
            self.body.sent += kept.len() as u64;
            return Ok(Some(Piece::Shared(kept.clone())));
        }
        if let (Some(progress), Replay { rest: Some(rest), waiting, .. }) = (self.record, &mut *self.body) {
            *waiting = true;
            let next = rest.next().await;
            *waiting = false;
            let Some(piece) = next? else {
                return Ok(None);
            };
            let piece = piece.into_bytes();
            self.body.keep(&piece, progress);
            self.given = self.body.kept.len();
            self.body.sent += piece.len() as u64;
            return Ok(Some(Piece::Shared(piece)));
        }
        let Replay { rest: Some(rest), lost, waiting, sent, .. } = &mut *self.body else {
            return Ok(None);
        };
        *lost |= !rest.is_finished();
        *waiting = true;
        let next = rest.next().await;
        *waiting = false;
        let piece = next?;
        *sent += piece.as_ref().map_or(0, |piece| piece.as_slice().len() as u64);
        Ok(piece)
    }

    fn is_finished(&self) -> bool {
        self.given >= self.body.kept.len() && self.body.rest.as_ref().is_none_or(|rest| rest.is_finished())
    }

    fn is_whole(&self) -> bool {
        self.body.rest.as_ref().is_none_or(|rest| rest.is_whole())
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        if let Some(rest) = &mut self.body.rest
            && let Some(trailers) = rest.take_trailers()
        {
            self.body.kept_trailers = Some(trailers);
        }
        self.body.kept_trailers.clone()
    }
}
