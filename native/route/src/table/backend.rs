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

#[cfg(test)]
mod tests {
    use super::{Backend, Endpoint, Locality, Nearness};
    use crate::ir;
    use crate::samples::{apply, endpoint, merged, rule, site, table};
    use crate::table::State;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// The backend `b`, with this in it.
    fn backend(backend: Value, endpoints: Value, policies: Value) -> Arc<Backend> {
        let backends = json!([merged(json!({"id": "b"}), backend)]);
        let table = table(json!([]), json!({"backends": backends, "endpoints": endpoints, "policies": policies}));
        Arc::clone(table.backends().next().unwrap())
    }

    /// What is draining serves only where nothing else does.
    #[test]
    fn who_may_take_a_request() {
        let (ready, draining) = (endpoint("e", 1, json!({})), endpoint("f", 2, json!({"state": "draining"})));
        let external = json!({"external": {"hostname": "a.test", "port": 443}});
        for (changes, endpoints, expected, is_empty) in [
            (json!({}), json!([ready, draining]), &["e"][..], false),
            (json!({}), json!([draining]), &["f"], false),
            (json!({}), json!([]), &[], true),
            // Its addresses may come to be known at any time.
            (external, json!([]), &["b@a.test:443"], false),
        ] {
            let backend = backend(changes, endpoints.clone(), json!([]));
            assert_eq!(backend.endpoint_ids(), expected, "{endpoints}");
            assert_eq!(backend.has_no_endpoint(), is_empty, "{endpoints}");
        }
    }

    /// Pools and figures are kept under it: the same address goes on, another one begins anew.
    #[test]
    fn a_uid_is_of_an_address() {
        let ir = |address: &str, port: u16| ir::Endpoint {
            id: "e".to_owned(),
            backend: "b".to_owned(),
            address: address.parse().unwrap(),
            port,
            state: ir::EndpointState::Ready,
            zones: Vec::new(),
            nodes: Vec::new(),
        };
        let before = Endpoint::compile(&ir("127.0.0.1", 1), None);
        for (endpoint, is_same) in [
            (Endpoint::compile(&ir("127.0.0.1", 1), Some(&before)), true),
            (Endpoint::compile(&ir("127.0.0.1", 2), Some(&before)), false),
            (Endpoint::compile(&ir("127.0.0.2", 1), Some(&before)), false),
            (Endpoint::compile(&ir("127.0.0.1", 1), None), false),
            (Endpoint::external("b", before.address), false),
        ] {
            assert_eq!(endpoint.uid == before.uid, is_same, "{endpoint:?}");
        }
    }

    /// What is not known is near to nothing.
    #[test]
    fn how_near_an_endpoint_is() {
        let here = |zone: &str, node: &str| Locality { zone: zone.to_owned(), node: node.to_owned() };
        for (zones, nodes, here, expected) in [
            (json!([]), json!([]), here("z", "n"), Nearness::Anywhere),
            (json!(["y", "z"]), json!([]), here("z", "n"), Nearness::Zone),
            (json!(["z"]), json!(["m", "n"]), here("z", "n"), Nearness::Node),
            (json!(["y"]), json!(["m"]), here("z", "n"), Nearness::Anywhere),
            (json!(["n"]), json!(["z"]), here("z", "n"), Nearness::Anywhere),
            (json!([""]), json!([""]), here("", ""), Nearness::Anywhere),
        ] {
            let ir = serde_json::from_value(endpoint("e", 1, json!({"zones": zones, "nodes": nodes}))).unwrap();
            assert_eq!(Nearness::of(&ir, &here), expected, "{zones} {nodes}");
        }
        assert!(Nearness::Node < Nearness::Zone && Nearness::Zone < Nearness::Anywhere);
    }

    /// Addresses come and go, the rest stays; where one is chosen by hash each has its seed.
    #[test]
    fn an_external_host_with_the_addresses_of_now() {
        for (balancing, seeds) in
            [(json!({"type": "RoundRobin"}), 0), (json!({"type": "Hash", "key": [{"type": "client"}]}), 2)]
        {
            let policy = json!({"type": "backend_policy", "id": "p", "load_balancing": balancing});
            let named = json!({"external": {"hostname": "a.test", "port": 443}, "policies": ["p"]});
            let before = backend(named, json!([]), json!([policy]));
            let address = |text: &str| Arc::new(Endpoint::external("b", text.parse().unwrap()));
            let now = before.resolved(vec![address("127.0.0.1:443"), address("127.0.0.2:443")]);
            assert_eq!((now.ready.len(), now.seeds.len()), (2, seeds));
            assert_eq!((&now.id, &now.external, &now.policies), (&before.id, &before.external, &before.policies));
            assert_eq!(now.ready[0].id, "b@127.0.0.1:443");
            assert_eq!(now.endpoint_ids(), ["b@a.test:443"]);
        }
    }

    /// A rule has the first word about sessions; of policies each is looked at.
    #[test]
    fn what_policies_say_of_it() {
        let session = |name: &str| json!({"carrier": {"type": "Header", "name": name}});
        let traffic = |invalid: bool| json!({"type": "backend_traffic", "id": "t", "session": session("of-backend"), "invalid": invalid});
        let policy = |invalid: bool| json!({"type": "backend_policy", "id": "p", "invalid": invalid});
        let of_rule = |changes: Value| -> ir::HttpRule { serde_json::from_value(rule("r", changes)).unwrap() };
        let name = |session: Option<&ir::Session>| match session.map(|session| &session.carrier) {
            Some(ir::SessionCarrier::Header { name }) => Some(name.clone()),
            _ => None,
        };
        let named = json!({"policies": ["t", "p"]});
        let both = backend(named.clone(), json!([]), json!([traffic(false), policy(false)]));
        let own = of_rule(json!({"session": session("of-rule")}));
        assert_eq!(name(both.session(&own)).as_deref(), Some("of-rule"));
        assert_eq!(name(both.session(&of_rule(json!({})))).as_deref(), Some("of-backend"));
        let bare = backend(json!({}), json!([]), json!([]));
        assert_eq!(name(bare.session(&of_rule(json!({})))), None);
        for (of_traffic, of_policy) in [(false, false), (true, false), (false, true)] {
            let backend = backend(named.clone(), json!([]), json!([traffic(of_traffic), policy(of_policy)]));
            assert_eq!(backend.is_invalid(), of_traffic || of_policy);
        }
        assert!(!bare.is_invalid());
    }

    /// Of two of a kind the first counts.
    #[test]
    fn the_first_policy_of_a_kind_counts() {
        let tls = |id: &str| json!({"type": "backend_tls", "id": id, "hostname": id});
        let backends = json!([{"id": "b", "policies": ["two", "one"]}]);
        let site = site(json!([]), json!({"backends": backends, "policies": [tls("one"), tls("two")]}));
        let table = apply(&mut State::default(), site).unwrap();
        let backend = table.backends().next().unwrap();
        assert_eq!(backend.tls.as_ref().map(|tls| &*tls.hostname), Some("two"));
    }
}
