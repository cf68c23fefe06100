//! Credentials that a backend does not get: an API key that it could use elsewhere, a password that it could keep.

use super::{Compiled, Removal, Removed};
use crate::ir::{KeySource, Policy};
use crate::query;
use crate::table::EditedFields;
use codec::Field;
use std::borrow::Cow;
use std::sync::Arc;

/// What is left of a request without its credentials. It holds what had to be written anew; [`Stripped::apply`] puts it in.
#[derive(Debug)]
pub struct Stripped<'p> {
    removed: &'p Removed<'p>,
    /// All cookies that are left.
    cookies: Option<Vec<u8>>,
    query: Option<String>,
}

impl<'p> Stripped<'p> {
    /// `query`: as it is forwarded otherwise.
    pub fn of(removed: &'p Removed<'p>, fields: &[Field<'_>], query: Option<&str>) -> Self {
        let cookies: Vec<&str> = names(removed, |removal| match removal {
            Removal::Cookie(name) => Some(name),
            Removal::Field(_) | Removal::Scheme { .. } | Removal::Trailer(_) | Removal::Query(_) => None,
        });
        let pairs: Vec<&str> = names(removed, |removal| match removal {
            Removal::Query(name) => Some(name),
            Removal::Field(_) | Removal::Scheme { .. } | Removal::Trailer(_) | Removal::Cookie(_) => None,
        });
        let left = |query: &str| {
            let kept = query::pairs(query).filter(|pair| !pairs.iter().any(|name| name.as_bytes() == &*pair.name()));
            kept.map(|pair| pair.written).collect::<Vec<_>>().join("&")
        };
        Self {
            removed,
            cookies: (!cookies.is_empty()).then(|| cookies_left(fields, &cookies)),
            query: query.filter(|_| !pairs.is_empty()).map(left),
        }
    }

    /// Take the credentials out of fields and query.
    pub fn apply<'s>(&'s self, fields: &mut EditedFields<'s>, query: &mut Option<&'s str>) {
        fields.retain(|field| !self.removed.takes_field(field));
        if let Some(cookies) = &self.cookies {
            fields.retain(|field| !is_cookie(field));
            if !cookies.is_empty() {
                fields.push(Field { name: b"cookie", value: cookies });
            }
        }
        if let Some(left) = &self.query {
            *query = Some(left.as_str()).filter(|left| !left.is_empty());
        }
    }
}

/// Names of the pairs of a query in which policies look for credentials.
pub fn secret_pairs<'p>(policies: impl IntoIterator<Item = &'p Arc<Compiled>>) -> Vec<String> {
    let sources = |policy: &'_ Policy| match policy {
        Policy::AccessApiKey(keys) => keys.from.clone(),
        Policy::AccessJwt(tokens) => tokens.from.clone(),
        _ => Vec::new(),
    };
    let all = policies.into_iter().flat_map(|policy| sources(&policy.ir));
    let names = all.filter_map(|source| match source {
        KeySource::Query { name } => Some(name),
        KeySource::Header { .. } | KeySource::Cookie { .. } => None,
    });
    names.collect()
}

/// A target as logs have it: without the values of these pairs of its query.
pub fn masked(target: &str, secret: &[String]) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    let is_secret = |pair: &query::Pair<'_>| secret.iter().any(|name| name.as_bytes() == &*pair.name());
    let pairs = query::pairs(query).map(|pair| match pair.written.split_once('=') {
        Some((name, _)) if is_secret(&pair) => Cow::Owned(format!("{name}=***")),
        _ => Cow::Borrowed(pair.written),
    });
    Some(format!("{path}?{}", pairs.collect::<Vec<_>>().join("&")))
}

fn names<'r>(removed: &'r Removed<'_>, of: impl Fn(&'r Removal) -> Option<&'r String>) -> Vec<&'r str> {
    removed.iter().filter_map(of).map(String::as_str).collect()
}

fn is_cookie(field: &Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(b"cookie")
}

/// The cookies of a request but for some, in one field (RFC 9113 section 8.2.3).
fn cookies_left(fields: &[Field<'_>], removed: &[&str]) -> Vec<u8> {
    let all = fields.iter().filter(|field| is_cookie(field)).flat_map(|field| field.value.split(|&byte| byte == b';'));
    let kept = all.map(<[u8]>::trim_ascii).filter(|cookie| {
        let name = cookie.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
        !cookie.is_empty() && !removed.iter().any(|removed| removed.as_bytes() == name)
    });
    kept.collect::<Vec<_>>().join(&b"; "[..])
}

#[cfg(test)]
mod tests {
    use super::{Stripped, masked};
    use crate::policy::Removal;
    use codec::Field;

    #[test]
    fn credentials_are_taken_out_and_nothing_else() {
        let sent = [("X-Key", "1"), ("cookie", "a=1; key=2"), ("x", "3"), ("x_key", "4"), ("Cookie", "b=5;key=6")];
        let sent = sent.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
        let removed =
            vec![Removal::Field("x-key".into()), Removal::Cookie("key".to_owned()), Removal::Query("k y".to_owned())];
        let removed = removed.into();
        let stripped = Stripped::of(&removed, &sent, Some("a=1&k+y=2&b&k%20y=3"));
        let (mut fields, mut query) = (sent.to_vec().into(), Some("a=1&k+y=2&b&k%20y=3"));
        stripped.apply(&mut fields, &mut query);
        let text: Vec<_> = fields.iter().map(|field| (field.name, field.value)).collect();
        assert_eq!(text, [(&b"x"[..], &b"3"[..]), (b"cookie", b"a=1; b=5")]);
        assert_eq!(query, Some("a=1&b"));
    }

    /// A token goes on though a password would have been taken as well.
    #[test]
    fn a_scheme_is_taken_out_and_no_other() {
        let values = ["Basic YTpi", " basic\tYTpi", "BASIC", "Bearer Basic", "Bas", ""];
        let sent = values.map(|value| Field { name: b"Authorization", value: value.as_bytes() });
        let removed = vec![Removal::Scheme { name: "authorization".into(), scheme: "Basic".into() }].into();
        let stripped = Stripped::of(&removed, &sent, None);
        let (mut fields, mut query) = (sent.to_vec().into(), None);
        stripped.apply(&mut fields, &mut query);
        let left: Vec<_> = fields.iter().map(|field| field.value).collect();
        assert_eq!(left, [&b"Bearer Basic"[..], b"Bas", b""]);
    }

    #[test]
    fn no_log_has_a_key() {
        let secret = ["key".to_owned(), "k y".to_owned()];
        for (target, logged) in [
            ("/a", None),
            ("/a?", Some("/a?")),
            ("/a?b=1&key=x&c", Some("/a?b=1&key=***&c")),
            ("/a?k%65y=x&k+y=y=z&key", Some("/a?k%65y=***&k+y=***&key")),
            ("http://a.test/a?key=", Some("http://a.test/a?key=***")),
        ] {
            assert_eq!(masked(target, &secret).as_deref(), logged, "{target}");
        }
    }

    #[test]
    fn nothing_may_be_left() {
        let sent = [Field { name: b"cookie", value: b"key=2" }];
        let removed = vec![Removal::Cookie("key".to_owned()), Removal::Query("key".to_owned())].into();
        let stripped = Stripped::of(&removed, &sent, Some("key=1"));
        let (mut fields, mut query) = (sent.to_vec().into(), Some("key=1"));
        stripped.apply(&mut fields, &mut query);
        assert!(fields.is_empty());
        assert_eq!(query, None);
    }
}
