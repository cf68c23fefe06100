//! Connections to backends, as one worker has them.
//!
//! Load figures, failures and pools are kept per *endpoint*, shared by every route and rule that uses it, and live as
//! long as somebody uses the endpoint: a new configuration does not empty the pools. What it no longer has is closed by
//! the next sweep, once idle; requests never look. Nothing here is shared between workers, so nothing here locks.

mod among;
mod answer_time;
mod balance;
mod budget;
mod check;
mod checked;
mod checked_figures;
mod connect;
mod connect_error;
mod external;
mod health;
mod http2;
mod load;
mod outcome;
mod own;
mod pool;
mod proxy_header;
mod reach;
mod stream;
pub mod tls;

pub use among::Among;
pub use budget::Budget;
pub use check::Check;
pub use checked::Checked;
pub use checked_figures::render_checked;
pub use connect_error::{ConnectError, ConnectStage};
pub use external::{Externals, Hosts, refusal};
pub use http2::{ActiveStream, Http2Handle, Uploads};
pub use load::{Load, Loads, Slot};
pub use outcome::Outcome;
pub use own::OwnSockets;
pub use pool::{Active, EndpointState, Http1Connection};
pub use reach::{Route, RoutePolicy, TlsTarget, tells_ends};
pub use stream::UpstreamStream;

use crate::by_uid::ByUid;
use crate::io::KeepAlive;
use crate::io::liveness::Pings;
use crate::observe::metrics::WorkerMetrics;
use crate::settings::Settings;
use ahash::AHashSet;
use route::ir::Transport;
use route::table::{Backends, Endpoint, Table};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connection to use for one exchange.
#[derive(Debug)]
pub enum Connection {
    Http1(Box<Http1Connection>),
    Http2(Http2Handle),
}

/// Endpoints that one worker remembers. Sweeps keep those of the table: more come only where endpoints change by the
/// hundred thousand within a second.
const MAX_ENDPOINTS: usize = 1 << 20;

/// Every endpoint that this worker has talked to lately.
#[derive(Debug)]
pub struct Upstreams {
    endpoints: ByUid<Rc<EndpointState>>,
    configured: RefCell<Configured>,
    limits: Limits,
    metrics: Arc<WorkerMetrics>,
    own: Arc<OwnSockets>,
    /// Where the next tie-break starts; also the source of the two random choices.
    turn: Cell<u32>,
    /// Endpoints that are ejected, as of the last sweep and with those ejected since.
    ejected: Cell<usize>,
}

/// The endpoints that the last sweep found in the table.
#[derive(Debug, Default)]
struct Configured {
    /// Kept to see whether there are others now.
    backends: Backends,
    uids: AHashSet<u64>,
}

/// Servers of gRPC end a connection that is asked more often than each five minutes while they have nothing to say.
const BETWEEN_PINGS: Duration = Duration::from_secs(310);

/// The settings that concern upstream connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connect_timeout: Duration,
    pub idle_timeout: Duration,
    pub idle_per_endpoint: usize,
    /// The head of a response, in bytes.
    pub head_bytes: usize,
    pub(crate) alive: KeepAlive,
    /// Of HTTP/2.
    pub(crate) pings: Option<Pings>,
}

impl Limits {
    fn new(settings: &Settings) -> Self {
        Self {
            connect_timeout: settings.upstream_connect_timeout(),
            idle_timeout: settings.upstream_idle_timeout(),
            idle_per_endpoint: settings.upstream_idle_per_endpoint,
            head_bytes: settings.max_response_head_bytes,
            alive: KeepAlive::new(settings.stall_timeout()),
            pings: settings.http2_ping_after().map(|silence| Pings { silence, between: BETWEEN_PINGS }),
        }
    }
}

impl Upstreams {
    pub fn new(settings: &Settings, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            endpoints: ByUid::new(MAX_ENDPOINTS),
            configured: RefCell::default(),
            limits: Limits::new(settings),
            metrics,
            own: Arc::default(),
            turn: Cell::new(0),
            ejected: Cell::new(0),
        }
    }

    /// No connection is made to these.
    #[must_use]
    pub fn avoiding(self, own: Arc<OwnSockets>) -> Self {
        Self { own, ..self }
    }

    /// What is sent there comes back to this gateway.
    pub fn is_own(&self, transport: Transport, address: SocketAddr) -> bool {
        self.own.has(transport, address)
    }

    /// What this worker knows of an endpoint.
    pub fn state(&self, endpoint: &Endpoint) -> Rc<EndpointState> {
        let new = || Rc::new(EndpointState::new(endpoint.address, self.metrics.endpoint(endpoint)));
        self.endpoints.with(endpoint.uid, new, Rc::clone)
    }

    /// A pooled connection for one exchange, one that is young enough `now`.
    pub fn pooled(&self, state: &EndpointState, route: &Route, now: Instant) -> Option<Connection> {
        if let Some(handle) = state.http2_handle(route) {
            return Some(Connection::Http2(handle));
        }
        if route.http2 {
            return None;
        }
        state.take_idle(route, now, route.limits(self.limits).idle_timeout).map(Connection::Http1)
    }

    /// A new connection for one exchange, or one of HTTP/2 that another request is about to have; `fresh`: none that was
    /// there before. What comes of it is told by [`Self::report`].
    ///
    /// # Errors
    /// [`ConnectError`]: nothing was sent, so another endpoint may be tried for any request.
    pub async fn connect(
        &self,
        state: &Rc<EndpointState>,
        route: &Route,
        fresh: bool,
    ) -> Result<Connection, ConnectError> {
        if self.is_own(Transport::Tcp, state.address) {
            return Err(ConnectError::of_loop());
        }
        let limits = route.limits(self.limits);
        let connected = if route.http2 {
            connect::connect_shared(state, route, limits, fresh, &self.metrics).await
        } else {
            connect::connect(state, route, limits, &self.metrics).await
        };
        if connected.is_ok() {
            state.is_there();
        }
        connected
    }

    /// Wait until it is known what a backend takes over HTTP/2.
    ///
    /// # Errors
    /// [`ConnectError`]: it does not say so in time; nothing was sent.
    pub async fn settle(&self, handle: &Http2Handle) -> Result<(), ConnectError> {
        let limit = self.limits.connect_timeout;
        let settled = tokio::time::timeout(limit, handle.settle()).await;
        settled.map_err(|_| ConnectError::late(ConnectStage::Http2, limit))
    }

    /// A new byte stream to an endpoint, for a flow that is not HTTP, and its place where connections are limited. What came of
    /// it is told by [`Self::report`].
    ///
    /// # Errors
    /// [`ConnectError`]: nothing was sent, so another endpoint may be tried.
    pub async fn open(
        &self,
        state: &EndpointState,
        route: &Route,
    ) -> Result<(UpstreamStream, Option<Slot>), ConnectError> {
        if self.is_own(Transport::Tcp, state.address) {
            return Err(ConnectError::of_loop());
        }
        let policy = route.policy.as_deref();
        let opened = connect::open(state, route.tls.as_ref(), policy, route.limits(self.limits), &self.metrics).await;
        if opened.is_ok() {
            state.is_there();
        }
        opened
    }

    /// How long a connection is waited for.
    pub fn patience(&self, route: &Route) -> Duration {
        route.limits(self.limits).connect_timeout
    }

    /// Keep a connection whose last exchange is complete `now`.
    pub fn release(&self, state: &EndpointState, connection: Box<Http1Connection>, now: Instant) {
        state.put_idle(connection, now, self.limits.idle_per_endpoint);
    }

    /// Close what was idle too long, or leads to an endpoint that is not in `table`, and forget endpoints that nobody
    /// uses. Called about once a second.
    pub fn sweep(&self, now: Instant, table: &Table) {
        let mut configured = self.configured.borrow_mut();
        if !Arc::ptr_eq(&configured.backends, table.backend_slots()) {
            *configured = Configured::of(table);
        }
        let mut ejected = 0;
        self.endpoints.retain(|uid, state| {
            // A uid that has left the table never comes back, so requests under way are the last to use it.
            let is_configured = configured.uids.contains(&uid);
            state.close_idle(
                now,
                |route| {
                    if is_configured { route.limits(self.limits).idle_timeout } else { Duration::ZERO }
                },
            );
            ejected += usize::from(is_configured && state.health.is_ejected());
            Rc::strong_count(state) > 1 || (is_configured && !state.is_unused(now))
        });
        self.ejected.set(ejected);
        self.metrics.set_ejected_upstream(ejected);
    }

    /// Connections that wait for use.
    pub fn idle_connections(&self) -> usize {
        self.endpoints.sum(|state| state.idle_count())
    }
}

impl Configured {
    fn of(table: &Table) -> Self {
        let backends = Arc::clone(table.backend_slots());
        let endpoints = table.backends().flat_map(|backend| backend.ready.iter().chain(&backend.draining));
        let uids = endpoints.map(|endpoint| endpoint.uid).collect();
        Self { backends, uids }
    }
}

#[cfg(test)]
mod tests;
