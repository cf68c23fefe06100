//! Where a request came from (`X-Forwarded-*`): what a client says of it, and what is said to the backend.

use super::client::Client;
use codec::{Field, is_forwarding_name, push_field};
use route::policy::Networks;
use route::resolve::Origin;
use route::table::EditedFields;
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Forwarding fields of a request, as the client sent them. Never forwarded as they are.
#[derive(Debug, Default, Clone)]
pub struct ForwardingFields<'b> {
    /// Each field of that name, in order: together they are one list.
    pub forwarded_for: SmallVec<[&'b [u8]; 2]>,
    pub proto: Option<&'b [u8]>,
    pub host: Option<&'b [u8]>,
    /// Whether the client is a proxy whose word counts; `None`: as the settings have it.
    pub believed: Option<bool>,
}

impl Client {
    /// Append our own forwarding fields. From an untrusted peer what it sent is replaced; from a trusted one the list
    /// grows by the peer, and scheme and host stay what the outermost proxy saw. What is among `set` is a filter's, and goes
    /// instead of ours.
    pub fn push_forwarding(&self, out: &mut Vec<u8>, sent: &ForwardingFields<'_>, authority: &[u8], set: &[Field<'_>]) {
        let nothing = ForwardingFields::default();
        let sent = if sent.believed.unwrap_or(self.trusted) { sent } else { &nothing };
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

    /// Fields as a backend is told them. `sent`: how many of them are the client's, whose word about where it comes from counts
    /// where it is `believed`; `list`: memory.
    pub fn told<'f>(
        &'f self,
        fields: &[Field<'f>],
        sent: usize,
        believed: bool,
        authority: &'f [u8],
        list: &'f mut Vec<u8>,
    ) -> EditedFields<'f> {
        self.tells(&fields[..sent], believed, authority, list).tell(fields, sent)
    }

    /// What a backend is told of where a request comes from, whose client sent these fields. Otherwise as [`Self::told`].
    pub fn tells<'f>(
        &'f self,
        sent: &[Field<'f>],
        believed: bool,
        authority: &'f [u8],
        list: &'f mut Vec<u8>,
    ) -> Origin<'f> {
        let mut said = ForwardingFields::default();
        for field in sent.iter().filter(|_| believed) {
            take_forwarding(field, &mut said);
        }
        let peer = self.address_text.as_bytes();
        let addresses = if said.forwarded_for.is_empty() {
            peer
        } else {
            said.forwarded_for.push(peer);
            *list = said.forwarded_for.join(&b", "[..]);
            list.as_slice()
        };
        Origin {
            addresses: Some(addresses),
            scheme: said.proto.unwrap_or(self.scheme().as_bytes()),
            host: said.host.unwrap_or(authority),
        }
    }

    /// Who asks, for policies: the peer, or whom a trusted proxy names. `None`: it names nobody that could be read, so nobody
    /// can say. `proxies`: whose word counts, in place of those of the settings.
    pub fn asking(&self, fields: &[Field<'_>], proxies: Option<&Networks>) -> Option<IpAddr> {
        let named = || fields.iter().any(|field| field.name.eq_ignore_ascii_case(b"x-forwarded-for"));
        if self.is_believed(proxies) && named() { self.origin(fields, proxies) } else { Some(self.address) }
    }

    /// Whether the peer is a proxy whose word counts.
    pub fn is_believed(&self, proxies: Option<&Networks>) -> bool {
        proxies.map_or(self.trusted, |proxies| proxies.contains(self.address))
    }

    /// Whether an address is that of such a proxy.
    fn believes(&self, address: IpAddr, proxies: Option<&Networks>) -> bool {
        match proxies {
            Some(proxies) => proxies.contains(address),
            None => self.worker.settings().trusts(address),
        }
    }

    /// Whom the peer asks for, where that is a trusted proxy: the last of those it names that is none. `None` where what was
    /// written before the trusted ones cannot be read: whoever is left would be a proxy, and proxies are let through where
    /// clients are not.
    pub fn origin(&self, fields: &[Field<'_>], proxies: Option<&Networks>) -> Option<IpAddr> {
        if !self.is_believed(proxies) {
            return None;
        }
        let lists = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"x-forwarded-for"));
        let hops = lists.flat_map(|field| field.value.split(|&byte| byte == b','));
        let hops: SmallVec<[&[u8]; 8]> = hops.collect();
        let mut origin = None;
        for hop in hops.iter().rev() {
            let address = address_of(std::str::from_utf8(hop).ok()?.trim())?.to_canonical();
            origin = Some(address);
            if !self.believes(address, proxies) {
                break;
            }
        }
        origin
    }
}

/// The address of a hop, as proxies write it: alone, in brackets, with a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    if let Some(bracketed) = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return bracketed.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    hop.parse::<IpAddr>().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip())).ok()
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

#[cfg(test)]
mod tests {
    use super::{ForwardingFields, take_forwarding};
    use crate::message::client::Client;
    use crate::worker::{Generation, Worker};
    use codec::Field;
    use route::ir::Transport;
    use route::policy::Networks;
    use route::table::SocketKey;

    const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };

    fn client(trusted: bool) -> Client {
        let worker = Worker::alone(Generation::default()).unwrap();
        Client { trusted, ..Client::new(worker, ([192, 0, 2, 1], 4711).into(), SOCKET, None) }
    }

    fn field<'a>(name: &'a str, value: &'a str) -> Field<'a> {
        Field { name: name.as_bytes(), value: value.as_bytes() }
    }

    fn written(client: &Client, sent: &[Field<'_>], set: &[Field<'_>]) -> String {
        let (mut fields, mut out) = (ForwardingFields::default(), Vec::new());
        for field in sent {
            assert!(take_forwarding(field, &mut fields));
        }
        client.push_forwarding(&mut out, &fields, b"asked.test", set);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        let sent = [field("X-Forwarded-For", "6.6.6.6"), field("x-forwarded-proto", "https"), field("X-Real-IP", "6")];
        let expected = "x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: http\r\nx-forwarded-host: asked.test\r\n";
        assert_eq!(written(&client(false), &sent, &[]), expected);
        assert_eq!(client(false).origin(&sent, None), None);
        assert_eq!(client(false).asking(&sent, None), "192.0.2.1".parse().ok());
    }

    #[test]
    fn the_list_of_a_trusted_proxy_grows() {
        let sent = [
            field("x-forwarded-for", "198.51.100.7"),
            field("X-Forwarded-For", "203.0.113.9, 203.0.113.10"),
            field("x-forwarded-proto", "https"),
            field("x-forwarded-host", "outer.test"),
            // Taken out, and in no spelling believed.
            field("x_forwarded_host", "evil.test"),
            field("x-forwarded-port", "1"),
        ];
        let expected = "x-forwarded-for: 198.51.100.7, 203.0.113.9, 203.0.113.10, 192.0.2.1\r\n\
            x-forwarded-proto: https\r\nx-forwarded-host: outer.test\r\n";
        assert_eq!(written(&client(true), &sent, &[]), expected);
    }

    /// Conditions of policies see what the backend is told.
    #[test]
    fn what_policies_see_is_what_is_sent() {
        let sent = [
            field("X-Forwarded-For", "203.0.113.9"),
            field("x-forwarded-proto", "https"),
            field("x-real-ip", "6.6.6.6"),
            field("x-role", "user"),
        ];
        for (believed, addresses, scheme) in [(false, "192.0.2.1", "http"), (true, "203.0.113.9, 192.0.2.1", "https")] {
            let (client, mut list) = (client(believed), Vec::new());
            let told = client.told(&sent, sent.len(), believed, b"asked.test", &mut list);
            let own =
                [("x-forwarded-for", addresses), ("x-forwarded-proto", scheme), ("x-forwarded-host", "asked.test")];
            let wanted: Vec<_> =
                [("x-role", "user")].into_iter().chain(own).map(|(name, value)| field(name, value)).collect();
            assert_eq!(told.as_slice(), wanted);
            let all = written(&client, &sent[..3], &[]);
            assert_eq!(all, format!("{}\r\n", own.map(|(name, value)| format!("{name}: {value}")).join("\r\n")));
        }
    }
    #[test]
    fn what_a_filter_sets_goes_instead_of_ours() {
        let set = [field("X-Forwarded-For", "a"), field("x-forwarded-host", "b")];
        assert_eq!(written(&client(false), &[], &set), "x-forwarded-proto: http\r\n");
    }

    #[test]
    fn fields_that_say_nothing_of_where_a_request_comes_from_stay() {
        let mut fields = ForwardingFields::default();
        for name in ["host", "x-forwarded", "via", "x-request-id"] {
            assert!(!take_forwarding(&field(name, "x"), &mut fields), "{name}");
        }
    }

    /// The last hop that is no trusted proxy asks; what is no address ends what can be believed.
    #[test]
    fn who_asks() {
        for (list, expected) in [
            ("203.0.113.9", Some("203.0.113.9")),
            ("6.6.6.6, 203.0.113.9", Some("203.0.113.9")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("203.0.113.9, unknown", None),
            ("", None),
        ] {
            let origin = client(true).origin(&[field("x-forwarded-for", list)], None);
            assert_eq!(origin, expected.map(|text| text.parse().unwrap()), "{list}");
        }
    }

    /// A policy's proxies stand in place of those of the settings: they are believed, and nobody else is.
    #[test]
    fn who_asks_by_the_proxies_of_a_policy() {
        for (proxies, list, expected) in [
            (&[][..], "203.0.113.9", Some("192.0.2.1")),
            (&["198.51.100.0/24"], "203.0.113.9", Some("192.0.2.1")),
            (&["192.0.2.0/24"], "6.6.6.6, 203.0.113.9", Some("203.0.113.9")),
            (&["192.0.2.0/24"], "203.0.113.9, 192.0.2.7", Some("203.0.113.9")),
            (&["192.0.2.0/24"], "203.0.113.9, unknown", None),
            // A proxy is nobody's client.
            (&["192.0.2.0/24"], "unknown, 192.0.2.7", None),
            (&["192.0.2.0/24"], "203.0.113.009, 192.0.2.7", None),
            (&["192.0.2.0/24"], ", 192.0.2.7", None),
            // As others write addresses.
            (&["192.0.2.0/24"], "203.0.113.9:4711, 192.0.2.7", Some("203.0.113.9")),
            (&["192.0.2.0/24"], "[2001:db8::1]:4711,192.0.2.7", Some("2001:db8::1")),
            (&["192.0.2.0/24"], "[2001:db8::1]", Some("2001:db8::1")),
            (&["192.0.2.0/24"], "2001:db8::1, [::ffff:192.0.2.7]:80", Some("2001:db8::1")),
            (&["192.0.2.0/24"], "[203.0.113.9], 192.0.2.7", None),
            (&["192.0.2.0/24"], "192.0.2.7", Some("192.0.2.7")),
        ] {
            let proxies = Networks::compile(proxies.iter().copied()).unwrap();
            for trusted in [false, true] {
                let asking = client(trusted).asking(&[field("x-forwarded-for", list)], Some(&proxies));
                assert_eq!(asking, expected.map(|text| text.parse().unwrap()), "{proxies:?} {list}");
            }
        }
    }
}
