//! API keys: only their SHA-256 digests are kept, and looked up as a whole, so that nothing tells how much of a key is right.

use super::authenticate::challenge;
use super::credentials::{Source, removals};
use super::{Authenticator, Presented};
use crate::ir::AccessApiKey;
use crate::policy::{Facts, ForwardField, Identity, Proof, Removal};
use ahash::AHashMap;
use aws_lc_rs::digest::{SHA256, digest};
use std::sync::Arc;

/// Keys of one policy.
pub const MAX_KEYS: usize = 16_384;

type Digest = [u8; 32];

#[derive(Debug)]
pub struct ApiKey {
    clients: AHashMap<Digest, Arc<Identity>>,
    from: Vec<Source>,
    removed: Vec<Removal>,
    realm: String,
    forward_field: Option<ForwardField>,
    optional: bool,
    keep: bool,
}

impl ApiKey {
    /// `keys`: lines of a digest in hexadecimal, a space, and the client.
    ///
    /// # Errors
    /// A line that is none, too many of them, or no place for a key.
    pub fn compile(ir: &AccessApiKey, keys: &str) -> Result<Self, String> {
        let mut clients = AHashMap::new();
        for (number, line) in keys.lines().enumerate() {
            let pair = line.split_once(' ').and_then(|(written, client)| Some((digest_of(written)?, client)));
            let (digest, client) = pair.ok_or_else(|| format!("line {} of the keys is none", number + 1))?;
            clients.entry(digest).or_insert_with(|| Arc::new(Identity::of(Proof::ApiKey, client)));
        }
        if clients.len() > MAX_KEYS {
            return Err(format!("there are {} keys; {MAX_KEYS} is the limit", clients.len()));
        }
        if ir.from.is_empty() {
            return Err("nothing says where a key stands".to_owned());
        }
        let from: Vec<_> = ir.from.iter().map(Source::of).collect();
        Ok(Self {
            clients,
            removed: removals(&from),
            from,
            realm: ir.realm.clone(),
            forward_field: ForwardField::of(&ir.forward_header),
            optional: ir.optional,
            keep: ir.keep,
        })
    }

    /// The client of a key.
    fn client(&self, key: &[u8]) -> Option<&Arc<Identity>> {
        let digest: Digest = digest(&SHA256, key).as_ref().try_into().ok()?;
        self.clients.get(&digest)
    }
}

impl Authenticator for ApiKey {
    fn proof(&self) -> Proof {
        Proof::ApiKey
    }

    /// Every key that is there has to be one, of the same client.
    fn present(&self, facts: &Facts<'_>) -> Presented {
        let mut found: Option<&Arc<Identity>> = None;
        for key in self.from.iter().flat_map(|from| from.values(facts.fields, facts.query)) {
            match (self.client(&key), found) {
                (Some(client), None) => found = Some(client),
                (Some(client), Some(other)) if client.user == other.user => {}
                _ => return Presented::Invalid,
            }
        }
        found.map_or(Presented::Absent, |client| Presented::Valid(Arc::clone(client)))
    }

    fn challenge(&self) -> String {
        challenge("ApiKey", &self.realm)
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
        &self.removed
    }
}

fn digest_of(hexadecimal: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if hexadecimal.len() != 2 * digest.len() || !hexadecimal.is_ascii() {
        return None;
    }
    for (place, octet) in digest.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&hexadecimal[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::ApiKey;
    use crate::ir::{AccessApiKey, KeySource};
    use crate::policy::access::samples::{FACTS, fields};
    use crate::policy::{Authenticator, Facts, Identity, Presented, Proof, Removal};
    use std::sync::Arc;

    #[test]
    fn keys_and_where_they_stand() {
        let key = |name: &str| KeySource::Header { name: name.to_owned(), prefix: String::new() };
        let ir = AccessApiKey {
            id: String::new(),
            overrides: false,
            off: false,
            invalid: false,
            optional: false,
            keys: String::new(),
            from: vec![
                key("X-API-Key"),
                KeySource::Query { name: "key".to_owned() },
                KeySource::Cookie { name: "key".to_owned() },
            ],
            realm: "a \"b\"".to_owned(),
            forward_header: String::new(),
            keep: false,
        };
        // SHA-256 of "alpha" and of "beta".
        let keys = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 ann\n\
                    F44E64E75F3948E9F73F8DFA94721C4CE8CBB4F265C4790C702B2D41CFBF2753 bob smith\n";
        let policy = ApiKey::compile(&ir, keys).unwrap();
        for (sent, query, user) in [
            (&[][..], None, None),
            (&[("x-api-key", "alpha")], None, Some("ann")),
            (&[("X-Api-Key", " beta ")], None, Some("bob smith")),
            (&[("cookie", "a=1; key=alpha")], None, Some("ann")),
            (&[], Some("key=alpha"), Some("ann")),
            (&[("x-api-key", "alpha")], Some("key=alpha"), Some("ann")),
            (&[("x-api-key", "alpha")], Some("key=beta"), Some("")),
            (&[("x-api-key", "alpha"), ("x-api-key", "beta")], None, Some("")),
            (&[("x-api-key", "alpha"), ("x-api-key", "x")], None, Some("")),
            (&[("x-api-key", "")], None, Some("")),
            (&[("x-api-key", "ALPHA")], None, Some("")),
            (&[("x_api_key", "alpha")], None, None),
        ] {
            let all = fields(sent);
            let found = policy.present(&Facts { fields: &all, query, ..FACTS });
            let user = match user {
                None => Presented::Absent,
                Some("") => Presented::Invalid,
                Some(user) => Presented::Valid(Arc::new(Identity::of(Proof::ApiKey, user))),
            };
            assert_eq!(found, user, "{sent:?} {query:?}");
        }
        assert_eq!(policy.challenge(), "ApiKey realm=\"a \\\"b\\\"\"");
        assert_eq!(
            policy.removed(),
            [Removal::Field("x-api-key".into()), Removal::Query("key".to_owned()), Removal::Cookie("key".to_owned())]
        );
        for keys in ["abc ann", "8ed3 ann", "x", "é3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f80 ann"]
        {
            assert!(ApiKey::compile(&ir, keys).is_err(), "{keys}");
        }
        assert!(ApiKey::compile(&AccessApiKey { from: Vec::new(), ..ir }, "").is_err());
    }
}
