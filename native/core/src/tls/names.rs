//! The names that certificates are for.

use x509_parser::prelude::{GeneralName, X509Certificate};

/// RFC 6125: `*` stands for one whole label, the leftmost.
pub fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(suffix)),
        None => pattern.eq_ignore_ascii_case(name),
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

#[cfg(test)]
mod tests {
    use super::{covers, names};
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (pattern, name, expected) in [
            ("a.test", "A.Test", true),
            ("a.test", "b.test", false),
            ("*.a.test", "x.a.test", true),
            ("*.a.test", "x.A.TEST", true),
            ("*.a.test", "a.test", false),
            ("*.a.test", "x.y.a.test", false),
            ("*.test", "a.test", true),
            ("x*.a.test", "xy.a.test", false),
        ] {
            assert_eq!(covers(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn names_of_a_certificate() {
        for sent in [&["a.test", "*.b.test", "127.0.0.1", "2001:db8::1"][..], &[]] {
            let sent: Vec<String> = sent.iter().map(|name| (*name).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(sent.clone()).unwrap();
            let (_, certificate) = X509Certificate::from_der(made.cert.der()).unwrap();
            assert_eq!(names(&certificate), sent);
        }
    }
}
