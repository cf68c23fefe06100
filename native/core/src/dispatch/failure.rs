//! Why a try failed, what that allows, and what it says of the endpoint.

use super::exchange::ExchangeError;
use crate::error::ErrorCode;
use crate::io::watchdog::{Expired, Side};
use crate::message::body::BodyError;
use crate::upstream::{ConnectError, ConnectStage, Outcome};
use codec::WireError;
use tokio::time::Instant;

/// Why a try failed, and what that allows.
pub(super) enum Failure {
    Connect(ConnectError),
    Exchange(ExchangeError),
    Expired(Expired),
}

impl Failure {
    /// What it says of the endpoint. `reused`: the connection was a pooled one; `None`: there was none.
    pub(super) fn outcome(&self, reused: Option<bool>) -> Outcome {
        match self {
            Self::Connect(error) => Outcome::of(error),
            Self::Exchange(ExchangeError::Client(_)) | Self::Expired(_) if reused.is_none() => Outcome::NotAwaited,
            Self::Exchange(ExchangeError::Client(_))
            | Self::Expired(Expired::Stalled(Side::RequestBody | Side::Response)) => Outcome::ClientLeft,
            Self::Expired(_) => Outcome::Expired,
            Self::Exchange(ExchangeError::Unsent(_)) if reused == Some(true) => Outcome::Stale,
            Self::Exchange(ExchangeError::Unsent(_)) => Outcome::Unsent,
            Self::Exchange(ExchangeError::Upstream { .. }) if reused == Some(true) && self.is_silent_close() => {
                Outcome::Stale
            }
            Self::Exchange(ExchangeError::Upstream { answered: false, .. }) => Outcome::Reset,
            Self::Exchange(ExchangeError::Upstream { answered: true, .. }) => Outcome::Broken,
            Self::Exchange(ExchangeError::RetryStatus(status) | ExchangeError::NotSwitched(Some(status))) => {
                Outcome::Answered(*status)
            }
            Self::Exchange(ExchangeError::NotSwitched(None)) => Outcome::Blameless,
        }
    }

    /// Another endpoint of the backend would be no better.
    pub(super) fn is_overload(&self) -> bool {
        matches!(self, Self::Connect(error) if error.overloaded)
    }

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
                "backend speaks HTTP/2 only, and takes no WebSocket over it (RFC 8441)".to_owned()
            }
            Self::Expired(Expired::Deadline) => "time limit of the route, or of the backend's policy".to_owned(),
            Self::Expired(Expired::Stalled(Side::RequestBody)) => {
                "client: no byte of the body within the time limit for bodies".to_owned()
            }
            Self::Expired(Expired::Stalled(Side::Response)) => {
                "client: no byte of the response was taken within response_read_timeout_ms".to_owned()
            }
            Self::Expired(Expired::Stalled(Side::Backend)) => "no byte moved within stall_timeout_ms".to_owned(),
        }
    }

    pub(super) fn code(&self, deadline: Option<Instant>) -> ErrorCode {
        match self {
            Self::Connect(error) if error.loops => ErrorCode::LoopDetected,
            Self::Connect(error) if error.overloaded => ErrorCode::BackendOverloaded,
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
            // It was `h2` that found it wrong, and reset the stream.
            Self::Exchange(ExchangeError::Upstream { error: BodyError::Http2(error), .. })
                if error.is_library() && error.is_reset() =>
            {
                ErrorCode::UpstreamProtocol
            }
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

#[cfg(test)]
mod tests {
    use super::Failure;
    use crate::dispatch::exchange::ExchangeError;
    use crate::error::ErrorCode;
    use crate::io::watchdog::{Expired, Side};
    use crate::message::body::BodyError;
    use crate::upstream::Outcome;
    use codec::WireError;
    use std::io;

    fn upstream(error: BodyError, answered: bool) -> Failure {
        Failure::Exchange(ExchangeError::Upstream { error, answered })
    }

    fn client(error: BodyError) -> Failure {
        Failure::Exchange(ExchangeError::Client(error))
    }

    /// What each says of the endpoint over a new connection and over a pooled one, and what the client is told.
    #[test]
    fn what_a_failure_says() {
        let reset = || BodyError::Io(io::ErrorKind::ConnectionReset.into());
        let malformed = || BodyError::Wire(WireError::Malformed("x"));
        let stalled = |side| Failure::Expired(Expired::Stalled(side));
        let cases = [
            (upstream(reset(), false), Outcome::Reset, Outcome::Stale, ErrorCode::UpstreamReset),
            (upstream(BodyError::Truncated, false), Outcome::Reset, Outcome::Stale, ErrorCode::UpstreamReset),
            (upstream(reset(), true), Outcome::Broken, Outcome::Broken, ErrorCode::UpstreamReset),
            (upstream(malformed(), true), Outcome::Broken, Outcome::Broken, ErrorCode::UpstreamProtocol),
            (
                upstream(BodyError::Wire(WireError::HeadTooLarge), true),
                Outcome::Broken,
                Outcome::Broken,
                ErrorCode::UpstreamHeadTooLarge,
            ),
            (client(BodyError::Truncated), Outcome::ClientLeft, Outcome::ClientLeft, ErrorCode::ClientGone),
            (client(malformed()), Outcome::ClientLeft, Outcome::ClientLeft, ErrorCode::BadRequest),
            (client(BodyError::TooLarge), Outcome::ClientLeft, Outcome::ClientLeft, ErrorCode::BodyTooLarge),
            (
                Failure::Exchange(ExchangeError::Unsent(reset())),
                Outcome::Unsent,
                Outcome::Stale,
                ErrorCode::UpstreamConnect,
            ),
            (
                Failure::Exchange(ExchangeError::RetryStatus(503)),
                Outcome::Answered(503),
                Outcome::Answered(503),
                ErrorCode::UpstreamReset,
            ),
            (
                Failure::Exchange(ExchangeError::NotSwitched(None)),
                Outcome::Blameless,
                Outcome::Blameless,
                ErrorCode::UpstreamNoUpgrade,
            ),
            (stalled(Side::Backend), Outcome::Expired, Outcome::Expired, ErrorCode::UpstreamTimeout),
            (stalled(Side::RequestBody), Outcome::ClientLeft, Outcome::ClientLeft, ErrorCode::RequestBodyTimeout),
            (stalled(Side::Response), Outcome::ClientLeft, Outcome::ClientLeft, ErrorCode::ResponseNotRead),
            (Failure::Expired(Expired::Deadline), Outcome::Expired, Outcome::Expired, ErrorCode::UpstreamTimeout),
        ];
        for (failure, fresh, pooled, code) in cases {
            let detail = failure.detail();
            assert_eq!(failure.outcome(Some(false)), fresh, "{detail}");
            assert_eq!(failure.outcome(Some(true)), pooled, "{detail}");
            assert_eq!(failure.code(None), code, "{detail}");
            assert_eq!(failure.is_unsent(), fresh == Outcome::Unsent, "{detail}");
            assert!(!failure.is_unprocessed() && failure.reset().is_none(), "{detail}");
        }
    }

    /// Who had no connection yet has learnt nothing of the endpoint, whoever left.
    #[test]
    fn without_a_connection() {
        for failure in [client(BodyError::Truncated), Failure::Expired(Expired::Deadline)] {
            assert_eq!(failure.outcome(None), Outcome::NotAwaited);
        }
    }

    /// The route's own limit is told from the limit of a try.
    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_has_passed() {
        let (expired, now) = (Failure::Expired(Expired::Deadline), tokio::time::Instant::now());
        assert_eq!(expired.code(Some(now)), ErrorCode::RequestTimeout);
        assert_eq!(expired.code(Some(now + std::time::Duration::from_secs(1))), ErrorCode::UpstreamTimeout);
    }
}
