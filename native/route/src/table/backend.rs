//! Backends and their endpoints, as one generation has them.

use super::Tag;
use crate::ir::{self, BackendProtocol, EndpointState};
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
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let address = SocketAddr::new(ir.address, ir.port);
        let uid = before
            .filter(|before| before.address == address)
            .map_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed), |before| before.uid);
        Self { id: ir.id.clone(), address, uid, state: ir.state }
    }
}

/// One port of one Service with everything that is needed to reach it.
#[derive(Debug)]
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
