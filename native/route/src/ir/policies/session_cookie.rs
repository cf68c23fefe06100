//! How the cookie is written that keeps a session (`BackendPolicy.sessionCookie`).

use serde::{Deserialize, Serialize};

/// Attributes of RFC 6265bis section 4.1.2 that `sessionPersistence` does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionCookieAttributes {
    /// Lower case; empty: the host that was asked, and no other.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    pub same_site: SameSite,
    pub secure: CookieSecure,
    /// Scripts of a page do not see it.
    pub http_only: bool,
    /// How long it is kept; 0: as `sessionPersistence` says.
    pub max_age_seconds: u64,
    /// A client whose endpoint does badly goes elsewhere for that long, and is told nothing of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keeps_endpoint: bool,
    /// A client stays with the backend of its session, whatever the weights of the rule.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spans_backends: bool,
}

impl Default for SessionCookieAttributes {
    /// GEP-1619, "Cookie Attributes".
    fn default() -> Self {
        Self {
            domain: String::new(),
            same_site: SameSite::Strict,
            secure: CookieSecure::OverTls,
            http_only: true,
            max_age_seconds: 0,
            keeps_endpoint: false,
            spans_backends: false,
        }
    }
}

/// With which requests of other sites it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SameSite {
    Strict,
    Lax,
    /// With all.
    None,
    /// Nothing is said, so as browsers have it.
    Unset,
}

impl SameSite {
    /// The attribute's value.
    pub const fn value(self) -> Option<&'static str> {
        match self {
            Self::Strict => Some("Strict"),
            Self::Lax => Some("Lax"),
            Self::None => Some("None"),
            Self::Unset => None,
        }
    }
}

/// Whether it comes over TLS alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CookieSecure {
    /// Where the client came by TLS.
    OverTls,
    Always,
    Never,
}
