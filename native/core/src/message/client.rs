//! What is known of a client connection before its first request. What is said of it to backends: `forwarding`.

use super::life::Life;
use crate::tls::server::Handshake;
use crate::worker::Worker;
use codec::Field;
use route::policy::ClientCertificate;
use route::table::SocketKey;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

/// One downstream connection.
#[derive(Debug)]
pub struct Client {
    pub worker: Rc<Worker>,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// What it was made to; `None`: the system does not say.
    pub local: Option<SocketAddr>,
    pub socket: SocketKey,
    pub tls: Option<Handshake>,
    /// The peer is a proxy that the operator trusts: its forwarding fields are extended instead of replaced.
    pub trusted: bool,
    pub address: IpAddr,
    /// The peer's address as text, for `X-Forwarded-For` and the log.
    pub address_text: String,
    pub life: Life,
}

impl Client {
    pub fn new(worker: Rc<Worker>, peer: SocketAddr, socket: SocketKey, tls: Option<Handshake>) -> Self {
        let address = peer.ip().to_canonical();
        let trusted = worker.settings().trusts(address);
        let life = Life::begin(&worker);
        Self { worker, peer, local: None, socket, tls, trusted, life, address, address_text: text_of(address) }
    }

    /// The same one, known to have been made to this address.
    #[must_use]
    pub fn to(self, local: Option<SocketAddr>) -> Self {
        Self { local, ..self }
    }

    /// Who asks with these fields, and what it connected to: the peer, or whom a trusted proxy names.
    pub fn ends(&self, fields: &[Field<'_>]) -> (SocketAddr, SocketAddr) {
        let unknown = || SocketAddr::new(self.socket.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), self.socket.port);
        let asks = self.asking(fields, None).unwrap_or(self.address);
        (SocketAddr::new(asks, self.peer.port()), self.local.unwrap_or_else(unknown))
    }

    /// The client came by TLS, or a trusted proxy says so.
    pub fn is_secure(&self, fields: &[Field<'_>]) -> bool {
        let says_so = |field: &Field<'_>| {
            field.name.eq_ignore_ascii_case(b"x-forwarded-proto") && field.value.eq_ignore_ascii_case(b"https")
        };
        self.tls.is_some() || (self.trusted && fields.iter().any(says_so))
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What the listener validated of the client's certificate.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.tls.as_ref().and_then(|handshake| handshake.certificate.as_deref())
    }

    /// The server name that the client asked for in its TLS handshake.
    pub fn sni(&self) -> Option<&str> {
        self.tls.as_ref().and_then(|handshake| handshake.sni.as_deref())
    }
}

/// As the address writes itself. Every connection needs it, so IPv4 goes without the machinery of formats.
fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn addresses_as_text() {
        for text in ["0.0.0.0", "127.0.0.1", "10.9.100.99", "255.255.255.255", "::1", "2001:db8::a"] {
            assert_eq!(text_of(text.parse().expect("an address")), text);
        }
    }
}
