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
