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
