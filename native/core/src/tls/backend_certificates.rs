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
