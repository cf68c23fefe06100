//! Hosts outside the cluster (`XBackend`, Services of type `ExternalName`): which addresses they have now.
//!
//! Rules:
//! - The addresses of a host are endpoints like others: balanced, ejected, asked whether they do well. They are put into the table
//!   of each generation; where they change in between, a generation is made that differs in nothing else.
//! - While nobody says what a host comes to, the last addresses serve on, for as long as that takes.
//! - An address that may not be connected to ([`refusal`]) is none. A host that has no other is answered 503.

mod addresses;

pub use addresses::refusal;

use ahash::{AHashMap, AHashSet};
use route::ir::ExternalHost;
use route::table::{Backend, Endpoint, Table};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is known of the hosts of a table.
#[derive(Debug, Default)]
pub struct Externals(Mutex<Hosts>);

/// Held while a generation takes the place of another: what is known must not change in between.
pub type Swapping<'e> = MutexGuard<'e, Hosts>;

#[derive(Debug, Default)]
pub struct Hosts {
    /// By hostname.
    addresses: AHashMap<String, Vec<IpAddr>>,
    /// By id of their backend.
    endpoints: AHashMap<String, Vec<Arc<Endpoint>>>,
}

impl Externals {
    pub fn swapping(&self) -> Swapping<'_> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hosts {
    /// Put the addresses into a table.
    pub fn fill(&mut self, table: &mut Table) {
        let mut here = AHashSet::new();
        table.resolve(|backend, host| {
            here.insert(backend.id.clone());
            self.endpoints_of(backend, host)
        });
        self.endpoints.retain(|backend, _| here.contains(backend));
    }

    /// A host comes to these addresses now. False: as before.
    pub fn know(&mut self, hostname: &str, addresses: Vec<IpAddr>) -> bool {
        let before = self.addresses.get(hostname).map_or(&[][..], Vec::as_slice);
        let is_other = before != addresses;
        self.addresses.insert(hostname.to_owned(), addresses);
        is_other
    }

    /// Forget hosts that no backend names any more.
    pub fn keep(&mut self, hostnames: impl Fn(&str) -> bool) {
        self.addresses.retain(|hostname, _| hostnames(hostname));
    }

    /// Endpoints whose address stays are the same as before, and so are their pools.
    fn endpoints_of(&mut self, backend: &Backend, host: &ExternalHost) -> Vec<Arc<Endpoint>> {
        let before = self.endpoints.remove(&backend.id).unwrap_or_default();
        let addresses = self.addresses.get(&host.hostname).into_iter().flatten();
        let now: Vec<Arc<Endpoint>> = addresses
            .map(|ip| {
                let address = SocketAddr::new(*ip, host.port);
                let same = before.iter().find(|endpoint| endpoint.address == address);
                same.map_or_else(|| Arc::new(Endpoint::external(&backend.id, address)), Arc::clone)
            })
            .collect();
        self.endpoints.insert(backend.id.clone(), now.clone());
        now
    }
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use route::table::{NoTags, State, Table};
    use serde_json::json;
    use std::net::IpAddr;

    fn table() -> Table {
        let external =
            |id: &str, hostname: &str, port: u16| json!({"id": id, "external": {"hostname": hostname, "port": port}});
        let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "backends": [external("one", "a.test", 443), external("two", "a.test", 80), external("three", "b.test", 80)]}});
        State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap()
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// The endpoints of each backend, by its id: addresses and uids.
    fn filled(hosts: &mut Hosts) -> Vec<(String, Vec<(String, u64)>)> {
        let mut table = table();
        hosts.fill(&mut table);
        let mut all: Vec<_> = table
            .backends()
            .map(|backend| {
                let endpoints =
                    backend.selectable().iter().map(|endpoint| (endpoint.address.to_string(), endpoint.uid));
                (backend.id.clone(), endpoints.collect())
            })
            .collect();
        all.sort_by(|(one, _), (other, _)| other.cmp(one));
        all
    }

    /// One host may serve several backends, each by a port of its own; one that is not known yet serves none.
    #[test]
    fn a_host_is_as_many_endpoints_as_it_has_addresses() {
        let mut hosts = Hosts::default();
        assert!(filled(&mut hosts).iter().all(|(_, endpoints)| endpoints.is_empty()));
        assert!(hosts.know("a.test", vec![address(1), address(2)]));
        let found = filled(&mut hosts);
        let addresses: Vec<_> = found
            .iter()
            .map(|(id, endpoints)| (&**id, endpoints.iter().map(|(address, _)| &**address).collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            addresses,
            [
                ("two", vec!["192.0.2.1:80", "192.0.2.2:80"]),
                ("three", vec![]),
                ("one", vec!["192.0.2.1:443", "192.0.2.2:443"])
            ]
        );
    }

    /// An address that stays keeps its endpoint, and so its connections and its health; whether there is anything new is said.
    #[test]
    fn what_stays_is_the_same() {
        let mut hosts = Hosts::default();
        assert!(hosts.know("a.test", vec![address(1), address(2)]));
        assert!(!hosts.know("a.test", vec![address(1), address(2)]));
        let before = filled(&mut hosts);
        assert_eq!(filled(&mut hosts), before);
        assert!(hosts.know("a.test", vec![address(2), address(3)]));
        let after = filled(&mut hosts);
        for ((id, before), (_, after)) in before.iter().zip(&after).filter(|((_, before), _)| !before.is_empty()) {
            assert_eq!(after[0], before[1], "{id}");
            assert!(before.iter().all(|(_, uid)| *uid != after[1].1), "{id}");
        }
        hosts.keep(|hostname| hostname != "a.test");
        assert!(filled(&mut hosts).iter().all(|(_, endpoints)| endpoints.is_empty()));
    }
}
