//! A request that goes to a backend: choose an endpoint, try, try again where that is safe, give up in time.
//!
//! What is safe to try again
//! - a connection that could not be made: nothing was sent, so any request, on other endpoints;
//! - a pooled HTTP/2 connection that takes no further request (GOAWAY): nothing was sent, so any request, once;
//! - a stream that the backend says it never looked at (`REFUSED_STREAM`, or above the last one of its GOAWAY; RFC 9113
//!   section 8.7): any request whose body we still have, once on a new connection, then on other endpoints;
//! - a pooled connection that turned out to be closed before a byte of a response came: once, on a new connection, for
//!   idempotent requests whose body we still have;
//! - a status or a timeout that the rule names (`HTTPRouteRule.retry`): idempotent requests whose body we still have.
//!   A POST or PATCH is never sent twice.

use super::answer::Answer;
use super::body::{BodyError, BodySource, Piece, while_there};
use super::client::Client;
use super::exchange::{self, ExchangeError, Exchanged, Terms};
use super::grpc::{self, End};
use super::log::Entry;
use super::mirror::Mirrors;
use super::plan::Forward;
use super::reply::ReplySink;
use super::watchdog::{Expired, Progress, Watchdog};
use crate::error::ErrorCode;
use crate::upstream::{ConnectError, ConnectStage, Connection, EndpointState, Http1Connection};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use smallvec::SmallVec;
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Endpoints that one request may try to connect to when its rule says nothing of retries.
const CONNECT_TRIES: u32 = 3;

/// A backoff grows by doubling up to this many times its base.
const MAX_BACKOFF_FACTOR: u32 = 16;

/// Request bodies up to this size are kept for a retry; larger ones are sent once.
const REPLAY_BYTES: usize = 64 * 1024;

/// Pieces that are kept; each may hold on to more memory than it shows.
const REPLAY_PIECES: usize = 64;

/// How it ended, as far as the client's connection is concerned.
#[derive(Debug)]
pub enum Forwarded {
    /// A whole response was given, the backend's or our own.
    Complete,
    /// The response cannot be completed: the client must be able to tell.
    Broken(End),
    /// 101: the connection is the backend's from here on.
    Switched(Box<Http1Connection>),
}

/// One request on its way.
pub struct Exchange<'x, 'g> {
    pub client: &'x Client,
    pub forward: &'x Forward<'g>,
    pub scratch: &'x mut Vec<u8>,
}

/// Why a try failed, and what that allows.
enum Failure {
    Connect(ConnectError),
    Exchange(ExchangeError),
    Expired(Expired),
    /// The client's body stood still before the first try.
    Body,
}

impl Exchange<'_, '_> {
    pub async fn run<Source: BodySource, Sink: ReplySink>(
        self,
        watchdog: &mut Watchdog,
        source: &mut Source,
        sink: &mut Sink,
        entry: &mut Entry<'_>,
    ) -> Forwarded {
        let forward = self.forward;
        let mut mirrors = Mirrors::start(self.client, forward);
        let mut body = match forward.retry {
            Some(retry) if retry.attempts > 0 && forward.outbound.idempotent && !source.is_finished() => {
                match Box::pin(Replay::collect(source, watchdog, self.client.worker.settings().stall_timeout())).await {
                    Ok(replay) => replay,
                    Err(failure) => {
                        entry.detail(|| failure.detail());
                        let end = End { code: failure.code(None), reset: failure.reset() };
                        return Box::pin(give_up(forward, end, 0, sink, entry)).await;
                    }
                }
            }
            _ => Replay::streaming(source),
        };
        let forwarded = self.attempts(watchdog, &mut body, sink, entry, &mut mirrors).await;
        entry.request_bytes(body.sent);
        forwarded
    }

    async fn attempts<Source: BodySource, Sink: ReplySink>(
        self,
        watchdog: &mut Watchdog,
        body: &mut Replay<'_, Source>,
        sink: &mut Sink,
        entry: &mut Entry<'_>,
        mirrors: &mut Mirrors,
    ) -> Forwarded {
        let Self { client, forward, scratch } = self;
        let upstreams = &client.worker.upstreams;
        let deadline = forward.timeouts.request.map(|limit| entry.started() + limit);
        let allowed = forward.retry.map_or(0, |retry| retry.attempts);
        let mut retries = 0;
        let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
        let mut fresh = false;
        let end = loop {
            let picked = upstreams.pick(forward.endpoints, &tried).or_else(|| upstreams.pick(forward.endpoints, &[]));
            let Some((endpoint, state)) = picked else {
                break End { code: ErrorCode::NoEndpoint, reset: None };
            };
            let _active = state.begin();
            entry.endpoint(endpoint);
            let last = retries >= allowed || !body.can_replay() || !forward.outbound.idempotent;
            let retry_codes = if last { &[][..] } else { forward.retry.map_or(&[][..], |retry| &retry.codes) };
            let attempt = Attempt { client, forward, state: &state, fresh, retry_codes, deadline };
            let failure = match attempt.run(watchdog, scratch, body, sink, mirrors).await {
                Ok((Exchanged { status, switched: true, .. }, Some(connection))) => {
                    entry.answered(status, None, retries);
                    return Forwarded::Switched(connection);
                }
                Ok((done, connection)) => {
                    if let (true, Some(connection)) = (done.reusable, connection) {
                        upstreams.release(&state, connection);
                    }
                    entry.answered(done.status, None, retries);
                    return Forwarded::Complete;
                }
                Err((failure, reused)) => {
                    let unprocessed = failure.is_unsent() || (failure.is_unprocessed() && body.can_replay());
                    let stale = forward.outbound.idempotent && body.can_replay() && failure.is_silent_close();
                    if reused && !fresh && (unprocessed || stale) {
                        // Closed while it was idle: no fault of the endpoint and no try of the rule's.
                        fresh = true;
                        continue;
                    }
                    failure
                }
            };
            let unsent = matches!(failure, Failure::Connect(_)) || failure.is_unsent();
            if unsent {
                client.worker.metrics.upstream_connect_failed();
            }
            fresh = false;
            tried.push(endpoint.uid);
            let unprocessed = unsent || (failure.is_unprocessed() && body.can_replay());
            let again = match &failure {
                _ if unprocessed => retries < allowed_connects(forward, allowed),
                Failure::Exchange(ExchangeError::RetryStatus(_)) => true,
                Failure::Expired(Expired::Deadline) => {
                    !last && !sink.head_sent() && deadline.is_none_or(|deadline| Instant::now() < deadline)
                }
                Failure::Exchange(ExchangeError::Upstream { answered: false, .. }) => !last && !sink.head_sent(),
                _ => false,
            };
            if !again {
                entry.detail(|| failure.detail());
                // The one side that stands still is the client, and not the backend.
                let waits_for_client = matches!(failure, Failure::Expired(Expired::Stalled)) && body.waiting;
                let code = if waits_for_client { ErrorCode::RequestBodyTimeout } else { failure.code(deadline) };
                break End { code, reset: failure.reset() };
            }
            if let Some(retry) = forward.retry.filter(|retry| retry.attempts > 0) {
                let pause = backoff(retry.backoff, retries, client.worker.random());
                let until = Instant::now() + pause;
                if deadline.is_some_and(|deadline| until >= deadline) {
                    break End { code: ErrorCode::RequestTimeout, reset: None };
                }
                tokio::time::sleep_until(until).await;
            }
            retries += 1;
        };
        Box::pin(give_up(forward, end, retries, sink, entry)).await
    }
}

/// Answer with an error, where there is still somebody to answer.
async fn give_up<Sink: ReplySink>(
    forward: &Forward<'_>,
    end: End,
    retries: u32,
    sink: &mut Sink,
    entry: &mut Entry<'_>,
) -> Forwarded {
    if end.code == ErrorCode::ClientGone || sink.head_sent() {
        entry.failed(end.code, retries);
        return Forwarded::Broken(end);
    }
    if matches!(end.code, ErrorCode::BadRequest | ErrorCode::RequestBodyTimeout) {
        sink.end_connection();
    }
    let answer = Answer::failure(end, forward.grpc || grpc::is_grpc_head(&forward.outbound.head));
    entry.answer(&answer, retries);
    match Box::pin(answer.send(sink, forward.outbound.head_request)).await {
        Ok(()) => Forwarded::Complete,
        Err(_) => Forwarded::Broken(end),
    }
}

/// Connects beyond the rule's own retries go to other endpoints only, and only as many as there are.
fn allowed_connects(forward: &Forward<'_>, allowed: u32) -> u32 {
    let others = u32::try_from(forward.endpoints.len()).unwrap_or(u32::MAX).saturating_sub(1);
    allowed.max(others.min(CONNECT_TRIES - 1))
}

/// Exponential, with up to a quarter of random jitter so that clients do not come back in step.
fn backoff(base: Duration, retries: u32, random: u32) -> Duration {
    let grown = base * (1 << retries.min(16)).min(MAX_BACKOFF_FACTOR);
    grown + grown.mul_f64(f64::from(random) / f64::from(u32::MAX) / 4.0)
}

struct Attempt<'x, 'g> {
    client: &'x Client,
    forward: &'x Forward<'g>,
    state: &'x Rc<EndpointState>,
    fresh: bool,
    retry_codes: &'x [u16],
    deadline: Option<Instant>,
}

type Attempted = Result<(Exchanged, Option<Box<Http1Connection>>), (Failure, bool)>;

impl Attempt<'_, '_> {
    async fn run<Source: BodySource, Sink: ReplySink>(
        &self,
        watchdog: &mut Watchdog,
        scratch: &mut Vec<u8>,
        body: &mut Replay<'_, Source>,
        sink: &mut Sink,
        mirrors: &mut Mirrors,
    ) -> Attempted {
        let worker = &self.client.worker;
        let now = Instant::now();
        let try_deadline = self.forward.timeouts.backend_request.map(|limit| now + limit);
        let deadline = match (self.deadline, try_deadline) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        let progress = Progress::default();
        let was_reused = Cell::new(false);
        // Pinned here and lent to the watchdog: a future by value would be copied into it for every request.
        let work = pin!(async {
            let acquire = pin!(worker.upstreams.acquire(self.state, &self.forward.route, self.fresh));
            let acquired = while_there(sink, acquire).await;
            let acquired = acquired.map_err(|gone| Failure::Exchange(ExchangeError::Client(gone)))?;
            let (connection, reused) = acquired.map_err(Failure::Connect)?;
            worker.metrics.upstream_acquired(reused);
            was_reused.set(reused);
            let terms = Terms {
                outbound: &self.forward.outbound,
                edits: &self.forward.edits,
                retry_codes: self.retry_codes,
                progress: &progress,
            };
            match connection {
                Connection::Http1(mut connection) => {
                    let mut replay = body.attempt(None);
                    exchange::over_http1(&mut connection, scratch, terms, &mut replay, mirrors, sink)
                        .await
                        .map(|done| (done, Some(connection)))
                }
                Connection::Http2(handle) => {
                    let mut replay = body.attempt(Some(&progress));
                    // Boxed, as all that most requests do not need: what they carry around stays small.
                    let done = Box::pin(exchange::over_http2(&handle, terms, &mut replay, mirrors, sink)).await;
                    if let Err(
                        ExchangeError::Upstream { error: BodyError::Http2(error), .. }
                        | ExchangeError::Unsent(BodyError::Http2(error)),
                    ) = &done
                        && (error.is_go_away() || error.is_io())
                    {
                        handle.retire();
                    }
                    done.map(|done| (done, None))
                }
            }
            .map_err(Failure::Exchange)
        });
        match watchdog.guard(now, deadline, worker.settings().stall_timeout(), &progress, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failure)) => Err((failure, was_reused.get())),
            Err(expired) => Err((Failure::Expired(expired), was_reused.get())),
        }
    }
}

impl Failure {
    fn is_unsent(&self) -> bool {
        matches!(self, Self::Exchange(ExchangeError::Unsent(_)))
    }

    /// The backend says that it has not looked at the request.
    fn is_unprocessed(&self) -> bool {
        match self {
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Http2(error), answered: false }) => {
                error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
            }
            _ => false,
        }
    }

    /// The code of the backend's own reset.
    fn reset(&self) -> Option<h2::Reason> {
        match self {
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Http2(error), .. })
                if error.is_remote() && error.is_reset() =>
            {
                error.reason()
            }
            _ => None,
        }
    }

    /// The connection ended without a byte of an answer, as one does that the backend closed while it was idle.
    fn is_silent_close(&self) -> bool {
        match self {
            Self::Exchange(ExchangeError::Upstream { error, answered: false }) => match error {
                BodyError::Truncated | BodyError::Io(_) => true,
                BodyError::Http2(error) => error.is_go_away() || error.is_io(),
                BodyError::Wire(_) => false,
            },
            _ => false,
        }
    }

    /// For the access log; a client is never told.
    fn detail(&self) -> String {
        match self {
            Self::Connect(error) => error.to_string(),
            Self::Exchange(ExchangeError::Client(error)) => format!("client: {error}"),
            Self::Exchange(ExchangeError::Upstream { error, .. } | ExchangeError::Unsent(error)) => {
                format!("backend: {error}")
            }
            Self::Exchange(ExchangeError::RetryStatus(status)) => {
                format!("backend answered {status} each time")
            }
            Self::Expired(Expired::Deadline) => "time limit of the route".to_owned(),
            Self::Expired(Expired::Stalled) => "no byte moved within the stall limit".to_owned(),
            Self::Body => "client: no byte of the body within the stall limit".to_owned(),
        }
    }

    fn code(&self, deadline: Option<Instant>) -> ErrorCode {
        match self {
            Self::Connect(error) if error.timed_out => ErrorCode::UpstreamConnectTimeout,
            Self::Connect(error) if error.stage == ConnectStage::Tls => ErrorCode::UpstreamTls,
            Self::Connect(_) | Self::Exchange(ExchangeError::Unsent(_)) => ErrorCode::UpstreamConnect,
            Self::Exchange(ExchangeError::Client(BodyError::Wire(_))) => ErrorCode::BadRequest,
            Self::Exchange(ExchangeError::Client(_)) => ErrorCode::ClientGone,
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Wire(_), .. }) => ErrorCode::UpstreamProtocol,
            Self::Exchange(ExchangeError::Upstream { .. } | ExchangeError::RetryStatus(_)) => ErrorCode::UpstreamReset,
            Self::Expired(Expired::Deadline) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                ErrorCode::RequestTimeout
            }
            Self::Expired(_) => ErrorCode::UpstreamTimeout,
            Self::Body => ErrorCode::RequestBodyTimeout,
        }
    }
}

/// A request body that may be needed again.
struct Replay<'s, Source> {
    /// What was read so far, to be sent in each try.
    kept: SmallVec<[Bytes; 1]>,
    kept_bytes: usize,
    kept_trailers: Option<HeaderMap>,
    /// Where the rest comes from, where there is one.
    rest: Option<&'s mut Source>,
    /// Something was given out that is not kept.
    lost: bool,
    /// Somebody waits for the client to send more of it.
    waiting: bool,
    /// Octets that the last try was given.
    sent: u64,
}

impl<'s, Source: BodySource> Replay<'s, Source> {
    fn streaming(source: &'s mut Source) -> Self {
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
    async fn collect(source: &'s mut Source, watchdog: &mut Watchdog, limit: Duration) -> Result<Self, Failure> {
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
    fn can_replay(&self) -> bool {
        !self.lost
    }

    /// `record`: keep what is sent while it is little and no answer has begun. HTTP/2 costs that no copy, and tells which
    /// requests a backend never looked at.
    fn attempt<'r>(&'r mut self, record: Option<&'r Progress>) -> ReplayAttempt<'r, 's, Source> {
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
struct ReplayAttempt<'r, 's, Source> {
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
