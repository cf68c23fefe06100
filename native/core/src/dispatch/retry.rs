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
//!   A POST or PATCH is sent twice only where the backend's policy allows it.

use super::Forward;
use super::attempt::{Attempt, Attempted};
use super::exchange::{ExchangeError, Exchanged, Switched};
use super::failure::Failure;
use super::mirror::Mirrors;
use super::replay::Replay;
use crate::error::ErrorCode;
use crate::io::watchdog::{Expired, Progress, Watchdog};
use crate::message::body::{BodySource, unless_gone};
use crate::message::client::Client;
use crate::message::grpc;
use crate::message::grpc::End;
use crate::message::local_reply::Answer;
use crate::message::record::Entry;
use crate::message::reply::ReplySink;
use crate::observe::metrics::{Labels, Sent};
use crate::telemetry::TryEnded;
use crate::upstream::{Load, Outcome, Slot};
use route::table::Endpoint;
use smallvec::SmallVec;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Endpoints that one request may try to connect to when its rule says nothing of retries.
const CONNECT_TRIES: u32 = 3;

/// A backoff grows by doubling up to this many times its base.
const MAX_BACKOFF_FACTOR: u32 = 16;

/// How it ended, as far as the client's connection is concerned.
#[derive(Debug)]
pub enum Forwarded {
    /// A whole response was given, the backend's or our own.
    Complete,
    /// The response cannot be completed: the client must be able to tell.
    Broken(End),
    /// The connection, or the stream, is the backend's from here on.
    Switched(Switched),
}

/// One request on its way.
pub struct Exchange<'x, 'g> {
    pub client: &'x Client,
    pub forward: &'x Forward<'g>,
    pub scratch: &'x mut Vec<u8>,
    /// When it was ready to go.
    pub begun: Instant,
    /// Octets of its body that are in memory whatever becomes of it.
    pub in_memory: usize,
}

impl Exchange<'_, '_> {
    pub async fn run<Source: BodySource, Sink: ReplySink>(
        mut self,
        watchdog: &mut Watchdog,
        source: &mut Source,
        sink: &mut Sink,
        entry: &mut Entry<'_>,
    ) -> Forwarded {
        let forward = self.forward;
        let limit = self.client.worker.settings().response_read_timeout();
        let _slot = match forward.load {
            None => None,
            Some(load) => match Box::pin(place(load, self.client, forward, source, sink, entry.started())).await {
                Ok(slot) => {
                    self.begun = Instant::now();
                    slot
                }
                Err(code) => {
                    let end = End { code, reset: None };
                    return Box::pin(give_up(forward, end, 0, watchdog, limit, sink, entry)).await;
                }
            },
        };
        if let Some(budget) = forward.budget {
            budget.request(self.begun);
        }
        let mut mirrors = Mirrors::start(self.client, forward);
        let progress = Progress::default();
        if forward.among.wants_times() {
            progress.time();
        }
        if entry.is_grpc() {
            progress.be_quiet();
        }
        let most_kept = self.client.worker.settings().retry_buffer_bytes.max(self.in_memory);
        let mut body = Replay::new(source, &progress, forward.body_limit, &forward.withheld, most_kept);
        let forwarded = self.attempts(watchdog, &mut body, sink, entry, &mut mirrors, &progress).await;
        entry.request_bytes(body.sent);
        forwarded
    }

    async fn attempts<Source: BodySource, Sink: ReplySink>(
        self,
        watchdog: &mut Watchdog,
        body: &mut Replay<'_, Source>,
        sink: &mut Sink,
        entry: &mut Entry<'_>,
        mirrors: &mut Mirrors<'_>,
        progress: &Progress,
    ) -> Forwarded {
        let Self { client, forward, scratch, begun, .. } = self;
        let upstreams = &client.worker.upstreams;
        let deadline = forward.timeouts.request.map(|limit| entry.started() + limit);
        let allowed = forward.retry.map_or(0, |retry| retry.attempts);
        let last_begin = forward.retry_within.map(|limit| begun + limit);
        let mut first = Some(begun);
        let mut retries = 0;
        let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
        let mut fresh = false;
        let end = loop {
            let picked = upstreams.pick(forward.among, &tried).or_else(|| upstreams.pick(forward.among, &[]));
            let Some((endpoint, state)) = picked else {
                break End { code: ErrorCode::NoEndpoint, reset: None };
            };
            let _active = state.begin();
            entry.endpoint(endpoint);
            let more = retries < allowed && forward.outbound.idempotent;
            let retry_codes = forward.retry.filter(|_| more).map_or(&[][..], |retry| &retry.codes);
            let begun = first.take().unwrap_or_else(Instant::now);
            if entry.trace().is_some() {
                begin_span(forward, endpoint, begun, entry);
            }
            let pause = forward
                .retry
                .filter(|it| it.attempts > 0)
                .map(|it| backoff(it.backoff, retries, client.worker.turns.noise()));
            // An answer that is to be retried is thrown away, so a try has to know until when another one may follow it.
            let retry_until = last_begin.map(|last| last.checked_sub(pause.unwrap_or_default()).unwrap_or(begun));
            let told = forward.session.as_ref().and_then(|session| session.tell(endpoint, forward.among.endpoints));
            let session = told.as_ref();
            let attempt = Attempt {
                client,
                forward,
                state: &state,
                fresh,
                retry_codes,
                retry_until,
                session,
                deadline,
                begun,
                progress,
            };
            let attempted = attempt.run(watchdog, scratch, body, sink, mirrors).await;
            let outcome = match &attempted {
                Ok((Exchanged { switched: true, .. }, _)) => Outcome::Opened,
                Ok((done, _)) => Outcome::Answered(done.status),
                Err((failure, reused)) => failure.outcome(*reused),
            };
            let (status, error) = try_ended(&attempted, deadline);
            entry.end_try(|| TryEnded { status, error: error.map(ErrorCode::name) });
            if let Some(answered) = progress.answered_at() {
                state.answered_in(answered.duration_since(begun));
            }
            // Of an answer that was passed on this is the end of the request too: the clock is read once.
            let ended = match &attempted {
                Ok((Exchanged { switched: false, .. }, _)) => entry.end(),
                _ => Instant::now(),
            };
            let labels = Labels::new(entry.method(), status, error, error.is_some() || status >= 400);
            let sent = Sent { labels, exemplar: entry.try_exemplar(ended) };
            upstreams.report_ended(forward.among, &state, outcome, begun, ended, Some(&sent));
            if let (Err((Failure::Connect(error), _)), Outcome::NotConnected(_)) = (&attempted, outcome) {
                client.worker.shared.tell_unreachable(endpoint, error);
            }
            let failure = match attempted {
                Ok((Exchanged { status, switched: true, .. }, Some(connection))) => {
                    entry.answered(status, None, retries);
                    return Forwarded::Switched(connection);
                }
                Ok((done, connection)) => {
                    if let (true, Some(Switched::Http1(connection))) = (done.reusable, connection) {
                        upstreams.release(&state, connection, ended.into_std());
                    }
                    entry.answered(done.status, None, retries);
                    return Forwarded::Complete;
                }
                Err((failure, reused)) => {
                    let unprocessed = failure.is_unsent() || (failure.is_unprocessed() && body.can_replay());
                    let stale = forward.outbound.idempotent && body.can_replay() && failure.is_silent_close();
                    if reused == Some(true) && !fresh && (unprocessed || stale) {
                        // Closed while it was idle: no fault of the endpoint and no try of the rule's.
                        fresh = true;
                        continue;
                    }
                    failure
                }
            };
            let unsent = matches!(failure, Failure::Connect(_)) || failure.is_unsent();
            fresh = false;
            tried.push(endpoint.uid);
            let unprocessed = unsent || (failure.is_unprocessed() && body.can_replay());
            // Asked after the try: it may have given away what the next one would need.
            let more = more && body.can_replay() && !sink.head_sent();
            let again = match &failure {
                _ if failure.is_overload() => false,
                _ if unprocessed => retries < allowed_connects(forward, allowed),
                Failure::Exchange(ExchangeError::RetryStatus(_)) => true,
                Failure::Expired(Expired::Deadline) => {
                    more && deadline.is_none_or(|deadline| Instant::now() < deadline)
                }
                Failure::Exchange(ExchangeError::Upstream { answered: false, .. }) => more,
                _ => false,
            };
            let next = Instant::now() + pause.unwrap_or_default();
            let is_asked = matches!(failure, Failure::Exchange(ExchangeError::RetryStatus(_)));
            if !again || (!is_asked && last_begin.is_some_and(|last| next > last)) {
                entry.detail(|| failure.detail());
                break End { code: failure.code(deadline), reset: failure.reset() };
            }
            if forward.budget.is_some_and(|budget| !budget.take(Instant::now())) {
                entry.detail(|| failure.detail());
                break End { code: ErrorCode::RetryBudget, reset: None };
            }
            if pause.is_some() {
                if deadline.is_some_and(|deadline| next >= deadline) {
                    break End { code: ErrorCode::RequestTimeout, reset: None };
                }
                if unless_gone(tokio::time::sleep_until(next), |context| body.poll_client_gone(sink, context))
                    .await
                    .is_err()
                {
                    break End { code: ErrorCode::ClientGone, reset: None };
                }
            }
            retries += 1;
        };
        let limit = client.worker.settings().response_read_timeout();
        Box::pin(give_up(forward, end, retries, watchdog, limit, sink, entry)).await
    }
}

/// Give a try a span of its own, and have its backend know of it.
#[cold]
#[inline(never)]
fn begin_span(forward: &Forward<'_>, endpoint: &Endpoint, begun: Instant, entry: &mut Entry<'_>) {
    if let (Some(span), Some(place)) =
        (entry.begin_try(endpoint, begun, || forward.outbound.url()), &forward.outbound.span)
    {
        place.now.set(span);
    }
}

/// The status of the answer to a try, 0 where there was none; then why.
fn try_ended(attempted: &Attempted, deadline: Option<Instant>) -> (u16, Option<ErrorCode>) {
    match attempted {
        Ok((done, _)) => (done.status, None),
        Err((Failure::Exchange(ExchangeError::RetryStatus(status) | ExchangeError::NotSwitched(Some(status))), _)) => {
            (*status, None)
        }
        Err((failure, _)) => (0, Some(failure.code(deadline))),
    }
}

/// Answer with an error, where there is still somebody to answer, who takes it within `limit`.
async fn give_up<Sink: ReplySink>(
    forward: &Forward<'_>,
    end: End,
    retries: u32,
    watchdog: &mut Watchdog,
    limit: Duration,
    sink: &mut Sink,
    entry: &mut Entry<'_>,
) -> Forwarded {
    if matches!(end.code, ErrorCode::ClientGone | ErrorCode::ResponseNotRead) || sink.head_sent() {
        entry.failed(end.code, retries);
        return Forwarded::Broken(end);
    }
    if matches!(end.code, ErrorCode::BadRequest | ErrorCode::RequestBodyTimeout | ErrorCode::BodyTooLarge) {
        sink.end_connection();
    }
    let grpc = forward.grpc || grpc::is_grpc_head(&forward.outbound.head);
    let answer = Answer::failure(end, grpc && !forward.outbound.upgrade);
    entry.answer(&answer, retries);
    match answer.give(watchdog, limit, sink, forward.outbound.head_request, &forward.edits).await {
        Ok(()) => Forwarded::Complete,
        Err(end) => Forwarded::Broken(end),
    }
}

/// A place among the requests that the backend may have, waited for as long as for a connection.
///
/// # Errors
/// There is none, or the client went away.
async fn place<Source: BodySource, Sink: ReplySink>(
    load: &Load,
    client: &Client,
    forward: &Forward<'_>,
    source: &mut Source,
    sink: &mut Sink,
    started: Instant,
) -> Result<Option<Slot>, ErrorCode> {
    let patience = Instant::now() + client.worker.upstreams.patience(&forward.route);
    let until = forward.timeouts.request.map_or(patience, |limit| patience.min(started + limit));
    let waited = unless_gone(load.request(until, &client.worker.metrics), |context| match sink.poll_gone(context) {
        Poll::Pending => source.poll_gone(context),
        gone @ Poll::Ready(_) => gone,
    });
    match waited.await {
        Ok(placed) => placed.map_err(|_| ErrorCode::BackendOverloaded),
        Err(_) => Err(ErrorCode::ClientGone),
    }
}

/// Connects beyond the rule's own retries go to other endpoints only, and only as many as there are.
fn allowed_connects(forward: &Forward<'_>, allowed: u32) -> u32 {
    let others = u32::try_from(forward.among.endpoints.len()).unwrap_or(u32::MAX).saturating_sub(1);
    allowed.max(others.min(CONNECT_TRIES - 1))
}

/// Exponential, with up to a quarter of random jitter so that clients do not come back in step.
fn backoff(base: Duration, retries: u32, random: u32) -> Duration {
    let grown = base * (1 << retries.min(16)).min(MAX_BACKOFF_FACTOR);
    grown + grown.mul_f64(f64::from(random) / f64::from(u32::MAX) / 4.0)
}

#[cfg(test)]
mod tests;
