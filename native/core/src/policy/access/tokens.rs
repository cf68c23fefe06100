//! Tokens of identity providers: verified once, remembered for as long as they and the keys that signed them hold.

use jwt::{Claims, Expected, Invalid, KeySet, Token};
use route::ir::{AccessJwt, ClaimHeader, JwtProvider};
use route::policy::{AnswerField, Identity, Passage, Proof};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Parts of what is remembered: workers that look at different tokens do not wait for each other.
const SHARDS: usize = 16;

/// Tokens that one part remembers, twice at most; the older half goes as a whole.
const TOKENS: usize = 512;

/// Octets of tokens that one part remembers, twice at most.
const BYTES: usize = 128 * 1024;

/// Octets that the claim of a field may have: it has to stand in a head.
const MAX_FIELD: usize = 8 * 1024;

/// What one policy knows.
#[derive(Debug)]
pub struct Tokens {
    providers: Vec<Provider>,
    hashing: ahash::RandomState,
    known: [Mutex<Known>; SHARDS],
}

#[derive(Debug)]
struct Provider {
    expected: Expected,
    forward: Vec<ClaimHeader>,
    keys: Arc<KeySet>,
}

/// What a token says, once it is believed.
#[derive(Debug, Clone)]
struct Believed {
    /// As [`Claims::valid`].
    valid: (f64, f64),
    identity: Identity,
    forward: Vec<AnswerField>,
}

/// Two ages of tokens: what is asked for moves to the younger, and once that is full the older one goes.
#[derive(Debug, Default)]
struct Known {
    young: Age,
    old: Age,
}

#[derive(Debug, Default)]
struct Age {
    tokens: ahash::AHashMap<Box<[u8]>, Believed>,
    bytes: usize,
}

impl Tokens {
    /// # Errors
    /// A set of keys is none.
    pub fn compile(policy: &AccessJwt) -> Result<Self, String> {
        let provider = |provider: &JwtProvider| {
            let keys = KeySet::read(provider.keys.as_bytes()).map_err(|why| format!("{}: {why}", provider.name))?;
            let expected = Expected {
                issuer: provider.issuer.clone(),
                audiences: provider.audiences.clone(),
                leeway: Duration::from_millis(policy.leeway_ms),
            };
            Ok(Provider { expected, forward: provider.forward.clone(), keys: Arc::new(keys) })
        };
        let providers = policy.providers.iter().map(provider).collect::<Result<_, String>>()?;
        Ok(Self { providers, hashing: ahash::RandomState::new(), known: Default::default() })
    }

    /// Who a token is of, and what is set towards the backend for it.
    ///
    /// # Errors
    /// It is not valid now.
    pub fn look_at(&self, token: &[u8], passage: &mut Passage) -> Result<(), Invalid> {
        // A clock before 1970 believes nothing.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Believed { identity, forward, .. } = self.believe(token, now)?;
        for (name, value) in forward {
            passage.tell(name, value);
        }
        passage.identity.get_or_insert(identity);
        Ok(())
    }

    fn believe(&self, token: &[u8], now: Duration) -> Result<Believed, Invalid> {
        let shard = &self.known[usize::try_from(self.hashing.hash_one(token) % SHARDS as u64).unwrap_or_default()];
        let mut known = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(believed) = known.get(token).filter(|believed| believed.holds_at(now)) {
            return Ok(believed);
        }
        // Whoever has none waits for nobody.
        drop(known);
        let believed = self.verify(token, now)?;
        known = shard.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(token, believed.clone());
        Ok(believed)
    }

    /// Of several providers with the issuer of a token the first that takes it counts.
    fn verify(&self, token: &[u8], now: Duration) -> Result<Believed, Invalid> {
        let token = Token::parse(token)?;
        let issuer = token.claimed_issuer().ok_or(Invalid::Issuer)?;
        let mut why = Invalid::Issuer;
        for provider in self.providers.iter().filter(|provider| provider.expected.issuer == issuer) {
            match provider.expected.verify(&token, &provider.keys, now) {
                Ok(claims) => return Ok(Believed::of(claims, &provider.forward)),
                Err(other) => why = other,
            }
        }
        Err(why)
    }
}

impl Believed {
    fn of(claims: Claims, forward: &[ClaimHeader]) -> Self {
        let Claims { all, valid } = claims;
        let all = Arc::new(all);
        let user = all.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let forward = forward.iter().filter_map(|pair| {
            let value = value_of(&all, &pair.claim)?;
            Some((Cow::Owned(pair.header.clone()), value))
        });
        let forward = forward.collect();
        let identity = Identity { proof: Proof::Jwt, user, scopes: scopes(&all), claims: all };
        Self { valid, identity, forward }
    }

    fn holds_at(&self, now: Duration) -> bool {
        (self.valid.0..self.valid.1).contains(&now.as_secs_f64())
    }
}

impl Known {
    fn get(&mut self, token: &[u8]) -> Option<Believed> {
        if let Some(believed) = self.young.tokens.get(token) {
            return Some(believed.clone());
        }
        let (token, believed) = self.old.tokens.remove_entry(token)?;
        self.put(&token, believed.clone());
        Some(believed)
    }

    fn put(&mut self, token: &[u8], believed: Believed) {
        if self.young.tokens.len() >= TOKENS || self.young.bytes + token.len() > BYTES {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += token.len();
        self.young.tokens.insert(token.into(), believed);
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

/// A claim as the value of a field; the names of claims within claims are joined by dots. `None`: it is not there, or could
/// not stand in a head.
fn value_of(claims: &Map<String, Value>, path: &str) -> Option<Vec<u8>> {
    let value = claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
    })?;
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        // Texts as a list of HTTP; what is neither text nor could stand in such a list as JSON.
        Value::Array(all) if all.iter().all(is_element) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        _ => value.to_string(),
    };
    let stands = text.len() <= MAX_FIELD && !text.bytes().any(|byte| byte.is_ascii_control()) && text.trim() == text;
    stands.then(|| text.into_bytes())
}

/// Whether it is one element of a list, and the same one for whoever reads that.
fn is_element(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.contains(',') && text.trim() == text)
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Believed, Known, TOKENS, scopes, value_of};
    use jwt::Claims;
    use serde_json::{Map, Value, json};

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn claims_as_fields() {
        let claims = map(json!({
            "sub": "ada", "n": 1, "yes": true, "groups": ["a", "b"], "mixed": ["a", 1], "a": {"b": {"c": "deep"}},
            "https://x.test/role": "dotted", "blanks": " ada ", "comma": ["a", "b,admin"], "padded": ["a "], "none": null, "bad": "a\r\nb: c", "long": "x".repeat(9000),
        }));
        for (path, expected) in [
            ("sub", Some("ada")),
            ("n", Some("1")),
            ("yes", Some("true")),
            ("groups", Some("a,b")),
            ("mixed", Some("[\"a\",1]")),
            ("a.b.c", Some("deep")),
            ("a.b", Some("{\"c\":\"deep\"}")),
            ("https://x.test/role", Some("dotted")),
            ("none", None),
            ("blanks", None),
            ("comma", Some("[\"a\",\"b,admin\"]")),
            ("padded", Some("[\"a \"]")),
            ("bad", None),
            ("long", None),
            ("a.x", None),
            ("sub.x", None),
            ("missing", None),
        ] {
            let found = value_of(&claims, path).map(|value| String::from_utf8(value).expect("text"));
            assert_eq!(found.as_deref(), expected, "{path}");
        }
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

    /// However many tokens come, what is remembered is bounded, and what is used stays.
    #[test]
    fn what_is_remembered_is_bounded() {
        let believed = || Believed::of(Claims { all: Map::new(), valid: (0.0, 1.0) }, &[]);
        let mut known = Known::default();
        known.put(b"used", believed());
        for number in 0..TOKENS * 5 {
            known.put(format!("token {number}").as_bytes(), believed());
            assert!(known.get(b"used").is_some(), "{number}");
            assert!(known.young.tokens.len() <= TOKENS + 1 && known.old.tokens.len() <= TOKENS + 1);
        }
        assert!(known.get(b"token 1").is_none());
        for number in 0..100 {
            known.put(format!("{number}{}", "x".repeat(16_000)).as_bytes(), believed());
            assert!(known.young.bytes <= BYTES && known.old.bytes <= BYTES);
        }
    }
}
