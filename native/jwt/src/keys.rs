//! JWK Sets (RFC 7517), as far as they have keys that verify signatures.

use crate::json;
use crate::skipped::{Skipped, Unusable, listed};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};
use std::fmt;

/// Bytes of a set; a service that sends more is not read on.
pub const MAX_SET_BYTES: usize = 512 * 1024;

/// Keys in a set: each one is parsed, and a token without key id is tried with several.
pub const MAX_KEYS: usize = 100;

/// Bits of an RSA modulus. Less is weak (RFC 7518 section 3.3); of more each verification would cost too much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a text is no usable set of keys; for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadKeys {
    TooLarge(usize),
    NotASet,
    TooMany(usize),
    /// Why each of them is none, where there are any.
    NoneUsable(Vec<Skipped>),
}

impl fmt::Display for BadKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes) => write!(formatter, "{bytes} bytes, where {MAX_SET_BYTES} are allowed"),
            Self::NotASet => formatter.write_str("no JWK Set: a JSON object with an array \"keys\", every name once"),
            Self::TooMany(keys) => write!(formatter, "{keys} keys, where {MAX_KEYS} are allowed"),
            Self::NoneUsable(skipped) if skipped.is_empty() => formatter.write_str("no keys"),
            Self::NoneUsable(skipped) => {
                write!(formatter, "no key that can verify a signature; {}", listed(skipped))
            }
        }
    }
}

/// The keys of one set that can verify.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<Skipped>,
}

/// One key, for each of its algorithms.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<Box<str>>,
    uses: Vec<(&'static str, ParsedPublicKey)>,
}

impl KeySet {
    /// Read a JWK Set. Keys that cannot be used are skipped, as RFC 7517 section 5 wants it: those of unknown types, those that
    /// are for encryption, those that are malformed or weak, and every symmetric one.
    ///
    /// # Errors
    /// It is none, or too large, or has no key that can be used.
    pub fn read(text: &[u8]) -> Result<Self, BadKeys> {
        Self::read_each(text, Key::read)
    }

    /// As [`Self::read`], of a set that everybody can fetch: a key whose private part is among it is nobody's any more.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_published(text: &[u8]) -> Result<Self, BadKeys> {
        Self::read_each(text, |entry| {
            if entry.contains_key("d") {
                return Err(Unusable::Bad("comes with its private part, so everybody could sign with it"));
            }
            Key::read(entry)
        })
    }

    fn read_each(text: &[u8], read: impl Fn(&Map<String, Value>) -> Result<Key, Unusable>) -> Result<Self, BadKeys> {
        if text.len() > MAX_SET_BYTES {
            return Err(BadKeys::TooLarge(text.len()));
        }
        let set = json::object(text).ok_or(BadKeys::NotASet)?;
        let Some(Value::Array(entries)) = set.get("keys") else {
            return Err(BadKeys::NotASet);
        };
        if entries.len() > MAX_KEYS {
            return Err(BadKeys::TooMany(entries.len()));
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for (place, entry) in entries.iter().enumerate() {
            match entry.as_object().ok_or(Unusable::Bad("is no object")).and_then(&read) {
                Ok(key) => keys.push(key),
                Err(why) => skipped.push(Skipped::of(place, entry, why)),
            }
        }
        if keys.is_empty() {
            return Err(BadKeys::NoneUsable(skipped));
        }
        Ok(Self { keys, skipped })
    }

    /// Each key that is not used.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Ids of the keys, in their order; `None`: it has none.
    pub fn ids(&self) -> impl Iterator<Item = Option<&str>> {
        self.keys.iter().map(|key| key.id.as_deref())
    }

    /// Those that a token may have been signed with. One that names a key is not tried with keys of other names.
    pub(crate) fn candidates<'k>(&'k self, id: Option<&'k str>) -> impl Iterator<Item = &'k Key> {
        self.keys.iter().filter(move |key| match (id, &key.id) {
            (Some(asked), Some(own)) => asked == &**own,
            _ => true,
        })
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Never: a set without keys is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Key {
    /// What verifies signatures of an algorithm, where the key is for it.
    pub(crate) fn verifier(&self, algorithm: &str) -> Option<&ParsedPublicKey> {
        self.uses.iter().find(|(name, _)| *name == algorithm).map(|(_, key)| key)
    }

    fn read(entry: &Map<String, Value>) -> Result<Self, Unusable> {
        let id = match entry.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.as_str().into()),
            Some(_) => return Err("has a kid that is no text".into()),
        };
        match entry.get("use") {
            None => {}
            Some(Value::String(usage)) if usage == "sig" => {}
            Some(usage) => return Err(other("is not for signatures (use)", usage.is_string())),
        }
        match entry.get("key_ops") {
            None => {}
            Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
            Some(operations) => return Err(other("is not for verifying (key_ops)", operations.is_array())),
        }
        let mut uses = match text(entry, "kty")? {
            "RSA" => rsa(entry)?,
            "EC" => elliptic(entry)?,
            "OKP" => edwards(entry)?,
            "oct" => return Err("is a shared secret, which whoever verifies could sign with".into()),
            _ => return Err("is of an unknown type (kty)".into()),
        };
        match entry.get("alg") {
            None => {}
            Some(Value::String(algorithm)) => {
                uses.retain(|(name, _)| name == algorithm || (is_edwards(name) && is_edwards(algorithm)));
            }
            Some(_) => return Err("has an alg that is no text".into()),
        }
        if uses.is_empty() {
            return Err("is for an algorithm that does not fit its type (alg)".into());
        }
        Ok(Self { id, uses })
    }
}

/// `is_said`: it says what else it is for, as such a key should.
fn other(why: &'static str, is_said: bool) -> Unusable {
    if is_said { Unusable::ForElse(why) } else { Unusable::Bad(why) }
}

fn is_edwards(algorithm: &str) -> bool {
    // RFC 9864 names the curve in place of the family.
    matches!(algorithm, "EdDSA" | "Ed25519")
}

fn text<'k>(entry: &'k Map<String, Value>, name: &'static str) -> Result<&'k str, &'static str> {
    entry.get(name).and_then(Value::as_str).ok_or("lacks a part that its type needs")
}

fn bytes(entry: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, &'static str> {
    BASE64URL_NOPAD.decode(text(entry, name)?.as_bytes()).map_err(|_| "has a part that is no base64url")
}

type Uses = Vec<(&'static str, ParsedPublicKey)>;

fn rsa(entry: &Map<String, Value>) -> Result<Uses, &'static str> {
    const ALGORITHMS: [(&str, &RsaParameters); 6] = [
        ("RS256", &RSA_PKCS1_2048_8192_SHA256),
        ("RS384", &RSA_PKCS1_2048_8192_SHA384),
        ("RS512", &RSA_PKCS1_2048_8192_SHA512),
        ("PS256", &RSA_PSS_2048_8192_SHA256),
        ("PS384", &RSA_PSS_2048_8192_SHA384),
        ("PS512", &RSA_PSS_2048_8192_SHA512),
    ];
    // Some write the sign octet of the number as well (RFC 7518 section 6.3.1.1).
    let number = |bytes: Vec<u8>| -> Vec<u8> { bytes.into_iter().skip_while(|&byte| byte == 0).collect() };
    let (n, e) = (number(bytes(entry, "n")?), number(bytes(entry, "e")?));
    let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err("is an RSA key of less than 2048 or more than 8192 bits");
    }
    if e.len() > 4 || e.last().is_none_or(|last| last % 2 == 0) || e == [1] {
        return Err("is an RSA key with an exponent that is none");
    }
    let components = RsaPublicKeyComponents { n, e };
    let parsed = |(name, parameters): (&'static str, &'static RsaParameters)| {
        components.to_parsed_public_key(parameters).map(|key| (name, key)).map_err(|_| "is no RSA key")
    };
    ALGORITHMS.into_iter().map(parsed).collect()
}

fn elliptic(entry: &Map<String, Value>) -> Result<Uses, &'static str> {
    let (name, algorithm, size): (_, &'static dyn VerificationAlgorithm, _) = match text(entry, "crv")? {
        "P-256" => ("ES256", &ECDSA_P256_SHA256_FIXED, 32),
        "P-384" => ("ES384", &ECDSA_P384_SHA384_FIXED, 48),
        "P-521" => ("ES512", &ECDSA_P521_SHA512_FIXED, 66),
        _ => return Err("is on an unknown curve (crv)"),
    };
    let (x, y) = (bytes(entry, "x")?, bytes(entry, "y")?);
    if x.len() != size || y.len() != size {
        return Err("has coordinates of another length than its curve's");
    }
    let point = [&[4_u8][..], &x, &y].concat();
    parsed(name, algorithm, &point)
}

fn edwards(entry: &Map<String, Value>) -> Result<Uses, &'static str> {
    if text(entry, "crv")? != "Ed25519" {
        return Err("is on an unknown curve (crv)");
    }
    let point = bytes(entry, "x")?;
    let mut uses = parsed("EdDSA", &ED25519, &point)?;
    uses.extend(parsed("Ed25519", &ED25519, &point)?);
    Ok(uses)
}

fn parsed(
    name: &'static str,
    algorithm: &'static dyn VerificationAlgorithm,
    point: &[u8],
) -> Result<Uses, &'static str> {
    let key = ParsedPublicKey::new(algorithm, point).map_err(|_| "is no point of its curve")?;
    Ok(vec![(name, key)])
}
