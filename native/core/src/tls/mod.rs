//! TLS towards clients and towards backends, on rustls.

pub mod backend_certificates;
mod client_certificates;
pub mod inspect;
pub mod keys;
pub mod names;
pub mod pem;
pub mod server;
pub mod trust;

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, OnceLock};

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
