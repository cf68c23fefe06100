//! The certificates of a listener, and which of them a client gets.
//!
//! Of those that the client can verify the signature of (the schemes of its `ClientHello`), the first by:
//! 1. it is for the name that the client asks for;
//! 2. it is valid now;
//! 3. it has the name itself, not a wildcard for it;
//! 4. it is for ECDSA or Ed25519, which cost far less than RSA;
//! 5. it is valid for longer: of an old certificate and its renewal the renewal;
//! 6. the order written.
//!
//! Where the name fits none, or none was sent, only 2 and 6 count: the first one written answers. A client that can verify
//! none of the signatures gets the first one too, and says itself why it refuses.

use super::keys::certified_key;
use super::names::{covers, names};
use route::ir;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::cmp::Reverse;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A parsed certificate and the names that it is for.
#[derive(Debug)]
pub(super) struct ServedKey {
    pub(super) ir: Arc<ir::Certificate>,
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    /// Seconds since 1970, as `not_after`.
    not_before: i64,
    pub(super) not_after: i64,
}

/// What stands against a certificate, the gravest first; the smallest is taken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    other_name: bool,
    invalid: bool,
    wildcard: bool,
    rsa: bool,
    ends: Reverse<i64>,
}

impl ServedKey {
    /// # Errors
    /// What cannot be used, the chain or the key, and why.
    pub(super) fn load(ir: &Arc<ir::Certificate>) -> Result<Self, String> {
        let key = certified_key(&ir.chain, &ir.key)?;
        let leaf = key.cert.first().ok_or("no certificate")?;
        let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
        let (names, validity) = (names(&parsed), parsed.validity());
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Ok(Self { ir: Arc::clone(ir), key: Arc::new(key), names, not_before, not_after })
    }

    fn rank(&self, name: Option<&str>, now: i64) -> Rank {
        let invalid = !(self.not_before..=self.not_after).contains(&now);
        let Some(name) = name.filter(|name| self.names.iter().any(|own| covers(own, name))) else {
            return Rank { other_name: true, invalid, wildcard: false, rsa: false, ends: Reverse(0) };
        };
        Rank {
            other_name: false,
            invalid,
            wildcard: !self.names.iter().any(|own| own.eq_ignore_ascii_case(name)),
            rsa: self.key.key.algorithm() == SignatureAlgorithm::RSA,
            ends: Reverse(self.not_after),
        }
    }
}

/// The certificates of one listener, in the order written.
#[derive(Debug)]
pub(super) struct ServedKeys(pub(super) Vec<Arc<ServedKey>>);

impl ServedKeys {
    /// `now`: seconds since 1970.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme], now: i64) -> Option<&Arc<ServedKey>> {
        if let [only] = &self.0[..] {
            return Some(only);
        }
        let usable = self.0.iter().filter(|key| key.key.key.choose_scheme(schemes).is_some());
        // Of equal ones the first.
        usable.min_by_key(|key| key.rank(name, now)).or(self.0.first())
    }
}

impl ResolvesServerCert for ServedKeys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        let chosen = self.choose(hello.server_name(), hello.signature_schemes(), now);
        chosen.map(|chosen| Arc::clone(&chosen.key))
    }
}

#[cfg(test)]
mod tests {
    use super::{ServedKey, ServedKeys};
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
    use route::ir;
    use rustls::SignatureScheme::{self, ECDSA_NISTP256_SHA256, ED25519, RSA_PSS_SHA256};
    use std::sync::Arc;

    fn key(name: &str, kind: &'static SignatureAlgorithm, (from, to): (i32, i32)) -> Arc<ServedKey> {
        let key = KeyPair::generate_for(kind).expect("a key");
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let ir = ir::Certificate { id: String::new(), chain: certificate.pem(), key: key.serialize_pem() };
        Arc::new(ServedKey::load(&Arc::new(ir)).expect("a certificate that can be served"))
    }

    #[test]
    fn the_order() {
        let (ec, ed, rsa) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256);
        let valid = (2000, 2100);
        let keys = vec![
            key("past.test", ec, (2000, 2001)),
            key("first.test", rsa, valid),
            key("*.a.test", ec, (2000, 2200)),
            key("x.a.test", rsa, valid),
            key("X.a.test", ec, valid),
            key("x.a.test", ed, (2000, 2101)),
            key("y.a.test", ec, (2099, 2100)),
            key("z.b.test", rsa, (2000, 2001)),
            key("z.b.test", ec, (2000, 2002)),
            key("z.b.test", ec, (2000, 2002)),
        ];
        let keys = ServedKeys(keys);
        // In 2026.
        let now = 1_790_000_000;
        let all = [ECDSA_NISTP256_SHA256, RSA_PSS_SHA256, ED25519];
        let cases: [(&str, &[SignatureScheme], usize); 14] = [
            ("x.a.test", &all, 5),
            ("x.A.test", &[RSA_PSS_SHA256, ECDSA_NISTP256_SHA256], 4),
            ("x.a.test", &[RSA_PSS_SHA256], 3),
            ("other.a.test", &all, 2),
            // The one with the name itself is not valid yet.
            ("y.a.test", &all, 2),
            // Among expired ones as among valid ones.
            ("z.b.test", &all, 8),
            ("z.b.test", &[RSA_PSS_SHA256], 7),
            ("past.test", &all, 0),
            ("", &all, 1),
            ("", &[ECDSA_NISTP256_SHA256], 2),
            ("none.test", &all, 1),
            ("deeper.x.a.test", &all, 1),
            // Nothing that it can verify.
            ("x.a.test", &[], 0),
            ("", &[SignatureScheme::ED448], 0),
        ];
        for (name, schemes, wanted) in cases {
            let chosen = keys.choose((!name.is_empty()).then_some(name), schemes, now).expect("a certificate");
            let place = keys.0.iter().position(|key| Arc::ptr_eq(key, chosen));
            assert_eq!(place, Some(wanted), "{name} {schemes:?}");
        }
        assert!(ServedKeys(Vec::new()).choose(None, &all, now).is_none());
    }
}
