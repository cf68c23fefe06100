//! The endpoints among which one is picked.

use super::checked::Verdicts;
use super::load::Load;
use arc_swap::Guard;
use route::ir::{BackendPolicy, LoadBalancing, PassiveHealth};
use route::resolve::flow_affinity;
use route::table::{Backend, Endpoint, Near};
use std::net::IpAddr;
use std::sync::Arc;

/// The endpoints of a backend that may be picked, and what its policy says of that.
#[derive(Debug, Clone, Copy)]
pub struct Among<'t> {
    pub endpoints: &'t [Arc<Endpoint>],
    /// Parts of them that come first, the nearest one before others.
    pub(super) near: &'t [Near],
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

impl Ruled<'_> {
    /// What comes of asking the endpoints, where that is done.
    pub fn verdicts(self) -> Option<Guard<Arc<Verdicts>>> {
        self.policy.active.as_ref().map(|_| self.load.checked().verdicts())
    }
}

impl<'t> Among<'t> {
    /// Those of a backend, for something that has no key.
    pub fn of(backend: &'t Backend) -> Self {
        let policy = backend.policy.as_deref().zip(Load::of(backend));
        Self {
            endpoints: backend.selectable(),
            near: &backend.near,
            policy: policy.map(|(policy, load)| Ruled { policy, load, seeds: &backend.seeds, key: None }),
            preferred: None,
        }
    }

    /// Endpoints without a policy.
    pub fn all(endpoints: &'t [Arc<Endpoint>]) -> Self {
        Self { endpoints, near: &[], policy: None, preferred: None }
    }

    /// A near part of them, for itself.
    pub(super) fn within(self, near: &'t Near) -> Self {
        let policy = self.policy.map(|ruled| Ruled { seeds: &near.seeds, ..ruled });
        Self { endpoints: &near.endpoints, near: &[], policy, preferred: None }
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

    /// An endpoint was asked, and does badly.
    pub(super) fn is_unhealthy(self, uid: u64) -> bool {
        self.policy.and_then(Ruled::verdicts).is_some_and(|verdicts| verdicts.is_unhealthy(uid))
    }

    /// Its endpoints are asked.
    pub(super) fn is_checked(self) -> bool {
        self.policy.is_some_and(|ruled| ruled.policy.active.is_some())
    }

    pub(super) fn passive(self) -> Option<&'t PassiveHealth> {
        self.policy.and_then(|ruled| ruled.policy.passive.as_ref())
    }
}
