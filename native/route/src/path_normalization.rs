//! Request targets: what they may look like and the one normalisation (ARCHITECTURE.md, "Target").

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What is done to paths before they are matched and forwarded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathNormalization {
    /// They are brought to the one form in which they can mean nothing else to a backend, or refused.
    #[default]
    Strict,
    /// Nothing: the bytes that came are matched and forwarded.
    Off,
}

/// Why a target is refused; each is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetError {
    /// Neither `/...`, nor `http(s)://...`, nor `*` with OPTIONS.
    Form,
    /// A byte outside printable ASCII, a fragment, or a backslash in the path.
    Byte,
    /// `%` without two hex digits, or `%00`.
    Escape,
    /// `..` above the root.
    AboveRoot,
    /// A dot segment that we do not resolve and a backend may: with `;` behind it, or next to an escaped separator.
    HiddenDots,
}

/// A target taken apart and normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    pub path: Cow<'a, str>,
    /// As it came, without the `?`.
    pub query: Option<&'a str>,
    /// Of an absolute-form target; replaces `Host` (RFC 9112 section 3.2.2).
    pub authority: Option<&'a str>,
}

/// Take `target` apart and normalise its path as `paths` says. Copies only a path that changes.
///
/// # Errors
/// [`TargetError`].
pub fn normalise<'a>(method: &str, target: &'a [u8], paths: PathNormalization) -> Result<Target<'a>, TargetError> {
    let query = memchr::memchr(b'?', target);
    let (path, rest) = target.split_at(query.unwrap_or(target.len()));
    let seen = seen_in(path);
    if (seen | seen_in(rest)) & FOREIGN != 0 {
        return Err(TargetError::Byte);
    }
    let text = std::str::from_utf8(target).map_err(|_| TargetError::Byte)?;
    // Most are as they should be.
    if seen & ODD == 0 && path.first() == Some(&b'/') {
        let path = Cow::Borrowed(&text[..path.len()]);
        return Ok(Target { path, query: query.map(|at| &text[at + 1..]), authority: None });
    }
    let made_of = match paths {
        PathNormalization::Strict => normalise_path,
        PathNormalization::Off => checked_path,
    };
    if text.starts_with('/') {
        let (path, query) = split(text);
        return Ok(Target { path: made_of(path)?, query, authority: None });
    }
    if text == "*" && method == "OPTIONS" {
        return Ok(Target { path: Cow::Borrowed("*"), query: None, authority: None });
    }
    let after_scheme = strip_prefix_ignoring_case(text, "http://")
        .or_else(|| strip_prefix_ignoring_case(text, "https://"))
        .ok_or(TargetError::Form)?;
    let end = after_scheme.find(['/', '?']).unwrap_or(after_scheme.len());
    let (authority, rest) = after_scheme.split_at(end);
    let (path, query) = split(rest);
    Ok(Target { path: made_of(if path.is_empty() { "/" } else { path })?, query, authority: Some(authority) })
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

fn strip_prefix_ignoring_case<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The path as it came, where it is one (RFC 3986 section 3.3).
fn checked_path(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if path.contains('\\') {
        return Err(TargetError::Byte);
    }
    let mut escapes = path.split('%').skip(1);
    if !escapes.all(|after| matches!(after.as_bytes(), [high, low, ..] if hex_pair(*high, *low).is_some())) {
        return Err(TargetError::Escape);
    }
    Ok(Cow::Borrowed(path))
}

/// The one form of a path in which it can mean nothing else to a backend.
///
/// # Errors
/// [`TargetError`].
pub fn normalise_path(path: &str) -> Result<Cow<'_, str>, TargetError> {
    if seen_in(path.as_bytes()) & ODD == 0 {
        return Ok(Cow::Borrowed(path));
    }
    if path.contains('\\') {
        return Err(TargetError::Byte);
    }
    rewrite(path.as_bytes()).map(Cow::Owned)
}

/// No byte of a target.
const FOREIGN: u8 = 1;

/// What may have to be decoded, and what no path may have.
const ESCAPE: u8 = 1 << 1;

const SLASH: u8 = 1 << 2;

/// What is no name behind a slash: another one, or a dot.
const BEHIND_SLASH: u8 = SLASH << 1;

/// What a path in its one form does not have.
const ODD: u8 = ESCAPE | BEHIND_SLASH;

/// Of each byte: a target is looked at once, without a branch for each of its bytes.
const CLASSES: [u8; 256] = {
    let mut classes = [FOREIGN; 256];
    let mut byte = 0x21;
    while byte <= 0x7e {
        classes[byte as usize] = match byte {
            b'#' => FOREIGN,
            b'%' | b'\\' => ESCAPE,
            b'/' => SLASH | BEHIND_SLASH,
            b'.' => BEHIND_SLASH,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// Of a path or a query: whether it has `FOREIGN`, an `ESCAPE`, and what is `BEHIND_SLASH` behind a slash.
fn seen_in(bytes: &[u8]) -> u8 {
    let (mut seen, mut before) = (0, 0);
    for &byte in bytes {
        let class = CLASSES[usize::from(byte)];
        seen |= class & (FOREIGN | ESCAPE | (before & SLASH) << 1);
        before = class;
    }
    seen
}

/// Decode unreserved escapes, merge slashes, resolve dot segments (RFC 3986 sections 6.2.2 and 5.2.4).
fn rewrite(path: &[u8]) -> Result<String, TargetError> {
    let decoded = decode_unreserved(path)?;
    if decoded.split('/').any(hides_dots) {
        return Err(TargetError::HiddenDots);
    }
    let mut out = String::with_capacity(decoded.len());
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            // An empty segment is half of `//`; only a last one, the trailing slash, means something.
            "" | "." => {}
            ".." => {
                let cut = out.rfind('/').ok_or(TargetError::AboveRoot)?;
                out.truncate(cut);
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
        if last && matches!(segment, "" | "." | "..") {
            out.push('/');
        }
    }
    Ok(out)
}

/// Whether a backend could see `.` or `..` in `segment` where we see an ordinary name: servlet containers cut a segment at
/// `;` before they resolve dots, others decode `%2F` and `%5C` before they do. Escapes have upper-case hex here.
fn hides_dots(segment: &str) -> bool {
    let mut rest = segment;
    loop {
        let (part, after) = match rest.find("%2F").into_iter().chain(rest.find("%5C")).min() {
            Some(at) => (&rest[..at], Some(&rest[at + "%2F".len()..])),
            None => (rest, None),
        };
        let name = part.split(';').next().unwrap_or_default().split("%3B").next().unwrap_or_default();
        // Dots that are all of a segment are ours to resolve.
        if matches!(name, "." | "..") && name.len() < segment.len() {
            return true;
        }
        match after {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

fn decode_unreserved(path: &[u8]) -> Result<String, TargetError> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            out.push(char::from(*byte));
            continue;
        }
        let [high, low, after @ ..] = tail else {
            return Err(TargetError::Escape);
        };
        let value = hex_pair(*high, *low).filter(|&value| value != 0).ok_or(TargetError::Escape)?;
        rest = after;
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(value));
        } else {
            out.push('%');
            out.push(char::from(high.to_ascii_uppercase()));
            out.push(char::from(low.to_ascii_uppercase()));
        }
    }
    Ok(out)
}

/// The byte that two hex digits stand for.
pub(super) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (sent, expected) in [
            ("/", Ok("/")),
            ("/a/b", Ok("/a/b")),
            ("/%61%2d%7E", Ok("/a-~")),
            ("/a%2fb", Ok("/a%2Fb")),
            ("//a///b//", Ok("/a/b/")),
            ("/a/./b/../c", Ok("/a/c")),
            ("/a/..", Ok("/")),
            ("/a/.", Ok("/a/")),
            ("/a/b/%2e%2E/c", Ok("/a/c")),
            ("/.hidden/..x/y.", Ok("/.hidden/..x/y.")),
            ("/a;b=c/d", Ok("/a;b=c/d")),
            ("/a/..b", Ok("/a/..b")),
            ("/a/.../b", Ok("/a/.../b")),
            ("/a;../b", Ok("/a;../b")),
            ("/a..;/b", Ok("/a..;/b")),
            ("/a/;..", Ok("/a/;..")),
            ("/a%2F..b%5C.c", Ok("/a%2F..b%5C.c")),
            ("/a/%252e%252e%252fb", Ok("/a/%252e%252e%252fb")),
            ("/%252e%252e/b", Ok("/%252e%252e/b")),
            ("/a/..;/b", Err(TargetError::HiddenDots)),
            ("/a/.;/b", Err(TargetError::HiddenDots)),
            ("/a/.;b", Err(TargetError::HiddenDots)),
            ("/..;x=1/", Err(TargetError::HiddenDots)),
            ("/a/b/..;x;y", Err(TargetError::HiddenDots)),
            ("/a/%2e%2E;/b", Err(TargetError::HiddenDots)),
            ("/a/..%3bx/b", Err(TargetError::HiddenDots)),
            ("/a/..%2fb", Err(TargetError::HiddenDots)),
            ("/a/.%2Fb", Err(TargetError::HiddenDots)),
            ("/a/%2e%2e%2fb", Err(TargetError::HiddenDots)),
            ("/a/b%2f..", Err(TargetError::HiddenDots)),
            ("/a/b%2f../c", Err(TargetError::HiddenDots)),
            ("/a/b%2f..;x/c", Err(TargetError::HiddenDots)),
            ("/a/b%2f..%5cc", Err(TargetError::HiddenDots)),
            ("/%2f..", Err(TargetError::HiddenDots)),
            ("/..%5cb", Err(TargetError::HiddenDots)),
            ("/a%5C..%5Cb", Err(TargetError::HiddenDots)),
            ("/a%5c.", Err(TargetError::HiddenDots)),
            ("/..", Err(TargetError::AboveRoot)),
            ("/a/../../b", Err(TargetError::AboveRoot)),
            ("/%zz", Err(TargetError::Escape)),
            ("/%4", Err(TargetError::Escape)),
            ("/%00", Err(TargetError::Escape)),
            ("/a\\b", Err(TargetError::Byte)),
            ("/a#b", Err(TargetError::Byte)),
            ("/\u{e4}", Err(TargetError::Byte)),
            ("a", Err(TargetError::Form)),
            ("*", Err(TargetError::Form)),
        ] {
            let path =
                normalise("GET", sent.as_bytes(), PathNormalization::Strict).map(|target| target.path.into_owned());
            assert_eq!(path.as_deref(), expected.as_deref(), "{sent}");
        }
    }

    #[test]
    fn paths_as_they_came() {
        for (sent, expected) in [
            ("//a///b//", Ok("//a///b//")),
            ("/a/./b/../../../c", Ok("/a/./b/../../../c")),
            ("/..", Ok("/..")),
            ("/a/..;/b", Ok("/a/..;/b")),
            ("/%61%2d%2F..%2e%5c", Ok("/%61%2d%2F..%2e%5c")),
            ("/%00", Ok("/%00")),
            ("/a%25", Ok("/a%25")),
            ("/%", Err(TargetError::Escape)),
            ("/%4", Err(TargetError::Escape)),
            ("/%%41", Err(TargetError::Escape)),
            ("/%41%4x", Err(TargetError::Escape)),
            ("/a\\b", Err(TargetError::Byte)),
            ("/a#b", Err(TargetError::Byte)),
            ("/\u{e4}", Err(TargetError::Byte)),
            ("a", Err(TargetError::Form)),
            ("http://a.test", Ok("/")),
            ("http://a.test//b", Ok("//b")),
        ] {
            let path = normalise("GET", sent.as_bytes(), PathNormalization::Off).map(|target| target.path.into_owned());
            assert_eq!(path.as_deref(), expected.as_deref(), "{sent}");
        }
    }

    #[test]
    fn forms() {
        let normalise = |method, target| normalise(method, target, PathNormalization::Strict);
        let target = normalise("GET", b"HTTP://Example.com:80/a//b?x=//&y").unwrap();
        assert_eq!((&*target.path, target.query, target.authority), ("/a/b", Some("x=//&y"), Some("Example.com:80")));
        let target = normalise("GET", b"https://example.com?q").unwrap();
        assert_eq!((&*target.path, target.query, target.authority), ("/", Some("q"), Some("example.com")));
        assert_eq!(normalise("OPTIONS", b"*").unwrap().path, "*");
        assert!(matches!(normalise("GET", b"/a?").unwrap(), Target { query: Some(""), path: Cow::Borrowed("/a"), .. }));
    }
}
