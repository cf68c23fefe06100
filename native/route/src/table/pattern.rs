//! Regular expressions of matches: RE2 syntax over the whole value, small, and compiled once for each text.
//!
//! Rules that ask for the same expression share one (the content type of gRPC is in most rules of its routes). What one
//! may cost is limited here; what those of a route and of a namespace may cost together, the controller limits
//! (`translate/budget.py`), by the figure of [`pattern_facts`].

use crate::automaton::{AUTOMATON_SIZE_LIMIT, Automaton};
use ahash::AHashMap;
use std::sync::{Arc, Weak};

/// Length of one pattern.
pub const PATTERN_LIMIT: usize = 1024;

/// Texts that are kept before those whose expressions are gone are looked for.
const FIRST_SWEEP: usize = 64;

/// Whether a whole value is one of those that a pattern means.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Arc<Automaton>);

impl Pattern {
    /// A search that takes too long finds nothing.
    pub fn holds(&self, value: &[u8]) -> bool {
        self.0.is_in(value).unwrap_or(false)
    }
}

/// The expressions that are in use, by their text.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    by_pattern: AHashMap<Box<str>, Weak<Automaton>>,
    /// How many texts are kept before the next sweep.
    sweep_at: usize,
}

impl Patterns {
    /// The expression of a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern, for people.
    pub fn get(&mut self, pattern: &str) -> Result<Pattern, String> {
        if let Some(known) = self.by_pattern.get(pattern).and_then(Weak::upgrade) {
            return Ok(Pattern(known));
        }
        let made = Arc::new(compile(pattern)?);
        if self.by_pattern.len() >= self.sweep_at {
            self.by_pattern.retain(|_, known| known.strong_count() > 0);
            self.sweep_at = FIRST_SWEEP.max(self.by_pattern.len() * 2);
        }
        self.by_pattern.insert(pattern.into(), Arc::downgrade(&made));
        Ok(Pattern(made))
    }
}

/// What is known of an expression before it is IR; `error`: why it cannot be used.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PatternFacts {
    pub error: Option<String>,
    /// Bytes that it takes once it is compiled, without what threads keep while they run it.
    pub size: usize,
}

pub fn pattern_facts(pattern: &str) -> PatternFacts {
    match compile(pattern) {
        Ok(made) => PatternFacts { error: None, size: made.size() },
        Err(error) => PatternFacts { error: Some(error), size: 0 },
    }
}

/// An expression that is searched for in a path, with its groups, and what says first whether it is in it.
///
/// # Errors
/// What is wrong with the pattern, for people.
pub(super) fn searching_regex(pattern: &str) -> Result<(regex::Regex, Automaton), String> {
    check_length(pattern)?;
    let mut builder = regex::RegexBuilder::new(pattern);
    let regex = builder.size_limit(AUTOMATON_SIZE_LIMIT).build().map_err(|error| error.to_string())?;
    Ok((regex, Automaton::compile(pattern)?))
}

fn check_length(pattern: &str) -> Result<(), String> {
    if pattern.len() > PATTERN_LIMIT {
        return Err(format!("the pattern has {} bytes; {PATTERN_LIMIT} is the limit", pattern.len()));
    }
    Ok(())
}

fn compile(pattern: &str) -> Result<Automaton, String> {
    check_length(pattern)?;
    // Alone first: anchoring `a)|(b` would make a valid expression of a broken one.
    regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
    Automaton::compile(&format!("^(?:{pattern})$"))
}

#[cfg(test)]
mod tests {
    use super::{FIRST_SWEEP, Patterns, pattern_facts};

    #[test]
    fn equal_texts_are_one_expression_until_nobody_has_it() {
        let mut expressions = Patterns::default();
        let first = expressions.get("/a/[0-9]+").unwrap();
        let second = expressions.get("/a/[0-9]+").unwrap();
        assert!(std::sync::Arc::ptr_eq(&first.0, &second.0));
        assert!(first.holds(b"/a/12") && !first.holds(b"/a/12/") && !first.holds(b"x/a/12"));
        for number in 0..FIRST_SWEEP * 4 {
            expressions.get(&format!("/gone/{number}")).unwrap();
        }
        assert!(expressions.by_pattern.len() <= FIRST_SWEEP + 1, "{}", expressions.by_pattern.len());
        let third = expressions.get("/a/[0-9]+").unwrap();
        assert!(std::sync::Arc::ptr_eq(&first.0, &third.0), "what is in use stays");
    }

    /// The most that one pattern comes to, whatever it says: 2,000 of a route were 2.5 GB.
    #[test]
    fn what_one_expression_takes_is_limited() {
        for pattern in [r"\w".repeat(512), r"\w{1,60}".to_owned(), "(a|b|c){1,300}".to_owned(), r"\pL*".repeat(200)] {
            let facts = pattern_facts(&pattern);
            assert!(facts.size <= 1 << 20, "{pattern}: {facts:?}");
            assert!(facts.error.is_none_or(|reason| reason.contains("which is the limit")), "{pattern}");
        }
        assert!(pattern_facts("/users/[0-9]+/.*").size < 32_768);
    }

    #[test]
    fn anchoring_mends_no_broken_pattern() {
        assert!(pattern_facts("a)|(b").error.is_some());
        assert!(pattern_facts(&"a".repeat(1025)).error.unwrap().contains("1024 is the limit"));
    }
}
