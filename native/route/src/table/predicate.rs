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

#[cfg(test)]
mod tests {
    use super::{Predicates, query_value};
    use crate::samples::{fields, head, merged};
    use crate::table::RequestHead;
    use crate::table::pattern::Patterns;
    use codec::Field;
    use serde_json::{Value, json};

    fn predicates(matched: Value) -> Result<Predicates, String> {
        let path = json!({"path": {"type": "PathPrefix", "value": "/"}});
        let matched = serde_json::from_value(merged(path, matched)).unwrap();
        Predicates::compile(&matched, &mut Patterns::default())
    }

    fn header(kind: &str, name: &str, value: &str) -> Value {
        json!([{"type": kind, "name": name, "value": value}])
    }

    /// All fields of a name are one value, wherever they stand; the authority is `Host`.
    #[test]
    fn headers() {
        let taken_out = fields(&[("x-a", "0"), ("TE", "trailers")]);
        let sent = [("X-A", " 1\t"), ("x-a", "2"), ("cookie", "s=1"), ("Cookie", "t=2"), ("x-empty", "")];
        let mut sent = fields(&sent);
        sent.push(Field { name: b"x-raw", value: b"\xff" });
        let head = RequestHead { taken_out: &taken_out, ..head("/", &sent) };
        for (kind, name, value, expected) in [
            ("Exact", "x-a", "0, 1, 2", true),
            ("Exact", "X-a", "0, 1, 2", true),
            ("Exact", "x-a", "1", false),
            ("Exact", "x-a", "0,1,2", false),
            ("Exact", "cookie", "s=1; t=2", true),
            ("Exact", "te", "trailers", true),
            ("Exact", "te", "Trailers", false),
            ("Exact", "host", "a.test", true),
            ("Exact", "x-empty", "", true),
            ("Exact", "x-none", "", false),
            ("RegularExpression", "x-a", "0.*2", true),
            ("RegularExpression", "x-a", "0", false),
            ("RegularExpression", "x-none", ".*", false),
            // What is no text matches no expression.
            ("RegularExpression", "x-raw", ".*", false),
            ("RegularExpression", "x-raw", "(?s-u:.*)", false),
        ] {
            match predicates(json!({"headers": header(kind, name, value)})) {
                Ok(predicates) => assert_eq!(predicates.hold(&head), expected, "{kind} {name} {value}"),
                Err(error) => assert!(!expected, "{kind} {name} {value}: {error}"),
            }
        }
    }

    /// The first parameter of a name, decoded, whose case counts.
    #[test]
    fn query_parameters() {
        for (query, name, expected) in [
            (Some("a=1&a=2"), "a", Some("1")),
            (Some("%61=b%20c+d"), "a", Some("b c d")),
            (Some("A=1"), "a", None),
            (Some("a"), "a", Some("")),
            (Some("b=a"), "a", None),
            (Some(""), "a", None),
            (None, "a", None),
        ] {
            let found = query_value(query, name.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{query:?}");
            for value in ["1", "b c d", ""] {
                let predicates = predicates(json!({"query": header("Exact", name, value)})).unwrap();
                assert_eq!(
                    predicates.hold(&RequestHead { query, ..head("/", &[]) }),
                    expected == Some(value),
                    "{query:?}"
                );
            }
        }
    }

    #[test]
    fn all_of_it_has_to_hold() {
        let all = json!({"method": "PUT", "headers": header("Exact", "x-a", "1"), "query": header("RegularExpression", "q", "[0-9]")});
        let predicates = predicates(all).unwrap();
        let sent = fields(&[("x-a", "1")]);
        let holds = RequestHead { method: "PUT", query: Some("q=1"), ..head("/", &sent) };
        assert!(predicates.hold(&holds));
        for less in [
            RequestHead { method: "put", ..holds },
            RequestHead { query: Some("q=x"), ..holds },
            RequestHead { fields: &[], ..holds },
        ] {
            assert!(!predicates.hold(&less), "{less:?}");
        }
        assert!(self::predicates(json!({})).unwrap().hold(&head("/", &[])));
    }

    #[test]
    fn what_asks_where_a_request_comes_from() {
        for (name, expected) in [("X-Forwarded-For", true), ("x_real_ip", true), ("forwarded", true), ("x-a", false)] {
            let predicates = predicates(json!({"headers": header("Exact", name, "1")})).unwrap();
            assert_eq!(predicates.asks_forwarded(), expected, "{name}");
        }
    }

    #[test]
    fn expressions_that_are_none() {
        for place in ["headers", "query"] {
            assert!(predicates(json!({place: header("RegularExpression", "x", "(")})).is_err(), "{place}");
            assert!(predicates(json!({place: header("Exact", "x", "(")})).is_ok(), "{place}");
        }
    }
}
