//! The name of a certificate's owner as text (RFC 4514): what could be taken for the end of a part is escaped, so that a name
//! cannot pretend to be another one.

use std::fmt::Write;
use x509_parser::asn1_rs::{Tag, ToDer};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The last part first.
pub fn written(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> =
        name.iter_rdn().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.reverse();
    parts.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type();
    let mut text = match oid2abbrev(oid, oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => oid.to_id_string(),
    };
    text.push('=');
    let value = attribute.attr_value();
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString
        | Tag::T61String => escape(attribute.as_slice(), &mut text),
        _ => {
            text.push('#');
            for octet in value.to_der_vec().unwrap_or_default() {
                let _ = write!(text, "{octet:02x}");
            }
        }
    }
    text
}

/// Octets that are no printable ASCII are written in hexadecimal: a field of a request may have the rest.
fn escape(value: &[u8], text: &mut String) {
    for (place, &octet) in value.iter().enumerate() {
        let is_first = place == 0;
        let is_last = place + 1 == value.len();
        match octet {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'=' => {
                text.push('\\');
                text.push(octet.into());
            }
            b'#' if is_first => text.push_str("\\#"),
            b' ' if is_first || is_last => text.push_str("\\ "),
            b' '..=b'~' => text.push(octet.into()),
            _ => {
                let _ = write!(text, "\\{octet:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, written};
    use rcgen::{CertificateParams, DnType, KeyPair};
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn what_a_part_is_escaped_to() {
        for (value, expected) in [
            ("plain name", "plain name"),
            ("a,O=b;\"c\"+<d>\\", "a\\,O\\=b\\;\\\"c\\\"\\+\\<d\\>\\\\"),
            (" # ", "\\ #\\ "),
            ("#", "\\#"),
            (" ", "\\ "),
            ("\u{e9}\0\n", "\\C3\\A9\\00\\0A"),
        ] {
            let mut text = String::new();
            escape(value.as_bytes(), &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_last_part_comes_first() {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CountryName, "DE");
        parameters.distinguished_name.push(DnType::OrganizationName, "A, B");
        parameters.distinguished_name.push(DnType::CommonName, "client");
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        assert_eq!(written(parsed.subject()), "CN=client,O=A\\, B,C=DE");
    }
}
