//! What backends are told of a client's certificate: `ClientPolicy.spec.clientCertificate`, as Envoy writes
//! `x-forwarded-client-cert`. One client stands in it, the one whose certificate the listener validated: what others sent by that
//! name is taken out before.

use super::ClientCertificate;
use crate::ir::{CertificateField, ClientCertificateHeader};
use std::borrow::Cow;

/// The field, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateHeader {
    name: Box<str>,
    fields: Vec<CertificateField>,
}

impl CertificateHeader {
    pub fn compile(ir: &ClientCertificateHeader) -> Self {
        let mut fields = ir.fields.clone();
        fields.sort_unstable();
        fields.dedup();
        Self { name: ir.header.as_str().into(), fields }
    }

    /// The certificate itself is wanted, not only what it says.
    pub fn wants_all(&self) -> bool {
        self.fields.contains(&CertificateField::Cert)
    }

    /// Name and value; `None`: there is nothing to say.
    pub fn write(&self, certificate: &ClientCertificate) -> Option<(Cow<'static, str>, Vec<u8>)> {
        let mut pairs: Vec<String> = Vec::new();
        for field in &self.fields {
            match field {
                CertificateField::Hash if !certificate.fingerprint.is_empty() => {
                    pairs.push(format!("Hash={}", certificate.fingerprint));
                }
                CertificateField::Cert if !certificate.pem.is_empty() => {
                    pairs.push(format!("Cert=\"{}\"", escaped(&certificate.pem)));
                }
                // RFC 4514 has escaped its quotation marks.
                CertificateField::Subject if is_printable(&certificate.subject) => {
                    pairs.push(format!("Subject=\"{}\"", certificate.subject));
                }
                CertificateField::Uri => pairs.extend(names("URI", &certificate.uris)),
                CertificateField::Dns => pairs.extend(names("DNS", &certificate.dns_names)),
                CertificateField::Hash | CertificateField::Cert | CertificateField::Subject => {}
            }
        }
        (!pairs.is_empty()).then(|| (self.name.to_string().into(), pairs.join(";").into_bytes()))
    }
}

/// A pair for each name. One with bytes that no name has is left out: it would end the field, or be another name elsewhere.
fn names(key: &'static str, names: &[String]) -> impl Iterator<Item = String> {
    names.iter().filter(|name| is_printable(name)).map(move |name| format!("{key}={}", quoted(name)))
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// What could be taken for the end of a value is in quotation marks.
fn quoted(value: &str) -> Cow<'_, str> {
    if !value.contains([',', ';', '=', '"', '\\']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// As Envoy escapes a PEM.
fn escaped(pem: &str) -> String {
    let mut text = String::with_capacity(pem.len() + pem.len() / 4);
    for character in pem.chars() {
        match character {
            '\n' => text.push_str("%0A"),
            ' ' => text.push_str("%20"),
            '+' => text.push_str("%2B"),
            '/' => text.push_str("%2F"),
            '=' => text.push_str("%3D"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{CertificateHeader, ClientCertificate};
    use crate::ir::{CertificateField as Field, ClientCertificateHeader};

    fn written(fields: &[Field], certificate: &ClientCertificate) -> Option<String> {
        let ir = ClientCertificateHeader {
            id: String::new(),
            overrides: false,
            off: false,
            invalid: false,
            header: "x-cert".to_owned(),
            fields: fields.to_vec(),
        };
        let (name, value) = CertificateHeader::compile(&ir).write(certificate)?;
        assert_eq!(name, "x-cert");
        Some(String::from_utf8(value).unwrap())
    }

    #[test]
    fn what_is_told() {
        let text = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let certificate = ClientCertificate {
            subject: "CN=a\\, b,O=c".to_owned(),
            fingerprint: "00ff".to_owned(),
            uris: text(&["spiffe://a/b", "urn:x;Hash=1", "urn:\"\\"]),
            dns_names: text(&["a.test", "b\0.test", "c\u{e9}.test"]),
            pem: "-----BEGIN A-----\nab+/=\n".to_owned(),
        };
        let all = [Field::Dns, Field::Uri, Field::Subject, Field::Cert, Field::Hash, Field::Hash];
        assert_eq!(
            written(&all, &certificate).unwrap(),
            "Hash=00ff;Cert=\"-----BEGIN%20A-----%0Aab%2B%2F%3D%0A\";Subject=\"CN=a\\, b,O=c\";URI=spiffe://a/b;\
             URI=\"urn:x;Hash=1\";URI=\"urn:\\\"\\\\\";DNS=a.test"
        );
        assert_eq!(written(&[Field::Hash], &certificate).unwrap(), "Hash=00ff");
        assert_eq!(written(&[Field::Cert, Field::Hash], &ClientCertificate::default()), None);
    }
}
