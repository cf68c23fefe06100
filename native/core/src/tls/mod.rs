//! TLS on rustls: versions, cryptography, keys, trust, and the side that clients see. Towards backends: `upstream/tls.rs`.

pub mod backend_certificates;
mod client_certificates;
mod distinguished_name;
mod failure;
pub mod inspect;
pub mod keys;
pub mod names;
pub mod pem;
pub mod self_signed;
pub mod server;
mod server_certificates;
pub mod tickets;
pub mod trust;
mod versions;

pub use failure::{Progress, TlsError};
pub use versions::{VERSIONS, allowed};

use route::ir::{CipherSuite, CipherSuites};
use rustls::crypto::CryptoProvider;
use std::sync::{Arc, OnceLock};

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}

/// The same with these cipher suites of TLS 1.2 alone.
pub fn provider_with(suites: CipherSuites) -> Arc<CryptoProvider> {
    if suites.is_any() {
        return provider();
    }
    let mut found = CryptoProvider::clone(&provider());
    found
        .cipher_suites
        .retain(|suite| suite.tls13().is_some() || named(suite.suite()).is_some_and(|it| suites.allows(it)));
    Arc::new(found)
}

fn named(suite: rustls::CipherSuite) -> Option<CipherSuite> {
    Some(match suite {
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => CipherSuite::EcdsaAes128,
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => CipherSuite::EcdsaAes256,
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => CipherSuite::EcdsaChaCha20,
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => CipherSuite::RsaAes128,
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => CipherSuite::RsaAes256,
        rustls::CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => CipherSuite::RsaChaCha20,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{named, provider, provider_with};
    use route::ir::{CipherSuite, CipherSuites};

    /// Every suite of TLS 1.2 that is spoken has a name by which policies may choose it.
    #[test]
    fn suites_are_chosen_by_their_names() {
        let spoken = provider().cipher_suites.iter().filter(|it| it.tls13().is_none()).count();
        assert_eq!(spoken, CipherSuite::ALL.len());
        let one = provider_with(CipherSuites::from(vec![CipherSuite::RsaAes256]));
        let older = one.cipher_suites.iter().filter(|it| it.tls13().is_none());
        assert_eq!(older.filter_map(|it| named(it.suite())).collect::<Vec<_>>(), [CipherSuite::RsaAes256]);
        assert!(one.cipher_suites.len() > 1, "TLS 1.3 is spoken all the same");
        assert_eq!(provider_with(CipherSuites::default()).cipher_suites.len(), provider().cipher_suites.len());
    }
}
