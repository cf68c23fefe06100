//! What is known of a client connection before its first request.

use crate::codec::push_field;
use crate::runtime::Worker;
use crate::table::{Field, SocketKey};
use crate::tls::server::Handshake;
use std::net::SocketAddr;
use std::rc::Rc;

/// One downstream connection.
#[derive(Debug)]
pub struct Client {
    pub worker: Rc<Worker>,
    pub socket: SocketKey,
    pub tls: Option<Handshake>,
    /// The peer is a proxy that the operator trusts: its forwarding fields are extended instead of replaced.
    pub trusted: bool,
    /// The peer's address as text, for `X-Forwarded-For` and the log.
    pub address_text: String,
}

/// Forwarding fields of a request, as the client sent them. Never forwarded as they are.
#[derive(Debug, Default, Clone, Copy)]
pub struct ForwardingFields<'b> {
    pub forwarded_for: Option<&'b [u8]>,
    pub proto: Option<&'b [u8]>,
    pub host: Option<&'b [u8]>,
}

impl Client {
    pub fn new(worker: Rc<Worker>, peer: SocketAddr, socket: SocketKey, tls: Option<Handshake>) -> Self {
        let address = peer.ip().to_canonical();
        let trusted = worker.settings().trusts(address);
        Self { worker, socket, tls, trusted, address_text: address.to_string() }
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The server name that the client asked for in its TLS handshake.
    pub fn sni(&self) -> Option<&str> {
        self.tls.as_ref().and_then(|handshake| handshake.sni.as_deref())
    }

    /// Append our own forwarding fields. From an untrusted peer what it sent is replaced; from a trusted one the list
    /// grows by the peer, and scheme and host stay what the outermost proxy saw.
    pub fn push_forwarding(&self, out: &mut Vec<u8>, sent: ForwardingFields<'_>, authority: &[u8]) {
        let sent = if self.trusted { sent } else { ForwardingFields::default() };
        out.extend_from_slice(b"x-forwarded-for: ");
        if let Some(list) = sent.forwarded_for {
            out.extend_from_slice(list);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(self.address_text.as_bytes());
        out.extend_from_slice(b"\r\n");
        push_field(out, b"x-forwarded-proto", sent.proto.unwrap_or(self.scheme().as_bytes()));
        push_field(out, b"x-forwarded-host", sent.host.unwrap_or(authority));
    }
}

/// A field that tells where a request came from: taken out of every request, whoever sent it.
///
/// `Forwarded` (RFC 7239), `X-Forwarded-*`, `X-Real-IP`, also with `_` for `-`: behind CGI and WSGI both are one name.
/// Returns true when `field` is one of them.
pub fn take_forwarding<'b>(field: &Field<'b>, into: &mut ForwardingFields<'b>) -> bool {
    let name = field.name;
    match name.len() {
        9 => is_variant_of(name, b"forwarded") || is_variant_of(name, b"x-real-ip"),
        length if length > 12 && is_variant_of(&name[..12], b"x-forwarded-") => {
            let rest = &name[12..];
            if name.contains(&b'_') {
                // No proxy writes it like that.
            } else if rest.eq_ignore_ascii_case(b"for") {
                into.forwarded_for = Some(field.value);
            } else if rest.eq_ignore_ascii_case(b"proto") {
                into.proto = Some(field.value);
            } else if rest.eq_ignore_ascii_case(b"host") {
                into.host = Some(field.value);
            }
            true
        }
        _ => false,
    }
}

/// The same name, whatever the case and whether with `-` or `_`. Both have one length.
fn is_variant_of(name: &[u8], wanted: &[u8]) -> bool {
    let same = |(byte, wanted): (&u8, &u8)| byte.eq_ignore_ascii_case(wanted) || (*byte == b'_' && *wanted == b'-');
    name.iter().zip(wanted).all(same)
}
