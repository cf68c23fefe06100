//! Client certificates (`Gateway.spec.tls.frontend`): which ones a listener accepts.

use super::trust::{Purpose, Trust};
use super::{distinguished_name, trust};
use aws_lc_rs::digest::{SHA256, digest};
use route::policy::ClientCertificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use std::fmt::{self, Debug, Write as _};
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// `AllowValidOnly`: a chain that ends in an anchor, or an anchor itself.
#[derive(Debug)]
pub(super) struct AcceptTrusted {
    pub(super) trust: Trust,
    pub(super) chains: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for AcceptTrusted {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if self.trust.is_anchor(end_entity) {
            trust::check_anchor(end_entity, now, Purpose::Client)?;
            return Ok(ClientCertVerified::assertion());
        }
        self.chains.verify_client_cert(end_entity, intermediates, now)
    }

    trust::handshake_signatures!();
}

/// `AllowInsecureFallback`: whatever the client shows, or nothing, is accepted; that it owns the key is still checked.
pub(super) struct AcceptAny;

impl Debug for AcceptAny {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AcceptAny")
    }
}

impl ClientCertVerifier for AcceptAny {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    trust::handshake_signatures!();
}

/// What a certificate says of its owner. Of one that cannot be read nothing is known: it is nobody's.
pub(super) fn read(certificate: &CertificateDer<'_>) -> ClientCertificate {
    let fingerprint = digest(&SHA256, certificate).as_ref().iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    });
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return ClientCertificate { fingerprint, ..ClientCertificate::default() };
    };
    let mut found = ClientCertificate {
        subject: distinguished_name::written(parsed.subject()),
        fingerprint,
        ..ClientCertificate::default()
    };
    let names = parsed.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => found.dns_names.push((*name).to_owned()),
            GeneralName::URI(uri) => found.uris.push((*uri).to_owned()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{AcceptAny, AcceptTrusted};
    use crate::tls::provider;
    use crate::tls::trust::Trust;
    use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{CertificateDer, UnixTime};
    use rustls::server::WebPkiClientVerifier;
    use rustls::server::danger::ClientCertVerifier;

    fn parameters(usage: ExtendedKeyUsagePurpose, is_ca: bool) -> CertificateParams {
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.distinguished_name.push(DnType::CommonName, "a");
        parameters.extended_key_usages = vec![usage];
        if is_ca {
            parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        parameters
    }

    /// A chain that ends in an anchor, or an anchor itself; of clients either way.
    #[test]
    fn which_clients_are_accepted() {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let key = || KeyPair::generate().expect("a key");
        let (for_clients, for_servers) = (parameters(ClientAuth, true), parameters(ServerAuth, true));
        let (client_key, server_key) = (key(), key());
        let own = for_clients.self_signed(&client_key).expect("an anchor");
        let foreign = for_servers.self_signed(&server_key).expect("an anchor");
        let trust = Trust::read([own.pem().as_str(), foreign.pem().as_str()]).expect("anchors");
        let builder = WebPkiClientVerifier::builder_with_provider(trust.roots.clone(), provider());
        let verifier = AcceptTrusted { trust, chains: builder.build().expect("a verifier") };
        let issuer = Issuer::new(for_clients, client_key);
        let sign = |usage| parameters(usage, false).signed_by(&key(), &issuer).expect("a certificate");
        let stranger = parameters(ClientAuth, false).self_signed(&key()).expect("a certificate");
        let (client, server) = (sign(ClientAuth), sign(ServerAuth));
        let accepts = |verifier: &dyn ClientCertVerifier, certificate: &CertificateDer<'_>| {
            verifier.verify_client_cert(certificate, &[], UnixTime::now()).is_ok()
        };
        for (certificate, accepted) in [
            (own.der(), true),
            (foreign.der(), false),
            (client.der(), true),
            (server.der(), false),
            (stranger.der(), false),
        ] {
            assert_eq!(accepts(&verifier, certificate), accepted);
            assert!(accepts(&AcceptAny, certificate));
        }
        assert!(verifier.client_auth_mandatory() && !AcceptAny.client_auth_mandatory());
        // Clients choose by these; who takes any names none.
        assert_eq!((verifier.root_hint_subjects().len(), AcceptAny.root_hint_subjects().len()), (2, 0));
    }
}
