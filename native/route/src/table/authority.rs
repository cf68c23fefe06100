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
    if host.is_empty() || host.len() > MAX_HOST {
        return None;
    }
    let is_literal = text[0] == b'[';
    let seen = host.iter().fold(0, |seen, &byte| seen | CLASSES[usize::from(byte)]);
    if seen & OTHER != 0 && !is_literal {
        return None;
    }
    let host = std::str::from_utf8(host).ok()?;
    let host = host.strip_suffix('.').unwrap_or(host);
    // A second dot would make a host that is read as another one by whoever drops a dot next.
    if host.is_empty() || host.ends_with('.') {
        return None;
    }
    let host = if seen & UPPER == 0 { Cow::Borrowed(host) } else { Cow::Owned(host.to_ascii_lowercase()) };
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

/// What a name may not have.
const OTHER: u8 = 1;

/// What has a lower case.
const UPPER: u8 = 2;

/// Of each byte: a name is looked at once, without a branch for each of its bytes.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = u8::MAX;
    loop {
        classes[byte as usize] = if byte.is_ascii_uppercase() {
            UPPER
        } else if is_name_byte(byte) {
            0
        } else {
            OTHER
        };
        if byte == 0 {
            break;
        }
        byte -= 1;
    }
    classes
};

/// Unreserved, sub-delims that occur in names, and underscore; no percent-encoding.
const fn is_name_byte(byte: u8) -> bool {
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
