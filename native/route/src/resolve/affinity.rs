//! What of a request is hashed where endpoints are chosen by hash (`BackendPolicy.loadBalancing.hash`).

use crate::cookies;
use crate::ir::KeyPart;
use crate::rendezvous::hash;
use crate::table::{RequestHead, query_value};
use codec::is_forwarding_name;
use std::net::IpAddr;

/// Whether it depends on where a request comes from, as its backend is told that.
pub fn asks_forwarded(parts: &[KeyPart]) -> bool {
    parts.iter().any(|part| matches!(part, KeyPart::Header { name } if is_forwarding_name(name.as_bytes())))
}

/// The key of a request; `None`: it has no part of it. `client`: its address.
pub fn affinity(parts: &[KeyPart], head: &RequestHead<'_>, client: Option<IpAddr>) -> Option<u64> {
    let mut key = Hashed::default();
    for (place, part) in parts.iter().enumerate() {
        match part {
            KeyPart::Client => key.address(place, client),
            KeyPart::Host => key.add(place, head.host.as_bytes()),
            KeyPart::Header { name } => {
                let named = head.all_fields().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
                named.for_each(|field| key.add(place, field.value));
            }
            KeyPart::Cookie { name } => {
                cookies::values(head.fields, name.as_bytes()).take(1).for_each(|value| key.add(place, value));
            }
            KeyPart::Query { name } => {
                if let Some(value) = query_value(head.query, name.as_bytes()) {
                    key.add(place, &value);
                }
            }
        }
    }
    key.found()
}

/// The same of a flow, of which only its client's address is known.
pub fn flow_affinity(parts: &[KeyPart], client: IpAddr) -> Option<u64> {
    let mut key = Hashed::default();
    for (place, _) in parts.iter().enumerate().filter(|(_, part)| matches!(part, KeyPart::Client)) {
        key.address(place, Some(client));
    }
    key.found()
}

#[derive(Default)]
struct Hashed {
    state: u64,
    any: bool,
}

impl Hashed {
    /// `place` of the part: the same value in another one is another key.
    fn add(&mut self, place: usize, value: &[u8]) {
        self.state = hash(self.state ^ place as u64, value);
        self.any = true;
    }

    fn address(&mut self, place: usize, address: Option<IpAddr>) {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => self.add(place, &address.octets()),
            Some(IpAddr::V6(address)) => self.add(place, &address.octets()),
            None => {}
        }
    }

    fn found(self) -> Option<u64> {
        self.any.then_some(self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::{affinity, flow_affinity};
    use crate::ir::KeyPart;
    use crate::table::RequestHead;
    use codec::Field;
    use std::net::IpAddr;

    fn head<'a>(fields: &'a [Field<'a>], query: Option<&'a str>, host: &'a str) -> RequestHead<'a> {
        RequestHead { method: "GET", path: "/", query, host, authority: host.as_bytes(), fields, taken_out: &[] }
    }

    #[test]
    fn keys_are_what_their_parts_say() {
        let name = |name: &str| name.to_owned();
        let one = [Field { name: b"X-User", value: b"a" }, Field { name: b"cookie", value: b"x=1; s=a" }];
        let two = [Field { name: b"x-user", value: b"b" }, Field { name: b"cookie", value: b"s=b" }];
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        let (one, two) = (head(&one, Some("q=a&q=c"), "a.test"), head(&two, Some("x=1&q=%61"), "a.test"));
        for part in [
            KeyPart::Header { name: name("x-user") },
            KeyPart::Cookie { name: name("s") },
            KeyPart::Header { name: name("x-absent") },
            KeyPart::Cookie { name: name("absent") },
            KeyPart::Query { name: name("absent") },
        ] {
            let parts = [part];
            let keys = [affinity(&parts, &one, None), affinity(&parts, &two, None)];
            let absent = format!("{parts:?}").contains("absent");
            assert_eq!(keys[0].is_none(), absent, "{parts:?}");
            assert_eq!(keys[0] == keys[1], absent, "{parts:?}");
            assert_eq!(keys[0], affinity(&parts, &one, Some(client)), "{parts:?}");
        }
        let query = [KeyPart::Query { name: name("q") }];
        assert!(affinity(&query, &one, None).is_some());
        assert_eq!(affinity(&query, &one, None), affinity(&query, &two, None), "decoded, and the first of them");
        assert_eq!(affinity(&[KeyPart::Host], &one, None), affinity(&[KeyPart::Host], &two, None));
        let of_client = [KeyPart::Client];
        assert_eq!(affinity(&of_client, &one, None), None);
        assert_eq!(affinity(&of_client, &one, Some(mapped)), affinity(&of_client, &two, Some(client)));
        assert_eq!(flow_affinity(&of_client, client), affinity(&of_client, &one, Some(mapped)));
        assert_eq!(flow_affinity(&[KeyPart::Host], client), None);
        let both = [KeyPart::Client, KeyPart::Header { name: name("x-user") }];
        assert_ne!(affinity(&both, &one, Some(client)), affinity(&both, &two, Some(client)));
    }
}
