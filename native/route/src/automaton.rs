//! Regular expressions that are asked of what clients send: RE2 syntax, bounded in memory, and in time.
//!
//! States are met as they are needed (a lazy DFA), which is a nanosecond or two for an octet. A pattern that needs a new one for
//! each octet is an attack: the worst of an allowed size stood still for two seconds over 50 KB. Such a search is given up.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_automata::util::pool::Pool;
use regex_automata::{Input, MatchErrorKind};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// Bytes of an automaton; a pattern that needs more is an attack or a mistake.
pub const AUTOMATON_SIZE_LIMIT: usize = 1 << 18;

/// Bytes that a thread keeps of the states that it met in an expression; then it begins anew.
const MET_STATES_LIMIT: usize = 1 << 17;

/// How often it may begin anew in one search before it is asked whether that pays, and octets for each state from which on it does.
const NEW_BEGINNINGS: usize = 3;
const OCTETS_OF_A_STATE: usize = 10;

/// States times octets of a search that takes no short cut: a word boundary of Unicode in a text that is not ASCII.
const SLOW_WORK_LIMIT: usize = 1 << 20;

/// A search that takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaveUp;

type CachePool = Pool<Cache, Box<dyn Fn() -> Cache + Send + Sync + UnwindSafe + RefUnwindSafe>>;

/// A compiled expression.
#[derive(Debug)]
pub struct Automaton {
    dfa: DFA,
    caches: CachePool,
}

impl Automaton {
    /// # Errors
    /// What is wrong with the pattern, for people.
    pub fn compile(pattern: &str) -> Result<Self, String> {
        // Nobody asks what a group matched.
        let nfa = Config::new().which_captures(WhichCaptures::Implicit).nfa_size_limit(Some(AUTOMATON_SIZE_LIMIT));
        let nfa = Compiler::new().configure(nfa).build(pattern).map_err(|error| match error.size_limit() {
            Some(limit) => format!("compiled it takes more than {limit} bytes, which is the limit"),
            None => std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
        })?;
        let config = DFA::config()
            .cache_capacity(MET_STATES_LIMIT)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(NEW_BEGINNINGS))
            .minimum_bytes_per_state(Some(OCTETS_OF_A_STATE))
            .unicode_word_boundary(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).map_err(|error| error.to_string())?;
        let made = dfa.clone();
        Ok(Self { dfa, caches: Pool::new(Box::new(move || made.create_cache())) })
    }

    /// Whether it is in a text.
    ///
    /// # Errors
    /// That would take too long.
    pub fn is_in(&self, text: &[u8]) -> Result<bool, GaveUp> {
        let found = self.dfa.try_search_fwd(&mut self.caches.get(), &Input::new(text).earliest(true));
        match found {
            Ok(found) => Ok(found.is_some()),
            Err(error) if matches!(error.kind(), MatchErrorKind::Quit { .. }) => self.is_in_slowly(text),
            Err(_) => Err(GaveUp),
        }
    }

    /// Bytes that it takes, without what threads keep while they run it.
    pub fn size(&self) -> usize {
        self.dfa.get_nfa().memory_usage()
    }

    /// How many states there are, of which a text may be in several at once.
    pub fn states(&self) -> usize {
        self.dfa.get_nfa().states().len()
    }

    fn is_in_slowly(&self, text: &[u8]) -> Result<bool, GaveUp> {
        if self.states().saturating_mul(text.len()) > SLOW_WORK_LIMIT {
            return Err(GaveUp);
        }
        let slow = PikeVM::new_from_nfa(self.dfa.get_nfa().clone()).map_err(|_| GaveUp)?;
        Ok(slow.is_match(&mut slow.create_cache(), text))
    }
}

#[cfg(test)]
mod tests {
    use super::{Automaton, GaveUp};

    fn is_in(pattern: &str, text: &str) -> Result<bool, GaveUp> {
        Automaton::compile(pattern).unwrap().is_in(text.as_bytes())
    }

    /// Pseudo-random letters: they make such a pattern meet new states for ever.
    fn letters(count: usize) -> String {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 31 == 0 { 'a' } else { 'b' }
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn what_would_take_seconds_is_given_up() {
        let text = letters(60_000);
        assert_eq!(is_in("^[ab]*a[ab]{1500}c$", &text), Err(GaveUp));
        assert_eq!(is_in("[ab]*a[ab]{1500}c", &text), Err(GaveUp));
        assert_eq!(is_in(r"\b[ab]*a[ab]{1000}c", &format!("{text}é")), Err(GaveUp));
    }

    #[test]
    fn what_people_write_is_never_given_up() {
        let long = format!("/api/v2/{}", letters(60_000));
        for pattern in ["^/api/v[0-9]+/.*$", r"^/api/\w+/\w+$", "(/[a-z0-9]+)+", r"^.*(a|b).*[ab]{8}$", r"\bapi\b"] {
            assert_eq!(is_in(pattern, &long), Ok(true), "{pattern}");
        }
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36";
        assert_eq!(is_in(r"^Mozilla/5\.0 \(.*(Windows|Linux|Macintosh).*\).*Chrome/\d+", agent), Ok(true));
        assert_eq!(is_in(r"\bété\b", "un été chaud"), Ok(true));
        assert_eq!(is_in(r"^\w+$", &letters(60_000)), Ok(true));
    }

    #[test]
    fn patterns_that_are_none() {
        assert!(Automaton::compile("(a").unwrap_err().contains("unclosed group"));
        assert!(Automaton::compile(r"\w{500}").unwrap_err().contains("more than 262144 bytes"));
    }
}
