//! Authorities: `host[:port]` of Host, `:authority` and absolute-form targets (RFC 3986 section 3.2, RFC 9110 section 7.2).

use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Lower case, without a trailing dot.
    pub host: Cow<'a, str>,
    pub port: Option<u16>,
}

/// Octets of a hostname (RFC 1035 section 2.3.4), with room for a trailing dot.
const MAX_HOST: usize = 254;

/// Parse an authority; `None` for userinfo, a path, other characters, a bad port, or nothing at all.
pub fn parse(text: &[u8]) -> Option<Authority<'_>> {
    let (host, port) = if text.first() == Some(&b'[') {
        let end = memchr::memchr(b']', text)?;
        let literal = std::str::from_utf8(&text[1..end]).ok()?;
        literal.parse::<std::net::Ipv6Addr>().ok()?;
        (&text[..=end], text.get(end + 1..).filter(|rest| !rest.is_empty()))
    } else {
        match memchr::memchr(b':', text) {
            Some(at) => (&text[..at], Some(&text[at..])),
            None => (text, None),
        }
    };
    let port = match port {
        None => None,
        Some([b':', digits @ ..]) => parse_port(digits)?,
        Some(_) => return None,
    };
    let named = text.first() != Some(&b'[');
    if host.is_empty() || host.len() > MAX_HOST || (named && !host.iter().all(|&byte| is_name_byte(byte))) {
        return None;
    }
    let host = std::str::from_utf8(host).ok()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    // A second dot would make a host that is read as another one by whoever drops a dot next.
    if host.is_empty() || host.ends_with('.') {
        return None;
    }
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    Some(Authority { host, port })
}

/// The outer `None` is an error; an empty port is none (RFC 3986 section 3.2.3).
#[allow(clippy::option_option)]
fn parse_port(digits: &[u8]) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().map(Some)
}

/// Unreserved, sub-delims that occur in names, and underscore; no percent-encoding.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn authorities() {
        for (text, expected) in [
            ("example.com", Some(("example.com", None))),
            ("Example.COM.:8080", Some(("example.com", Some(8080)))),
            ("example.com:", Some(("example.com", None))),
            ("10.0.0.1:80", Some(("10.0.0.1", Some(80)))),
            ("[::1]:80", Some(("[::1]", Some(80)))),
            ("[::1]", Some(("[::1]", None))),
            ("a_b", Some(("a_b", None))),
            ("", None),
            (".", None),
            ("..", None),
            ("example.com..", None),
            ("example.com..:80", None),
            (":80", None),
            ("user@example.com", None),
            ("example.com/x", None),
            ("exa mple.com", None),
            ("example.com:80:80", None),
            ("example.com:x", None),
            ("example.com:99999", None),
            ("[::1", None),
            ("[x]", None),
            ("[::1]80", None),
            ("b\u{fc}cher.example", None),
        ] {
            let parsed = parse(text.as_bytes());
            let parsed = parsed.as_ref().map(|authority| (&*authority.host, authority.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }
}
