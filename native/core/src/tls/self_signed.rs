//! Certificates that the gateway makes for itself, for a laptop: nobody trusts them, and they end with the process.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(86_400);

/// Browsers take no certificate that is valid for more than 398 days.
const VALID: Duration = Duration::from_secs(397 * 86_400);

/// A certificate and its key, both PEM. `names`: DNS names, with a wildcard too, and IP addresses.
///
/// # Errors
/// A name that no certificate can have.
pub fn self_signed(names: Vec<String>) -> Result<(String, String), String> {
    let make = || -> Result<(String, String), rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "Sluicegate self-signed");
        let now = SystemTime::now();
        // The clock of a client in a virtual machine may be behind.
        params.not_before = (now - DAY).into();
        params.not_after = (now + VALID).into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key)?;
        Ok((certificate.pem(), key.serialize_pem()))
    };
    make().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::self_signed;
    use crate::tls::inspect;

    #[test]
    fn it_is_a_certificate_for_these_names() {
        let names = ["shop.test", "*.shop.test", "127.0.0.1"];
        let (certificate, key) = self_signed(names.map(str::to_owned).to_vec()).unwrap();
        let facts = serde_json::to_value(inspect::certificate(&certificate, &key)).unwrap();
        assert_eq!(facts["error"], serde_json::Value::Null);
        assert_eq!(facts["names"], serde_json::json!(names));
        assert!(self_signed(vec!["\u{e9}".to_owned()]).is_err());
    }
}
