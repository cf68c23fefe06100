//! Client certificates (`Gateway.spec.tls.frontend`): which ones a listener accepts.

use super::trust;
use super::trust::{Purpose, Trust};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use std::fmt::{self, Debug};
use std::sync::Arc;

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
