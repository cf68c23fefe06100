//! Versions of TLS that a policy allows, and cipher suites of the older one.

use serde::{Deserialize, Serialize};

/// The least and the greatest; absent: what the gateway speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsVersions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<TlsVersion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<TlsVersion>,
    #[serde(skip_serializing_if = "CipherSuites::is_any")]
    pub suites: CipherSuites,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersions {
    pub fn allows(self, version: TlsVersion) -> bool {
        self.min.is_none_or(|min| min <= version) && self.max.is_none_or(|max| version <= max)
    }
}

/// Cipher suites of TLS 1.2, by their names in the registry of IANA: all that the gateway speaks. Those of TLS 1.3 are no
/// matter of choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CipherSuite {
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")]
    EcdsaAes128,
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384")]
    EcdsaAes256,
    #[serde(rename = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")]
    EcdsaChaCha20,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")]
    RsaAes128,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")]
    RsaAes256,
    #[serde(rename = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256")]
    RsaChaCha20,
}

impl CipherSuite {
    pub const ALL: [Self; 6] = [
        Self::EcdsaAes128,
        Self::EcdsaAes256,
        Self::EcdsaChaCha20,
        Self::RsaAes128,
        Self::RsaAes256,
        Self::RsaChaCha20,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some of them; none is any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<CipherSuite>", into = "Vec<CipherSuite>")]
pub struct CipherSuites(u8);

impl CipherSuites {
    pub fn is_any(&self) -> bool {
        self.0 == 0
    }

    pub fn allows(self, suite: CipherSuite) -> bool {
        self.is_any() || self.0 & suite.bit() != 0
    }
}

impl From<Vec<CipherSuite>> for CipherSuites {
    fn from(suites: Vec<CipherSuite>) -> Self {
        Self(suites.into_iter().fold(0, |bits, suite| bits | suite.bit()))
    }
}

impl From<CipherSuites> for Vec<CipherSuite> {
    fn from(suites: CipherSuites) -> Self {
        CipherSuite::ALL.into_iter().filter(|suite| suites.0 & suite.bit() != 0).collect()
    }
}
