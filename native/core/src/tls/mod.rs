//! TLS towards clients and towards backends, on rustls.

pub mod client;
pub mod inspect;
pub mod server;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::sync::{Arc, OnceLock};

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// The certificates of a PEM text.
///
/// # Errors
/// Text that is not PEM, or holds no certificate.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("not PEM: {error}"))?;
    if certificates.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(certificates) }
}

/// Trust anchors from PEM texts.
///
/// # Errors
/// The first certificate that cannot be used.
pub fn roots<'p>(texts: impl IntoIterator<Item = &'p str>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for text in texts {
        for certificate in certificates(text)? {
            store.add(certificate).map_err(|error| error.to_string())?;
        }
    }
    Ok(store)
}
