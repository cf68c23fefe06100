//! One try: get a connection, send the request, pass the answer on; and why that failed, and what the failure allows.

use super::exchange::{ExchangeError, Exchanged, Terms};
use super::mirror::Mirrors;
use super::replay::Replay;
use super::{Forward, exchange};
use crate::error::ErrorCode;
use crate::io::watchdog::{Expired, Progress, Side, Stalls, Watchdog};
use crate::message::body::{BodyError, BodySource, unless_gone};
use crate::message::client::Client;
use crate::message::reply::ReplySink;
use crate::settings::Settings;
use crate::upstream::{ConnectError, ConnectStage, Connection, EndpointState, Http1Connection};
use codec::WireError;
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use tokio::time::Instant;

/// One try at one endpoint.
pub(super) struct Attempt<'x, 'g> {
    pub(super) client: &'x Client,
    pub(super) forward: &'x Forward<'g>,
    pub(super) state: &'x Rc<EndpointState>,
    pub(super) fresh: bool,
    pub(super) retry_codes: &'x [u16],
    pub(super) deadline: Option<Instant>,
    pub(super) progress: &'x Progress,
}

/// What the backend said and, of HTTP/1.1, its connection; else why not, and whether the connection was a pooled one.
pub(super) type Attempted = Result<(Exchanged, Option<Box<Http1Connection>>), (Failure, bool)>;

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
        let now = Instant::now();
        let try_deadline = self.forward.timeouts.backend_request.map(|limit| now + limit);
        let deadline = match (self.deadline, try_deadline) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        let progress = self.progress;
        let was_reused = Cell::new(false);
        // Pinned here and lent to the watchdog: a future by value would be copied into it for every request.
        let work = pin!(async {
            let acquire = pin!(worker.upstreams.acquire(self.state, &self.forward.route, self.fresh));
            let acquired = unless_gone(acquire, |context| body.poll_client_gone(sink, context)).await;
            let acquired = acquired.map_err(|gone| Failure::Exchange(ExchangeError::Client(gone)))?;
            let (connection, reused) = acquired.map_err(Failure::Connect)?;
            worker.metrics.upstream_acquired(reused);
            was_reused.set(reused);
            let terms = Terms {
                outbound: &self.forward.outbound,
                edits: &self.forward.edits,
                retry_codes: self.retry_codes,
                progress,
                max_head_bytes: worker.settings().max_response_head_bytes,
            };
            mirrors.begin_try();
            match connection {
                Connection::Http1(mut connection) => {
                    // A copy, so only where the rule may ask for it.
                    let mut replay = body.attempt(self.forward.retries());
                    exchange::over_http1(&mut connection, scratch, terms, &mut replay, mirrors, sink)
                        .await
                        .map(|done| (done, Some(connection)))
                }
                Connection::Http2(handle) => {
                    // HTTP/2 costs no copy, and tells which requests a backend never looked at.
                    let mut replay = body.attempt(true);
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
        match watchdog.guard(now, deadline, stalls(worker.settings()), progress, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(failure)) => Err((failure, was_reused.get())),
            Err(expired) => Err((Failure::Expired(expired), was_reused.get())),
        }
    }
}

fn stalls(settings: &Settings) -> Stalls {
    Stalls {
        request_body: settings.request_body_timeout(),
        response: settings.response_read_timeout(),
        backend: settings.stall_timeout(),
    }
}

/// Why a try failed, and what that allows.
pub(super) enum Failure {
    Connect(ConnectError),
    Exchange(ExchangeError),
    Expired(Expired),
}

impl Failure {
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::Exchange(ExchangeError::Unsent(_)))
    }

    /// The backend says that it has not looked at the request.
    pub(super) fn is_unprocessed(&self) -> bool {
        match self {
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Http2(error), answered: false }) => {
                error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
            }
            _ => false,
        }
    }

    /// The code of the backend's own reset.
    pub(super) fn reset(&self) -> Option<h2::Reason> {
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
    pub(super) fn is_silent_close(&self) -> bool {
        match self {
            Self::Exchange(ExchangeError::Upstream { error, answered: false }) => match error {
                BodyError::Truncated | BodyError::Io(_) => true,
                BodyError::Http2(error) => error.is_go_away() || error.is_io(),
                BodyError::Wire(_) | BodyError::TooLarge => false,
            },
            _ => false,
        }
    }

    /// For the access log; a client is never told.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Connect(error) => error.to_string(),
            Self::Exchange(ExchangeError::Client(error)) => format!("client: {error}"),
            Self::Exchange(ExchangeError::Upstream { error, .. } | ExchangeError::Unsent(error)) => {
                format!("backend: {error}")
            }
            Self::Exchange(ExchangeError::RetryStatus(status)) => {
                format!("backend answered {status} each time")
            }
            Self::Exchange(ExchangeError::NotSwitched(Some(status))) => {
                format!("backend answered {status} instead of switching protocols")
            }
            Self::Exchange(ExchangeError::NotSwitched(None)) => {
                "backend speaks HTTP/2 only, and that cannot switch protocols".to_owned()
            }
            Self::Expired(Expired::Deadline) => "time limit of the route".to_owned(),
            Self::Expired(Expired::Stalled(Side::RequestBody)) => {
                "client: no byte of the body within request_body_timeout_ms".to_owned()
            }
            Self::Expired(Expired::Stalled(Side::Response)) => {
                "client: no byte of the response was taken within response_read_timeout_ms".to_owned()
            }
            Self::Expired(Expired::Stalled(Side::Backend)) => "no byte moved within stall_timeout_ms".to_owned(),
        }
    }

    pub(super) fn code(&self, deadline: Option<Instant>) -> ErrorCode {
        match self {
            Self::Connect(error) if error.timed_out => ErrorCode::UpstreamConnectTimeout,
            Self::Connect(error) if error.no_http1 => ErrorCode::UpstreamNoUpgrade,
            Self::Connect(error) if error.stage == ConnectStage::Tls => ErrorCode::UpstreamTls,
            Self::Exchange(ExchangeError::NotSwitched(_)) => ErrorCode::UpstreamNoUpgrade,
            Self::Connect(_) | Self::Exchange(ExchangeError::Unsent(_)) => ErrorCode::UpstreamConnect,
            Self::Exchange(ExchangeError::Client(BodyError::Wire(_))) => ErrorCode::BadRequest,
            Self::Exchange(ExchangeError::Client(BodyError::TooLarge)) => ErrorCode::BodyTooLarge,
            Self::Exchange(ExchangeError::Client(_)) => ErrorCode::ClientGone,
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Wire(WireError::HeadTooLarge), .. }) => {
                ErrorCode::UpstreamHeadTooLarge
            }
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Wire(_), .. }) => ErrorCode::UpstreamProtocol,
            Self::Exchange(ExchangeError::Upstream { .. } | ExchangeError::RetryStatus(_)) => ErrorCode::UpstreamReset,
            Self::Expired(Expired::Deadline) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                ErrorCode::RequestTimeout
            }
            Self::Expired(Expired::Stalled(Side::RequestBody)) => ErrorCode::RequestBodyTimeout,
            Self::Expired(Expired::Stalled(Side::Response)) => ErrorCode::ResponseNotRead,
            Self::Expired(_) => ErrorCode::UpstreamTimeout,
        }
    }
}
