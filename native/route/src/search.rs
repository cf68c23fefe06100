//! Where an expression is found in a text, with its groups: in a time that follows from the size of both, whatever they say.

use crate::automaton::AUTOMATON_SIZE_LIMIT;
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::util::syntax;
use std::ops::Range;

/// States times octets of one search, each with the places of all groups, which are copied along: a fifth of a second.
const WORK_LIMIT: usize = 1 << 24;

/// Begin and end of the whole and of each group, in octets; `None`: it has matched nothing.
pub type Places = Vec<Option<Range<usize>>>;

/// The first place in a text where an expression is found, as Perl has it (the way that is written first counts), of octets and
/// letters of ASCII. `Ok(None)`: it is nowhere.
///
/// # Errors
/// Why that cannot be said, for people: it refers to groups or looks around, which takes every way, or is too large.
pub fn search(pattern: &str, text: &[u8], ignores_case: bool) -> Result<Option<Places>, String> {
    let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(ignores_case);
    let size = thompson::Config::new().utf8(false).nfa_size_limit(Some(AUTOMATON_SIZE_LIMIT));
    let machine = PikeVM::builder().syntax(syntax).thompson(size).build(pattern).map_err(|error| {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        source.unwrap_or_else(|| error.to_string())
    })?;
    let (states, places) = (machine.get_nfa().states().len(), machine.get_nfa().group_info().slot_len());
    let work = states.saturating_mul(text.len()).saturating_mul(places);
    if work > WORK_LIMIT {
        return Err(format!("a search may take {work} steps, where {WORK_LIMIT} are allowed"));
    }
    let (mut cache, mut groups) = (machine.create_cache(), machine.create_captures());
    machine.captures(&mut cache, text, &mut groups);
    let places = (0..groups.group_len()).map(|group| groups.get_group(group).map(|span| span.range()));
    Ok(groups.is_match().then(|| places.collect()))
}

#[cfg(test)]
mod tests {
    use super::{Places, search};

    fn found(pattern: &str, text: &str) -> Option<Places> {
        search(pattern, text.as_bytes(), false).unwrap()
    }

    #[test]
    fn the_first_way_counts() {
        assert_eq!(found("(a|ab)(c|bcd)?", "xabcd"), Some(vec![Some(1..5), Some(1..2), Some(2..5)]));
        assert_eq!(found("(a)?(b)", "b"), Some(vec![Some(0..1), None, Some(0..1)]));
        assert_eq!(found("a", "b"), None);
        assert_eq!(search("^/A", b"/ab", true), Ok(Some(vec![Some(0..2)])));
        // Octets, as nginx has them.
        assert_eq!(found("/(.)", "/\u{e9}"), Some(vec![Some(0..2), Some(1..2)]));
    }

    /// However they are written, and whatever they are looked for in.
    #[test]
    fn hostile_expressions_end() {
        let text = format!("/{}!", "a".repeat(8000));
        for pattern in ["/(a+)+$", "/(a*)*$", "/(a|aa)+$", "/(.*)*x", "/([a-z]+)*$"] {
            assert_eq!(found(pattern, &text), None, "{pattern}");
        }
        let groups = format!("(?:a?){{1000}}{}x", "()".repeat(1000));
        assert!(search(&groups, &text.as_bytes()[..1000], false).is_err());
        assert!(search(&"a?".repeat(5000), text.as_bytes(), false).is_err());
        for pattern in [r"(a)\1", "(?=a)", "(?<!a)b", "(?>a)", "a{1000}{1000}", "("] {
            assert!(search(pattern, b"a", false).is_err(), "{pattern}");
        }
    }
}
