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

use rustls::crypto::CryptoProvider;
use std::sync::{Arc, OnceLock};

/// The one provider of cryptography.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider())))
}
