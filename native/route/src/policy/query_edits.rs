//! What somebody who was asked wants changed in the query that a backend gets (`query_parameters_to_set` and
//! `query_parameters_to_remove` of Envoy's `OkHttpResponse`).

use crate::query;
use std::fmt::Write;

/// Parameters that go, and those that stand behind all others. Names are decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryEdits {
    removed: Vec<String>,
    /// With each the pair as it is written.
    set: Vec<(String, String)>,
}

impl QueryEdits {
    /// In place of all that have the name.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut written = String::with_capacity(name.len() + 1 + value.len());
        encode(name, &mut written);
        written.push('=');
        encode(value, &mut written);
        self.set.retain(|(other, _)| other != name);
        self.set.push((name.to_owned(), written));
    }

    /// Also what was set before.
    pub fn remove(&mut self, name: &str) {
        self.set.retain(|(other, _)| other != name);
        if !self.removed.iter().any(|other| other == name) {
            self.removed.push(name.to_owned());
        }
    }

    /// What was said later has the last word.
    pub fn extend(&mut self, later: Self) {
        later.removed.iter().for_each(|name| self.remove(name));
        for (name, written) in later.set {
            self.set.retain(|(other, _)| *other != name);
            self.set.push((name, written));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.set.is_empty()
    }

    /// Octets that they are kept in.
    pub fn bytes(&self) -> usize {
        let set = self.set.iter().map(|(name, written)| name.len() + written.len()).sum::<usize>();
        set + self.removed.iter().map(String::len).sum::<usize>()
    }

    /// The query as they leave it; `None`: nothing is left.
    pub fn apply(&self, query: Option<&str>) -> Option<String> {
        let goes = |name: &[u8]| {
            self.removed.iter().chain(self.set.iter().map(|(name, _)| name)).any(|other| other.as_bytes() == name)
        };
        let kept = query.into_iter().flat_map(query::pairs).filter(|pair| !goes(&pair.name()));
        let all: Vec<&str> =
            kept.map(|pair| pair.written).chain(self.set.iter().map(|(_, written)| written.as_str())).collect();
        (!all.is_empty()).then(|| all.join("&"))
    }
}

/// All but the unreserved characters (RFC 3986 section 2.3), so that nothing of it separates, or is an escape again.
fn encode(text: &str, written: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueryEdits;

    fn edits(set: &[(&str, &str)], removed: &[&str]) -> QueryEdits {
        let mut edits = QueryEdits::default();
        for (name, value) in set {
            edits.set(name, value);
        }
        for name in removed {
            edits.remove(name);
        }
        edits
    }

    #[test]
    fn what_is_left_of_a_query() {
        for (query, set, removed, expected) in [
            (None, &[][..], &[][..], None),
            (None, &[("a", "1")], &[], Some("a=1")),
            (Some(""), &[], &["a"], Some("")),
            (Some("a=1"), &[], &["a"], None),
            (Some("a=1&b=2&a=3&c"), &[("a", "4")], &["c"], Some("b=2&a=4")),
            // Names are compared decoded, and what stays is what was sent.
            (Some("%61=1&a+b=2&c%20d=%7e"), &[("a", "x")], &["a b"], Some("c%20d=%7e&a=x")),
            (Some("A=1"), &[("a", "2")], &[], Some("A=1&a=2")),
            // The last word counts, and a removal stands behind what is set.
            (None, &[("a", "1"), ("b", "2"), ("a", "3")], &[], Some("b=2&a=3")),
            (Some("x"), &[("a", "1")], &["a"], Some("x")),
            (None, &[("a", "")], &[], Some("a=")),
            // Nothing of a value ends it.
            (
                Some("x"),
                &[("a&b=c", "1&d=2#%41 +/?\u{e9}\r\n")],
                &[],
                Some("x&a%26b%3Dc=1%26d%3D2%23%2541%20%2B%2F%3F%C3%A9%0D%0A"),
            ),
        ] {
            assert_eq!(edits(set, removed).apply(query).as_deref(), expected, "{query:?} {set:?} {removed:?}");
        }
    }

    #[test]
    fn who_is_asked_later_has_the_last_word() {
        let mut first = edits(&[("a", "1"), ("b", "1"), ("c", "1")], &["d"]);
        assert!(!first.is_empty() && QueryEdits::default().is_empty());
        first.extend(edits(&[("b", "2"), ("d", "2")], &["c"]));
        assert_eq!(first.apply(Some("a=0&b=0&c=0&d=0&e=0")).as_deref(), Some("e=0&a=1&b=2&d=2"));
        assert_eq!(edits(&[("a", "1/")], &["bc"]).bytes(), 1 + 6 + 2);
    }
}
