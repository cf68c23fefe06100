//! What a backend says of where it is, in `Location`, `Refresh` and `Set-Cookie`, as its clients see it
//! (`HTTPFilter.spec.rewrite.response`).

use crate::ir::{CookiePart, CookieRewrite, LocationRewrite, ResponseRewrite};
use codec::Field;

/// The value of a field as the client gets it; `None`: as it came.
pub fn rewritten(rewrite: &ResponseRewrite, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut written = written_anew(rewrite, name, value)?;
    // Blanks at its ends are no part of a value (RFC 9110 section 5.5), and malformed over HTTP/2.
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    written.truncate(written.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1));
    written.drain(..written.iter().position(|byte| !is_blank(byte)).unwrap_or_default());
    Some(written)
}

fn written_anew(rewrite: &ResponseRewrite, name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    if name.eq_ignore_ascii_case(b"location") {
        location(&rewrite.location, value)
    } else if name.eq_ignore_ascii_case(b"refresh") {
        refresh(&rewrite.location, value)
    } else if name.eq_ignore_ascii_case(b"set-cookie") {
        cookie(&rewrite.cookies, value)
    } else {
        None
    }
}

/// The fields that others than those stand for, by their place, with what stands there; one rewrite after the other.
pub fn rewritten_fields<'r>(
    rewrites: impl Iterator<Item = &'r ResponseRewrite> + Clone,
    fields: &[Field<'_>],
) -> Vec<(usize, Vec<u8>)> {
    let changed = |(at, field): (usize, &Field<'_>)| {
        let mut value: Option<Vec<u8>> = None;
        for rewrite in rewrites.clone() {
            value = rewritten(rewrite, field.name, value.as_deref().unwrap_or(field.value)).or(value);
        }
        value.map(|value| (at, value))
    };
    fields.iter().enumerate().filter_map(changed).collect()
}

fn location(all: &[LocationRewrite], value: &[u8]) -> Option<Vec<u8>> {
    let fitting = all.iter().find(|each| value.starts_with(each.prefix.as_bytes()))?;
    Some([fitting.replacement.as_bytes(), &value[fitting.prefix.len()..]].concat())
}

/// `5; url=https://a.test/`, as browsers read it.
fn refresh(all: &[LocationRewrite], value: &[u8]) -> Option<Vec<u8>> {
    let after = value.windows(4).position(|part| part.eq_ignore_ascii_case(b"url="))? + 4;
    let quote = usize::from(matches!(value.get(after), Some(b'"' | b'\'')));
    let (before, url) = value.split_at(after + quote);
    Some([before, &location(all, url)?].concat())
}

/// RFC 6265 section 5.2: attributes stand behind the pair, each after a semicolon.
fn cookie(all: &[CookieRewrite], value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let pair = parts.next()?;
    let name = name_of(pair);
    let rewrite = all.iter().find(|each| each.name.as_ref().is_none_or(|wanted| wanted.as_bytes() == name))?;
    let mut attributes: Vec<Vec<u8>> = parts.filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect();
    if let Some(part) = &rewrite.domain {
        set_part(&mut attributes, "Domain", part, domain);
    }
    if let Some(part) = &rewrite.path {
        set_part(&mut attributes, "Path", part, path);
    }
    for (attribute, wanted) in [("Secure", rewrite.secure), ("HttpOnly", rewrite.http_only)] {
        set_flag(&mut attributes, attribute, wanted);
    }
    if let Some(wanted) = &rewrite.same_site {
        let part = CookiePart { before: None, value: wanted.clone() };
        set_part(&mut attributes, "SameSite", &part, domain);
    }
    let mut written = pair.to_vec();
    for attribute in attributes {
        written.extend_from_slice(b"; ");
        written.extend(attribute);
    }
    Some(written)
}

/// Change an attribute that is there, or add it where it does not matter what it was before.
fn set_part(
    attributes: &mut Vec<Vec<u8>>,
    name: &str,
    part: &CookiePart,
    changed: fn(&CookiePart, &[u8]) -> Option<Vec<u8>>,
) {
    let is_it = |attribute: &[u8]| name_of(attribute).eq_ignore_ascii_case(name.as_bytes());
    let written = |value: &[u8]| [name.as_bytes(), b"=", value].concat();
    if !attributes.iter().any(|attribute| is_it(attribute)) {
        if part.before.is_none() && !part.value.is_empty() {
            attributes.push(written(part.value.as_bytes()));
        }
        return;
    }
    attributes.retain_mut(|attribute| {
        let value = if is_it(attribute) { changed(part, value_of(attribute)) } else { None };
        let stays = value.as_ref().is_none_or(|value| !value.is_empty());
        if let Some(value) = value {
            *attribute = written(&value);
        }
        stays
    });
}

/// Names of hosts: a dot before one means nothing (RFC 6265 section 5.2.3).
fn domain(part: &CookiePart, value: &[u8]) -> Option<Vec<u8>> {
    let plain = |name: &[u8]| name.strip_prefix(b".").unwrap_or(name).to_ascii_lowercase();
    let fits = part.before.as_ref().is_none_or(|before| plain(before.as_bytes()) == plain(value));
    fits.then(|| part.value.clone().into_bytes())
}

fn path(part: &CookiePart, value: &[u8]) -> Option<Vec<u8>> {
    let before = part.before.as_deref().map(str::as_bytes);
    let rest = before.map_or(Some(&b""[..]), |before| value.strip_prefix(before))?;
    Some([part.value.as_bytes(), rest].concat())
}

fn set_flag(attributes: &mut Vec<Vec<u8>>, name: &str, wanted: Option<bool>) {
    let is_it = |attribute: &[u8]| name_of(attribute).eq_ignore_ascii_case(name.as_bytes());
    match wanted {
        Some(true) if !attributes.iter().any(|attribute| is_it(attribute)) => attributes.push(name.into()),
        Some(false) => attributes.retain(|attribute| !is_it(attribute)),
        _ => {}
    }
}

fn name_of(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

fn value_of(pair: &[u8]) -> &[u8] {
    pair.iter().position(|byte| *byte == b'=').map_or(&b""[..], |at| pair[at + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::rewritten_fields;
    use crate::ir::ResponseRewrite;
    use codec::Field;
    use serde_json::{Value, json};

    fn becomes(rewrites: &[Value], name: &str, value: &str) -> Option<String> {
        let all: Vec<ResponseRewrite> =
            rewrites.iter().map(|each| serde_json::from_value(each.clone()).expect("a rewrite")).collect();
        let fields =
            [Field { name: b"x", value: value.as_bytes() }, Field { name: name.as_bytes(), value: value.as_bytes() }];
        let found = rewritten_fields(all.iter(), &fields);
        assert!(found.iter().all(|(at, _)| *at == 1));
        found.into_iter().next().map(|(_, value)| String::from_utf8(value).expect("text"))
    }

    #[test]
    fn locations() {
        let rewrite = json!({"location": [
            {"prefix": "http://shop.internal:8080/", "replacement": "https://shop.test/"},
            {"prefix": "http://", "replacement": "https://"},
            {"prefix": "https://other.test/", "replacement": "/"},
        ]});
        for (name, value, wanted) in [
            ("Location", "http://shop.internal:8080/a?b", Some("https://shop.test/a?b")),
            ("location", "http://shop.internal/a", Some("https://shop.internal/a")),
            ("location", "https://other.test/a", Some("/a")),
            ("location", "/a", None),
            ("content-location", "http://a.test/", None),
            ("Refresh", "5; URL=http://a.test/", Some("5; URL=https://a.test/")),
            ("refresh", "0;url='http://a.test/'", Some("0;url='https://a.test/'")),
            ("refresh", "5", None),
            ("refresh", "5; url=/a", None),
            ("set-cookie", "a=1", None),
        ] {
            assert_eq!(becomes(std::slice::from_ref(&rewrite), name, value).as_deref(), wanted, "{name} {value}");
        }
        let second = json!({"location": [{"prefix": "https://shop.test/", "replacement": "https://www.test/"}]});
        let both = becomes(&[rewrite, second], "location", "http://shop.internal:8080/a");
        assert_eq!(both.as_deref(), Some("https://www.test/a"));
    }

    #[test]
    fn cookies() {
        for (rewrite, value, wanted) in [
            (json!({"domain": {"value": "b.test"}}), "a=1; Domain=.A.test; Path=/", "a=1; Domain=b.test; Path=/"),
            (json!({"domain": {"value": "b.test"}}), "a=1", "a=1; Domain=b.test"),
            (json!({"domain": {"before": "a.test", "value": "b.test"}}), "a=1;domain=.A.Test", "a=1; Domain=b.test"),
            (json!({"domain": {"before": "a.test", "value": "b.test"}}), "a=1; domain=c.test", "a=1; domain=c.test"),
            (json!({"domain": {"before": "a.test", "value": "b.test"}}), "a=1", "a=1"),
            (json!({"domain": {"value": ""}}), "a=1; Domain=a.test; Secure", "a=1; Secure"),
            (json!({"path": {"before": "/two/", "value": "/"}}), "a=1; path=/two/x", "a=1; Path=/x"),
            (json!({"path": {"before": "/two", "value": ""}}), "a=1; path=/two", "a=1"),
            (json!({"path": {"value": "/"}}), "a=1; Path=/x", "a=1; Path=/"),
            (json!({"secure": true, "http_only": true}), "a=1; secure;", "a=1; secure; HttpOnly"),
            (json!({"secure": false}), "a=1; SECURE; Path=/", "a=1; Path=/"),
            (json!({"same_site": "Lax"}), "a=1; samesite=None", "a=1; SameSite=Lax"),
            (json!({"same_site": "None"}), "a=b=c", "a=b=c; SameSite=None"),
        ] {
            let found = becomes(&[json!({"cookies": [rewrite]})], "Set-Cookie", value);
            assert_eq!(found.as_deref(), Some(wanted), "{value}");
        }
        let named = json!({"cookies": [{"name": "a", "secure": true}, {"secure": false}]});
        for (value, wanted) in [("a=1", "a=1; Secure"), ("A=1; Secure", "A=1"), ("a ; Secure", "a; Secure")] {
            assert_eq!(becomes(std::slice::from_ref(&named), "set-cookie", value).as_deref(), Some(wanted));
        }
        assert_eq!(becomes(&[json!({"cookies": [{"name": "b"}]})], "set-cookie", "a=1"), None);
    }
}
