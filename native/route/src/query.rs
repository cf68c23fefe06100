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
