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
            Some(LoadBalancing::Hash { key, .. }) => self.with_key(flow_affinity(key, client)),
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

#[cfg(test)]
mod tests {
    use super::Among;
    use crate::upstream::Load;
    use crate::worker::{Generation, Worker};
    use route::table::{Backend, Near};
    use serde_json::{Value, json};
    use std::net::IpAddr;
    use std::sync::Arc;

    /// A backend with two endpoints, and this policy.
    fn backend(policy: &Value) -> Arc<Backend> {
        let worker = Worker::alone(Generation::default()).unwrap();
        let endpoint =
            |number: u8| json!({"id": number.to_string(), "backend": "b", "address": "192.0.2.1", "port": number});
        let mut upsert = json!({"backends": [{"id": "b"}], "endpoints": [endpoint(1), endpoint(2)]});
        if !policy.is_null() {
            upsert["policies"] = json!([policy]);
            upsert["backends"][0]["policies"] = json!(["p"]);
        }
        worker.apply(&upsert).unwrap();
        Arc::clone(worker.generation().table.backends().next().unwrap())
    }

    fn balanced(way: &Value) -> Value {
        json!({"type": "backend_policy", "id": "p", "load_balancing": way})
    }

    fn key(among: Among<'_>) -> Option<u64> {
        among.policy.and_then(|ruled| ruled.key)
    }

    #[test]
    fn a_backend_without_a_policy_has_no_rules() {
        let backend = backend(&Value::Null);
        let client = IpAddr::from([192, 0, 2, 9]);
        let among = Among::of(&backend).with_key(Some(1)).for_client(&backend, client);
        assert_eq!((among.endpoints.len(), key(among), among.preferred), (2, None, None));
        assert!(!among.wants_times() && !among.is_checked() && among.passive().is_none());
        assert!(!among.is_unhealthy(backend.ready[0].uid));
    }

    /// A flow has no fields: its client alone may be a part of the key, and is the same wherever it goes.
    #[test]
    fn a_flow_has_the_key_of_its_client() {
        let clients = [[192, 0, 2, 9], [192, 0, 2, 8]].map(IpAddr::from);
        let hash = |key: Value| balanced(&json!({"type": "Hash", "key": key}));
        for (policy, has_key) in [
            (hash(json!([{"type": "client"}])), true),
            (hash(json!([{"type": "header", "name": "x"}, {"type": "client"}])), true),
            (hash(json!([{"type": "header", "name": "x"}])), false),
            (balanced(&json!({"type": "LeastRequest"})), false),
        ] {
            let backend = backend(&policy);
            let [one, again, other] =
                [0, 0, 1].map(|number: usize| key(Among::of(&backend).for_client(&backend, clients[number])));
            assert_eq!((one.is_some(), one), (has_key, again), "{policy}");
            assert_eq!(one != other, has_key, "{policy}");
        }
    }

    /// A part of the endpoints has its own seeds, the key of the whole, and nothing nearer; whom a session is with may be
    /// among the others.
    #[test]
    fn a_part_stands_for_itself() {
        let backend = backend(&balanced(&json!({"type": "Hash", "key": [{"type": "client"}]})));
        let near = Near { endpoints: vec![Arc::clone(&backend.ready[1])], seeds: vec![backend.seeds[1]] };
        let part = Among::of(&backend).with_key(Some(7)).preferring(Some(8)).within(&near);
        assert_eq!((part.endpoints.len(), part.near.len(), part.preferred), (1, 0, None));
        let ruled = part.policy.unwrap();
        assert_eq!((ruled.seeds, ruled.key), (&backend.seeds[1..], Some(7)));
    }

    /// What comes of asking counts where endpoints are asked, and nowhere else.
    #[test]
    fn what_does_badly() {
        let active = json!({"question": {"type": "tcp"}, "interval_ms": 1000, "timeout_ms": 1000, "unhealthy_after": 1,
            "healthy_after": 1});
        for (active, is_checked) in [(active, true), (Value::Null, false)] {
            let mut policy = balanced(&json!({"type": "PeakEwma"}));
            if is_checked {
                policy["active"] = active;
            }
            let backend = backend(&policy);
            let [first, second] = [0, 1].map(|number: usize| backend.ready[number].uid);
            Load::of(&backend).unwrap().checked().decide(first, false);
            let among = Among::of(&backend);
            assert_eq!((among.is_checked(), among.is_unhealthy(first)), (is_checked, is_checked));
            assert!(among.wants_times() && !among.is_unhealthy(second));
        }
    }
}
