//! The versions of TLS that are spoken, towards clients and towards backends. Which cipher suites there are is `rustls`' choice:
//! all of them have forward secrecy and authenticate what they encrypt.

use route::ir::{TlsVersion, TlsVersions};
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

/// The better one first.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// Those of them that a policy allows.
pub fn allowed(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    let both = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)];
    both.into_iter().filter(|(version, _)| versions.allows(*version)).map(|(_, found)| found).collect()
}
