//! `AccessPolicy`: who may.

mod api_key;
mod authenticate;
mod authorization;
mod basic;
mod certificate;
mod credentials;
mod csrf;
mod exempt;
mod group;
mod jwt;

pub use api_key::ApiKey;
pub use authenticate::{Authenticator, Presented, Progress, accept, authenticate, unauthenticated};
pub use authorization::Authorization;
pub use basic::{Basic, Credentials};
pub use certificate::{Certificate, ClientCertificate};
pub use csrf::Csrf;
pub use exempt::Exempt;
pub use group::Group;
pub use jwt::Jwt;

use super::{Facts, Identity};
use crate::expression::Inputs;

/// What an expression of a policy is asked of.
pub fn inputs<'r>(facts: &Facts<'r>, identity: Option<&'r Identity>) -> Inputs<'r> {
    Inputs {
        method: facts.method,
        scheme: facts.scheme,
        host: facts.host,
        path: facts.path,
        query: facts.query.unwrap_or_default(),
        authority: facts.authority,
        fields: facts.fields,
        address: facts.address,
        user: identity.map_or("", |it| it.user.as_str()),
        claims: identity.map(|it| &*it.claims),
        scopes: identity.map_or(&[][..], |it| it.scopes.as_slice()),
    }
}

#[cfg(test)]
mod tests;
