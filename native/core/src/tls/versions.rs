//! The versions of TLS that are spoken, towards clients and towards backends.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

/// The better one first.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
