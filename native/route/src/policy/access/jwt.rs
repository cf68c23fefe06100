//! Tokens of identity providers: where they stand. Whether one is valid only the core can say, which has a clock.

use super::authenticate::challenge;
use super::credentials::Source;
use super::{Authenticator, Presented};
use crate::ir::AccessJwt;
use crate::policy::{Facts, Passage, Proof};

#[derive(Debug)]
pub struct Jwt {
    from: Vec<Source>,
    realm: String,
    optional: bool,
    keep: bool,
}

impl Jwt {
    /// # Errors
    /// No place for a token.
    pub fn compile(ir: &AccessJwt) -> Result<Self, String> {
        if ir.from.is_empty() {
            return Err("nothing says where a token stands".to_owned());
        }
        Ok(Self {
            from: ir.from.iter().map(Source::of).collect(),
            realm: ir.realm.clone(),
            optional: ir.optional,
            keep: ir.keep,
        })
    }

    /// The token of a request. `None`: there is none; `Some(None)`: there are several, and backends could take any of them.
    pub fn token(&self, facts: &Facts<'_>) -> Option<Option<Vec<u8>>> {
        let mut all = self.from.iter().flat_map(|from| from.values(facts.fields, facts.query));
        let first = all.next()?.into_owned();
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

    fn forward_header(&self) -> &'static str {
        ""
    }

    fn remove(&self, passage: &mut Passage) {
        if !self.keep {
            passage.removed.extend(self.from.iter().map(Source::removal));
        }
    }
}
