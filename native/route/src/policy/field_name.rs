//! Names of header fields, as backends read them: several spellings are one name to some.

/// Names that no policy may set: fields that frame a message or belong to a connection (RFC 9110 section 7.6.1), and `Host`. In
/// one of them a user whose name is `chunked` would be another message for the backend.
const OF_THE_MESSAGE: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Whether a policy may tell a backend something in a field of this name: one that is none of a message, in any spelling.
pub fn is_forwardable(name: &str) -> bool {
    codec::is_token(name.as_bytes())
        && !OF_THE_MESSAGE.iter().any(|known| same_field(known.as_bytes(), name.as_bytes()))
}

/// Whether two names are of one field for some backend: case does not count, and CGI, WSGI and others take every byte that is
/// no letter or digit for the same (CVE-2026-33433, CVE-2026-39858).
pub fn same_field(one: &[u8], two: &[u8]) -> bool {
    let same = |(one, two): (&u8, &u8)| match (one.is_ascii_alphanumeric(), two.is_ascii_alphanumeric()) {
        (true, true) => one.eq_ignore_ascii_case(two),
        (one, two) => one == two,
    };
    // Most are written alike, and that is told sooner.
    one.len() == two.len() && (one.eq_ignore_ascii_case(two) || one.iter().zip(two).all(same))
}

/// CGI, WSGI and others make one name of `X_User` and `X-User`.
pub fn has_underscore(name: &[u8]) -> bool {
    name.contains(&b'_')
}

#[cfg(test)]
mod tests {
    use super::{is_forwardable, same_field};

    #[test]
    fn fields_of_a_message() {
        for name in [
            "",
            "Host",
            ":path",
            "x y",
            "transfer_encoding",
            "Proxy-Connection",
            "TE",
            "Content-Length",
            "content.length",
        ] {
            assert!(!is_forwardable(name), "{name}");
        }
        for name in ["x-user", "authorization", "hostname", "x-host", "cookie"] {
            assert!(is_forwardable(name), "{name}");
        }
    }

    #[test]
    fn spellings_of_one_field() {
        for (one, two, same) in [
            ("x-user", "X-User", true),
            ("x-user", "x_user", true),
            ("x-user", "X.USER", true),
            ("x-user", "x-users", false),
            ("x-user", "xxuser", false),
            ("x-user", "x--ser", false),
            ("x1", "x2", false),
        ] {
            assert_eq!(same_field(one.as_bytes(), two.as_bytes()), same, "{one} {two}");
        }
    }
}
