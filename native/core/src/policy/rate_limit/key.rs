//! What tells budgets apart: a keyed digest of 128 bits, so that no text of a client is kept, and nobody can choose one that
//! meets another's.

use crate::policy::site::site_of;
use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

/// A digest of whatever a limit goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64, u64);

impl Key {
    /// Bits that are as good as drawn by lot.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// The secret of a process.
#[derive(Debug, Default, Clone)]
pub struct KeySecret {
    halves: (RandomState, RandomState),
}

impl KeySecret {
    pub fn begin(&self) -> KeyHasher {
        KeyHasher(self.halves.0.build_hasher(), self.halves.1.build_hasher())
    }
}

/// A key in the making. Each part carries its length: `ab`, `c` is another key than `a`, `bc`.
#[derive(Debug, Clone)]
pub struct KeyHasher(DefaultHasher, DefaultHasher);

impl KeyHasher {
    pub fn part(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for half in [&mut self.0, &mut self.1] {
            half.write(bytes);
        }
    }

    pub fn number(&mut self, number: u64) {
        for half in [&mut self.0, &mut self.1] {
            half.write_u64(number);
        }
    }

    /// What is not there: another key than one that is empty.
    pub fn absent(&mut self) {
        self.number(u64::MAX);
    }

    pub fn address(&mut self, address: IpAddr) {
        match site_of(address) {
            IpAddr::V4(address) => self.part(&address.octets()),
            IpAddr::V6(address) => self.part(&address.octets()),
        }
    }

    pub fn finish(self) -> Key {
        Key(self.0.finish(), self.1.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, KeyHasher, KeySecret};
    use std::collections::HashSet;

    fn key(secret: &KeySecret, parts: impl FnOnce(&mut KeyHasher)) -> Key {
        let mut hasher = secret.begin();
        parts(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let secret = KeySecret::default();
        let of = |parts: &[&str]| key(&secret, |hasher| parts.iter().for_each(|part| hasher.part(part.as_bytes())));
        let parts: [&[&str]; 7] = [&[], &[""], &["", ""], &["a", "bc"], &["ab", "c"], &["abc"], &["abc", ""]];
        let mut keys: HashSet<Key> = parts.iter().map(|parts| of(parts)).collect();
        keys.insert(key(&secret, KeyHasher::absent));
        assert_eq!(keys.len(), parts.len() + 1);
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), key(&KeySecret::default(), |hasher| hasher.part(b"a")));
    }

    /// A client of IPv6 that draws addresses from its network has one budget; one of IPv4 that comes as IPv6 too.
    #[test]
    fn addresses_of_one_client() {
        let secret = KeySecret::default();
        let of = |address: &str| key(&secret, |hasher| hasher.address(address.parse().unwrap()));
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(of(one) == of(other), same, "{one} {other}");
        }
    }
}
