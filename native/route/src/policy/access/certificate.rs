//! The certificate that a client proved to own in the handshake of its connection: the connection's own listener validated it,
//! whatever name a request is for.

use super::{Authenticator, Presented};
use crate::ir::{AccessCertificate, SubjectAltName};
use crate::policy::{ClientCertificate, Facts, ForwardField, Identity, Proof, Removal};
use std::sync::Arc;

#[derive(Debug)]
pub struct Certificate {
    names: Vec<SubjectAltName>,
    forward_field: Option<ForwardField>,
    optional: bool,
}

impl Certificate {
    pub fn compile(ir: &AccessCertificate) -> Self {
        Self {
            names: ir.subject_alt_names.clone(),
            forward_field: ForwardField::of(&ir.forward_header),
            optional: ir.optional,
        }
    }

    /// Whether a certificate is one that is asked for.
    pub fn admits(&self, certificate: &ClientCertificate) -> bool {
        let has = |name: &SubjectAltName| match name {
            SubjectAltName::Hostname { value } => certificate.dns_names.iter().any(|it| it.eq_ignore_ascii_case(value)),
            SubjectAltName::Uri { value } => certificate.uris.contains(value),
        };
        certificate.is_plain()
            && !certificate.user().is_empty()
            && (self.names.is_empty() || self.names.iter().any(has))
    }

    /// Whether a connection may come that has this certificate, or none.
    pub fn admits_connection(&self, certificate: Option<&ClientCertificate>) -> bool {
        certificate.map_or(self.optional, |it| self.admits(it))
    }
}

impl Authenticator for Certificate {
    fn proof(&self) -> Proof {
        Proof::Certificate
    }

    fn present(&self, facts: &Facts<'_>) -> Presented {
        match facts.certificate {
            None => Presented::Absent,
            Some(certificate) if self.admits(certificate) => {
                Presented::Valid(Arc::new(Identity::of(Proof::Certificate, certificate.user())))
            }
            Some(_) => Presented::Invalid,
        }
    }

    /// No scheme of RFC 9110 stands for a certificate; the word tells people what is missing.
    fn challenge(&self) -> String {
        "ClientCertificate".to_owned()
    }

    fn is_optional(&self) -> bool {
        self.optional
    }

    fn forward_field(&self) -> Option<&ForwardField> {
        self.forward_field.as_ref()
    }

    fn is_kept(&self) -> bool {
        false
    }

    fn removed(&self) -> &[Removal] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::Certificate;
    use crate::ir::{AccessCertificate, SubjectAltName};
    use crate::policy::access::samples::{FACTS, strings};
    use crate::policy::{Authenticator, ClientCertificate, Facts, Presented};

    #[test]
    fn certificates_and_their_names() {
        let of = |dns: &[&str], uris: &[&str], subject: &str| ClientCertificate {
            subject: subject.to_owned(),
            dns_names: strings(dns),
            uris: strings(uris),
            fingerprint: String::new(),
            pem: String::new(),
        };
        let policy = |names: Vec<SubjectAltName>| {
            Certificate::compile(&AccessCertificate {
                id: String::new(),
                overrides: false,
                off: false,
                invalid: false,
                optional: false,
                subject_alt_names: names,
                forward_header: String::new(),
            })
        };
        let any = policy(Vec::new());
        let named = policy(vec![
            SubjectAltName::Hostname { value: "client.example".to_owned() },
            SubjectAltName::Uri { value: "spiffe://example/ann".to_owned() },
        ]);
        for (certificate, user, is_named) in [
            (of(&["Client.Example"], &[], "CN=a"), Some("Client.Example"), true),
            (of(&["a.example"], &["spiffe://example/ann"], "CN=a"), Some("spiffe://example/ann"), true),
            (of(&[], &["spiffe://example/annie"], "CN=a"), Some("spiffe://example/annie"), false),
            (of(&[], &[], "CN=client.example"), Some("CN=client.example"), false),
            (of(&[], &[], ""), None, false),
            // CVE-2025-66220: what ends at a NUL for one reader goes on for another.
            (of(&["client.example\0.evil.example"], &[], "CN=a"), None, false),
            (of(&["client.example"], &["spiffe://example/ann\n"], "CN=a"), None, false),
        ] {
            let facts = Facts { certificate: Some(&certificate), ..FACTS };
            let found = match any.present(&facts) {
                Presented::Valid(identity) => Some(identity.user.clone()),
                Presented::Invalid => None,
                other => panic!("{certificate:?}: {other:?}"),
            };
            assert_eq!(found.as_deref(), user, "{certificate:?}");
            assert_eq!(named.admits_connection(Some(&certificate)), is_named, "{certificate:?}");
        }
        assert_eq!(any.present(&FACTS), Presented::Absent);
        assert!(!any.admits_connection(None));
    }
}
