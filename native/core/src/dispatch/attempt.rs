//! One try: get a connection, send the request, pass the answer on.

use super::exchange::{ExchangeError, Exchanged, Switched, Terms};
use super::failure::Failure;
use super::first_byte::{Silent, until_answered};
use super::mirror::Mirrors;
use super::replay::Replay;
use super::{Forward, exchange};
use crate::io::watchdog::{Expired, Progress, Stalls, Watchdog};
use crate::message::body::{BodyError, BodySource, unless_gone};
use crate::message::client::Client;
use crate::message::reply::ReplySink;
use crate::message::session::SessionField;
use crate::settings::Settings;
use crate::upstream::{Connection, EndpointState};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// One try at one endpoint.
pub(super) struct Attempt<'x, 'g> {
    pub(super) client: &'x Client,
    pub(super) forward: &'x Forward<'g>,
    pub(super) state: &'x Rc<EndpointState>,
    pub(super) fresh: bool,
    pub(super) retry_codes: &'x [u16],
    pub(super) retry_until: Option<Instant>,
    /// What the client is told of its session with the endpoint.
    pub(super) session: Option<&'x SessionField>,
    pub(super) deadline: Option<Instant>,
    pub(super) begun: Instant,
    pub(super) progress: &'x Progress,
}

/// What the backend said and its connection, of HTTP/2 only where it is a tunnel; else why not, and whether the connection was a pooled one: `None`
/// where there was none.
pub(super) type Attempted = Result<(Exchanged, Option<Switched>), (Failure, Option<bool>)>;

impl Attempt<'_, '_> {
    pub(super) async fn run<Source: BodySource, Sink: ReplySink>(
        &self,
        watchdog: &mut Watchdog,
        scratch: &mut Vec<u8>,
        body: &mut Replay<'_, Source>,
        sink: &mut Sink,
        mirrors: &mut Mirrors<'_>,
    ) -> Attempted {
        let worker = &self.client.worker;
        let try_deadline = self.forward.timeouts.backend_request.map(|limit| self.begun + limit);
        let deadline = match (self.deadline, try_deadline) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        let progress = self.progress;
        let was_reused = Cell::new(None);
        // Pinned here and lent to the watchdog: a future by value would be copied into it for every request.
        let work = pin!(async {
            let (upstreams, route) = (&worker.upstreams, &self.forward.route);
            let pooled = if self.fresh { None } else { upstreams.pooled(self.state, route, self.begun.into_std()) };
            let reused = pooled.is_some();
            let connection = if let Some(connection) = pooled {
                connection
            } else {
                // Boxed, as all that most requests do not need: what they carry around stays small.
                let connect = Box::pin(upstreams.connect(self.state, route, self.fresh));
                let connected = unless_gone(connect, |context| body.poll_client_gone(sink, context)).await;
                let connected = connected.map_err(|gone| Failure::Exchange(ExchangeError::Client(gone)))?;
                connected.map_err(Failure::Connect)?
            };
            worker.metrics.upstream_acquired(reused);
            was_reused.set(Some(reused));
            let terms = Terms {
                outbound: &self.forward.outbound,
                edits: &self.forward.edits,
                session: self.session,
                retry_codes: self.retry_codes,
                retry_until: self.retry_until,
                progress,
                max_head_bytes: worker.settings().max_response_head_bytes,
                max_head_fields: worker.settings().max_response_head_fields,
            };
            mirrors.begin_try();
            match connection {
                Connection::Http1(mut connection) => {
                    // A copy, so only where the rule may ask for it.
                    let mut replay = body.attempt(self.forward.retries());
                    // Pinned for the same reason.
                    let done =
                        pin!(exchange::over_http1(&mut connection, scratch, terms, &mut replay, mirrors, sink)).await;
                    done.map(|done| (done, Some(Switched::Http1(connection))))
                }
                Connection::Http2(handle) => {
                    if self.forward.outbound.upgrade {
                        worker.upstreams.settle(&handle).await.map_err(Failure::Connect)?;
                    }
                    // HTTP/2 costs no copy, and tells which requests a backend never looked at.
                    let mut replay = body.attempt(true);
                    // Boxed, for what is smaller over HTTP/1.1.
                    let done = Box::pin(exchange::over_http2(&handle, terms, &mut replay, mirrors, sink)).await;
                    if let Err(
                        ExchangeError::Upstream { error: BodyError::Http2(error), .. }
                        | ExchangeError::Unsent(BodyError::Http2(error)),
                    ) = &done
                        && (error.is_go_away() || error.is_io())
                    {
                        handle.retire();
                    }
                    done.map(|(done, tunnel)| (done, tunnel.map(Switched::Http2)))
                }
            }
            .map_err(Failure::Exchange)
        });
        let stalls = stalls(worker.settings(), self.forward.body_timeout, self.forward.stall);
        let ended = match self.forward.first_byte {
            None => watchdog.guard(self.begun, deadline, stalls, progress, work).await,
            Some(limit) => {
                let work = Box::pin(until_answered(self.begun + limit, progress, work));
                let ended = watchdog.guard(self.begun, deadline, stalls, progress, work).await;
                ended.and_then(|ended| ended.map_err(|Silent| Expired::Deadline))
            }
        };
        match ended {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failure)) => Err((failure, was_reused.get())),
            Err(expired) => Err((Failure::Expired(expired), was_reused.get())),
        }
    }
}

/// The limits of silence: of a client's body and of a backend, as policies have them.
fn stalls(settings: &Settings, body: Option<Duration>, backend: Option<Duration>) -> Stalls {
    let longest = settings.request_body_timeout();
    Stalls {
        request_body: body.map_or(longest, |body| body.min(longest)),
        response: settings.response_read_timeout(),
        backend: backend.unwrap_or_else(|| settings.stall_timeout()),
    }
}

#[cfg(test)]
mod tests;
