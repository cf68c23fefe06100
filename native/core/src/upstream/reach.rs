//! How one attempt reaches its backend.

use super::Limits;
use super::load::Load;
use super::proxy_header::ProxyHeader;
use crate::io::KeepAlive;
use route::ir::{BackendPolicy, Keepalive, ProxyProtocol};
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
        Self::beginning(backend, |version| {
            let (from, to) = client();
            ProxyHeader::new(version, from, to)
        })
    }

    /// Of connections on which the gateway asks something for itself; else as [`Self::of`].
    pub fn of_ourselves(backend: &Backend) -> Option<Rc<Self>> {
        Self::beginning(backend, ProxyHeader::of_nobody)
    }

    fn beginning(backend: &Backend, header: impl FnOnce(ProxyProtocol) -> ProxyHeader) -> Option<Rc<Self>> {
        let policy = backend.policy.as_deref()?;
        let limit = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        let made = Self {
            connect_timeout: limit(policy.timeouts.connect_ms),
            idle_timeout: limit(policy.timeouts.idle_ms),
            proxy: policy.proxy_protocol.map(header),
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

#[cfg(test)]
mod tests {
    use super::{Route, RoutePolicy, TlsTarget, tells_ends};
    use crate::settings::Settings;
    use crate::tls::provider;
    use crate::upstream::{Limits, Load};
    use crate::worker::{Generation, Worker};
    use route::table::Backend;
    use rustls::{ClientConfig, RootCertStore};
    use serde_json::{Value, json};
    use std::net::SocketAddr;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::Instant;

    const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)), 9);

    /// A worker with one backend, whose policy says this; `None`: it has none.
    fn worker(says: Option<Value>) -> Rc<Worker> {
        let worker = Worker::alone(Generation::default()).unwrap();
        let mut upsert = json!({"backends": [{"id": "b"}]});
        if let Some(mut policy) = says {
            (policy["type"], policy["id"]) = (json!("backend_policy"), json!("p"));
            (upsert["policies"], upsert["backends"][0]["policies"]) = (json!([policy]), json!(["p"]));
        }
        worker.apply(&upsert).unwrap();
        worker
    }

    fn backend(worker: &Worker) -> Arc<Backend> {
        Arc::clone(worker.generation().table.backends().next().unwrap())
    }

    fn route(says: Option<Value>, peer: SocketAddr) -> Route {
        let backend = backend(&worker(says));
        Route { policy: RoutePolicy::of(&backend, || (peer, PEER)), ..Route::default() }
    }

    fn tls(name: &'static str) -> TlsTarget {
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        TlsTarget { config: Arc::new(config), name: name.try_into().unwrap() }
    }

    /// Most policies say nothing of connections; who the client is is asked only where a backend is told.
    #[test]
    fn policies_that_say_something_of_connections() {
        for (says, is_some) in [
            (None, false),
            (Some(json!({})), false),
            (Some(json!({"timeouts": {"first_byte_ms": 5}, "limits": {"requests": 5}, "slow_start_ms": 5})), false),
            (Some(json!({"timeouts": {"connect_ms": 5}})), true),
            (Some(json!({"timeouts": {"idle_ms": 5}})), true),
            (Some(json!({"limits": {"connections": 5}})), true),
            (Some(json!({"keepalive": {"idle_seconds": 1, "interval_seconds": 1, "probes": 1}})), true),
            (Some(json!({"max_requests": 5})), true),
        ] {
            let backend = backend(&worker(says.clone()));
            let policy = RoutePolicy::of(&backend, || panic!("nobody is told who the client is"));
            assert_eq!(policy.is_some(), is_some, "{says:?}");
        }
    }

    #[test]
    fn who_is_told_of_clients() {
        for (says, tells) in [(None, false), (Some(json!({})), false), (Some(json!({"proxy_protocol": "v2"})), true)] {
            let worker = worker(says.clone());
            assert_eq!(tells_ends(&worker.generation().table), tells);
            assert_eq!(route(says, PEER).policy.is_some(), tells);
        }
    }

    /// What a policy says goes in place of the settings, and nothing else does.
    #[test]
    fn limits_of_a_backend() {
        let limits = Limits::new(&Settings::default());
        let both = |limits: Limits| (limits.connect_timeout, limits.idle_timeout);
        let milliseconds = Duration::from_millis;
        for (says, expected) in [
            (None, both(limits)),
            (Some(json!({"timeouts": {"connect_ms": 7}})), (milliseconds(7), limits.idle_timeout)),
            (Some(json!({"timeouts": {"idle_ms": 8}})), (limits.connect_timeout, milliseconds(8))),
        ] {
            let adjusted = route(says, PEER).limits(limits);
            assert_eq!(both(adjusted), expected);
            assert_eq!(adjusted.head_bytes, limits.head_bytes);
        }
        let most = |says| route(says, PEER).max_requests().map(u32::from);
        assert_eq!((most(None), most(Some(json!({"max_requests": 3})))), (None, Some(3)));
    }

    /// A connection of one client, of one protocol, with one identity is none for another; how long it may be idle says
    /// nothing of that.
    #[test]
    fn connections_that_are_interchangeable() {
        let told = |peer: [u8; 4], version: &str| route(Some(json!({"proxy_protocol": version})), (peer, 9).into());
        let (one, plain) = (tls("a.test"), Route::default());
        let with = |tls: &TlsTarget| Route { tls: Some(tls.clone()), ..Route::default() };
        let named = TlsTarget { name: "b.test".try_into().unwrap(), ..one.clone() };
        for (first, second, same) in [
            (plain.clone(), route(Some(json!({"timeouts": {"idle_ms": 8}})), PEER), true),
            (plain.clone(), Route { http2: true, ..Route::default() }, false),
            (plain.clone(), with(&one), false),
            (with(&one), with(&one), true),
            (with(&one), with(&named), false),
            // Another configuration trusts others, or shows another certificate.
            (with(&one), with(&tls("a.test")), false),
            (plain, told([192, 0, 2, 1], "v2"), false),
            (told([192, 0, 2, 1], "v2"), told([192, 0, 2, 1], "v2"), true),
            (told([192, 0, 2, 1], "v2"), told([192, 0, 2, 2], "v2"), false),
            (told([192, 0, 2, 1], "v2"), told([192, 0, 2, 1], "v1"), false),
        ] {
            assert_eq!((first.same_as(&second), second.same_as(&first)), (same, same), "{first:?} {second:?}");
        }
    }

    #[tokio::test]
    async fn a_backend_is_crowded_while_it_has_all_its_connections() {
        let worker = worker(Some(json!({"limits": {"connections": 1}})));
        let backend = backend(&worker);
        let route = Route { policy: RoutePolicy::of(&backend, || (PEER, PEER)), ..Route::default() };
        assert!(!route.is_crowded() && !Route::default().is_crowded());
        let place = Load::of(&backend).unwrap().connection(Instant::now(), &worker.metrics).await.unwrap();
        assert!(route.is_crowded());
        drop(place);
        assert!(!route.is_crowded());
    }
}
