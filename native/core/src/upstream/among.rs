//! The endpoints among which one is picked.

use super::load::Load;
use route::ir::{BackendPolicy, LoadBalancing, PassiveHealth};
use route::resolve::flow_affinity;
use route::table::{Backend, Endpoint};
use std::net::IpAddr;
use std::sync::Arc;

/// The endpoints of a backend that may be picked, and what its policy says of that.
#[derive(Debug, Clone, Copy)]
pub struct Among<'t> {
    pub endpoints: &'t [Arc<Endpoint>],
    pub(super) policy: Option<Ruled<'t>>,
    /// Seed of the endpoint that a session is with.
    pub(super) preferred: Option<u64>,
}

/// How the endpoints of a backend with a policy are used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ruled<'t> {
    pub policy: &'t BackendPolicy,
    pub load: &'t Load,
    /// Of the endpoints, in their order.
    pub seeds: &'t [u64],
    /// What a request's key comes to.
    pub key: Option<u64>,
}

impl<'t> Among<'t> {
    /// Those of a backend, for something that has no key.
    pub fn of(backend: &'t Backend) -> Self {
        let policy = backend.policy.as_deref().zip(Load::of(backend));
        Self {
            endpoints: backend.selectable(),
            policy: policy.map(|(policy, load)| Ruled { policy, load, seeds: &backend.seeds, key: None }),
            preferred: None,
        }
    }

    /// Endpoints without a policy.
    pub fn all(endpoints: &'t [Arc<Endpoint>]) -> Self {
        Self { endpoints, policy: None, preferred: None }
    }

    /// The same for a request with this key, or a flow.
    #[must_use]
    pub fn with_key(self, key: Option<u64>) -> Self {
        Self { policy: self.policy.map(|ruled| Ruled { key, ..ruled }), ..self }
    }

    /// The same for a request whose session is with the endpoint of that seed.
    #[must_use]
    pub fn preferring(self, preferred: Option<u64>) -> Self {
        Self { preferred, ..self }
    }

    /// The same for a flow of this client.
    #[must_use]
    pub fn for_client(self, backend: &Backend, client: IpAddr) -> Self {
        match backend.policy.as_deref().map(|policy| &policy.load_balancing) {
            Some(LoadBalancing::Hash { key }) => self.with_key(flow_affinity(key, client)),
            _ => self,
        }
    }

    /// Endpoints are chosen by how soon they answer.
    pub fn wants_times(self) -> bool {
        self.policy.is_some_and(|ruled| ruled.policy.load_balancing == LoadBalancing::PeakEwma)
    }

    pub(super) fn passive(self) -> Option<&'t PassiveHealth> {
        self.policy.and_then(|ruled| ruled.policy.passive.as_ref())
    }
}
