//! Request targets: `route::path_normalization::normalise`, and what a lenient backend could make of its result.

use crate::verdict::{Outcome, Violation, ensure};
use route::path_normalization::{PathNormalization, Target, normalise};
use std::borrow::Cow;

pub const TOKENS: &[&[u8]] = &[
    b"/",
    b"//",
    b"/.",
    b"/..",
    b"/../",
    b"/./",
    b"%2e",
    b"%2E",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%3b",
    b"%3B",
    b";",
    b"\\",
    b"%",
    b"%00",
    b"%25",
    b"%252e",
    b"%0d%0a",
    b"%c0%ae",
    b"%61",
    b"%7e",
    b"?",
    b"#",
    b"*",
    b"@",
    b":80",
    b"http://",
    b"HTTPS://",
    b"a",
    b"..;",
    b".;x",
    b"%2e%2e%2f",
];

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let to_options = check_for("OPTIONS", input)?;
    if input == b"*" {
        return Ok(to_options);
    }
    let to_get = check_for("GET", input)?;
    ensure!(to_get == to_options, "the method matters for * only", "{to_get}, {to_options}");
    Ok(to_get)
}

fn check_for(method: &str, input: &[u8]) -> Result<Outcome, Violation> {
    let target = match normalise(method, input, PathNormalization::Strict) {
        Ok(target) => target,
        Err(error) => return Ok(format!("{error:?}")),
    };
    let Target { path, query, authority } = &target;
    let plain = |text: &str| text.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'#');
    ensure!(plain(path) && plain(query.unwrap_or_default()), "a target is printable", "{target:?}");
    if path == "*" {
        ensure!(method == "OPTIONS" && input == b"*", "* is for OPTIONS", "{target:?}");
        return Ok("*".to_owned());
    }
    check_path(path)?;
    check_escapes(path)?;
    check_literal(method, input, &target)?;
    let again = normalise(method, path.as_bytes(), PathNormalization::Strict);
    let same = Target { path: Cow::Borrowed(path), query: None, authority: None };
    ensure!(again.as_ref() == Ok(&same), "normalising twice is normalising once", "{same:?}, then {again:?}");
    if let Some(authority) = authority {
        ensure!(!authority.contains(['/', '?']), "an authority ends before the path", "{authority}");
    } else {
        let absolute = [b"http://a", input].concat();
        let absolute = normalise(method, &absolute, PathNormalization::Strict);
        let same = absolute.as_ref().is_ok_and(|other| other.path == *path && other.query == *query);
        ensure!(same, "absolute form and origin form mean one path", "{target:?}, {absolute:?}");
    }
    if let Some(query) = query {
        ensure!(input.ends_with([b"?", query.as_bytes()].concat().as_slice()), "a query is as it came", "{query}");
    }
    let changed = matches!(path, Cow::Owned(_));
    let segments = usize::BITS - path.split('/').count().leading_zeros();
    Ok(format!(
        "absolute {} query {} changed {changed} escapes {} parameters {} segments {segments}",
        authority.is_some(),
        query.is_some(),
        path.contains('%'),
        path.contains(';'),
    ))
}

/// Taken as it comes, a target that is good for everybody is good too, and its path stands in the input.
fn check_literal(method: &str, input: &[u8], strict: &Target<'_>) -> Result<(), Violation> {
    let literal = normalise(method, input, PathNormalization::Off);
    let same = literal.as_ref().is_ok_and(|other| {
        let path = other.path.as_bytes();
        let stands = path == b"/" || input.windows(path.len()).any(|window| window == path);
        stands && other.query == strict.query && other.authority == strict.authority
    });
    ensure!(same, "a path that is taken as it comes is what came", "{strict:?}, {literal:?}");
    Ok(())
}

fn check_path(path: &str) -> Result<(), Violation> {
    ensure!(path.starts_with('/'), "a path begins with a slash", "{path}");
    ensure!(!path.contains("//") && !path.contains(['\\', '?']), "a path has no second reading", "{path}");
    ensure!(!has_dots(path.as_bytes(), |byte| byte == b'/'), "a path has no dot segments", "{path}");
    // What servlet containers and others do: decode first, take `\` for `/`, cut parameters off each segment.
    let decoded = decode(path.as_bytes());
    ensure!(!has_dots(&decoded, |byte| matches!(byte, b'/' | b'\\')), "no backend sees dot segments", "{path}");
    Ok(())
}

fn has_dots(path: &[u8], separates: impl Fn(u8) -> bool) -> bool {
    let mut segments = path.split(|&byte| separates(byte));
    segments.any(|segment| matches!(segment.split(|&byte| byte == b';').next(), Some(b"." | b"..")))
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        let value = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let value = value.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(value.unwrap_or(*byte));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    decoded
}

/// Escapes that are left have one spelling, and stand for what may not stand there itself (RFC 3986 section 6.2.2).
fn check_escapes(path: &str) -> Result<(), Violation> {
    for escape in path.split('%').skip(1) {
        let digits = escape.get(..2).unwrap_or_default();
        let value = u8::from_str_radix(digits, 16).unwrap_or_default();
        let unreserved = value.is_ascii_alphanumeric() || b"-._~".contains(&value);
        ensure!(value != 0 && !unreserved && digits == format!("{value:02X}"), "escapes have one spelling", "{path}");
    }
    Ok(())
}
