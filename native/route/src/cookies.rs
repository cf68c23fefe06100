//! Cookies of a request (RFC 6265 section 4.2.1, as leniently as its section 5 reads them).

use codec::Field;

/// All values of the cookie of that name, which is compared as it is.
pub fn values<'f>(fields: &'f [Field<'f>], name: &'f [u8]) -> impl Iterator<Item = &'f [u8]> {
    let cookies = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"cookie"));
    let pairs = cookies.flat_map(|field| field.value.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    pairs.filter_map(move |pair| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let value = pair.get(end + 1..).unwrap_or_default().trim_ascii();
        (pair[..end].trim_ascii() == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::values;
    use codec::Field;

    #[test]
    fn pairs_are_found() {
        for (sent, expected) in [
            ("a=1", vec!["1"]),
            ("b=2;a=1 ; c=3", vec!["1"]),
            ("a=1; a=2; b=a=3", vec!["1", "2"]),
            ("A=1; aa=2; a", vec![""]),
            ("b=2;; c", vec![]),
            ("", vec![]),
            ("a=\"1\"", vec!["\"1\""]),
        ] {
            let fields = [Field { name: b"x", value: b"a=9" }, Field { name: b"Cookie", value: sent.as_bytes() }];
            let found: Vec<_> = values(&fields, b"a").map(String::from_utf8_lossy).collect();
            assert_eq!(found, expected, "{sent}");
        }
    }
}
