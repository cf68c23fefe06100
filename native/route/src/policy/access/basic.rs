//! `Authorization: Basic` (RFC 7617), as far as a request tells: whether a password is right takes a thread (in the core).

use super::authenticate::challenge;
use super::credentials::{named, without_prefix};
use super::{Authenticator, Presented};
use crate::ir::AccessBasic;
use crate::policy::{Facts, ForwardField, Proof, Removal};
use std::borrow::Cow;

/// Bytes of a field: longer ones are no credentials, and no work.
const MAX_LENGTH: usize = 1024;

/// A user and a password, as they were sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: Vec<u8>,
}

#[derive(Debug)]
pub struct Basic {
    realm: String,
    forward_field: Option<ForwardField>,
    optional: bool,
    keep: bool,
}

impl Basic {
    pub fn compile(ir: &AccessBasic) -> Self {
        Self {
            realm: ir.realm.clone(),
            forward_field: ForwardField::of(&ir.forward_header),
            optional: ir.optional,
            keep: ir.keep,
        }
    }

    /// What a request has: nothing, something that is no user and password, or one.
    pub fn credentials(facts: &Facts<'_>) -> Option<Option<Credentials>> {
        let mut all = named(facts.fields, "authorization").filter_map(|value| without_prefix(value, b"Basic "));
        let encoded = all.next()?;
        // Two of them are no credential: who is to say which one counts behind us.
        if all.next().is_some() {
            return Some(None);
        }
        Some(decode(encoded))
    }
}

impl Authenticator for Basic {
    fn proof(&self) -> Proof {
        Proof::Basic
    }

    fn present(&self, facts: &Facts<'_>) -> Presented {
        match Self::credentials(facts) {
            None => Presented::Absent,
            Some(None) => Presented::Invalid,
            Some(Some(_)) => Presented::Ask,
        }
    }

    fn challenge(&self) -> String {
        format!("{}, charset=\"UTF-8\"", challenge("Basic", &self.realm))
    }

    fn is_optional(&self) -> bool {
        self.optional
    }

    fn forward_field(&self) -> Option<&ForwardField> {
        self.forward_field.as_ref()
    }

    fn is_kept(&self) -> bool {
        self.keep
    }

    fn removed(&self) -> &[Removal] {
        &[Removal::Scheme { name: Cow::Borrowed("authorization"), scheme: Cow::Borrowed("Basic") }]
    }
}

fn decode(encoded: &[u8]) -> Option<Credentials> {
    if encoded.len() > MAX_LENGTH {
        return None;
    }
    let plain = base64(encoded)?;
    let colon = plain.iter().position(|it| *it == b':')?;
    let user = std::str::from_utf8(&plain[..colon]).ok().filter(|user| !user.is_empty())?;
    // Control characters are in no user and no password (RFC 7617 section 2).
    let is_plain = !user.chars().any(char::is_control) && !plain[colon + 1..].iter().any(u8::is_ascii_control);
    is_plain.then(|| Credentials { user: user.to_owned(), password: plain[colon + 1..].to_vec() })
}

/// Base64 with or without padding; `None`: it is none.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|it| **it == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 0 && !text.len().is_multiple_of(4) || padding > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut decoded = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0u32);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    // Bits that are left over are 0: one credential has one spelling.
    (bits & ((1 << count) - 1) == 0).then_some(decoded)
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, decode};

    #[test]
    fn what_is_a_credential() {
        let of = |user: &str, password: &str| Some(Credentials { user: user.to_owned(), password: password.into() });
        for (encoded, credentials) in [
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", of("Aladdin", "open sesame")),
            ("QWxhZGRpbjpvcGVuIHNlc2FtZQ", of("Aladdin", "open sesame")),
            ("dGVzdDoxMjPCow==", of("test", "123\u{a3}")),
            ("YTpiOmM=", of("a", "b:c")),
            ("YTo=", of("a", "")),
            ("OmI=", None),
            ("YQ==", None),
            ("", None),
            ("YTpi ", None),
            ("YTpi\n", None),
            ("YTpiOmN=", None),
            ("YT-i", None),
            ("YTpiOmM==", None),
            ("YQA6Yg==", None),
            ("YTpiCg==", None),
            ("/zpi", None),
        ] {
            assert_eq!(decode(encoded.as_bytes()), credentials, "{encoded}");
        }
        assert_eq!(decode(&b"YTpi".repeat(257)), None);
        assert!(!format!("{:?}", of("a", "secret")).contains("secret"));
    }
}
