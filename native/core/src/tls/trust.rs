//! Who is trusted: chains that end in an anchor, as `webpki` builds them, and a certificate that is an anchor itself.
//!
//! `webpki` takes no end entity with `CA:TRUE` and none of X.509 version 1 or 2, which is what `openssl req -x509` and old
//! tools make of a server that signs for itself. Where such a certificate is, byte for byte, one of the anchors that the
//! policy names, there is no chain to build: its time, purpose and name are looked at here, and the handshake still
//! proves that the peer has the key. Anything else goes `webpki`'s way.

use super::{names, pem, provider};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, PeerMisbehaved, RootCertStore, SignatureScheme};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// The part of a verifier that is the same for servers and clients: the handshake proves that the peer has the key.
macro_rules! handshake_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            trust::verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            trust::verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            trust::supported_schemes()
        }
    };
}
pub(super) use handshake_signatures;

/// The anchors of a policy.
#[derive(Debug, Clone)]
pub struct Trust {
    /// For chains.
    pub roots: Arc<RootCertStore>,
    /// The same as written; empty for those of the system, which are no servers.
    anchors: Vec<CertificateDer<'static>>,
}

/// What an end entity is looked at for (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Server,
    Client,
}

impl Trust {
    /// Anchors from PEM texts.
    ///
    /// # Errors
    /// The first block that cannot be used.
    pub fn read<'p>(texts: impl IntoIterator<Item = &'p str>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let mut anchors = Vec::new();
        for text in texts {
            for pem::Certificate { block, der } in pem::certificates(text)? {
                let certificate = CertificateDer::from(der);
                roots.add(certificate.clone()).map_err(|error| match error {
                    rustls::Error::InvalidCertificate(error) => format!("block {block}: not X.509: {error}"),
                    error => format!("block {block}: {error}"),
                })?;
                anchors.push(certificate);
            }
        }
        Ok(Self { roots: Arc::new(roots), anchors })
    }

    /// `wellKnownCACertificates: System`, read once.
    pub fn system() -> Self {
        static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        let roots = ROOTS.get_or_init(|| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            Arc::new(store)
        });
        Self { roots: Arc::clone(roots), anchors: Vec::new() }
    }

    pub fn is_anchor(&self, certificate: &CertificateDer<'_>) -> bool {
        self.anchors.iter().any(|anchor| anchor.as_ref() == certificate.as_ref())
    }
}

/// Whether an anchor may be the end entity itself: valid now, and not for another purpose.
///
/// # Errors
/// As `webpki` has them: `ExpiredContext`, `NotValidYetContext`, `InvalidPurpose`; also a critical extension that nobody
/// here understands.
pub fn check_anchor(certificate: &CertificateDer<'_>, now: UnixTime, purpose: Purpose) -> Result<(), rustls::Error> {
    let parsed = parse(certificate)?;
    if parsed.version == X509Version::V3 {
        ParsedCertificate::try_from(certificate)?;
    }
    let moment = |seconds: i64| UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let not_before = moment(parsed.validity().not_before.timestamp());
    let not_after = moment(parsed.validity().not_after.timestamp());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    let usage = parsed.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    let fits = usage.is_none_or(|usage| match purpose {
        Purpose::Server => usage.value.server_auth,
        Purpose::Client => usage.value.client_auth,
    });
    if fits { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

/// Whether an anchor that is the end entity itself has the name. Without the extension for names, which version 1 cannot
/// have and `openssl req -x509` does not write unasked, the common name counts, as it does for OpenSSL.
///
/// # Errors
/// `NotValidForNameContext`.
pub fn check_anchor_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), rustls::Error> {
    let parsed = parse(certificate)?;
    if parsed.subject_alternative_name().map_err(|_| CertificateError::BadEncoding)?.is_some() {
        return verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
    }
    let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok()).last().unwrap_or_default();
    let fits = matches!(name, ServerName::DnsName(_)) && names::covers(common, &name.to_str());
    if fits {
        return Ok(());
    }
    let presented = vec![format!("its common name {common:?}, and it has no subjectAltName")];
    Err(CertificateError::NotValidForNameContext { expected: name.to_owned(), presented }.into())
}

fn parse<'c>(certificate: &'c CertificateDer<'_>) -> Result<X509Certificate<'c>, rustls::Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    Ok(parsed)
}

/// The public key of a certificate that `webpki` does not read because of its version.
fn key_of_old_version(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let parsed = parse(certificate).ok()?;
    (parsed.version != X509Version::V3).then(|| SubjectPublicKeyInfoDer::from(parsed.public_key().raw.to_vec()))
}

/// The signature of a TLS 1.2 handshake, by a certificate of any version.
///
/// # Errors
/// The signature is not the peer's, or of a scheme that we did not offer.
pub fn verify_tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let supported = provider().signature_verification_algorithms;
    let Some(key) = key_of_old_version(certificate) else {
        return rustls::crypto::verify_tls12_signature(message, certificate, signed, &supported);
    };
    let algorithms = supported.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, algorithms) = algorithms.ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
    let key = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| CertificateError::BadEncoding)?;
    // One scheme of TLS 1.2 stands for keys on several curves.
    if algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok()) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(CertificateError::BadSignature.into())
}

/// The signature of a TLS 1.3 handshake, by a certificate of any version.
///
/// # Errors
/// The signature is not the peer's, or of a scheme that we did not offer.
pub fn verify_tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let supported = provider().signature_verification_algorithms;
    match key_of_old_version(certificate) {
        Some(key) => rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signed, &supported),
        None => rustls::crypto::verify_tls13_signature(message, certificate, signed, &supported),
    }
}

pub fn supported_schemes() -> Vec<SignatureScheme> {
    provider().signature_verification_algorithms.supported_schemes()
}
