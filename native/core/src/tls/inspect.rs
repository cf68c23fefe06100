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

#[cfg(test)]
mod tests {
    use super::{certificate, trust};
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn facts_of_a_certificate() {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(vec!["a.test".to_owned(), "192.0.2.1".to_owned()]).expect("names");
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let chain = parameters.self_signed(&key).expect("a certificate").pem();
        // That it has ended is a fact, and no error.
        let facts = certificate(&chain, &key.serialize_pem());
        assert_eq!(facts.error, None);
        assert_eq!(facts.names, ["a.test", "192.0.2.1"]);
        assert_eq!((facts.not_before, facts.not_after), (946_684_800, 978_307_200));
        // Of what cannot be served nothing else is said.
        let facts = certificate(&chain, "");
        assert_eq!(facts.error.as_deref(), Some("tls.key: no private key in it"));
        assert_eq!((facts.names, facts.not_before, facts.not_after), (Vec::new(), 0, 0));
    }

    #[test]
    fn facts_of_a_bundle() {
        let pem = || rcgen::generate_simple_self_signed(Vec::new()).expect("a certificate").cert.pem();
        let both = pem() + &pem();
        for (text, count, error) in [
            (both.as_str(), 2, None),
            ("", 0, Some("no certificate in it")),
            (&both[..both.len() - 10], 0, Some("block 2: it has no line -----END CERTIFICATE-----")),
        ] {
            let facts = trust(text);
            assert_eq!((facts.count, facts.error.as_deref()), (count, error));
        }
    }
}
