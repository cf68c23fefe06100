//! What tells clients apart by their addresses.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address: a site has at least a /64, and each of its hosts all of that.
const IPV6_SITE: u32 = 64;

/// The address of a client; of IPv6 the first of its /64, and one that stands for IPv4 is that.
pub fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let rest = u128::BITS - IPV6_SITE;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> rest << rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::site_of;
    use std::net::IpAddr;

    #[test]
    fn clients_are_told_apart() {
        let site = |text: &str| site_of(text.parse::<IpAddr>().unwrap()).to_string();
        assert_eq!(site("192.0.2.7"), "192.0.2.7");
        assert_eq!(site("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(site("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
