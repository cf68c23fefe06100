//! Whose turn it is: which backend of a rule gets a request, and which requests a mirror gets a copy of.
//!
//! A sequence of multiples of an irrational number visits every part of a whole in proportion to its size, and soon: a weight
//! has its share within any few requests. Each rule has sequences of its own, so that what others are asked changes nothing;
//! each use has a number of its own, so that the copies are a fair sample of what each backend gets.

use crate::by_uid::ByUid;
use ahash::AHashSet;
use route::table::Table;
use std::array;
use std::cell::Cell;

/// Rules whose sequences one worker remembers. Beyond that others begin anew, which costs a little evenness. Stops rules that
/// come and go faster than they are swept from taking memory.
const MAX_RULES: usize = 1 << 20;

/// So few are not worth a look at the whole table.
const FEW_RULES: usize = 1024;

/// The golden ratio's fraction: the most even of all.
const BACKENDS: u32 = 0x9e37_79b9;

/// Fractions of square roots of primes: independent of the golden ratio and of each other.
const MIRRORS: [u32; 6] = [0x6a09_e667, 0xbb67_ae85, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x5be0_cd19];

/// The sequences of a rule: of its backends, and of the mirrors in each place.
type Sequences = [Cell<u32>; 1 + MIRRORS.len()];

/// The sequences of one worker.
#[derive(Debug)]
pub struct Turns {
    rules: ByUid<Sequences>,
    /// The next sweep looks only where there are more.
    enough: Cell<usize>,
    noise: Cell<u64>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { rules: ByUid::new(MAX_RULES), enough: Cell::new(FEW_RULES), noise: Cell::default() }
    }
}

impl Turns {
    /// The next turn of a rule among `0..total`.
    pub fn backend(&self, rule: u64, total: u64) -> u64 {
        self.next(rule, 0, BACKENDS, total)
    }

    /// The next turn of the rule's mirror in that place.
    pub fn mirror(&self, rule: u64, place: usize, total: u64) -> u64 {
        let place = place % MIRRORS.len();
        self.next(rule, place + 1, MIRRORS[place], total)
    }

    fn next(&self, rule: u64, sequence: usize, step: u32, total: u64) -> u64 {
        // Rules do not begin in step.
        let begin = || array::from_fn(|_| Cell::new((rule >> 32) as u32));
        let turn = self.rules.with(rule, begin, |sequences| {
            let turn = sequences[sequence].get().wrapping_add(step);
            sequences[sequence].set(turn);
            turn
        });
        (u64::from(turn) * total) >> 32
    }

    /// Forget the rules that `table` no longer has. Called about once a second; looks at the table only once there are twice
    /// as many as it had last time, since a look costs all of its rules.
    pub fn sweep(&self, table: &Table) {
        if self.rules.len() <= self.enough.get() {
            return;
        }
        let uids: AHashSet<u64> = table.rule_uids().collect();
        self.rules.retain(|uid, _| uids.contains(&uid));
        self.enough.set(FEW_RULES.max(2 * self.rules.len()));
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
    use super::{Table, Turns};
    use route::table::{NoTags, State};
    use serde_json::json;

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

    fn table(rules: std::ops::Range<u32>) -> Table {
        let rule = |name: u32| {
            json!({"id": name.to_string(), "route": "HTTPRoute/a/b", "index": name, "listeners": ["http"],
                "matches": [{"path": {"type": "Exact", "value": format!("/{name}")}}]})
        };
        let listener = json!({"id": "http", "gateway": "a/gateway", "port": 80, "bind_port": 80, "protocol": "HTTP"});
        let all = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "listeners": [listener], "http_rules": rules.map(rule).collect::<Vec<_>>()}});
        State::default().apply(serde_json::from_value(all).expect("a transaction"), &NoTags).expect("a table")
    }

    /// Rules that the table has go on where they were, however many others come and go.
    #[test]
    fn rules_that_have_gone_are_forgotten() {
        let (turns, alone) = (Turns::default(), Turns::default());
        let kept = table(0..1).rule_uids().next().expect("a rule");
        for second in 0..10 {
            let now = table(0..if second == 5 { 5000 } else { 1 });
            for uid in now.rule_uids().chain((0..1000).map(|number| second * 1000 + number)) {
                assert!(uid == kept || turns.backend(uid, 2) < 2);
                assert_eq!(turns.backend(kept, 1000), alone.backend(kept, 1000));
            }
            turns.sweep(&now);
            assert!(turns.rules.len() <= if second < 5 { 2000 } else { 10_000 }, "{}", turns.rules.len());
        }
    }

    #[test]
    fn noise_is_no_sequence() {
        let turns = Turns::default();
        let high = (0..1000).filter(|_| turns.noise() > u32::MAX / 2).count();
        assert!((400..=600).contains(&high), "{high}");
    }
}
