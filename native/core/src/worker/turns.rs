//! Whose turn it is: which backend of a rule gets a request, and which requests a mirror gets a copy of.
//!
//! A sequence of multiples of an irrational number visits every part of a whole in proportion to its size, and soon: a weight
//! has its share within any few requests. Each rule has sequences of its own, so that what others are asked changes nothing;
//! each use has a number of its own, so that the copies are a fair sample of what each backend gets.

use ahash::AHashMap;
use std::cell::{Cell, RefCell};

/// Sequences that one worker remembers. Beyond that all begin anew, which costs a little evenness. Stops rules that come and
/// go from taking memory.
const MAX_SEQUENCES: usize = 65_536;

/// The golden ratio's fraction: the most even of all.
const BACKENDS: u32 = 0x9e37_79b9;

/// Fractions of square roots of primes: independent of the golden ratio and of each other.
const MIRRORS: [u32; 6] = [0x6a09_e667, 0xbb67_ae85, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x5be0_cd19];

/// The sequences of one worker.
#[derive(Debug, Default)]
pub struct Turns {
    sequences: RefCell<AHashMap<(u64, u8), u32>>,
    noise: Cell<u64>,
}

impl Turns {
    /// The next turn of a rule among `0..total`.
    pub fn backend(&self, rule: u64, total: u64) -> u64 {
        self.next(rule, 0, BACKENDS, total)
    }

    /// The next turn of the rule's mirror in that place.
    pub fn mirror(&self, rule: u64, place: usize, total: u64) -> u64 {
        let place = place % MIRRORS.len();
        self.next(rule, u8::try_from(place + 1).unwrap_or(u8::MAX), MIRRORS[place], total)
    }

    fn next(&self, rule: u64, use_of: u8, step: u32, total: u64) -> u64 {
        let mut sequences = self.sequences.borrow_mut();
        if sequences.len() >= MAX_SEQUENCES && !sequences.contains_key(&(rule, use_of)) {
            sequences.clear();
        }
        // Rules do not begin in step.
        let turn = sequences.entry((rule, use_of)).or_insert((rule >> 32) as u32);
        *turn = turn.wrapping_add(step);
        (u64::from(*turn) * total) >> 32
    }

    /// For jitter: nothing follows from it, and nobody is told.
    pub fn noise(&self) -> u32 {
        // SplitMix64.
        let state = self.noise.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.noise.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;

    /// Of any `window` requests each weight gets its share, but for one.
    #[test]
    fn shares_are_even_at_once_whatever_other_rules_are_asked() {
        for others in [0, 1, 2, 7, 12, 20, 33] {
            let turns = Turns::default();
            let slots: Vec<u64> = (0..1000)
                .map(|_| {
                    for other in 0..others {
                        turns.backend(other + 100, 2);
                    }
                    turns.backend(7 << 40, 10)
                })
                .collect();
            for window in slots.windows(20) {
                let few = window.iter().filter(|slot| **slot == 9).count();
                assert!((1..=3).contains(&few), "{others}: {few} of 20 for a tenth");
            }
            for window in slots.windows(4) {
                let half = window.iter().filter(|slot| **slot < 5).count();
                assert!((1..=3).contains(&half), "{others}: {half} of 4 for a half");
            }
        }
    }

    /// A mirror of a tenth gets a tenth of what each backend gets, in whatever place it stands.
    #[test]
    fn mirrors_are_a_fair_sample_of_each_backend() {
        for place in 0..6 {
            for rule in [1, 1 << 33, u64::MAX, 0x1234_5678_9abc_def0] {
                let turns = Turns::default();
                let (mut few, mut copied, mut all) = (0, 0, 0);
                for _ in 0..10_000 {
                    let rare = turns.backend(rule, 10) == 9;
                    let copy = turns.mirror(rule, place, 10) == 0;
                    few += u32::from(rare);
                    copied += u32::from(rare && copy);
                    all += u32::from(copy);
                }
                assert!((990..=1010).contains(&few) && (990..=1010).contains(&all), "{few} {all}");
                assert!((80..=120).contains(&copied), "mirror {place} of rule {rule:x}: {copied} of {few}");
            }
        }
    }

    #[test]
    fn sequences_are_bounded() {
        let turns = Turns::default();
        for rule in 0..super::MAX_SEQUENCES as u64 * 2 {
            assert!(turns.backend(rule, 2) < 2);
        }
        assert!(turns.sequences.borrow().len() <= super::MAX_SEQUENCES);
    }

    #[test]
    fn noise_is_no_sequence() {
        let turns = Turns::default();
        let high = (0..1000).filter(|_| turns.noise() > u32::MAX / 2).count();
        assert!((400..=600).contains(&high), "{high}");
    }
}
