//! Certificates of backends: whom a `BackendTLSPolicy` takes for the one that it names.

use super::trust::{Purpose, Trust};
use super::{provider, trust};
use route::ir::SubjectAltName;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The chain must end in the policy's trust, or be one certificate of it; the name must be the policy's hostname, or, where
/// the policy lists subject alternative names, one of those instead (`BackendTLSPolicyValidation.subjectAltNames`).
#[derive(Debug)]
pub struct PolicyVerifier {
    pub trust: Trust,
    pub names: Vec<SubjectAltName>,
}

impl ServerCertVerifier for PolicyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_anchor = self.trust.is_anchor(end_entity);
        if is_anchor {
            trust::check_anchor(end_entity, now, Purpose::Server)?;
        } else {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            let algorithms = provider().signature_verification_algorithms;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.trust.roots, intermediates, now, algorithms.all)?;
        }
        if !self.names.is_empty() {
            if !self.names.iter().any(|name| carries(end_entity, name)) {
                let wanted = self.names.clone();
                let error = NoSuchName { wanted, carried: names_of(end_entity) };
                return Err(CertificateError::Other(OtherError(Arc::new(error))).into());
            }
        } else if is_anchor {
            trust::check_anchor_name(end_entity, server_name)?;
        } else {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    trust::handshake_signatures!();
}

/// Whatever a backend shows is taken, where a policy wants that; that it owns the key is still checked.
#[derive(Debug)]
pub struct AcceptAnything;

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    trust::handshake_signatures!();
}

/// A certificate that is trusted, but has none of the policy's `subjectAltNames`.
struct NoSuchName {
    wanted: Vec<SubjectAltName>,
    carried: Vec<String>,
}

impl fmt::Display for NoSuchName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wanted = self.wanted.iter().map(|name| match name {
            SubjectAltName::Hostname { value } | SubjectAltName::Uri { value } => value,
        });
        let wanted: Vec<_> = wanted.collect();
        write!(formatter, "it is for {:?}, and the policy wants one of {wanted:?}", self.carried)
    }
}

/// `rustls` shows errors of others by this.
impl fmt::Debug for NoSuchName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for NoSuchName {}

/// The certificate carries this subject alternative name.
fn carries(der: &CertificateDer<'_>, name: &SubjectAltName) -> bool {
    match name {
        SubjectAltName::Hostname { value } => {
            // Certificates before version 3 have no such names, and are not parsed.
            let parsed = ParsedCertificate::try_from(der).ok();
            let name = ServerName::try_from(value.as_str()).ok();
            parsed.zip(name).is_some_and(|(parsed, name)| verify_server_name(&parsed, &name).is_ok())
                || names_of(der).iter().any(|carried| carried.eq_ignore_ascii_case(value))
        }
        SubjectAltName::Uri { value } => names_of(der).iter().any(|carried| carried == value),
    }
}

fn names_of(der: &CertificateDer<'_>) -> Vec<String> {
    X509Certificate::from_der(der).map(|(_, parsed)| super::names::names(&parsed)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{PolicyVerifier, Trust};
    use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
    use route::ir::SubjectAltName;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    fn parameters(names: &[&str]) -> CertificateParams {
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).expect("names")
    }

    fn hostname(value: &str) -> SubjectAltName {
        SubjectAltName::Hostname { value: value.to_owned() }
    }

    fn uri(value: &str) -> SubjectAltName {
        SubjectAltName::Uri { value: value.to_owned() }
    }

    /// What a backend with this certificate is told by a policy with the hostname `a.test`.
    fn verify(verifier: &PolicyVerifier, certificate: &CertificateDer<'_>) -> Result<(), String> {
        let name = ServerName::try_from("a.test").expect("a name");
        let verified = verifier.verify_server_cert(certificate, &[], &name, &[], UnixTime::now());
        verified.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The policy's hostname, or instead of it one of the names that the policy lists.
    #[test]
    fn names_of_a_chain() {
        let key = KeyPair::generate().expect("a key");
        let mut authority = parameters(&[]);
        authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "authority");
        let pem = authority.self_signed(&key).expect("an authority").pem();
        let issuer = Issuer::new(authority, key);
        let sign = |names: &[&str], uris: &[&str]| {
            let mut parameters = parameters(names);
            let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI")));
            parameters.subject_alt_names.extend(uris);
            let key = KeyPair::generate().expect("a key");
            parameters.signed_by(&key, &issuer).expect("a certificate").der().clone()
        };
        let leaf = sign(&["a.test", "*.b.test"], &["spiffe://a/b"]);
        let other = sign(&["other.test"], &["spiffe://A/b"]);
        for (names, leaf_fits, other_fits) in [
            (vec![], true, false),
            (vec![hostname("other.test")], false, true),
            (vec![hostname("x.b.test")], true, false),
            (vec![hostname("x.y.b.test")], false, false),
            // Also as it is written in the certificate.
            (vec![hostname("*.B.test")], true, false),
            (vec![uri("spiffe://a/b")], true, false),
            (vec![uri("a.test")], true, false),
            (vec![hostname("none.test"), uri("spiffe://A/b")], false, true),
        ] {
            let verifier = PolicyVerifier { trust: Trust::read([pem.as_str()]).expect("anchors"), names };
            for (certificate, fits) in [(&leaf, leaf_fits), (&other, other_fits)] {
                let verified = verify(&verifier, certificate);
                assert_eq!(verified.is_ok(), fits, "{:?} {fits}: {verified:?}", verifier.names);
            }
        }
        // The names do not make up for the chain.
        let stranger = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a certificate");
        for names in [vec![], vec![hostname("a.test")]] {
            let verifier = PolicyVerifier { trust: Trust::read([pem.as_str()]).expect("anchors"), names };
            let error = verify(&verifier, stranger.cert.der()).expect_err("a stranger");
            assert!(error.contains("UnknownIssuer"), "{error}");
        }
    }

    /// One certificate of the trust is a backend itself; its common name counts only without a list.
    #[test]
    fn names_of_an_anchor() {
        let mut parameters = parameters(&[]);
        parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "a.test");
        let anchor = parameters.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        let trust = Trust::read([anchor.pem().as_str()]).expect("anchors");
        let plain = PolicyVerifier { trust: trust.clone(), names: Vec::new() };
        assert_eq!(verify(&plain, anchor.der()), Ok(()));
        let listed = PolicyVerifier { trust, names: vec![hostname("a.test")] };
        let error = verify(&listed, anchor.der()).expect_err("it has no such name");
        assert!(error.contains(r#"it is for [], and the policy wants one of ["a.test"]"#), "{error}");
    }
}
