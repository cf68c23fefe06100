//! Everything of a match but hostname and path: method, headers, query parameters.

use super::RequestHead;
use crate::ir::{HeaderMatch, Match, QueryMatch, ValueMatchKind};
use crate::query;
use regex::bytes::Regex;
use std::borrow::Cow;

/// Compiled size of one expression; a pattern that needs more is an attack or a mistake.
pub const REGEX_SIZE_LIMIT: usize = 1 << 20;

/// Length of one pattern.
pub const REGEX_PATTERN_LIMIT: usize = 1024;

#[derive(Debug)]
enum ValueMatch {
    Exact(Box<[u8]>),
    Regex(Regex),
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
    pub fn compile(matched: &Match) -> Result<Self, String> {
        Ok(Self {
            method: (!matched.method.is_empty()).then(|| matched.method.as_str().into()),
            headers: matched
                .headers
                .iter()
                .map(|HeaderMatch { kind, name, value }| {
                    Ok((name.to_ascii_lowercase().into_bytes().into(), value_match(*kind, value)?))
                })
                .collect::<Result<_, String>>()?,
            query: matched
                .query
                .iter()
                .map(|QueryMatch { kind, name, value }| Ok((name.as_bytes().into(), value_match(*kind, value)?)))
                .collect::<Result<_, String>>()?,
        })
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
            Self::Regex(regex) => regex.is_match(sent) && std::str::from_utf8(sent).is_ok(),
        }
    }
}

fn value_match(kind: ValueMatchKind, value: &str) -> Result<ValueMatch, String> {
    Ok(match kind {
        ValueMatchKind::Exact => ValueMatch::Exact(value.as_bytes().into()),
        ValueMatchKind::RegularExpression => ValueMatch::Regex(bytes_regex(value)?),
    })
}

fn check_length(pattern: &str) -> Result<(), String> {
    if pattern.len() > REGEX_PATTERN_LIMIT {
        return Err(format!("the pattern has {} bytes; {REGEX_PATTERN_LIMIT} is the limit", pattern.len()));
    }
    Ok(())
}

fn anchored(pattern: &str) -> Result<String, String> {
    check_length(pattern)?;
    // Alone first: anchoring `a)|(b` would make a valid expression of a broken one.
    regex_syntax::parse(pattern).map_err(|error| error.to_string())?;
    Ok(format!("^(?:{pattern})$"))
}

fn bytes_regex(pattern: &str) -> Result<Regex, String> {
    regex::bytes::RegexBuilder::new(&anchored(pattern)?)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| error.to_string())
}

/// An expression over a whole path.
///
/// # Errors
/// What is wrong with the pattern, for people.
pub fn path_regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&anchored(pattern)?)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| error.to_string())
}

/// An expression that is searched for in a path.
///
/// # Errors
/// What is wrong with the pattern, for people.
pub fn searching_regex(pattern: &str) -> Result<regex::Regex, String> {
    check_length(pattern)?;
    regex::RegexBuilder::new(pattern).size_limit(REGEX_SIZE_LIMIT).build().map_err(|error| error.to_string())
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
fn query_value<'a>(query: Option<&'a str>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    query::pairs(query?).find(|pair| *pair.name() == *name).map(|pair| pair.value())
}
