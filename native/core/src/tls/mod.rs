//! TLS towards clients and towards backends, on rustls.

mod backend_certificates;
pub mod client;
mod client_certificates;
mod failure;
pub mod inspect;
mod keys;
mod pem;
pub mod server;
mod server_certificates;
mod tickets;
mod trust;

pub use failure::{Progress, TlsError};

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, OnceLock};

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}
