//! What is known of a client connection before its first request.

use super::life::Life;
use crate::tls::server::Handshake;
use crate::worker::Worker;
use codec::{Field, is_forwarding_name, push_field};
use route::table::SocketKey;
use smallvec::SmallVec;
use std::net::{IpAddr, SocketAddr};
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
    pub life: Life,
}

/// Forwarding fields of a request, as the client sent them. Never forwarded as they are.
#[derive(Debug, Default, Clone)]
pub struct ForwardingFields<'b> {
    /// Each field of that name, in order: together they are one list.
    pub forwarded_for: SmallVec<[&'b [u8]; 2]>,
    pub proto: Option<&'b [u8]>,
    pub host: Option<&'b [u8]>,
}

impl Client {
    pub fn new(worker: Rc<Worker>, peer: SocketAddr, socket: SocketKey, tls: Option<Handshake>) -> Self {
        let address = peer.ip().to_canonical();
        let trusted = worker.settings().trusts(address);
        let life = Life::begin(&worker);
        Self { worker, socket, tls, trusted, life, address_text: address.to_string() }
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The server name that the client asked for in its TLS handshake.
    pub fn sni(&self) -> Option<&str> {
        self.tls.as_ref().and_then(|handshake| handshake.sni.as_deref())
    }

    /// Append our own forwarding fields. From an untrusted peer what it sent is replaced; from a trusted one the list
    /// grows by the peer, and scheme and host stay what the outermost proxy saw. What is among `set` is a filter's, and goes
    /// instead of ours.
    pub fn push_forwarding(&self, out: &mut Vec<u8>, sent: &ForwardingFields<'_>, authority: &[u8], set: &[Field<'_>]) {
        let nothing = ForwardingFields::default();
        let sent = if self.trusted { sent } else { &nothing };
        let is_set = |name: &str| set.iter().any(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        if !is_set("x-forwarded-for") {
            out.extend_from_slice(b"x-forwarded-for: ");
            for list in &sent.forwarded_for {
                out.extend_from_slice(list);
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(self.address_text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !is_set("x-forwarded-proto") {
            push_field(out, b"x-forwarded-proto", sent.proto.unwrap_or(self.scheme().as_bytes()));
        }
        if !is_set("x-forwarded-host") {
            push_field(out, b"x-forwarded-host", sent.host.unwrap_or(authority));
        }
    }
}

impl Client {
    /// Who asks: the peer, or, where that is a trusted proxy, the last of those it names that is none.
    pub fn origin(&self, fields: &[Field<'_>]) -> Option<IpAddr> {
        if !self.trusted {
            return None;
        }
        let lists = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"x-forwarded-for"));
        let hops = lists.flat_map(|field| field.value.split(|&byte| byte == b','));
        let hops: SmallVec<[&[u8]; 8]> = hops.collect();
        let mut origin = None;
        for hop in hops.iter().rev() {
            let text = std::str::from_utf8(hop).ok()?.trim();
            // What a hop wrote that is no address ends what can be believed.
            let Ok(address) = text.parse::<IpAddr>() else {
                break;
            };
            let address = address.to_canonical();
            origin = Some(address);
            if !self.worker.settings().trusts(address) {
                break;
            }
        }
        origin
    }
}

/// Takes fields that tell where a request came from out of every request, whoever sent it. A trusted proxy is believed in the
/// one spelling that proxies write. Returns true when `field` is one of them.
pub fn take_forwarding<'b>(field: &Field<'b>, into: &mut ForwardingFields<'b>) -> bool {
    if !is_forwarding_name(field.name) {
        return false;
    }
    let slot = match field.name.len() {
        15 if field.name.eq_ignore_ascii_case(b"x-forwarded-for") => {
            into.forwarded_for.push(field.value);
            return true;
        }
        16 if field.name.eq_ignore_ascii_case(b"x-forwarded-host") => &mut into.host,
        17 if field.name.eq_ignore_ascii_case(b"x-forwarded-proto") => &mut into.proto,
        _ => return true,
    };
    *slot = Some(field.value);
    true
}
