//! JSON Web Tokens, verified (RFC 7515, 7517, 7518, 7519, 8037): no I/O, no clock, nothing signed.
//!
//! - Which algorithms a key may be used with follows from the key: RSA, ECDSA on its own curve, Ed25519. A token chooses among
//!   these and never brings a key along (RFC 8725 sections 3.1 and 3.10); symmetric keys and `none` are not known at all.
//! - Compact serialisation only. `crit` is refused, since no extension is known (RFC 7515 section 4.1.11).
//! - JSON with a name twice is refused everywhere: two readers could take different values (RFC 8725 section 2.4).
//! - A claim of the wrong type is no absent claim: the token is invalid (CVE-2026-25537 of another library).
//! - What comes from outside is bounded: [`MAX_TOKEN_BYTES`], [`MAX_SET_BYTES`], [`MAX_KEYS`], [`MAX_TRIES`].
#![forbid(unsafe_code)]

mod claims;
mod json;
mod jws;
mod keys;
mod skipped;

pub use claims::{Claims, Expected};
pub use jws::{MAX_TOKEN_BYTES, MAX_TRIES, Token};
pub use keys::{BadKeys, KeySet, MAX_KEYS, MAX_SET_BYTES};
pub use skipped::{Skipped, listed};

/// Why a token is not taken. For logs and for developers; what a client is told is one sentence for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    TooLarge,
    /// Not three parts of base64url, the first and second of them JSON objects with every name once.
    Malformed,
    /// An algorithm that no key of the set is for; `none` and those of shared secrets among them.
    Algorithm,
    /// An extension that must be understood, and is not.
    Critical,
    /// No key of this id.
    UnknownKey,
    Signature,
    /// A claim that is of the wrong JSON type.
    ClaimType,
    /// No `exp`.
    NoExpiry,
    Expired,
    /// `nbf`, or `iat`, is in the future.
    NotYetValid,
    Issuer,
    Audience,
}

impl Invalid {
    /// Stable, for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "token too large",
            Self::Malformed => "malformed token",
            Self::Algorithm => "algorithm not allowed",
            Self::Critical => "unknown critical extension",
            Self::UnknownKey => "unknown key",
            Self::Signature => "wrong signature",
            Self::ClaimType => "claim of the wrong type",
            Self::NoExpiry => "no exp",
            Self::Expired => "expired",
            Self::NotYetValid => "not valid yet",
            Self::Issuer => "wrong issuer",
            Self::Audience => "wrong audience",
        }
    }
}

#[cfg(test)]
mod tests;
