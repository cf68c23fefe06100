//! TLS towards backends.

use super::{PolicyKind, PolicyPlace};
use serde::{Deserialize, Serialize};

/// TLS towards backends (a `BackendTLSPolicy` that won for its target).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendTls {
    /// `BackendTLSPolicy/<namespace>/<name>`.
    pub id: String,
    /// SNI, and the name that the certificate must carry unless `subject_alt_names` is given.
    pub hostname: String,
    /// Trust ids. Empty: the system's roots (`wellKnownCACertificates: System`).
    #[serde(default)]
    pub trust: Vec<String>,
    #[serde(default)]
    pub subject_alt_names: Vec<SubjectAltName>,
    /// Certificate id that is presented in place of the listener's (an `XBackend` has its own).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The policy exists but cannot be honoured: requests get 500 rather than plain text or unverified TLS.
    #[serde(default)]
    pub invalid: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type")]
pub enum SubjectAltName {
    Hostname {
        value: String,
    },
    #[serde(rename = "URI")]
    Uri {
        value: String,
    },
}

impl PolicyKind for BackendTls {
    fn id(&self) -> &str {
        &self.id
    }

    fn places(&self) -> &'static [PolicyPlace] {
        &[PolicyPlace::Backend]
    }
}
