//! Everything of a match but hostname and path: method, headers, query parameters.

use super::RequestHead;
use super::pattern::{Pattern, Patterns};
use crate::ir::{HeaderMatch, Match, QueryMatch, ValueMatchKind};
use crate::query;
use codec::is_forwarding_name;
use std::borrow::Cow;

#[derive(Debug)]
enum ValueMatch {
    Exact(Box<[u8]>),
    Expression(Pattern),
}

#[derive(Debug)]
pub struct Predicates {
    method: Option<Box<str>>,
    headers: Box<[(Box<[u8]>, ValueMatch)]>,
    query: Box<[(Box<[u8]>, ValueMatch)]>,
}

impl Predicates {
    /// # Errors
    /// Each expression that does not compile.
    pub fn compile(matched: &Match, patterns: &mut Patterns) -> Result<Self, String> {
        Ok(Self {
            method: (!matched.method.is_empty()).then(|| matched.method.as_str().into()),
            headers: matched
                .headers
                .iter()
                .map(|HeaderMatch { kind, name, value }| {
                    Ok((name.to_ascii_lowercase().into_bytes().into(), value_match(*kind, value, patterns)?))
                })
                .collect::<Result<_, String>>()?,
            query: matched
                .query
                .iter()
                .map(|QueryMatch { kind, name, value }| {
                    Ok((name.as_bytes().into(), value_match(*kind, value, patterns)?))
                })
                .collect::<Result<_, String>>()?,
        })
    }

    /// Whether it asks where a request comes from.
    pub fn asks_forwarded(&self) -> bool {
        self.headers.iter().any(|(name, _)| is_forwarding_name(name))
    }

    pub fn hold(&self, head: &RequestHead<'_>) -> bool {
        self.method.as_deref().is_none_or(|method| method == head.method)
            && self.headers.iter().all(|(name, value)| header_value(head, name).is_some_and(|sent| value.holds(&sent)))
            && self
                .query
                .iter()
                .all(|(name, value)| query_value(head.query, name).is_some_and(|sent| value.holds(&sent)))
    }
}

impl ValueMatch {
    fn holds(&self, sent: &[u8]) -> bool {
        match self {
            Self::Exact(value) => **value == *sent,
            // A value that is not UTF-8 never matches: RE2 on the reference's side sees text only.
            Self::Expression(expression) => expression.holds(sent) && std::str::from_utf8(sent).is_ok(),
        }
    }
}

fn value_match(kind: ValueMatchKind, value: &str, patterns: &mut Patterns) -> Result<ValueMatch, String> {
    Ok(match kind {
        ValueMatchKind::Exact => ValueMatch::Exact(value.as_bytes().into()),
        ValueMatchKind::RegularExpression => ValueMatch::Expression(patterns.get(value)?),
    })
}

/// The value of a header, several fields joined by `, ` (RFC 9110 section 5.3), of `Cookie` by `; ` (RFC 9113 section 8.2.3).
fn header_value<'a>(head: &RequestHead<'a>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut values = head
        .all_fields()
        .filter(|field| field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value.trim_ascii());
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(Cow::Borrowed(first));
    };
    let separator = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b", " };
    let mut joined = [first, second].join(&separator[..]);
    for value in values {
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value);
    }
    Some(Cow::Owned(joined))
}

/// The first parameter of that name, decoded.
pub fn query_value<'a>(query: Option<&'a str>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    query::pairs(query?).find(|pair| *pair.name() == *name).map(|pair| pair.value())
}
