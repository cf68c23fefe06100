//! A request on its way to its backend: attempts, retries, copies, exchanges, tunnels.

pub mod ask;
mod attempt;
mod exchange;
mod export;
mod failure;
mod fetch_keys;
mod first_byte;
mod mirror;
pub mod outbound;
mod replay;
pub mod retry;
#[cfg(test)]
pub mod scripted;
pub mod tunnel;
pub mod websocket_handshake;

pub use exchange::Switched;
pub use export::{export_telemetry, flush_telemetry};
pub use fetch_keys::fetch_keys;

use crate::message::response_filters::ResponseEdits;
use crate::message::session::Session;
use crate::upstream::{Among, Budget, Load, Route};
use outbound::Outbound;
use route::policy::{BodyLimit, Withheld};
use route::table::{Backend, Retry, Timeouts};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// A request on its way to a backend.
#[derive(Debug)]
pub struct Forward<'g> {
    pub outbound: Outbound,
    pub among: Among<'g>,
    /// Where the rule or the backend keeps sessions.
    pub session: Option<Box<Session<'g>>>,
    /// Where the backend has limits of requests.
    pub load: Option<&'g Load>,
    /// Of retries.
    pub budget: Option<&'g Budget>,
    pub route: Route,
    pub edits: ResponseEdits<'g>,
    pub timeouts: Timeouts,
    /// Until the head of a response, of each try.
    pub first_byte: Option<Duration>,
    /// Without an octet that the backend takes or sends; `None`: as the settings have it.
    pub stall: Option<Duration>,
    pub retry: Option<&'g Retry>,
    /// Since the first try began: no other one begins later.
    pub retry_within: Option<Duration>,
    /// The rule is a `GRPCRoute`'s.
    pub grpc: bool,
    pub mirrors: SmallVec<[CopyTo<'g>; 1]>,
    /// What the body may have while it streams.
    pub body_limit: Option<BodyLimit>,
    /// What no trailer may have.
    pub withheld: Withheld<'g>,
    /// Without an octet of the body that is waited for; `None`: as the settings have it.
    pub body_timeout: Option<Duration>,
}

/// Whom the gateway itself asks, or gives a copy.
#[derive(Debug)]
pub struct MirrorTo<'g> {
    pub backend: &'g Arc<Backend>,
    pub route: Route,
}

/// Where a copy goes, and what it has in place of what its request has.
#[derive(Debug)]
pub struct CopyTo<'g> {
    pub to: MirrorTo<'g>,
    /// Empty: that of the request.
    pub hostname: &'g str,
    pub without_body: bool,
}

impl Forward<'_> {
    /// The rule may want the request sent again, and it may be.
    pub fn retries(&self) -> bool {
        self.outbound.idempotent && self.retry.is_some_and(|retry| retry.attempts > 0)
    }

    /// The head's memory, for the next request.
    pub fn into_buffer(self) -> Vec<u8> {
        self.outbound.head
    }
}
