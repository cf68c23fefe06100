//! Lists of networks: who a client is by its address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses in a list of CIDR blocks. An address of IPv4 that is written as one of IPv6 is one of IPv4.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// Read blocks such as `10.0.0.0/8`, or single addresses.
    ///
    /// # Errors
    /// The first that is none; one with bits behind its prefix is one written by mistake.
    pub fn compile<'t>(written: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let mut all = Self::default();
        for text in written {
            all.add(text).ok_or_else(|| format!("{text:?} is no address and no block such as 10.0.0.0/8"))?;
        }
        Ok(all)
    }

    fn add(&mut self, text: &str) -> Option<()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if prefix.bytes().all(|it| it.is_ascii_digit()) => {
                (address, Some(prefix.parse().ok()?))
            }
            Some(_) => return None,
            None => (text, None),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let mask = mask(u128::from(u32::MAX), 32, prefix.unwrap_or(32))?;
                self.add_v4(address, u32::try_from(mask).ok()?)
            }
            IpAddr::V6(address) => {
                let length = prefix.unwrap_or(128);
                if let (Some(mapped), 96..) = (address.to_ipv4_mapped(), length) {
                    let mask = mask(u128::from(u32::MAX), 32, length - 96)?;
                    return self.add_v4(mapped, u32::try_from(mask).ok()?);
                }
                let mask = mask(u128::MAX, 128, length)?;
                let bits = address.to_bits();
                (bits & !mask == 0).then(|| self.v6.push((bits, mask)))
            }
        }
    }

    fn add_v4(&mut self, address: Ipv4Addr, mask: u32) -> Option<()> {
        let bits = address.to_bits();
        (bits & !mask == 0).then(|| self.v4.push((bits, mask)))
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.iter().any(|(network, mask)| address.to_bits() & mask == *network),
            IpAddr::V6(address) => self.contains_v6(address),
        }
    }

    fn contains_v6(&self, address: Ipv6Addr) -> bool {
        self.v6.iter().any(|(network, mask)| address.to_bits() & mask == *network)
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

/// A mask of `prefix` bits out of `width`; `None`: there are not so many.
fn mask(all: u128, width: u32, prefix: u32) -> Option<u128> {
    let behind = width.checked_sub(prefix)?;
    Some(all.checked_shl(behind).unwrap_or(0) & all)
}

#[cfg(test)]
mod tests {
    use super::Networks;

    #[test]
    fn what_is_in_a_block() {
        for (block, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "::10.1.2.3", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::1/128", "2001:db8::1", true),
        ] {
            let networks = Networks::compile([block]).unwrap();
            assert_eq!(networks.contains(address.parse().unwrap()), is_in, "{block} {address}");
        }
        assert!(!Networks::default().contains("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_block() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0/8",
            "::/129",
            "2001:db8::1/32",
            "a",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "/8",
        ] {
            assert!(Networks::compile([text]).is_err(), "{text}");
        }
    }
}
