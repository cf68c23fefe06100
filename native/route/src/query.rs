//! Queries as forms write them: pairs between `&`, name and value apart at the first `=`, both percent-encoded.

use crate::path_normalization::hex_pair;
use memchr::memchr;
use std::borrow::Cow;

/// The pairs of a query, each as it is written.
pub fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').map(|written| {
        let (name, value) = match memchr(b'=', written.as_bytes()) {
            Some(at) => (&written[..at], &written[at + 1..]),
            None => (written, ""),
        };
        Pair { written, name, value }
    })
}

/// One pair of a query.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'q> {
    pub written: &'q str,
    name: &'q str,
    value: &'q str,
}

impl<'q> Pair<'q> {
    /// Decoded.
    pub fn name(&self) -> Cow<'q, [u8]> {
        decode(self.name.as_bytes())
    }

    /// Decoded.
    pub fn value(&self) -> Cow<'q, [u8]> {
        decode(self.value.as_bytes())
    }
}

/// Percent-decoding with `+` as space; a broken escape stays as it is.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|&byte| byte == b'%' || byte == b'+') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        decoded.push(match (byte, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match hex_pair(*high, *low) {
                Some(value) => {
                    rest = after;
                    value
                }
                None => b'%',
            },
            (other, _) => *other,
        });
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::pairs;

    /// As forms write them: what is no escape stays as it is, and of several `=` the first one counts.
    #[test]
    fn pairs_of_a_query() {
        for (query, expected) in [
            ("a=1&b=2", &[("a", "1"), ("b", "2")][..]),
            ("a=1&a=2", &[("a", "1"), ("a", "2")]),
            ("a", &[("a", "")]),
            ("a=b=c", &[("a", "b=c")]),
            ("=1", &[("", "1")]),
            ("a=1&&b", &[("a", "1"), ("", ""), ("b", "")]),
            ("%61+b=c%20d%2B", &[("a b", "c d+")]),
            ("a=%&b=%4&c=%zz&d=%2", &[("a", "%"), ("b", "%4"), ("c", "%zz"), ("d", "%2")]),
            // What an escape comes to separates nothing and is no escape again.
            ("a%26b%3Dc=%2541", &[("a&b=c", "%41")]),
            ("", &[("", "")]),
        ] {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let found: Vec<_> = pairs(query).map(|pair| (text(&pair.name()), text(&pair.value()))).collect();
            assert_eq!(found, crate::samples::pairs(expected), "{query}");
            let written: Vec<&str> = pairs(query).map(|pair| pair.written).collect();
            assert_eq!(written.join("&"), query);
        }
        assert_eq!(&*pairs("a=%ff").next().unwrap().value(), b"\xff");
    }
}
