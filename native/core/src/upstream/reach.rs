//! How one attempt reaches its backend.

use super::Limits;
use super::load::Load;
use super::proxy_header::ProxyHeader;
use crate::io::KeepAlive;
use route::ir::{BackendPolicy, Keepalive};
use route::table::{Backend, Table};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// TLS towards a backend: what to present and whom to trust.
#[derive(Debug, Clone)]
pub struct TlsTarget {
    pub config: Arc<rustls::ClientConfig>,
    pub name: rustls_pki_types::ServerName<'static>,
}

/// How one attempt reaches its backend.
#[derive(Debug, Clone, Default)]
pub struct Route {
    pub tls: Option<TlsTarget>,
    /// HTTP/2 with prior knowledge.
    pub http2: bool,
    /// What the backend's policy says of its connections.
    pub policy: Option<Rc<RoutePolicy>>,
}

/// The connections of a backend that has a policy.
#[derive(Debug, Default)]
pub struct RoutePolicy {
    connect_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// How connections begin: one that tells of a client carries the requests of that client's connection only.
    pub(super) proxy: Option<ProxyHeader>,
    /// Where connections are limited.
    pub(super) load: Option<Arc<Load>>,
    keepalive: Option<Keepalive>,
    /// Requests after which a connection is used no more.
    pub(super) max_requests: Option<NonZeroU32>,
}

/// Some backend of a table is told who connects, and to what.
pub fn tells_ends(table: &Table) -> bool {
    let mut policies = table.backends().filter_map(|backend| backend.policy.as_ref());
    policies.any(|policy| policy.proxy_protocol.is_some())
}

impl RoutePolicy {
    /// `None`: the backend has no policy, or one that says nothing of connections. `client`: address of a client's
    /// connection, and the one that it came to.
    pub fn of(backend: &Backend, client: impl FnOnce() -> (SocketAddr, SocketAddr)) -> Option<Rc<Self>> {
        let policy = backend.policy.as_deref()?;
        let limit = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        let made = Self {
            connect_timeout: limit(policy.timeouts.connect_ms),
            idle_timeout: limit(policy.timeouts.idle_ms),
            proxy: policy.proxy_protocol.map(|version| {
                let (from, to) = client();
                ProxyHeader::new(version, from, to)
            }),
            load: Load::of(backend).filter(|load| load.limits_connections()).and_then(|_| Load::shared(backend)),
            keepalive: policy.keepalive,
            max_requests: NonZeroU32::new(policy.max_requests),
        };
        let says_nothing = made.connect_timeout.is_none()
            && made.idle_timeout.is_none()
            && made.proxy.is_none()
            && made.load.is_none()
            && made.keepalive.is_none()
            && made.max_requests.is_none();
        (!says_nothing).then(|| Rc::new(made))
    }

    /// Of a connection that the gateway makes for itself.
    pub(super) fn of_nobody(policy: &BackendPolicy) -> Self {
        Self { proxy: policy.proxy_protocol.map(ProxyHeader::of_nobody), ..Self::default() }
    }

    fn adjust(&self, limits: Limits) -> Limits {
        Limits {
            connect_timeout: self.connect_timeout.unwrap_or(limits.connect_timeout),
            idle_timeout: self.idle_timeout.unwrap_or(limits.idle_timeout),
            alive: self.keepalive.map_or(limits.alive, KeepAlive::asking),
            ..limits
        }
    }
}

impl Route {
    /// Connections of one endpoint are interchangeable only where this agrees.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(&one.config, &two.config) && one.name == two.name,
            _ => false,
        };
        self.http2 == other.http2 && tls && begins(self.policy.as_deref()) == begins(other.policy.as_deref())
    }

    /// The engine's limits, with what the backend's policy has in their place.
    pub(super) fn limits(&self, limits: Limits) -> Limits {
        self.policy.as_deref().map_or(limits, |policy| policy.adjust(limits))
    }

    /// Requests after which a connection is used no more.
    pub(super) fn max_requests(&self) -> Option<NonZeroU32> {
        self.policy.as_deref().and_then(|policy| policy.max_requests)
    }

    pub(super) fn load(&self) -> Option<&Arc<Load>> {
        self.policy.as_deref().and_then(|policy| policy.load.as_ref())
    }

    /// The backend has as many connections as it may have: none is kept that nobody uses.
    pub(super) fn is_crowded(&self) -> bool {
        self.load().is_some_and(|load| load.is_full())
    }
}

/// What a connection begins with.
fn begins(policy: Option<&RoutePolicy>) -> Option<&ProxyHeader> {
    policy.and_then(|policy| policy.proxy.as_ref())
}
