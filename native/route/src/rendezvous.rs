//! Rendezvous hashing (Thaler and Ravishankar, 1998): of all endpoints the one whose seed gives the highest score with a key.
//!
//! Why not a ring or Maglev's table: an endpoint that leaves moves its own keys and no others, shares are as even as chance
//! has them, and there is no table of 65,537 places for each backend to keep and to make anew with each change. The price
//! is a look at each seed, a nanosecond or less.
//!
//! Seeds and scores follow from addresses and keys alone, so that every worker, replica and architecture agrees.

use std::net::{IpAddr, SocketAddr};

/// Odd, with no pattern: digits of pi.
const KEYS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];

/// 64 bits of the product's two halves.
fn fold(one: u64, two: u64) -> u64 {
    let high = (u128::from(one) * u128::from(two)) >> 64;
    one.wrapping_mul(two) ^ u64::try_from(high).unwrap_or_default()
}

/// The hash of some bytes, after others.
pub fn hash(state: u64, bytes: &[u8]) -> u64 {
    let mut mixed = fold(state ^ KEYS[0], bytes.len() as u64 ^ KEYS[1]);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mixed = fold(mixed ^ u64::from_le_bytes(word), KEYS[0]) ^ KEYS[1];
    }
    fold(mixed, KEYS[1])
}

/// Of an endpoint.
pub fn seed_of(address: SocketAddr) -> u64 {
    let port = hash(0, &address.port().to_le_bytes());
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => hash(port, &ip.octets()),
        IpAddr::V6(ip) => hash(port, &ip.octets()),
    }
}

fn score(seed: u64, key: u64) -> u64 {
    fold(seed ^ key, KEYS[0])
}

/// The place of the highest score, but for those that `skip`. Of places with the same score the first.
pub fn best(seeds: &[u64], key: u64, skip: &[usize]) -> Option<usize> {
    if skip.is_empty() {
        return highest(seeds, key);
    }
    let mut found: Option<(usize, u64)> = None;
    for (place, seed) in seeds.iter().enumerate() {
        let score = score(*seed, key);
        if found.is_none_or(|(_, highest)| score > highest) && !skip.contains(&place) {
            found = Some((place, score));
        }
    }
    found.map(|(place, _)| place)
}

/// Nearly all picks end here: the loop has nothing but the scores.
fn highest(seeds: &[u64], key: u64) -> Option<usize> {
    let (first, rest) = seeds.split_first()?;
    let mut found = (0, score(*first, key));
    for (place, seed) in (1..).zip(rest) {
        let score = score(*seed, key);
        if score > found.1 {
            found = (place, score);
        }
    }
    Some(found.0)
}

#[cfg(test)]
mod tests {
    use super::{best, hash, seed_of};
    use std::net::SocketAddr;

    fn seeds(count: u16) -> Vec<u64> {
        let address = |place: u16| {
            let [high, low] = place.to_be_bytes();
            SocketAddr::from(([10, 0, high, low], 8080))
        };
        (0..count).map(|place| seed_of(address(place))).collect()
    }

    fn keys(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|key| hash(0, format!("user-{key}").as_bytes()))
    }

    /// Whatever endpoint leaves, only its own keys move.
    #[test]
    fn only_the_keys_of_the_one_that_left_move() {
        for count in [2, 3, 10, 100] {
            let all = seeds(count);
            for gone in (0..all.len()).step_by(7) {
                let left: Vec<u64> = all.iter().copied().filter(|seed| *seed != all[gone]).collect();
                for key in keys(2000) {
                    let before = best(&all, key, &[]).unwrap();
                    let after = left[best(&left, key, &[]).unwrap()];
                    assert!(before == gone || after == all[before], "{count} {gone}");
                    if before == gone {
                        assert_eq!(after, all[best(&all, key, &[gone]).unwrap()], "to the next one of its own order");
                    }
                }
            }
        }
    }

    /// Every endpoint has its share of the keys, within what chance allows.
    #[test]
    fn shares_are_even() {
        let all = seeds(100);
        let mut counts = vec![0_u32; all.len()];
        keys(100_000).for_each(|key| counts[best(&all, key, &[]).unwrap()] += 1);
        // 1,000 each with a deviation of 31: five of these.
        assert!(counts.iter().all(|count| (843..=1157).contains(count)), "{counts:?}");
    }

    /// Another version of the gateway beside this one must choose alike.
    #[test]
    fn choices_are_those_of_all_times() {
        let all = seeds(10);
        let chosen: Vec<_> = keys(12).map(|key| best(&all, key, &[]).unwrap()).collect();
        assert_eq!(chosen, CHOSEN);
        assert_eq!(best(&[], 1, &[]), None);
        assert_eq!(seed_of("[::ffff:10.0.0.1]:80".parse().unwrap()), seed_of("10.0.0.1:80".parse().unwrap()));
    }

    const CHOSEN: [usize; 12] = [5, 6, 7, 3, 9, 8, 3, 4, 1, 3, 3, 0];
}
