//! How an attempt ended, as far as its endpoint is concerned.

use super::connect_error::{ConnectError, ConnectStage};
use super::health::ejectable;
use super::{EndpointState, Upstreams};
use route::table::Endpoint;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Whoever waits for a connection no longer than this has learnt nothing of the endpoint; whoever has waited longer has
/// seen it fail. Clients and routes of little patience would never learn of an endpoint that does not answer at all.
const SLOW_CONNECT: Duration = Duration::from_secs(1);

/// How an attempt ended. Each ends in one of them, told by [`Upstreams::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was no connection; it came so far. Nothing was sent.
    NotConnected(ConnectStage),
    /// Whoever wanted the connection left, or was out of time, before there was one.
    NotAwaited,
    /// No connection, or none of use, and that was no fault of the endpoint's: it does not speak what was asked for, or we
    /// have no socket.
    Blameless,
    /// A new connection took no request.
    Unsent,
    /// A connection that was kept had been closed meanwhile.
    Stale,
    /// A whole response.
    Answered(u16),
    /// The connection carries something else than requests from here on: another protocol, or a flow.
    Opened,
    /// The end came before a byte of a response.
    Reset,
    /// A response that broke off, or was none.
    Broken,
    /// A time limit was passed after the request had been sent.
    Expired,
    /// The client left, or broke its own request.
    ClientLeft,
}

impl Outcome {
    /// Of an attempt to connect that failed.
    pub fn of(error: &ConnectError) -> Self {
        if error.is_blameless() { Self::Blameless } else { Self::NotConnected(error.stage) }
    }
}

impl Upstreams {
    /// An attempt that `begun` then has ended: the one call that all that follows from it is made of. `among`: the backend's
    /// endpoints, a part of which may be ejected.
    ///
    /// A connection that was made has told so itself already: what it carries may go on for days.
    pub fn report(&self, among: &[Arc<Endpoint>], state: &EndpointState, outcome: Outcome, begun: Instant) {
        match outcome {
            Outcome::Answered(_) | Outcome::Opened => state.health.succeeded(),
            Outcome::NotConnected(_) => self.not_connected(among, state),
            Outcome::NotAwaited if begun.elapsed() >= SLOW_CONNECT => self.not_connected(among, state),
            Outcome::Unsent => self.metrics.upstream_connect_failed(),
            Outcome::NotAwaited
            | Outcome::Blameless
            | Outcome::Stale
            | Outcome::Reset
            | Outcome::Broken
            | Outcome::Expired
            | Outcome::ClientLeft => {}
        }
    }

    fn not_connected(&self, among: &[Arc<Endpoint>], state: &EndpointState) {
        self.metrics.upstream_connect_failed();
        let may_eject = || {
            let others = among.iter().map(|endpoint| self.state(endpoint));
            others.filter(|other| other.health.is_ejected() && !std::ptr::eq(&raw const **other, state)).count()
                < ejectable(among.len())
        };
        if state.health.failed(may_eject) {
            self.metrics.upstream_ejected();
        }
    }
}
