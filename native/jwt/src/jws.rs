//! Compact JWS (RFC 7515 section 3.1): three parts, a header, a signature.

use crate::keys::KeySet;
use crate::{Invalid, json};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

/// Bytes of a token: heads of requests may be larger, and each byte of it is decoded and hashed.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Keys that one token is tried with: a signature costs up to a tenth of a millisecond to look at, and whoever has none may
/// send tokens without end.
pub const MAX_TRIES: usize = 16;

/// A token that was taken apart. Nothing of it is believed yet.
#[derive(Debug)]
pub struct Token<'t> {
    algorithm: String,
    key_id: Option<String>,
    signed: &'t [u8],
    payload: Vec<u8>,
    /// The payload as JSON, where somebody has looked into it already.
    object: Option<Map<String, Value>>,
    signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Take a token apart.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(token: &'t [u8]) -> Result<Self, Invalid> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Invalid::TooLarge);
        }
        let mut parts = token.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Invalid::Malformed);
        };
        let decode = |part: &[u8]| BASE64URL_NOPAD.decode(part).map_err(|_| Invalid::Malformed);
        let mut fields = json::object(&decode(header)?).ok_or(Invalid::Malformed)?;
        if fields.contains_key("crit") {
            return Err(Invalid::Critical);
        }
        let Some(Value::String(algorithm)) = fields.remove("alg") else {
            return Err(Invalid::Malformed);
        };
        let key_id = match fields.remove("kid") {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(Invalid::Malformed),
        };
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        Ok(Self { algorithm, key_id, signed, payload, object: None, signature })
    }

    /// Whether it says which key it was signed with.
    pub fn names_key(&self) -> bool {
        self.key_id.is_some()
    }

    /// Who the token says that it is from: good for choosing keys, and for nothing else before these agree.
    pub fn claimed_issuer(&mut self) -> Option<&str> {
        if self.object.is_none() {
            self.object = json::object(&self.payload);
        }
        self.object.as_ref()?.get("iss")?.as_str()
    }

    /// The payload, where the signature is one of a key of the set.
    ///
    /// # Errors
    /// It is not.
    pub fn signed_payload(&self, keys: &KeySet) -> Result<&[u8], Invalid> {
        let mut of_this_name = keys.candidates(self.key_id.as_deref()).peekable();
        if of_this_name.peek().is_none() {
            return Err(Invalid::UnknownKey);
        }
        let mut fitting = of_this_name.filter_map(|key| key.verifier(&self.algorithm)).take(MAX_TRIES).peekable();
        if fitting.peek().is_none() {
            return Err(Invalid::Algorithm);
        }
        if fitting.any(|key| key.verify_sig(self.signed, &self.signature).is_ok()) {
            return Ok(&self.payload);
        }
        Err(Invalid::Signature)
    }

    /// The claims, where the signature is one of a key of the set.
    ///
    /// # Errors
    /// It is not, or what was signed is no JSON object.
    pub(crate) fn signed_object(&mut self, keys: &KeySet) -> Result<Map<String, Value>, Invalid> {
        self.signed_payload(keys)?;
        self.object.take().or_else(|| json::object(&self.payload)).ok_or(Invalid::Malformed)
    }
}
