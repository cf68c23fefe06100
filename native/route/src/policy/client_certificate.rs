//! The certificate that a client showed, as policies see it.

use serde::Deserialize;

/// What a validated certificate says of its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientCertificate {
    /// The distinguished name, as RFC 4514 writes it.
    pub subject: String,
    pub dns_names: Vec<String>,
    pub uris: Vec<String>,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// The whole certificate as PEM, where a policy tells backends of it.
    pub pem: String,
}

impl ClientCertificate {
    /// Who that is: the first URI (SPIFFE), else the first DNS name, else the subject.
    pub fn user(&self) -> &str {
        self.uris.first().or(self.dns_names.first()).unwrap_or(&self.subject)
    }

    /// Names with control characters were made to be read in two ways (CVE-2025-66220).
    pub(super) fn is_plain(&self) -> bool {
        let mut all = [&self.subject].into_iter().chain(&self.dns_names).chain(&self.uris);
        all.all(|name| !name.chars().any(char::is_control))
    }
}
