//! Stanzas of `AccessPolicy` that ask somebody else: identity providers, and services that say who may.

use super::access::credentials;
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
    /// A JWK Set, with what is public only; empty where it is fetched.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keys: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteKeys>,
    #[serde(default)]
    pub forward: Vec<ClaimHeader>,
}

/// Where an identity provider publishes its keys. Policies that say the same share what is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteKeys {
    /// Backend id.
    pub backend: String,
    /// Path and query, from `/` on.
    pub path: String,
    /// `Host` of what is asked; empty: the name that the backend's certificate is for, else `service`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// `<name>.<namespace>.svc` of the Service.
    pub service: String,
    /// Between fetches.
    pub refresh_ms: u64,
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
    /// The backends of those providers whose keys are fetched, in their order.
    fn needs(&self) -> Vec<Need<'_>> {
        self.providers.iter().filter_map(|it| it.remote.as_ref()).map(|keys| Need::Backend(&keys.backend)).collect()
    }

    fn owned_fields(&self) -> Vec<&str> {
        self.providers.iter().flat_map(|provider| &provider.forward).map(|pair| pair.header.as_str()).collect()
    }

    fn credential_fields(&self) -> Vec<&str> {
        credentials(&self.from)
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
    /// What it said is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<VerdictCache>,
    /// Where its 401 sends people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,
}

/// Where people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub url: String,
    /// Of the query: where to come back to.
    pub parameter: String,
    /// Path and query alone are said of that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub path_only: bool,
}

/// For how long, and for whom, answers of a service hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerdictCache {
    pub ttl_ms: u64,
    /// Fields, lower case, that requests have to agree in, besides `Authorization`, the client's address and what is asked for.
    pub headers: Vec<String>,
    /// Refusals are remembered as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denials: bool,
}

super::stanza!(AccessExternal of "AccessPolicy", "external", [Listener, HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        self.service.as_ref().map_or_else(Vec::new, |service| service.needs())
    }

    fn owned_fields(&self) -> Vec<&str> {
        self.service.as_ref().map_or_else(Vec::new, |service| service.owned_fields())
    }

    fn credential_fields(&self) -> Vec<&str> {
        self.service.as_ref().map_or_else(Vec::new, |service| service.credential_fields())
    }
});
