//! The search: change an input that is kept, try it, keep it where it showed something new.

use super::minimise::minimise;
use super::random::Random;
use super::targets::Target;
use super::verdict::{Outcome, Violation};
use std::collections::{BTreeMap, HashSet};

/// Inputs in memory. A target with more outcomes than that replaces some; those that it began with stay.
const MAX_KEPT: usize = 4_000;

/// Outcomes that are told apart; more would be a target that puts numbers into them.
const MAX_OUTCOMES: usize = 20_000;

/// An input that breaks a rule, made small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub input: Vec<u8>,
    pub violation: Violation,
}

#[derive(Debug)]
pub struct Fuzzer<'t> {
    target: &'t Target,
    random: Random,
    kept: Vec<Vec<u8>>,
    /// How many of `kept` are there from the start.
    given: usize,
    seen: HashSet<(Outcome, u32)>,
    outcomes: BTreeMap<Outcome, u64>,
    /// Rules that were found broken: told once.
    broken: HashSet<String>,
}

impl<'t> Fuzzer<'t> {
    pub fn new(target: &'t Target, seed: u64, corpus: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut kept: Vec<Vec<u8>> = corpus.into_iter().filter(|input| input.len() <= target.max_length).collect();
        kept.push(Vec::new());
        let given = kept.len();
        Self {
            target,
            random: Random::new(seed),
            kept,
            given,
            seen: HashSet::new(),
            outcomes: BTreeMap::new(),
            broken: HashSet::new(),
        }
    }

    /// How many inputs there are to change.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// What the inputs so far came to, and how many did.
    pub fn outcomes(&self) -> &BTreeMap<Outcome, u64> {
        &self.outcomes
    }

    /// An input to try next.
    pub fn next_input(&mut self) -> Vec<u8> {
        let Self { target, random, kept, .. } = self;
        // What was kept last is what the others have not led to yet.
        let newest = kept.len().saturating_sub(16);
        let at = if random.one_in(4) { newest + random.below(kept.len() - newest) } else { random.below(kept.len()) };
        let other = random.below(kept.len());
        let mut input = (target.mutate)(random, &kept[at], &kept[other], target.dictionary);
        input.truncate(target.max_length);
        input
    }

    /// Try an input. `None`: no rule is broken, or one that is told already.
    pub fn run(&mut self, input: &[u8]) -> Option<Finding> {
        match self.target.try_input(input) {
            Ok(outcome) => {
                self.note(outcome, input);
                None
            }
            Err(violation) => {
                if !self.broken.insert(violation.rule.clone()) {
                    return None;
                }
                let input = minimise(self.target, input, &violation.rule);
                let violation = self.target.try_input(&input).err().unwrap_or(violation);
                Some(Finding { input, violation })
            }
        }
    }

    fn note(&mut self, outcome: Outcome, input: &[u8]) {
        if let Some(count) = self.outcomes.get_mut(&outcome) {
            *count += 1;
        } else if self.outcomes.len() < MAX_OUTCOMES {
            self.outcomes.insert(outcome.clone(), 1);
        }
        let size = usize::BITS - input.len().leading_zeros();
        if self.seen.len() >= MAX_OUTCOMES || !self.seen.insert((outcome, size)) {
            return;
        }
        if self.kept.len() < MAX_KEPT {
            self.kept.push(input.to_vec());
        } else if self.given < MAX_KEPT {
            let at = self.given + self.random.below(self.kept.len() - self.given);
            self.kept[at] = input.to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutate::mutate;
    use crate::verdict::ensure;

    /// A parser with a fault behind two conditions, as faults are.
    fn faulty(input: &[u8]) -> Result<Outcome, Violation> {
        let whole = input.ends_with(b"\r\n\r\n");
        let framed = input.windows(2).any(|pair| pair == b"te");
        ensure!(!(whole && framed && input.contains(&0)), "no NUL in a framed head", "{input:?}");
        Ok(format!("{whole} {framed}"))
    }

    const FAULTY: Target = Target { name: "faulty", check: faulty, dictionary: &[b"te"], mutate, max_length: 200 };

    fn search(seed: u64) -> (usize, Finding) {
        let mut fuzzer = Fuzzer::new(&FAULTY, seed, [b"Host: example.com\r\n\r\n".to_vec()]);
        for count in 0..200_000 {
            let input = fuzzer.next_input();
            if let Some(finding) = fuzzer.run(&input) {
                assert_eq!(fuzzer.run(&input), None, "a rule is told once");
                return (count, finding);
            }
        }
        panic!("the fault was not found");
    }

    #[test]
    fn a_fault_is_found_made_small_and_found_again_by_its_seed() {
        for seed in 0..5 {
            let (count, finding) = search(seed);
            assert_eq!(finding.violation.rule, "no NUL in a framed head");
            assert_eq!(finding.input.len(), b"te\0\r\n\r\n".len(), "{finding:?}");
            assert_eq!(search(seed), (count, finding));
        }
    }
}
