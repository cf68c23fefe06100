//! The gateway's own sockets. A backend that is one of them would send each request to where it came from, again and again
//! until descriptors end; so no connection is made to them.
//!
//! Asked once for each new connection, never for a request, and nothing is written into requests for it.

use arc_swap::ArcSwap;
use route::ir::Transport;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// What an engine listens on now. Threads read it; applying a transaction writes it.
#[derive(Debug, Default)]
pub struct OwnSockets(ArcSwap<Vec<(Transport, SocketAddr)>>);

impl OwnSockets {
    pub fn set(&self, sockets: Vec<(Transport, SocketAddr)>) {
        self.0.store(sockets.into());
    }

    /// What is sent there comes back to this engine.
    pub fn has(&self, transport: Transport, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.0.load().iter().any(|(own_transport, own)| {
            let own_ip = own.ip().to_canonical();
            (*own_transport, own.port()) == (transport, address.port())
                && (own_ip == ip || own_ip.is_unspecified() && is_of_this_host(ip))
        })
    }
}

/// Only addresses of this host can be bound. Asked only where an endpoint has a port that is ours too.
fn is_of_this_host(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::OwnSockets;
    use route::ir::Transport;

    #[test]
    fn addresses_that_lead_here() {
        let own = OwnSockets::default();
        assert!(!own.has(Transport::Tcp, "127.0.0.1:80".parse().expect("an address")));
        let bound = ["127.0.0.5:80", "[::]:81", "0.0.0.0:82"];
        own.set(bound.iter().map(|address| (Transport::Tcp, address.parse().expect("an address"))).collect());
        for (address, leads_here) in [
            ("127.0.0.5:80", true),
            ("[::ffff:127.0.0.5]:80", true),
            ("127.0.0.6:80", false),
            ("127.0.0.5:81", true),
            ("127.1.2.3:82", true),
            ("[::1]:81", true),
            // Set aside for documentation (RFC 5737, RFC 3849): of no host.
            ("192.0.2.1:81", false),
            ("[2001:db8::1]:81", false),
            ("127.0.0.5:83", false),
        ] {
            assert_eq!(own.has(Transport::Tcp, address.parse().expect("an address")), leads_here, "{address}");
        }
        assert!(!own.has(Transport::Udp, "127.0.0.5:80".parse().expect("an address")));
    }
}
