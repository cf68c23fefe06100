//! Tokens of identity providers: where they stand. Whether one is valid only the core can say, which has a clock.

use super::authenticate::challenge;
use super::credentials::{Source, removals};
use super::{Authenticator, Presented, told_claims};
use crate::ir::{AccessJwt, ClaimHeader};
use crate::policy::{AnswerField, Facts, ForwardField, Identity, Proof, Removal};
use serde_json::Value;
use std::borrow::Cow;

#[derive(Debug)]
pub struct Jwt {
    from: Vec<Source>,
    removed: Vec<Removal>,
    realm: String,
    optional: bool,
    keep: bool,
    /// Of each provider, its issuer and what the backend is told.
    forward: Vec<(String, Vec<ClaimHeader>)>,
}

impl Jwt {
    /// # Errors
    /// No place for a token.
    pub fn compile(ir: &AccessJwt) -> Result<Self, String> {
        if ir.from.is_empty() {
            return Err("nothing says where a token stands".to_owned());
        }
        let from: Vec<_> = ir.from.iter().map(Source::of).collect();
        Ok(Self {
            removed: removals(&from),
            from,
            realm: ir.realm.clone(),
            optional: ir.optional,
            keep: ir.keep,
            forward: ir.providers.iter().map(|it| (it.issuer.clone(), it.forward.clone())).collect(),
        })
    }

    /// The token of a request. `None`: there is none; `Some(None)`: there are several, and backends could take any of them.
    pub fn token<'r>(&self, facts: &Facts<'r>) -> Option<Option<Cow<'r, [u8]>>> {
        let mut all = self.from.iter().flat_map(|from| from.values(facts.fields, facts.query));
        let first = all.next()?;
        Some(all.all(|other| *other == *first).then_some(first))
    }
}

impl Authenticator for Jwt {
    fn proof(&self) -> Proof {
        Proof::Jwt
    }

    fn present(&self, facts: &Facts<'_>) -> Presented {
        match self.token(facts) {
            None => Presented::Absent,
            Some(None) => Presented::Invalid,
            Some(Some(_)) => Presented::Ask,
        }
    }

    fn challenge(&self) -> String {
        challenge("Bearer", &self.realm)
    }

    fn is_optional(&self) -> bool {
        self.optional
    }

    fn forward_field(&self) -> Option<&ForwardField> {
        None
    }

    /// Of somebody who is only assumed to have a token: as the provider does whose issuer it says, the first one where it says
    /// none.
    fn told(&self, identity: &Identity) -> Vec<AnswerField> {
        let issuer = identity.claims.get("iss").and_then(Value::as_str);
        let provider = self.forward.iter().find(|(own, _)| issuer.is_none_or(|issuer| issuer == own));
        provider.map_or_else(Vec::new, |(_, forward)| told_claims(forward, &identity.claims))
    }

    fn is_kept(&self) -> bool {
        self.keep
    }

    fn removed(&self) -> &[Removal] {
        &self.removed
    }
}

#[cfg(test)]
mod tests {
    use super::Jwt;
    use crate::ir::AccessJwt;
    use crate::policy::access::samples::{FACTS, fields};
    use crate::policy::access::{Authenticator, Presented};
    use crate::policy::{Facts, Identity, Proof, Removal};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn jwt(changes: Value) -> Result<Jwt, String> {
        let from =
            json!([{"type": "header", "name": "Authorization", "prefix": "Bearer "}, {"type": "query", "name": "t"}]);
        let ir = crate::samples::merged(json!({"id": "AccessPolicy/a/b/jwt", "from": from, "realm": "r"}), changes);
        Jwt::compile(&serde_json::from_value::<AccessJwt>(ir).unwrap())
    }

    /// One place, or several that say the same: a backend takes whichever it likes.
    #[test]
    fn where_a_token_stands() {
        let jwt = jwt(json!({})).unwrap();
        for (sent, query, expected, presented) in [
            (&[][..], None, None, Presented::Absent),
            (&[("authorization", "Basic a")], Some("u=a"), None, Presented::Absent),
            (&[("authorization", "bearer a")], None, Some(Some("a")), Presented::Ask),
            (&[], Some("t=a%20b"), Some(Some("a b")), Presented::Ask),
            (&[("authorization", "Bearer a")], Some("t=a"), Some(Some("a")), Presented::Ask),
            (&[("authorization", "Bearer a")], Some("t=b"), Some(None), Presented::Invalid),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], None, Some(None), Presented::Invalid),
            (&[], Some("t=a&t=a&t=b"), Some(None), Presented::Invalid),
            // The blank at its end is none of the value.
            (&[("authorization", "Bearer ")], None, None, Presented::Absent),
        ] {
            let sent = fields(sent);
            let facts = Facts { fields: &sent, query, ..FACTS };
            let found = jwt.token(&facts);
            let found = found.as_ref().map(|token| token.as_ref().map(|it| std::str::from_utf8(it).unwrap()));
            assert_eq!((found, jwt.present(&facts)), (expected, presented), "{sent:?} {query:?}");
        }
    }

    /// Without a place every request would be one without a token.
    #[test]
    fn a_token_has_a_place() {
        assert!(self::jwt(json!({"from": []})).unwrap_err().contains("where a token stands"));
    }

    /// A backend does not get a token under any of its names, unless it is to be kept.
    #[test]
    fn what_is_taken_out_and_told() {
        for (optional, keep) in [(false, false), (true, true)] {
            let jwt = jwt(json!({"optional": optional, "keep": keep})).unwrap();
            assert_eq!((jwt.is_optional(), jwt.is_kept(), jwt.proof()), (optional, keep, Proof::Jwt));
            let scheme = Removal::Scheme { name: "authorization".into(), scheme: "Bearer".into() };
            assert_eq!(jwt.removed(), [scheme, Removal::Query("t".to_owned())]);
            assert_eq!(jwt.challenge(), "Bearer realm=\"r\"");
            assert_eq!(jwt.forward_field(), None, "users are claims here");
        }
    }

    /// One issuer does not say what the backend takes for the word of another one.
    #[test]
    fn each_provider_tells_its_own() {
        let provider = |issuer: &str, header: &str| {
            json!({"name": issuer, "issuer": issuer, "audiences": ["*"],
                "forward": [{"claim": "sub", "header": header}, {"claim": "none", "header": "x-none"}]})
        };
        let jwt = jwt(json!({"providers": [provider("one", "x-one"), provider("two", "x-two")]})).unwrap();
        for (claims, expected) in [
            (json!({"iss": "one", "sub": "ann"}), Some("x-one")),
            (json!({"iss": "two", "sub": "ann"}), Some("x-two")),
            (json!({"iss": "three", "sub": "ann"}), None),
            (json!({"iss": "On", "sub": "ann"}), None),
            // Of somebody who is only assumed to have one.
            (json!({"sub": "ann"}), Some("x-one")),
            (json!({"iss": "one"}), None),
        ] {
            let claims = Arc::new(claims.as_object().unwrap().clone());
            let told = jwt.told(&Identity { claims: Arc::clone(&claims), ..Identity::of(Proof::Jwt, "ann") });
            let wanted: Vec<_> = expected.map(|name| (name.into(), b"ann".to_vec())).into_iter().collect();
            assert_eq!(told, wanted, "{claims:?}");
        }
    }
}
