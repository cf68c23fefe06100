//! `ClientPolicy`: how clients are spoken to.

use serde::{Deserialize, Serialize};

/// `ClientPolicy.spec.clientAddress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAddress {
    /// `ClientPolicy/<namespace>/<name>/clientAddress`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// CIDR blocks: the proxies whose `X-Forwarded-For` is believed, in place of the engine setting `trusted_proxies`.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
}

super::stanza!(ClientAddress of "ClientPolicy", "clientAddress", [Listener], tightens: false);

/// `ClientPolicy.spec.body`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientBody {
    /// `ClientPolicy/<namespace>/<name>/body`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Octets that the body of a request may have; 0: any number.
    #[serde(default)]
    pub max_bytes: u64,
}

super::stanza!(ClientBody of "ClientPolicy", "body", [Listener, HttpRule], tightens: false);
