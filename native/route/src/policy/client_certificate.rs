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

#[cfg(test)]
mod tests {
    use super::ClientCertificate;
    use crate::policy::access::samples::strings;

    fn certificate(subject: &str, dns_names: &[&str], uris: &[&str]) -> ClientCertificate {
        let (dns_names, uris) = (strings(dns_names), strings(uris));
        ClientCertificate { subject: subject.to_owned(), dns_names, uris, ..ClientCertificate::default() }
    }

    #[test]
    fn who_it_is_of() {
        for (dns_names, uris, user) in [
            (&["a.test", "b.test"][..], &["spiffe://a/b", "spiffe://c"][..], "spiffe://a/b"),
            (&["a.test", "b.test"], &[], "a.test"),
            (&[], &[], "CN=ann"),
        ] {
            assert_eq!(certificate("CN=ann", dns_names, uris).user(), user);
        }
    }

    /// In any of its names, whichever is the user's.
    #[test]
    fn a_name_that_can_be_read_in_two_ways_is_none() {
        assert!(certificate("CN=ann", &["a.test"], &["spiffe://a"]).is_plain());
        assert!(ClientCertificate::default().is_plain());
        for odd in ["a\0b", "a\nb", "a\u{7f}", "a\u{85}b"] {
            assert!(!certificate(odd, &[], &[]).is_plain(), "{odd:?}");
            assert!(!certificate("CN=ann", &["a.test", odd], &[]).is_plain(), "{odd:?}");
            assert!(!certificate("CN=ann", &[], &["spiffe://a", odd]).is_plain(), "{odd:?}");
        }
    }
}
