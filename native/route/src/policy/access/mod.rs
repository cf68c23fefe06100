//! `AccessPolicy`: who may.

mod api_key;
mod authenticate;
mod authorization;
mod basic;
mod certificate;
mod claims;
mod credentials;
mod csrf;
mod exempt;
mod group;
mod jwt;
mod level;

pub use api_key::ApiKey;
pub use authenticate::{Authenticator, Member, Presented, Progress, accept, authenticate, unauthenticated};
pub use authorization::Authorization;
pub use basic::{Basic, Credentials};
pub use certificate::Certificate;
pub use claims::{named_claim, told_claims};
pub use csrf::Csrf;
pub use exempt::Exempt;
pub use group::Group;
pub use jwt::Jwt;
pub use level::Level;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;
