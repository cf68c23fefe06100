//! A certificate chain and its key, ready to be presented; and why they cannot be.

use super::{pem, provider};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// Named curves, and keys that are no RSA or ECDSA: what the object identifiers mean.
const KINDS: [(&str, &str); 9] = [
    ("1.2.840.10045.3.1.7", "ECDSA on P-256"),
    ("1.3.132.0.34", "ECDSA on P-384"),
    ("1.3.132.0.35", "ECDSA on P-521"),
    ("1.3.132.0.33", "ECDSA on P-224"),
    ("1.3.132.0.10", "ECDSA on secp256k1"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.113549.1.1.10", "RSA for PSS only"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
];

/// A chain and its key from PEM texts, `tls.crt` and `tls.key` of a Secret.
///
/// # Errors
/// Which of the two cannot be used, and why; they do not belong together.
pub fn certified_key(chain: &str, key: &str) -> Result<CertifiedKey, String> {
    let mut certificates = Vec::new();
    for pem::Certificate { block, der } in pem::certificates(chain).map_err(|error| format!("tls.crt: {error}"))? {
        X509Certificate::from_der(&der).map_err(|error| format!("tls.crt: block {block}: not X.509: {error}"))?;
        certificates.push((block, CertificateDer::from(der)));
    }
    let der = pem::private_key(key).map_err(|error| format!("tls.key: {error}"))?;
    let parsed = certificates.iter().filter_map(|(_, der)| X509Certificate::from_der(der).ok());
    let parsed: Vec<_> = parsed.map(|(_, parsed)| parsed).collect();
    let leaf = parsed.first().ok_or("tls.crt: no certificate in it")?;
    let key = provider().key_provider.load_private_key(der).map_err(|error| {
        let kind = kind(leaf.public_key());
        let supported = pem::SUPPORTED_KEYS;
        format!("tls.key: it cannot be used ({error}); the certificate is for {kind}; {supported}")
    })?;
    // A key whose public half is not known cannot be compared; the handshake will tell.
    if let Some(public) = key.public_key() {
        let fits = |parsed: &X509Certificate<'_>| SubjectPublicKeyInfoDer::from(parsed.public_key().raw) == public;
        if !fits(leaf) {
            let other = parsed.iter().position(fits).and_then(|at| certificates.get(at));
            let hint = other.map(|(block, _)| format!(", but of the one in block {block}: the leaf goes first"));
            let hint = hint.unwrap_or_default();
            return Err(format!("tls.key is not the key of the certificate in tls.crt{hint}"));
        }
    }
    Ok(CertifiedKey::new(certificates.into_iter().map(|(_, der)| der).collect(), key))
}

/// What a public key is, for people.
fn kind(key: &SubjectPublicKeyInfo<'_>) -> String {
    if let Ok(PublicKey::RSA(rsa)) = key.parsed() {
        return format!("RSA of {} bits", rsa.key_size());
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let identifiers = [curve.map(|curve| curve.to_id_string()), Some(key.algorithm.algorithm.to_id_string())];
    let known = identifiers.iter().flatten().find_map(|identifier| KINDS.iter().find(|(oid, _)| oid == identifier));
    match known {
        Some((_, name)) => (*name).to_owned(),
        None => format!("a key of the kind {}", identifiers.into_iter().flatten().next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::certified_key;
    use rcgen::{CertificateParams, KeyPair};

    /// A certificate that signs for itself, and its key, as PEM.
    fn made() -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(vec!["a.test".to_owned()]).expect("parameters");
        (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    fn error(chain: &str, key: &str) -> String {
        certified_key(chain, key).expect_err("it cannot be used").clone()
    }

    /// The leaf first, then what it was signed by, in one text; whatever stands around the blocks.
    #[test]
    fn a_chain() {
        let ((leaf, key), (other, _)) = (made(), made());
        for chain in [
            leaf.clone() + &other,
            leaf.trim_end().to_owned() + &other,
            format!("subject=a\n{leaf}\nissuer=b\n{}", other.replace('\n', "\r\n")),
            leaf.replace("CERTIFICATE", "X509 CERTIFICATE") + &other,
        ] {
            let certified = certified_key(&chain, &key).expect(&chain);
            assert_eq!(certified.cert.len(), 2, "{chain}");
        }
        // The key may stand behind other blocks, such as the chain itself.
        assert!(certified_key(&leaf, &(leaf.clone() + &key)).is_ok());
    }

    #[test]
    fn which_of_the_two_is_wrong_and_why() {
        let ((leaf, key), (other, other_key)) = (made(), made());
        let labelled = |label: &str| key.replace("PRIVATE KEY", label);
        let garbage = "-----BEGIN CERTIFICATE-----\nQUFB\n-----END CERTIFICATE-----\n";
        for (chain, key, wanted) in [
            (String::new(), key.clone(), "tls.crt: no certificate in it"),
            (key.clone(), key.clone(), "tls.crt: no certificate in it, only PRIVATE KEY"),
            (leaf.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), key.clone(), "tls.crt: block 1: TRUSTED CERTIFICATE"),
            (leaf.clone() + garbage, key.clone(), "tls.crt: block 2: not X.509"),
            (leaf.clone(), String::new(), "tls.key: no private key in it"),
            (leaf.clone(), labelled("ENCRYPTED PRIVATE KEY"), "tls.key: block 1: the key is encrypted"),
            (leaf.clone(), labelled("PUBLIC KEY"), "tls.key: no private key in it, only PUBLIC KEY"),
            // A key of one form under the label of another.
            (leaf.clone(), labelled("RSA PRIVATE KEY"), "tls.key: it cannot be used ("),
            (leaf.clone(), other_key.clone(), "tls.key is not the key of the certificate in tls.crt"),
            (
                leaf.clone() + &other,
                other_key,
                "tls.key is not the key of the certificate in tls.crt, but of the one in block 2: the leaf goes first",
            ),
        ] {
            let error = error(&chain, &key);
            assert!(error.starts_with(wanted), "{error}");
        }
        // What it would have had to be.
        let error = error(&leaf, &labelled("RSA PRIVATE KEY"));
        assert!(error.contains("the certificate is for ECDSA on P-256; supported are RSA of 2048"), "{error}");
    }
}
