//! A path made anew by a regular expression (`HTTPFilter.spec.rewrite.path`).

use super::pattern::searching_regex;
use crate::automaton::Automaton;
use crate::ir;
use crate::path_normalization::normalise_path;
use regex::Regex;
use std::borrow::Cow;
use std::sync::Arc;

/// Octets of a path after it was rewritten: a short pattern may match everywhere and a replacement may be long.
pub const REWRITTEN_PATH_LIMIT: usize = 16 << 10;

/// States of a pattern times octets of a path: whoever looks for groups may have to be in each state at each octet.
const GROUPS_WORK_LIMIT: usize = 1 << 21;

/// A pattern and what stands in its place.
#[derive(Debug, Clone)]
pub struct Substitution {
    pattern: Regex,
    automaton: Arc<Automaton>,
    replacement: Box<[Part]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// What a group matched; 0 is all of the match.
    Group(usize),
}

impl Substitution {
    /// # Errors
    /// The pattern does not compile, or the replacement names what the pattern does not have.
    pub fn compile(ir: &ir::Substitution) -> Result<Self, String> {
        let (pattern, automaton) = searching_regex(&ir.pattern)?;
        let automaton = Arc::new(automaton);
        let replacement = parts(&ir.replacement)?;
        let last =
            replacement.iter().filter_map(|part| if let Part::Group(number) = part { Some(*number) } else { None });
        match last.max().filter(|number| *number >= pattern.captures_len()) {
            Some(number) => Err(format!("the pattern has no group {number}")),
            None => Ok(Self { pattern, automaton, replacement: replacement.into() }),
        }
    }

    /// The path with each match replaced that is not empty, in its normal form. `None`: that is no path, or too long, or
    /// looking for it would take too long.
    pub fn apply<'p>(&self, path: &'p str) -> Option<Cow<'p, str>> {
        if !self.automaton.is_in(path.as_bytes()).ok()? {
            return Some(Cow::Borrowed(path));
        }
        if self.automaton.states().saturating_mul(path.len()) > GROUPS_WORK_LIMIT {
            return None;
        }
        let mut rewritten = String::new();
        let mut copied = 0;
        for groups in self.pattern.captures_iter(path) {
            let Some(whole) = groups.get(0).filter(|whole| !whole.is_empty()) else {
                continue;
            };
            rewritten.push_str(&path[copied..whole.start()]);
            copied = whole.end();
            for part in &self.replacement {
                rewritten.push_str(match part {
                    Part::Text(text) => text,
                    Part::Group(number) => groups.get(*number).map_or("", |group| group.as_str()),
                });
            }
            if rewritten.len() > REWRITTEN_PATH_LIMIT {
                return None;
            }
        }
        if copied == 0 {
            return Some(Cow::Borrowed(path));
        }
        rewritten.push_str(&path[copied..]);
        if !rewritten.starts_with('/') {
            rewritten.insert(0, '/');
        }
        // What was matched and authorised had one meaning only; so has what is forwarded.
        let normal = normalise_path(&rewritten).ok().filter(|_| rewritten.len() <= REWRITTEN_PATH_LIMIT)?;
        Some(Cow::Owned(normal.into_owned()))
    }
}

/// Text, and `\0` to `\9`; `\\` is a backslash, which no path has.
fn parts(replacement: &str) -> Result<Vec<Part>, String> {
    let mut found = Vec::new();
    let mut text = String::new();
    let mut rest = replacement.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        let Some(number) = rest.next().and_then(|digit| digit.to_digit(10)) else {
            return Err("a backslash stands before a digit".to_owned());
        };
        if !text.is_empty() {
            found.push(Part::Text(std::mem::take(&mut text)));
        }
        found.push(Part::Group(number as usize));
    }
    if !text.is_empty() {
        found.push(Part::Text(text));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::Substitution;
    use crate::ir;

    fn substitution(pattern: &str, replacement: &str) -> Result<Substitution, String> {
        Substitution::compile(&ir::Substitution { pattern: pattern.to_owned(), replacement: replacement.to_owned() })
    }

    #[test]
    fn paths() {
        for (pattern, replacement, path, wanted) in [
            ("^/api/v[0-9]+/(.*)$", r"/\1", "/api/v2/users/7", Some("/users/7")),
            ("^/(?P<shop>[^/]+)/(.*)$", r"/\2/of/\1", "/a/b/c", Some("/b/c/of/a")),
            ("x", "yy", "/axbx", Some("/ayybyy")),
            ("x*", "-", "/axb", Some("/a-b")),
            ("(a)|(b)", r"\2", "/ab", Some("/b")),
            ("^.*$", "other", "/a", Some("/other")),
            (r"\\", "", "/a", Some("/a")),
            ("none", "", "/a", Some("/a")),
            ("%2F", "%", "/a%2Fb", None),
            ("x", "", "/.x./a", None),
            ("x", "", "/a/.x./b", Some("/b")),
            ("/b", "", "/a/b/", Some("/a/")),
        ] {
            let made = substitution(pattern, replacement).expect(pattern);
            assert_eq!(made.apply(path).as_deref(), wanted, "{pattern} {replacement} {path}");
        }
    }

    #[test]
    fn what_grows_without_end() {
        let made = substitution("a", &"b".repeat(1000)).expect("a substitution");
        assert_eq!(made.apply(&format!("/{}", "a".repeat(100))), None);
        let whole = format!("/{}", "a".repeat(16));
        assert_eq!(made.apply(&whole).map(|path| path.len()), Some(16_001));
    }

    #[test]
    fn what_takes_too_long() {
        let made = substitution("(a|b)*a(a|b){500}", "x").expect("a substitution");
        assert_eq!(made.apply(&format!("/{}", "ab".repeat(4_000))), None);
        assert_eq!(made.apply("/ab").as_deref(), Some("/ab"));
    }

    #[test]
    fn what_is_refused() {
        for (pattern, replacement, wanted) in [
            ("(a", "", "unclosed group"),
            ("(a)", r"\2", "the pattern has no group 2"),
            ("a", r"\x", "a backslash stands before a digit"),
            ("a", "\\", "a backslash stands before a digit"),
        ] {
            let error = substitution(pattern, replacement).expect_err(pattern);
            assert!(error.contains(wanted), "{error}");
        }
    }
}
