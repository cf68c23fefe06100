//! Looking at certificates: what the control plane says about a Secret or `ConfigMap` before it becomes IR.

use super::{certificates, provider};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What is known of a certificate; `error`: why it cannot be served.
#[derive(Debug, Default, Serialize)]
pub struct CertificateFacts {
    pub error: Option<String>,
    /// Subject alternative names: DNS names, addresses, URIs.
    pub names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
}

/// Facts of a chain and its key, both PEM.
pub fn certificate(chain: &str, key: &str) -> CertificateFacts {
    let mut facts = CertificateFacts::default();
    if let Err(error) = inspect(chain, key, &mut facts) {
        facts.error = Some(error);
    }
    facts
}

fn inspect(chain: &str, key: &str, facts: &mut CertificateFacts) -> Result<(), String> {
    let chain = certificates(chain).map_err(|error| format!("tls.crt: {error}"))?;
    let leaf = chain.first().ok_or("tls.crt: no certificate in it")?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| format!("tls.crt: not X.509: {error}"))?;
    facts.not_before = parsed.validity().not_before.timestamp();
    facts.not_after = parsed.validity().not_after.timestamp();
    facts.names = names(&parsed);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| format!("tls.key: {error}"))?;
    let key = provider().key_provider.load_private_key(key).map_err(|error| format!("tls.key: {error}"))?;
    match rustls::sign::CertifiedKey::new(chain, Arc::clone(&key)).keys_match() {
        // A key whose public half is not known cannot be compared; the handshake will tell.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(()),
        Err(_) => Err("tls.key is not the key of the certificate in tls.crt".to_owned()),
    }
}

/// The names that a certificate is for.
pub fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            GeneralName::IPAddress(octets) => match octets.len() {
                4 => <[u8; 4]>::try_from(*octets).ok().map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
                16 => <[u8; 16]>::try_from(*octets).ok().map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// What is known of a bundle of CA certificates.
#[derive(Debug, Default, Serialize)]
pub struct TrustFacts {
    pub error: Option<String>,
    pub count: usize,
}

pub fn trust(pem: &str) -> TrustFacts {
    match super::roots([pem]) {
        Ok(store) => TrustFacts { error: None, count: store.len() },
        Err(error) => TrustFacts { error: Some(error), count: 0 },
    }
}
