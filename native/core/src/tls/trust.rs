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

#[cfg(test)]
mod tests {
    use super::{Purpose, Trust, check_anchor, check_anchor_name};
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{CertificateError, Error};
    use std::time::Duration;

    /// A certificate that signs for itself, valid in the year 2000.
    fn made(
        names: &[&str],
        common: Option<&str>,
        usage: &[ExtendedKeyUsagePurpose],
    ) -> (CertificateDer<'static>, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            parameters.distinguished_name.push(DnType::CommonName, common);
        }
        parameters.extended_key_usages = usage.to_vec();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let certificate = parameters.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        (certificate.der().clone(), certificate.pem())
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    /// Seconds since 1970 of the first and the last moment.
    const FIRST: u64 = 946_684_800;
    const LAST: u64 = 978_307_200;

    /// Several texts, of several blocks each; byte for byte an anchor, or none.
    #[test]
    fn anchors() {
        let [one, two, three, other] = ["1", "2", "3", "4"].map(|name| made(&[], Some(name), &[]));
        let texts = [one.1.trim_end().to_owned() + &two.1, format!("three\n{}", three.1)];
        let trust = Trust::read(texts.iter().map(String::as_str)).expect("anchors");
        assert_eq!(trust.roots.len(), 3);
        assert!([&one.0, &two.0, &three.0].iter().all(|anchor| trust.is_anchor(anchor)));
        assert!(!trust.is_anchor(&other.0));
        // Those of the system are no servers.
        assert!(Trust::system().anchors.is_empty());
    }

    #[test]
    fn anchors_that_are_none() {
        let (_, good) = made(&[], Some("a"), &[]);
        let garbage = "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n";
        for (text, wanted) in [
            (good.clone() + garbage, "block 2: not X.509: "),
            (good.replace("CERTIFICATE", "PKCS7"), "block 1: PKCS7 is not supported, only CERTIFICATE"),
            (good.replace("CERTIFICATE", "CERTIFICATE REQUEST"), "no certificate in it, only CERTIFICATE REQUEST"),
            (good.replace("-----END", "----END"), "block 1: it has no line -----END CERTIFICATE-----"),
        ] {
            // A good text before it does not help.
            let error = Trust::read([good.as_str(), text.as_str()]).expect_err("no anchors");
            assert!(error.starts_with(wanted), "{error}");
        }
    }

    #[test]
    fn the_time_of_an_anchor() {
        let (anchor, _) = made(&["a.test"], None, &[]);
        for now in [FIRST, LAST] {
            assert_eq!(check_anchor(&anchor, at(now), Purpose::Server), Ok(()));
        }
        let early = check_anchor(&anchor, at(FIRST - 1), Purpose::Server);
        let context = CertificateError::NotValidYetContext { time: at(FIRST - 1), not_before: at(FIRST) };
        assert_eq!(early, Err(Error::InvalidCertificate(context)));
        let late = check_anchor(&anchor, at(LAST + 1), Purpose::Server);
        let context = CertificateError::ExpiredContext { time: at(LAST + 1), not_after: at(LAST) };
        assert_eq!(late, Err(Error::InvalidCertificate(context)));
        assert!(check_anchor(&CertificateDer::from(b"no".to_vec()), at(FIRST), Purpose::Server).is_err());
    }

    #[test]
    fn the_purpose_of_an_anchor() {
        use ExtendedKeyUsagePurpose::{ClientAuth, CodeSigning, ServerAuth};
        for (usage, server, client) in [
            (&[][..], true, true),
            (&[ServerAuth], true, false),
            (&[ClientAuth], false, true),
            (&[ServerAuth, ClientAuth], true, true),
            (&[CodeSigning], false, false),
        ] {
            let (anchor, _) = made(&["a.test"], None, usage);
            for (purpose, fits) in [(Purpose::Server, server), (Purpose::Client, client)] {
                let wanted = if fits { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) };
                assert_eq!(check_anchor(&anchor, at(FIRST), purpose), wanted, "{usage:?} {purpose:?}");
            }
        }
    }

    /// The common name counts only where there are no other names.
    #[test]
    fn the_name_of_an_anchor() {
        for (names, common, asked, fits) in [
            (&["a.test"][..], Some("b.test"), "a.test", true),
            (&["a.test"], Some("b.test"), "b.test", false),
            (&["192.0.2.1"], Some("b.test"), "192.0.2.1", true),
            (&["192.0.2.1"], Some("b.test"), "b.test", false),
            (&[], Some("b.test"), "B.Test", true),
            (&[], Some("*.test"), "b.test", true),
            (&[], Some("*.test"), "a.b.test", false),
            (&[], Some("b.test"), "a.test", false),
            (&[], Some("192.0.2.1"), "192.0.2.1", false),
            (&[], None, "a.test", false),
        ] {
            let (anchor, _) = made(names, common, &[]);
            let name = ServerName::try_from(asked).expect("a name");
            let checked = check_anchor_name(&anchor, &name);
            assert_eq!(checked.is_ok(), fits, "{names:?} {common:?} {asked}: {checked:?}");
            if let Err(error) = checked {
                let context =
                    matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }));
                assert!(context, "{error}");
            }
        }
    }
}
