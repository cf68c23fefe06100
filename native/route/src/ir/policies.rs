//! Policies: one section for all kinds, told apart by `type`.
//!
//! Listeners, rules and backends name their policies by id, in the order in which they act; a policy names nobody that it
//! holds for. So a changed policy is one resource, however many name it. What is shared is not copied: every kind is held
//! by its `Arc`.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A policy of any kind; a kind is a variant here and an arm in each function below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Policy {
    BackendTls(Arc<BackendTls>),
}

/// What names policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyPlace {
    Listener,
    HttpRule,
    L4Rule,
    Backend,
}

impl Policy {
    pub fn id(&self) -> &str {
        match self {
            Self::BackendTls(policy) => &policy.id,
        }
    }

    /// Whether it means anything where it is named. What does not refuses its transaction: a policy is never skipped.
    pub const fn acts_on(&self, place: PolicyPlace) -> bool {
        match self {
            Self::BackendTls(_) => matches!(place, PolicyPlace::Backend),
        }
    }

    pub const fn backend_tls(&self) -> Option<&Arc<BackendTls>> {
        match self {
            Self::BackendTls(policy) => Some(policy),
        }
    }

    /// Whether the two are of one kind.
    pub fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

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
