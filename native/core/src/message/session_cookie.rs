//! Attributes of the cookie that keeps a session (RFC 6265bis section 4.1.2): those of GEP-1619, or what a `BackendPolicy` says.

use route::ir::{CookieSecure, SessionCookieAttributes};
use std::fmt::Write;

/// How a cookie is written for one client.
#[derive(Debug, Clone, Copy)]
pub struct CookieTerms<'g> {
    /// Of the backend; `None`: as GEP-1619 has it.
    pub attributes: Option<&'g SessionCookieAttributes>,
    /// The client came by TLS.
    pub over_tls: bool,
}

impl CookieTerms<'_> {
    /// A client comes back to an endpoint that did badly for a while.
    pub fn keeps_endpoint(&self) -> bool {
        self.attributes.is_some_and(|attributes| attributes.keeps_endpoint)
    }

    /// Write them behind its path. `left`: seconds that the session may last; `permanent`: browsers keep it for as long.
    pub fn write(&self, cookie: &mut String, left: Option<u64>, permanent: bool) {
        let usual = SessionCookieAttributes::default();
        let said = self.attributes.unwrap_or(&usual);
        if !said.domain.is_empty() {
            let _ = write!(cookie, "; Domain={}", said.domain);
        }
        if said.http_only {
            cookie.push_str("; HttpOnly");
        }
        if let Some(same_site) = said.same_site.value() {
            let _ = write!(cookie, "; SameSite={same_site}");
        }
        let secure = match said.secure {
            CookieSecure::OverTls => self.over_tls,
            CookieSecure::Always => true,
            CookieSecure::Never => false,
        };
        if secure {
            cookie.push_str("; Secure");
        }
        let own = (said.max_age_seconds > 0).then_some(said.max_age_seconds);
        // A cookie that outlives its session would be sent for nothing.
        let max_age = match (own, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (Some(own), None) => Some(own),
            (None, left) => left.filter(|_| permanent),
        };
        if let Some(max_age) = max_age {
            let _ = write!(cookie, "; Max-Age={max_age}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CookieTerms;
    use route::ir::{CookieSecure, SameSite, SessionCookieAttributes};

    fn written(
        attributes: Option<&SessionCookieAttributes>,
        over_tls: bool,
        left: Option<u64>,
        permanent: bool,
    ) -> String {
        let mut cookie = String::new();
        CookieTerms { attributes, over_tls }.write(&mut cookie, left, permanent);
        cookie
    }

    #[test]
    fn what_nothing_is_said_of_is_as_in_gep_1619() {
        assert_eq!(written(None, true, None, false), "; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(written(None, false, Some(9), false), "; HttpOnly; SameSite=Strict");
        assert_eq!(written(None, false, Some(9), true), "; HttpOnly; SameSite=Strict; Max-Age=9");
    }

    #[test]
    fn what_a_policy_says_is_written() {
        let all = SessionCookieAttributes {
            domain: "example.com".to_owned(),
            same_site: SameSite::None,
            secure: CookieSecure::Always,
            http_only: false,
            max_age_seconds: 60,
            ..SessionCookieAttributes::default()
        };
        assert_eq!(written(Some(&all), false, None, false), "; Domain=example.com; SameSite=None; Secure; Max-Age=60");
        assert!(written(Some(&all), false, Some(9), false).ends_with("; Max-Age=9"), "no longer than its session");
        assert!(written(Some(&all), false, Some(90), true).ends_with("; Max-Age=60"));
        let none = SessionCookieAttributes {
            same_site: SameSite::Unset,
            secure: CookieSecure::Never,
            http_only: false,
            ..SessionCookieAttributes::default()
        };
        assert_eq!(written(Some(&none), true, Some(9), false), "");
    }
}
