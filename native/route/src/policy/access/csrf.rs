//! Whether another site made a browser send a request that changes something: Fetch Metadata first, then `Origin`.

use super::credentials::named;
use crate::ir::AccessCsrf;
use crate::policy::{Facts, Reason, Verdict};

/// Methods that change nothing (RFC 9110 section 9.2.1).
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

#[derive(Debug)]
pub struct Csrf {
    trusted: Vec<Trusted>,
}

/// An origin besides the site itself.
#[derive(Debug)]
enum Trusted {
    Exact(String),
    /// Scheme with `://`, and what follows one or more labels, with its dot.
    Below(String, String),
}

impl Csrf {
    /// # Errors
    /// What is no origin.
    pub fn compile(ir: &AccessCsrf) -> Result<Self, String> {
        let trusted = ir.trusted_origins.iter().map(|text| {
            let written = text.to_ascii_lowercase();
            let (scheme, host) =
                parts(&written).ok_or_else(|| format!("{text:?} is no origin such as https://example.com"))?;
            Ok(match host.strip_prefix("*.") {
                Some(below) => {
                    Trusted::Below(format!("{scheme}://"), format!(".{}", without_usual_port(scheme, below)))
                }
                None => Trusted::Exact(format!("{scheme}://{}", without_usual_port(scheme, host))),
            })
        });
        Ok(Self { trusted: trusted.collect::<Result<_, String>>()? })
    }

    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let changes = !SAFE.contains(&facts.method) || is_websocket(facts);
        if !changes || self.is_own(facts) { Verdict::Pass } else { Verdict::Deny(Reason::Csrf.into()) }
    }

    /// What comes several times has to be right each time.
    fn is_own(&self, facts: &Facts<'_>) -> bool {
        let mut sites = named(facts.fields, "sec-fetch-site").peekable();
        let mut origins = named(facts.fields, "origin").peekable();
        if sites.peek().is_some() {
            // A browser says it, and no page can change it.
            if sites.all(|site| site == b"same-origin" || site == b"none") {
                return true;
            }
            return origins.peek().is_some() && origins.all(|origin| self.is_trusted(origin));
        }
        // Neither: no browser of these days.
        origins.all(|origin| self.is_trusted(origin) || is_host(facts, origin))
    }

    fn is_trusted(&self, origin: &[u8]) -> bool {
        let Some((scheme, host)) = origin_of(origin) else { return false };
        self.trusted.iter().any(|trusted| match trusted {
            Trusted::Exact(whole) => *whole == format!("{scheme}://{host}"),
            Trusted::Below(prefix, suffix) => {
                prefix.strip_suffix("://") == Some(&scheme)
                    && host.len() > suffix.len()
                    && host.ends_with(suffix.as_str())
            }
        })
    }
}

/// A page may read all that a WebSocket tells, whatever site it is of, and write to it. Browsers send their version over both
/// protocols (RFC 6455 section 4.1, RFC 8441 section 5).
fn is_websocket(facts: &Facts<'_>) -> bool {
    named(facts.fields, "sec-websocket-version").next().is_some()
}

/// Whether an origin is the site that is asked: the same host and port, and no less safe scheme. Whoever ends TLS before us
/// leaves us http where the browser sees https.
fn is_host(facts: &Facts<'_>, origin: &[u8]) -> bool {
    let Some((scheme, host)) = origin_of(origin) else { return false };
    let Ok(authority) = std::str::from_utf8(facts.authority) else { return false };
    let asked = authority.to_ascii_lowercase();
    (scheme == facts.scheme || scheme == "https") && without_usual_port(&scheme, &asked) == host
}

/// Scheme and host, with its port unless it is the usual one; `None`: it is no origin (`null` among others).
fn origin_of(origin: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(origin).ok()?.to_ascii_lowercase();
    let (scheme, host) = parts(&text)?;
    Some((scheme.to_owned(), without_usual_port(scheme, host).to_owned()))
}

fn parts(text: &str) -> Option<(&str, &str)> {
    let (scheme, host) = text.split_once("://")?;
    let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"-.:[]*_".contains(&it);
    (matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(is_plain)).then_some((scheme, host))
}

fn without_usual_port<'h>(scheme: &str, host: &'h str) -> &'h str {
    host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::Csrf;
    use crate::ir::AccessCsrf;
    use crate::policy::access::samples::{FACTS, fields, strings};
    use crate::policy::{Facts, Verdict};
    use codec::Field;

    #[test]
    fn what_another_site_sends() {
        let ir = AccessCsrf {
            id: String::new(),
            overrides: false,
            off: false,
            invalid: false,
            trusted_origins: strings(&["https://Admin.example.com:443", "https://*.friend.example"]),
        };
        let csrf = Csrf::compile(&ir).unwrap();
        for (sent, passes) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://admin.example.com")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://a.b.friend.example")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://friend.example")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evilfriend.example")], false),
            // A browser says that it is another site: that the name is the same does not count.
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://www.example.com")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://www.example.com")], true),
            (&[("origin", "HTTPS://WWW.example.com:443")], true),
            (&[("origin", "http://www.example.com")], false),
            (&[("origin", "https://www.example.com:8443")], false),
            (&[("origin", "https://www.example.com.evil.example")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", "http://admin.example.com")], false),
            (&[("origin", "https://www.example.com"), ("origin", "https://evil.example")], false),
            (&[("origin", "https://evil.example@www.example.com")], false),
        ] {
            let all = fields(sent);
            let facts = Facts { fields: &all, ..FACTS };
            assert_eq!(csrf.judge(&facts) == Verdict::Pass, passes, "{sent:?}");
            for method in ["GET", "HEAD", "OPTIONS"] {
                assert_eq!(csrf.judge(&Facts { method, ..facts }), Verdict::Pass);
            }
            let mut socket = fields(sent);
            socket.push(Field { name: b"Sec-WebSocket-Version", value: b"13" });
            let handshake = Facts { method: "GET", fields: &socket, ..FACTS };
            assert_eq!(csrf.judge(&handshake) == Verdict::Pass, passes, "{sent:?}");
            // Methods are case-sensitive.
            assert_eq!(csrf.judge(&Facts { method: "get", ..facts }) == Verdict::Pass, passes);
        }
        // Whoever ends TLS before us.
        let sent = fields(&[("origin", "https://www.example.com")]);
        assert_eq!(csrf.judge(&Facts { fields: &sent, scheme: "http", ..FACTS }), Verdict::Pass);
        for origin in ["", "example.com", "ftp://a", "https://", "https://a b", "null"] {
            assert!(
                Csrf::compile(&AccessCsrf { trusted_origins: strings(&[origin]), ..ir.clone() }).is_err(),
                "{origin}"
            );
        }
    }
}
