//! Looking at certificates: what the control plane says about a Secret or `ConfigMap` before it becomes IR.

use super::keys::certified_key;
use super::names::names;
use super::trust::Trust;
use serde::Serialize;
use x509_parser::prelude::{FromDer, X509Certificate};

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
    let key = certified_key(chain, key)?;
    let leaf = key.cert.first().ok_or("tls.crt: no certificate in it")?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| format!("tls.crt: not X.509: {error}"))?;
    facts.not_before = parsed.validity().not_before.timestamp();
    facts.not_after = parsed.validity().not_after.timestamp();
    facts.names = names(&parsed);
    Ok(())
}

/// What is known of a bundle of CA certificates.
#[derive(Debug, Default, Serialize)]
pub struct TrustFacts {
    pub error: Option<String>,
    pub count: usize,
}

pub fn trust(pem: &str) -> TrustFacts {
    match Trust::read([pem]) {
        Ok(trust) => TrustFacts { error: None, count: trust.roots.len() },
        Err(error) => TrustFacts { error: Some(error), count: 0 },
    }
}
