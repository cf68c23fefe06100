//! Who says what a client's address is: `ClientPolicy.spec.clientAddress`.

use super::{Compiled, Networks};
use crate::ir::{AcceptProxy, ClientAddress};
use std::net::IpAddr;
use std::sync::Arc;

/// Whose word about client addresses counts at a listener, in place of the engine setting `trusted_proxies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddressing {
    pub proxies: Networks,
    pub protocol: AcceptProxy,
}

impl ClientAddressing {
    /// # Errors
    /// A block that is none.
    pub fn compile(ir: &ClientAddress) -> Result<Self, String> {
        let proxies = Networks::compile(ir.trusted_proxies.iter().map(String::as_str))?;
        Ok(Self { proxies, protocol: ir.proxy_protocol })
    }
}

/// How the connections of a socket begin, where one of its listeners wants the PROXY protocol. It comes before anything that
/// could tell the listeners apart, so the strictest of them holds, and a proxy has to be trusted by all that want it. The control
/// plane has them agree.
#[derive(Debug, Clone, Default)]
pub struct Preamble {
    wanted: Vec<Arc<Compiled>>,
}

impl Preamble {
    /// Note what one of the listeners of a socket says; `None`: no connection of it begins so.
    pub fn note(preamble: &mut Option<Box<Self>>, policy: &Arc<Compiled>) {
        if policy.addressing().is_none_or(|address| address.protocol.is_off()) {
            return;
        }
        let wanted = &mut preamble.get_or_insert_default().wanted;
        if !wanted.iter().any(|known| Arc::ptr_eq(known, policy)) {
            wanted.push(Arc::clone(policy));
        }
    }

    fn all(&self) -> impl Iterator<Item = &ClientAddressing> {
        self.wanted.iter().filter_map(|policy| policy.addressing())
    }

    /// Whether a connection must begin with a header.
    pub fn is_required(&self) -> bool {
        self.all().any(|address| address.protocol == AcceptProxy::Required)
    }

    /// Whether a header of this peer counts.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.all().all(|address| address.proxies.contains(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::Preamble;
    use crate::ir::{AcceptProxy, ClientAddress, Policy};
    use crate::policy::Compiled;
    use std::sync::Arc;

    fn policy(proxy_protocol: AcceptProxy, proxies: &[&str]) -> Arc<Compiled> {
        let ir = ClientAddress {
            id: "ClientPolicy/a/b/clientAddress".to_owned(),
            overrides: false,
            off: false,
            invalid: false,
            trusted_proxies: proxies.iter().map(|&block| block.to_owned()).collect(),
            proxy_protocol,
        };
        Arc::new(Compiled::of(Policy::ClientAddress(Arc::new(ir)), Vec::new(), Vec::new()))
    }

    #[test]
    fn the_strictest_listener_of_a_socket_holds() {
        use AcceptProxy::{Off, Optional, Required};
        let (near, far) = ("192.0.2.1".parse().unwrap(), "198.51.100.1".parse().unwrap());
        let mut preamble = None;
        Preamble::note(&mut preamble, &policy(Off, &["198.51.100.0/24"]));
        assert!(preamble.is_none());
        let optional = policy(Optional, &["192.0.2.0/24", "198.51.100.0/24"]);
        for _ in 0..2 {
            Preamble::note(&mut preamble, &optional);
        }
        let found = preamble.as_deref().unwrap();
        assert!(!found.is_required() && found.trusts(near) && found.trusts(far) && found.wanted.len() == 1);
        Preamble::note(&mut preamble, &policy(Required, &["192.0.2.0/24"]));
        let found = preamble.as_deref().unwrap();
        assert!(found.is_required() && found.trusts(near) && !found.trusts(far));
    }
}
