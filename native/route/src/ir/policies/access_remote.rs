//! Stanzas of `AccessPolicy` that ask somebody else: identity providers, and services that say who may.

use super::{ExternalService, KeySource, Need};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `AccessPolicy.spec.jwt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessJwt {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Requests without any credential go on, as nobody's.
    #[serde(default)]
    pub optional: bool,
    #[serde(default)]
    pub providers: Vec<JwtProvider>,
    /// Where a token stands.
    #[serde(default)]
    pub from: Vec<KeySource>,
    /// Of the challenge.
    #[serde(default)]
    pub realm: String,
    #[serde(default)]
    pub leeway_ms: u64,
    /// The token goes on to the backend.
    #[serde(default)]
    pub keep: bool,
}

/// Who signs tokens, and for whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtProvider {
    /// For people.
    pub name: String,
    pub issuer: String,
    /// One of these has to be in a token; `*`: any.
    pub audiences: Vec<String>,
    /// A JWK Set, with what is public only.
    pub keys: String,
    #[serde(default)]
    pub forward: Vec<ClaimHeader>,
}

/// The field that tells the backend a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimHeader {
    /// Names of claims within claims are joined by dots.
    pub claim: String,
    pub header: String,
}

super::stanza!(AccessJwt of "AccessPolicy", "jwt", [Listener, HttpRule], tightens: false, {
    fn owned_fields(&self) -> Vec<&str> {
        self.providers.iter().flat_map(|provider| &provider.forward).map(|pair| pair.header.as_str()).collect()
    }
});

/// `AccessPolicy.spec.external`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessExternal {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Absent only where it is off or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Arc<ExternalService>>,
}

super::stanza!(AccessExternal of "AccessPolicy", "external", [Listener, HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        self.service.as_ref().map_or_else(Vec::new, |service| service.needs())
    }

    fn owned_fields(&self) -> Vec<&str> {
        self.service.as_ref().map_or_else(Vec::new, |service| service.owned_fields())
    }
});
