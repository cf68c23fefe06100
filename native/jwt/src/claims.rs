//! What a token says (RFC 7519 section 4.1), and what it has to say.

use crate::keys::KeySet;
use crate::{Invalid, Token};
use serde_json::{Map, Value};
use std::time::Duration;

/// Any audience will do.
const ANY: &str = "*";

/// What a token has to say to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub issuer: String,
    /// One of these, `*` for any.
    pub audiences: Vec<String>,
    /// How far clocks may be apart.
    pub leeway: Duration,
}

/// Claims that were signed, and say what they have to.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    pub all: Map<String, Value>,
    /// Seconds since 1970 between which they hold, leeway included: from, and before.
    pub valid: (f64, f64),
}

impl Expected {
    /// Verify a token; `now` is since 1970.
    ///
    /// # Errors
    /// Why it is not taken: first its signature, so that nobody learns from us what would be wrong with one that is not ours.
    pub fn verify(&self, token: &mut Token<'_>, keys: &KeySet, now: Duration) -> Result<Claims, Invalid> {
        let all = token.signed_object(keys)?;
        let time = |name: &str| match all.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(Invalid::ClaimType),
        };
        let (expires, not_before, issued) = (time("exp")?, time("nbf")?, time("iat")?);
        if all.get("sub").is_some_and(|subject| !subject.is_string()) {
            return Err(Invalid::ClaimType);
        }
        match all.get("iss") {
            Some(Value::String(issuer)) if *issuer == self.issuer => {}
            Some(Value::String(_)) | None => return Err(Invalid::Issuer),
            Some(_) => return Err(Invalid::ClaimType),
        }
        self.check_audience(all.get("aud"))?;
        let leeway = self.leeway.as_secs_f64();
        let before = expires.ok_or(Invalid::NoExpiry)? + leeway;
        let from = [not_before, issued].into_iter().flatten().fold(f64::NEG_INFINITY, f64::max) - leeway;
        let now = now.as_secs_f64();
        if now >= before {
            return Err(Invalid::Expired);
        }
        if now < from {
            return Err(Invalid::NotYetValid);
        }
        Ok(Claims { all, valid: (from, before) })
    }

    fn check_audience(&self, audience: Option<&Value>) -> Result<(), Invalid> {
        let is_any = self.audiences.iter().any(|wanted| wanted == ANY);
        let is_wanted = |name: &str| is_any || self.audiences.iter().any(|wanted| wanted == name);
        let fits = match audience {
            None => is_any,
            Some(Value::String(name)) => is_wanted(name),
            Some(Value::Array(names)) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                is_any | names.ok_or(Invalid::ClaimType)?.into_iter().any(is_wanted)
            }
            Some(_) => return Err(Invalid::ClaimType),
        };
        if fits { Ok(()) } else { Err(Invalid::Audience) }
    }
}
