//! Tokens of identity providers: verified once, remembered for as long as they and the keys that signed them hold.

use super::key_sets::{KeySets, PublishedSet, since_1970};
use crate::policy::ages::{Ages, Most};
use jwt::{Claims, Expected, Invalid, KeySet, Token};
use route::ir::{AccessJwt, ClaimHeader, JwtProvider};
use route::policy::{AnswerField, Identity, Passage, Proof, told_claims};
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Parts of what is remembered: workers that look at different tokens do not wait for each other.
const SHARDS: usize = 16;

/// Tokens that one part remembers, twice at most.
const MOST: Most = Most { entries: 512, bytes: 128 * 1024 };

/// Octets of a token by which it is found again: the end of its signature, which is as good as drawn by lot. Nobody gains by
/// choosing it, since only what was verified is remembered, and all of it is compared.
const END: usize = 16;

/// What one policy knows.
#[derive(Debug)]
pub struct Tokens {
    providers: Vec<Provider>,
    /// By the ends of their signatures.
    known: [Mutex<Ages<[u8; END], Arc<Believed>>>; SHARDS],
}

#[derive(Debug)]
struct Provider {
    expected: Expected,
    forward: Vec<ClaimHeader>,
    keys: Keys,
}

/// Where keys come from.
#[derive(Debug)]
enum Keys {
    Given(Arc<KeySet>),
    Published(Arc<PublishedSet>),
}

/// What a token says, once it is believed.
#[derive(Debug)]
struct Believed {
    token: Box<[u8]>,
    /// As [`Claims::valid`].
    valid: (f64, f64),
    /// Place of its provider, and the keys that this one had.
    signed: (usize, Arc<KeySet>),
    identity: Arc<Identity>,
    forward: Vec<AnswerField>,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbelieved {
    Invalid(Invalid),
    /// The keys of its provider are not there yet, or too old.
    NoKeys,
}

impl From<Invalid> for Unbelieved {
    fn from(why: Invalid) -> Self {
        Self::Invalid(why)
    }
}

impl Keys {
    fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::Given(keys) => Some(Arc::clone(keys)),
            Self::Published(set) => set.keys(Instant::now()),
        }
    }

    /// A token was signed by none of them, so there may be others by now.
    fn missed(&self) {
        if let Self::Published(set) = self {
            set.want();
        }
    }
}

impl Tokens {
    /// # Errors
    /// A set of keys is none, or there are too many that are fetched.
    pub fn compile(policy: &AccessJwt, sets: &KeySets) -> Result<Self, String> {
        let keys = |provider: &JwtProvider| match &provider.remote {
            Some(source) => sets.of(source).map(Keys::Published).ok_or_else(|| "too many sets of keys".to_owned()),
            None => KeySet::read(provider.keys.as_bytes())
                .map(|keys| Keys::Given(Arc::new(keys)))
                .map_err(|why| format!("{}: {why}", provider.name)),
        };
        let provider = |provider: &JwtProvider| {
            let expected = Expected {
                issuer: provider.issuer.clone(),
                audiences: provider.audiences.clone(),
                leeway: Duration::from_millis(policy.leeway_ms),
            };
            Ok(Provider { expected, forward: provider.forward.clone(), keys: keys(provider)? })
        };
        let providers = policy.providers.iter().map(provider).collect::<Result<_, String>>()?;
        let known = std::array::from_fn(|_| Mutex::new(Ages::new(MOST)));
        Ok(Self { providers, known })
    }

    /// The sets that are fetched, in the order of their providers.
    pub fn published(&self) -> impl Iterator<Item = &Arc<PublishedSet>> {
        self.providers.iter().filter_map(|provider| match &provider.keys {
            Keys::Published(set) => Some(set),
            Keys::Given(_) => None,
        })
    }

    /// Who a token is of, and what is set towards the backend for it; `place`: of its policy at the listener.
    ///
    /// # Errors
    /// It is not valid now, or nobody can say.
    pub fn look_at(&self, token: &[u8], place: Option<usize>, passage: &mut Passage<'_>) -> Result<(), Unbelieved> {
        let believed = self.believe(token, since_1970())?;
        for (name, value) in &believed.forward {
            passage.tell(name.clone(), value.clone());
        }
        passage.prove(Arc::clone(&believed.identity), place);
        Ok(())
    }

    fn believe(&self, token: &[u8], now: Duration) -> Result<Arc<Believed>, Unbelieved> {
        let end = end_of(token);
        let shard = &self.known[shard_of(end)];
        let mut known = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(believed) = known.get(&end).filter(|known| *known.token == *token && self.holds(known, now)) {
            return Ok(believed);
        }
        // Whoever has none waits for nobody.
        drop(known);
        let believed = Arc::new(self.verify(token, now)?);
        known = shard.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(end, Arc::clone(&believed), token.len());
        Ok(believed)
    }

    /// Whether what was believed is still to be.
    fn holds(&self, believed: &Believed, now: Duration) -> bool {
        let (place, keys) = &believed.signed;
        let current = self.providers.get(*place).and_then(|provider| provider.keys.current());
        (believed.valid.0..believed.valid.1).contains(&now.as_secs_f64())
            && current.is_some_and(|current| Arc::ptr_eq(&current, keys))
    }

    /// Of several providers with the issuer of a token the first that takes it counts.
    fn verify(&self, text: &[u8], now: Duration) -> Result<Believed, Unbelieved> {
        let mut token = Token::parse(text)?;
        let issuer = token.claimed_issuer().ok_or(Invalid::Issuer)?.to_owned();
        let mut why = Unbelieved::Invalid(Invalid::Issuer);
        for (place, provider) in self.providers.iter().enumerate().filter(|(_, it)| it.expected.issuer == issuer) {
            let Some(keys) = provider.keys.current() else {
                why = Unbelieved::NoKeys;
                continue;
            };
            match provider.expected.verify(&mut token, &keys, now) {
                Ok(claims) => return Ok(Believed::of(text, claims, &provider.forward, (place, keys))),
                Err(other) => {
                    if other == Invalid::UnknownKey
                        || (!token.names_key() && matches!(other, Invalid::Signature | Invalid::Algorithm))
                    {
                        provider.keys.missed();
                    }
                    if why != Unbelieved::NoKeys {
                        why = other.into();
                    }
                }
            }
        }
        Err(why)
    }
}

/// As of [`END`]; what is shorter than that is no token.
fn end_of(token: &[u8]) -> [u8; END] {
    token.last_chunk().copied().unwrap_or_default()
}

/// Where a token is remembered.
fn shard_of(end: [u8; END]) -> usize {
    let mixed = end.iter().fold(0_u8, |mixed, octet| mixed.wrapping_mul(31) ^ octet);
    usize::from(mixed) % SHARDS
}

impl Believed {
    fn of(token: &[u8], claims: Claims, forward: &[ClaimHeader], signed: (usize, Arc<KeySet>)) -> Self {
        let Claims { all, valid } = claims;
        let all = Arc::new(all);
        let user = all.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let forward = told_claims(forward, &all);
        let identity = Identity { proof: Proof::Jwt, user, scopes: scopes(&all), claims: all };
        Self { token: token.into(), valid, signed, identity: Arc::new(identity), forward }
    }
}

/// The scopes of a token: `scope` is one text (RFC 8693 section 4.2), `scp` is what some providers have instead.
fn scopes(claims: &Map<String, Value>) -> Vec<String> {
    match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(all)) => all.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::scopes;
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn scopes_of_all_forms() {
        for (claims, expected) in [
            (json!({"scope": "read  write"}), &["read", "write"][..]),
            (json!({"scp": ["read", 1]}), &["read"]),
            (json!({"scp": "read"}), &["read"]),
            (json!({"scope": 1}), &[]),
            (json!({}), &[]),
        ] {
            assert_eq!(scopes(&map(claims.clone())), expected, "{claims}");
        }
    }
}
