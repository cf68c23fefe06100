//! Where a request came from (`X-Forwarded-*`): what a client says of it, and what is said to the backend.

use super::client::Client;
use codec::{Field, is_forwarding_name, push_field};
use smallvec::SmallVec;
use std::net::IpAddr;

/// Forwarding fields of a request, as the client sent them. Never forwarded as they are.
#[derive(Debug, Default, Clone)]
pub struct ForwardingFields<'b> {
    /// Each field of that name, in order: together they are one list.
    pub forwarded_for: SmallVec<[&'b [u8]; 2]>,
    pub proto: Option<&'b [u8]>,
    pub host: Option<&'b [u8]>,
}

impl Client {
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
