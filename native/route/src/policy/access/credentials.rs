//! Where credentials stand in a request.

use crate::ir::KeySource;
use crate::policy::Removal;
use crate::query;
use codec::Field;
use smallvec::SmallVec;
use std::borrow::Cow;

/// What stands in one place; most requests have one credential at most.
pub type Values<'r> = SmallVec<[Cow<'r, [u8]>; 1]>;

/// A place for a credential that is a plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Name in lower case; the value has to begin with `prefix`, in any case, and goes without it.
    Header {
        name: String,
        prefix: String,
    },
    Query(String),
    Cookie(String),
}

impl Source {
    pub fn of(ir: &KeySource) -> Self {
        match ir {
            KeySource::Header { name, prefix } => {
                Self::Header { name: name.to_ascii_lowercase(), prefix: prefix.clone() }
            }
            KeySource::Query { name } => Self::Query(name.clone()),
            KeySource::Cookie { name } => Self::Cookie(name.clone()),
        }
    }

    /// What the backend does not get to see.
    fn removal(&self) -> Removal {
        match self {
            Self::Header { name, prefix } => match prefix.trim_ascii_end() {
                "" => Removal::Field(Cow::Owned(name.clone())),
                scheme => Removal::Scheme { name: Cow::Owned(name.clone()), scheme: Cow::Owned(scheme.to_owned()) },
            },
            Self::Query(name) => Removal::Query(name.clone()),
            Self::Cookie(name) => Removal::Cookie(name.clone()),
        }
    }

    /// All that stands there: a credential that comes several times is looked at each time.
    pub fn values<'r>(&self, fields: &'r [Field<'r>], query: Option<&'r str>) -> Values<'r> {
        match self {
            Self::Header { name, prefix } => named(fields, name)
                .filter_map(|value| without_prefix(value, prefix.as_bytes()))
                .map(Cow::Borrowed)
                .collect(),
            Self::Query(name) => query
                .into_iter()
                .flat_map(query::pairs)
                .filter(|pair| *pair.name() == *name.as_bytes())
                .map(|pair| pair.value())
                .collect(),
            Self::Cookie(name) => named(fields, "cookie")
                .flat_map(cookies)
                .filter(|(sent, _)| *sent == name.as_bytes())
                .map(|(_, value)| Cow::Borrowed(value))
                .collect(),
        }
    }
}

/// What the backend does not get to see of all of these places.
pub fn removals(sources: &[Source]) -> Vec<Removal> {
    sources.iter().map(Source::removal).collect()
}

/// The values of the fields of a name, in lower case.
pub fn named<'r>(fields: &'r [Field<'r>], name: &str) -> impl Iterator<Item = &'r [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| field.value.trim_ascii())
}

/// What stands behind a prefix, whose letters may be of any case (RFC 9110 section 11.1: names of schemes). The space at its end
/// stands for whatever a backend may take for one.
pub fn without_prefix<'r>(value: &'r [u8], prefix: &[u8]) -> Option<&'r [u8]> {
    let scheme = prefix.trim_ascii_end();
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let is_apart = scheme.len() == prefix.len() || rest.first().is_some_and(u8::is_ascii_whitespace);
    (is_apart && start.eq_ignore_ascii_case(scheme)).then(|| rest.trim_ascii())
}

/// The cookies of one field (RFC 6265 section 5.4), values without their quotes.
pub fn cookies(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    value.split(|it| *it == b';').filter_map(|cookie| {
        let place = cookie.iter().position(|it| *it == b'=')?;
        let (name, value) = (cookie[..place].trim_ascii(), cookie[place + 1..].trim_ascii());
        let unquoted = value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
        Some((name, unquoted.unwrap_or(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::Source;
    use codec::Field;

    #[test]
    fn every_place() {
        let fields = [
            Field { name: b"X-Api-Key", value: b" one " },
            Field { name: b"x-api-key", value: b"two" },
            Field { name: b"Authorization", value: b"bearer  three" },
            Field { name: b"authorization", value: b"Basic four" },
            Field { name: b"authorization", value: b"BEARER\tten" },
            Field { name: b"authorization", value: b"Bearereleven" },
            Field { name: b"authorization", value: b"Bearer" },
            Field { name: b"Cookie", value: b"a=1; key=five;key=\"six\"; keyed=7" },
        ];
        let header = |name: &str, prefix: &str| Source::Header { name: name.to_owned(), prefix: prefix.to_owned() };
        for (source, query, values) in [
            (header("x-api-key", ""), None, &["one", "two"][..]),
            (header("authorization", "Bearer "), None, &["three", "ten"]),
            (header("authorization", "Bearer"), None, &["three", "ten", "eleven", ""]),
            (header("x-other", ""), None, &[]),
            (Source::Cookie("key".to_owned()), None, &["five", "six"]),
            (Source::Cookie("b".to_owned()), None, &[]),
            (Source::Query("key".to_owned()), Some("a=1&key=x%2Fy+z&k%65y=2&keys=3&&key"), &["x/y z", "2", ""]),
            (Source::Query("key".to_owned()), None, &[]),
        ] {
            let found = source.values(&fields, query);
            assert_eq!(
                found.iter().map(|it| std::str::from_utf8(it).unwrap()).collect::<Vec<_>>(),
                values,
                "{source:?}"
            );
        }
    }
}
