//! Backends and their endpoints, as one generation has them.

use super::Tag;
use crate::ir::{self, BackendProtocol, EndpointState};
use crate::rendezvous::seed_of;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One address that serves a backend.
#[derive(Debug)]
pub struct Endpoint {
    pub id: String,
    pub address: SocketAddr,
    /// Unique in this process and stable while id, address and port stay: what pools and load figures are kept under.
    pub uid: u64,
    pub state: EndpointState,
}

impl Endpoint {
    /// `before`: the endpoint of that id in the generation before, whose uid is kept where it is the same address.
    pub(super) fn compile(ir: &ir::Endpoint, before: Option<&Self>) -> Self {
        let address = SocketAddr::new(ir.address, ir.port);
        let uid = before.filter(|before| before.address == address).map_or_else(next_uid, |before| before.uid);
        Self { id: ir.id.clone(), address, uid, state: ir.state }
    }

    /// One of a host outside the cluster.
    pub fn external(backend: &str, address: SocketAddr) -> Self {
        Self { id: format!("{backend}@{address}"), address, uid: next_uid(), state: EndpointState::Ready }
    }
}

fn next_uid() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The seeds of endpoints, where they are chosen by hash.
pub(super) fn seeds_of(is_hashed: bool, endpoints: &[Arc<Endpoint>]) -> Vec<u64> {
    endpoints.iter().filter(|_| is_hashed).map(|endpoint| seed_of(endpoint.address)).collect()
}

/// Endpoints that are nearer than others.
#[derive(Debug, Clone)]
pub struct Near {
    pub endpoints: Vec<Arc<Endpoint>>,
    /// As [`Backend::seeds`].
    pub seeds: Vec<u64>,
}

/// Where this gateway is; empty: not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locality {
    pub zone: String,
    pub node: String,
}

/// How near an endpoint is to this gateway, as far as its Service asks for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    Node,
    Zone,
    Anywhere,
}

impl Nearness {
    pub(super) fn of(endpoint: &ir::Endpoint, here: &Locality) -> Self {
        let is_among = |name: &String, names: &[String]| !name.is_empty() && names.contains(name);
        if is_among(&here.node, &endpoint.nodes) {
            Self::Node
        } else if is_among(&here.zone, &endpoint.zones) {
            Self::Zone
        } else {
            Self::Anywhere
        }
    }
}

/// One port of one Service with everything that is needed to reach it.
#[derive(Debug, Clone)]
pub struct Backend {
    pub id: String,
    pub protocol: BackendProtocol,
    /// Ids of its policies, in the order in which they act.
    pub policies: Vec<String>,
    /// Of these, the first for TLS towards it.
    pub tls: Option<Arc<ir::BackendTls>>,
    /// Of these, the first that says how its endpoints are used.
    pub policy: Option<Arc<ir::BackendPolicy>>,
    /// Of these, the first that says how much may be retries, and which requests belong together.
    pub traffic: Option<Arc<ir::BackendTraffic>>,
    /// Seeds of the endpoints that may take a request (`rendezvous`), in their order; empty unless they are chosen by hash.
    pub seeds: Vec<u64>,
    /// The ready endpoints of this node, then those of this zone, where the Service wants traffic to stay near; a part of all
    /// ready ones each.
    pub near: Vec<Near>,
    /// Its endpoints are reached by datagrams.
    pub datagrams: bool,
    /// Its endpoints are what this name comes to ([`Backend::resolved`]).
    pub external: Option<ir::ExternalHost>,
    /// What the owner of the table keeps for it as long as it has policies that need something kept.
    pub kept: Option<Tag>,
    /// Sorted by id.
    pub ready: Vec<Arc<Endpoint>>,
    /// Serving but terminating; used when none is ready.
    pub draining: Vec<Arc<Endpoint>>,
}

/// The backends of a generation by slot; `None`: named, but not defined.
pub type Backends = Arc<Vec<Option<Arc<Backend>>>>;

impl Backend {
    /// The endpoints that may take a request: ready ones, else draining ones, else none (503).
    pub fn selectable(&self) -> &[Arc<Endpoint>] {
        if self.ready.is_empty() { &self.draining } else { &self.ready }
    }

    /// Nothing serves it: an external host may always come to be known.
    pub fn has_no_endpoint(&self) -> bool {
        self.external.is_none() && self.selectable().is_empty()
    }

    /// Ids of the endpoints that may take a request; of an external host its name, whatever addresses it has now.
    pub fn endpoint_ids(&self) -> Vec<String> {
        match &self.external {
            Some(host) => vec![format!("{}@{}:{}", self.id, host.hostname, host.port)],
            None => self.selectable().iter().map(|endpoint| endpoint.id.clone()).collect(),
        }
    }

    /// The same with the addresses that its external host has now.
    #[must_use]
    pub fn resolved(&self, ready: Vec<Arc<Endpoint>>) -> Self {
        let is_hashed = self.is_hashed();
        Self { seeds: seeds_of(is_hashed, &ready), ready, ..self.clone() }
    }

    /// Endpoints are chosen by hash.
    pub(super) fn is_hashed(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| matches!(policy.load_balancing, ir::LoadBalancing::Hash { .. }))
    }

    /// How requests of a rule that go there belong together.
    pub fn session<'b>(&'b self, rule: &'b ir::HttpRule) -> Option<&'b ir::Session> {
        rule.session.as_ref().or_else(|| self.traffic.as_ref()?.session.as_ref())
    }

    /// A policy of it cannot be honoured, as far as that is no matter of TLS.
    pub fn is_invalid(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.invalid)
            || self.traffic.as_ref().is_some_and(|policy| policy.invalid)
    }
}
