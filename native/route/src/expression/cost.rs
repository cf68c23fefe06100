//! What expressions may cost: steps of one evaluation, and of all that are asked of one request by one policy.

use super::Failed;
use regex_automata::meta::Regex;
use std::cell::Cell;

/// What one evaluation may cost: a step is a part of the expression that is evaluated, an element that is looked at, or 16
/// bytes of a text; of a pattern, [`Pattern::cost`]. It is a few milliseconds at most, and a few hundred kilobytes.
const MAX_STEPS: usize = 20_000;

/// What all evaluations over the same inputs may cost together: the rules of a policy are many.
const MAX_STEPS_TOGETHER: usize = 3 * MAX_STEPS;

/// Bytes of a compiled pattern; one that needs more is an attack or a mistake.
const MAX_PATTERN: usize = 1 << 18;

/// Bytes of a compiled pattern that go with two bytes of a text for a step. The worst pattern looks at all of its states for
/// each byte: some sixty of them are in so much, at 3 ns each.
const PATTERN_WEIGHT: usize = 4_096;

/// What is left for the expressions of one policy and one request.
#[derive(Debug, Clone)]
pub struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MAX_STEPS_TOGETHER))
    }
}

/// What is left for one evaluation. What it took is gone from the budget, however it ended.
#[derive(Debug)]
pub(super) struct Steps<'b> {
    left: usize,
    budget: &'b Budget,
}

impl<'b> Steps<'b> {
    pub fn of(budget: &'b Budget) -> Self {
        Self { left: MAX_STEPS, budget }
    }

    /// # Errors
    /// Nothing is left.
    pub fn take(&mut self, steps: usize) -> Result<(), Failed> {
        self.left = self.left.checked_sub(steps).ok_or(Failed::TooCostly)?;
        let together = self.budget.0.get().checked_sub(steps).ok_or(Failed::TooCostly)?;
        self.budget.0.set(together);
        Ok(())
    }

    /// For work on so many bytes.
    ///
    /// # Errors
    /// As `take`.
    pub fn take_bytes(&mut self, bytes: usize) -> Result<(), Failed> {
        self.take(bytes / 16)
    }
}

/// A pattern of `matches`, and what it weighs.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    weight: usize,
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, for people.
    pub fn compile(text: &str) -> Result<Self, String> {
        let config = Regex::config().nfa_size_limit(Some(MAX_PATTERN));
        let regex = Regex::builder().configure(config).build(text).map_err(|error| match error.size_limit() {
            Some(limit) => format!("compiled it would take more than {limit} bytes"),
            None => error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string),
        })?;
        let weight = 1 + regex.memory_usage() / PATTERN_WEIGHT;
        Ok(Self { regex, weight })
    }

    /// Steps of a search in so many bytes.
    pub fn cost(&self, bytes: usize) -> usize {
        1 + bytes.saturating_mul(self.weight) / 2
    }

    pub fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_STEPS, Pattern};

    /// What people write is cheap for values of usual length, and what is dear is refused for long ones.
    #[test]
    fn what_patterns_cost() {
        for (pattern, bytes) in [
            ("^curl/[0-9]+$", 4_000),
            ("^/api/v[0-9]+/(users|orders)/[^/]+$", 2_000),
            (r"^\w+@\w+\.example\.com$", 250),
            (r"^Mozilla/5\.0 \(.*(Windows|Linux|Macintosh).*\)", 2_000),
        ] {
            let cost = Pattern::compile(pattern).unwrap().cost(bytes);
            assert!(cost <= MAX_STEPS, "{pattern}: {cost}");
        }
        let cost = Pattern::compile("^(a|b)*a(a|b){900}$").unwrap().cost(4_000);
        assert!(cost > MAX_STEPS, "{cost}");
        assert!(Pattern::compile(r"\w{200}").unwrap_err().contains("more than 262144 bytes"));
    }
}
