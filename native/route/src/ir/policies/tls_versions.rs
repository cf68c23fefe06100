//! Versions of TLS that a policy allows.

use serde::{Deserialize, Serialize};

/// The least and the greatest; absent: what the gateway speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsVersions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<TlsVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<TlsVersion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersions {
    pub fn allows(self, version: TlsVersion) -> bool {
        self.min.is_none_or(|min| min <= version) && self.max.is_none_or(|max| version <= max)
    }
}
