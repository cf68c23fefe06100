//! What a connection to a backend begins with where its policy wants the PROXY protocol: who the client is
//! (haproxy.org/download/1.8/doc/proxy-protocol.txt, sections 2.1 and 2.2).

use route::ir::ProxyProtocol;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Section 2.2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, on behalf of somebody, and of nobody.
const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;

/// Addresses of IPv4 and of IPv6, each over TCP.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProxyHeader {
    version: ProxyProtocol,
    /// Of the client, and what it connected to; `None`: the gateway speaks for itself.
    ends: Option<(SocketAddr, SocketAddr)>,
}

impl ProxyHeader {
    /// `from`: of the client; `to`: what it connected to.
    pub(super) fn new(version: ProxyProtocol, from: SocketAddr, to: SocketAddr) -> Self {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (from, to) = (plain(from), plain(to));
        // Both are of one family on the wire: the one that can say both.
        let (from, to) = if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (mapped(from), mapped(to)) };
        Self { version, ends: Some((from, to)) }
    }

    /// Of a connection that the gateway makes for itself, as health checks do.
    pub(super) fn of_nobody(version: ProxyProtocol) -> Self {
        Self { version, ends: None }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match self.version {
            ProxyProtocol::V1 => self.text(),
            ProxyProtocol::V2 => self.binary(),
        }
    }

    fn text(&self) -> Vec<u8> {
        let Some((from, to)) = self.ends else {
            return b"PROXY UNKNOWN\r\n".to_vec();
        };
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        let mut line = String::with_capacity(108);
        let _ = write!(line, "PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
        line.into_bytes()
    }

    fn binary(&self) -> Vec<u8> {
        let Some((from, to)) = self.ends else {
            return [&SIGNATURE[..], &[LOCAL, 0, 0, 0]].concat();
        };
        let mut addresses = Vec::with_capacity(36);
        for address in [from, to] {
            match address.ip() {
                IpAddr::V4(ip) => addresses.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => addresses.extend_from_slice(&ip.octets()),
            }
        }
        for address in [from, to] {
            addresses.extend_from_slice(&address.port().to_be_bytes());
        }
        let mut header = Vec::with_capacity(16 + addresses.len());
        header.extend_from_slice(SIGNATURE);
        header.extend_from_slice(&[PROXY, if from.is_ipv4() { TCP4 } else { TCP6 }]);
        header.extend_from_slice(&u16::try_from(addresses.len()).unwrap_or_default().to_be_bytes());
        header.append(&mut addresses);
        header
    }
}

fn mapped(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::ProxyHeader;
    use route::ir::ProxyProtocol::{V1, V2};

    fn header(version: route::ir::ProxyProtocol, from: &str, to: &str) -> Vec<u8> {
        ProxyHeader::new(version, from.parse().unwrap(), to.parse().unwrap()).bytes()
    }

    #[test]
    fn headers_are_as_the_protocol_has_them() {
        for (from, to, line) in [
            ("192.0.2.1:4711", "10.0.0.1:80", "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n"),
            ("[::ffff:192.0.2.1]:4711", "10.0.0.1:80", "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n"),
            ("[2001:db8::1]:1", "[2001:db8::2]:443", "PROXY TCP6 2001:db8::1 2001:db8::2 1 443\r\n"),
            ("[2001:db8::1]:1", "10.0.0.1:443", "PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 1 443\r\n"),
        ] {
            assert_eq!(String::from_utf8_lossy(&header(V1, from, to)), line);
        }
        assert_eq!(
            header(V2, "192.0.2.1:4711", "10.0.0.1:80"),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x12\x67\0\x50"
        );
        let nobody = |version| ProxyHeader::of_nobody(version).bytes();
        assert_eq!(
            (&nobody(V1)[..], &nobody(V2)[..]),
            (&b"PROXY UNKNOWN\r\n"[..], &b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"[..])
        );
        let long = header(V2, "[2001:db8::1]:1", "[2001:db8::2]:443");
        assert_eq!((&long[12..16], long.len()), (&b"\x21\x21\0\x24"[..], 16 + 36));
    }
}
