//! Which addresses a hostname may come to. Whoever may write an `XBackend` names any host, and whoever owns a host has it come to
//! any address, another one each time: so it is looked at after each resolution, and what is connected to is the very address
//! that was looked at.
//!
//! Refused is what leads to this machine or to what answers every machine: loopback, link-local and with it the metadata of
//! clouds (`169.254.169.254`), other addresses that clouds have such a service at, multicast, broadcast and no address at all;
//! each also inside addresses of IPv6 that carry one of IPv4. Private networks are not refused: backends are there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of metadata and of what else clouds answer each machine at, outside of link-local.
const CLOUD_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const CLOUD_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];

/// Why no connection is made to an address that a name came to. `None`: one may be. `local`: the operator lets names lead to
/// this machine.
pub fn refusal(address: IpAddr, local: bool) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address, local),
        IpAddr::V6(address) => refusal_v6(address, local),
    }
}

fn refusal_v4(address: Ipv4Addr, local: bool) -> Option<&'static str> {
    let [first, ..] = address.octets();
    if address.is_loopback() {
        return (!local).then_some("an address of this machine");
    }
    if address.is_link_local() || CLOUD_V4.contains(&address) {
        return Some("an address of metadata or of the local link");
    }
    if address.is_multicast() || address.is_broadcast() {
        return Some("an address of many");
    }
    // 0.0.0.0/8 is "this network" (RFC 1122 section 3.2.1.3), and Linux connects to itself; 240.0.0.0/4 is nobody's.
    (first == 0 || first >= 240).then_some("no address of anybody")
}

fn refusal_v6(address: Ipv6Addr, local: bool) -> Option<&'static str> {
    if address.is_loopback() {
        return (!local).then_some("an address of this machine");
    }
    if address.is_unspecified() {
        return Some("no address of anybody");
    }
    if address.is_multicast() {
        return Some("an address of many");
    }
    if address.is_unicast_link_local() || CLOUD_V6.contains(&address) {
        return Some("an address of metadata or of the local link");
    }
    // Teredo (RFC 4380) carries an address in disguise, and site-local ones (RFC 3879) are abolished.
    let segments = address.segments();
    if segments[..2] == [0x2001, 0] || segments[0] & 0xffc0 == 0xfec0 {
        return Some("no address of anybody");
    }
    carried(address).into_iter().find_map(|inner| refusal_v4(inner, local))
}

/// The addresses of IPv4 that one of IPv6 may carry: mapped, compatible and translated ones (RFC 4291, RFC 2765), 6to4 (RFC 3056),
/// NAT64 with the well-known prefix and with local ones, in each of their forms (RFC 6052 section 2.2, RFC 8215).
fn carried(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| octets[place]));
    let last = at([12, 13, 14, 15]);
    let is_embedded = octets[..10].iter().all(|octet| *octet == 0)
        || octets[..8].iter().all(|octet| *octet == 0) && octets[8..12] == [0xff, 0xff, 0, 0];
    match address.segments() {
        _ if is_embedded => vec![last],
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => vec![last],
        [0x64, 0xff9b, 1, ..] => {
            // Which of these it is only the network knows; what begins with 0 is none.
            let any = [last, at([6, 7, 9, 10]), at([7, 9, 10, 11]), at([9, 10, 11, 12])];
            any.into_iter().filter(|address| address.octets()[0] != 0).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    #[test]
    fn what_a_name_may_not_come_to() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::127.0.0.1",
            "64:ff9b:1::7f00:1",
            "64:ff9b:1:7f00:0:100::",
            "2002:7f00:1::",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(refusal(address.parse().unwrap(), false).is_some(), "{address}");
            assert_eq!(refusal(address.parse().unwrap(), true), None, "{address}");
        }
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "224.0.0.1",
            "239.255.255.255",
            "ff02::1",
            "255.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "::ffff:0.0.0.0",
            "240.0.0.1",
            "2001:0:1:2:3:4:5:6",
            "fec0::1",
        ] {
            for local in [false, true] {
                assert!(refusal(address.parse().unwrap(), local).is_some(), "{address}");
            }
        }
        for address in [
            "192.0.2.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "8.8.8.8",
            "2001:db8::1",
            "fd00::1",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
        ] {
            assert_eq!(refusal(address.parse().unwrap(), false), None, "{address}");
        }
    }
}
