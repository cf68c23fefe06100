//! Where people go who have to sign in: a service that says no more than 401 (ingress-nginx: `auth-signin`).
//!
//! Only a browser that opens a page is sent there. Anything else is told 401: a script that followed would get a page of HTML in
//! place of what it asked for.

use super::Ask;
use codec::Field;
use route::ir::SignIn;
use route::policy::{AnswerField, Facts};
use std::borrow::Cow;
use std::fmt::Write;

/// Whether a request is that of somebody who opens a page (Fetch Metadata, else what is accepted).
pub fn navigates(facts: &Facts<'_>) -> bool {
    let mut modes = named(facts.fields, "sec-fetch-mode").peekable();
    let opens = if modes.peek().is_some() {
        modes.all(|mode| mode.eq_ignore_ascii_case(b"navigate"))
    } else {
        named(facts.fields, "accept").any(|value| memchr::memmem::find(value, b"text/html").is_some())
    };
    opens && matches!(facts.method, "GET" | "HEAD")
}

fn named<'f>(fields: &'f [Field<'f>], name: &'f str) -> impl Iterator<Item = &'f [u8]> {
    fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
}

/// The fields of the answer that sends there: with where to come back to, and the cookies of the service. `scheme`: of what the
/// client has asked for.
pub fn fields(ask: &Ask, to: &SignIn, scheme: &str, answer: Vec<AnswerField>) -> Vec<AnswerField> {
    let SignIn { url, parameter, path_only } = to;
    let mut asked = String::new();
    if !path_only {
        let _ = write!(asked, "{scheme}://{}", String::from_utf8_lossy(&ask.host));
    }
    asked.push_str(&ask.path);
    if let Some(query) = &ask.query {
        let _ = write!(asked, "?{query}");
    }
    let mark = if url.contains('?') { '&' } else { '?' };
    let location = format!("{url}{mark}{parameter}={}", escaped(asked.as_bytes()));
    let cookies = answer.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    let own = [("location", location.as_str()), ("cache-control", "no-store")];
    own.map(|(name, value)| (Cow::Borrowed(name), value.as_bytes().to_vec())).into_iter().chain(cookies).collect()
}

/// As the value of a pair of a query (RFC 3986 section 2.3).
fn escaped(text: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len() + 32);
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{escaped, navigates};
    use codec::Field;
    use route::policy::{Facts, SentHead};

    #[test]
    fn who_opens_a_page() {
        for (method, fields, opens) in [
            ("GET", &[("accept", "text/html,*/*;q=0.8")][..], true),
            ("HEAD", &[("Accept", "text/html")], true),
            ("POST", &[("accept", "text/html")], false),
            ("GET", &[("accept", "application/json")], false),
            ("GET", &[], false),
            ("GET", &[("sec-fetch-mode", "navigate")], true),
            ("GET", &[("sec-fetch-mode", "cors"), ("accept", "text/html")], false),
            ("GET", &[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors")], false),
        ] {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
            let facts = Facts {
                address: None,
                method,
                scheme: "https",
                host: "a.test",
                authority: b"a.test",
                path: "/",
                query: None,
                fields: &fields,
                told: None,
                sent: SentHead { fields: &fields, taken_out: &[], authority: b"a.test" },
                sni: None,
                listener: "l",
                route: "r",
                rule: "r/0",
                rule_uid: 1,
                grpc: false,
                body_length: Some(0),
                certificate: None,
                assumed: None,
            };
            assert_eq!(navigates(&facts), opens, "{method} {fields:?}");
        }
    }

    #[test]
    fn what_stands_in_a_query() {
        assert_eq!(
            escaped("https://a.test:8443/ä b?c=d&e".as_bytes()),
            "https%3A%2F%2Fa.test%3A8443%2F%C3%A4%20b%3Fc%3Dd%26e"
        );
        assert_eq!(escaped(b"a\r\nb"), "a%0D%0Ab");
    }
}
