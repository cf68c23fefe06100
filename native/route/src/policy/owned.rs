//! Header fields that policies may set towards backends. A client that could send one would be who it wants to be, so they are
//! taken out of every request before any policy looks at it, whether or not they are set afterwards. What proves something is
//! still seen by those who look for credentials there: an authoriser that answers with `Authorization` is asked about one.

use super::Compiled;
use super::field_name::{has_underscore, same_field};
use crate::ir::{Policy, Underscores};
use crate::table::EditedFields;
use codec::Field;
use std::sync::Arc;

/// Names of fields that are the policies' own, and names that clients may not use.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OwnedFields {
    names: Vec<Box<[u8]>>,
    /// Those of them in which a policy looks for credentials.
    credentials: Vec<Box<[u8]>>,
    /// What becomes of fields that clients send with `_` in their name.
    underscores: Underscores,
}

impl OwnedFields {
    /// Those of all of these policies.
    pub fn of(policies: &[Arc<Compiled>]) -> Self {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for name in policies.iter().flat_map(|policy| policy.ir.kind().owned_fields()) {
            if !names.iter().any(|other| same_field(other, name.as_bytes())) {
                names.push(name.as_bytes().into());
            }
        }
        let underscores = policies.iter().find_map(|policy| match &policy.ir {
            Policy::ClientHeaders(headers) => Some(headers.underscores),
            _ => None,
        });
        let sought = policies.iter().flat_map(|policy| policy.ir.kind().credential_fields());
        let mut credentials: Vec<Box<[u8]>> = sought.map(|name| name.as_bytes().into()).collect();
        credentials.retain(|sought| names.iter().any(|name| same_field(name, sought)));
        Self { names, credentials, underscores: underscores.unwrap_or_default() }
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.underscores == Underscores::Keep
    }

    /// Whether a field that a client has sent is taken out.
    pub fn takes(&self, field: &Field<'_>) -> bool {
        (self.underscores == Underscores::Drop && has_underscore(field.name)) || self.has(field.name)
    }

    /// Whether no trailer may have a field of this name. It comes too late for the request to be refused, so what would have it
    /// refused is left out.
    pub fn withholds(&self, name: &[u8]) -> bool {
        (self.underscores != Underscores::Keep && has_underscore(name)) || self.has(name)
    }

    /// What policies look for credentials in: fields that are left, and those of all that were there which are taken out and may
    /// be credentials. `None`: there are none.
    pub fn judged<'f>(&self, all: &[Field<'f>], left: &[Field<'f>]) -> Option<EditedFields<'f>> {
        let is_credential = |field: &&Field<'_>| {
            let is_sought = self.credentials.iter().any(|name| field.name.eq_ignore_ascii_case(name));
            is_sought && (self.underscores != Underscores::Drop || !has_underscore(field.name))
        };
        if self.credentials.is_empty() || !all.iter().any(|field| is_credential(&field)) {
            return None;
        }
        Some(left.iter().chain(all.iter().filter(is_credential)).copied().collect())
    }

    /// Whether a field is one of them, in any spelling.
    pub fn has(&self, name: &[u8]) -> bool {
        self.names.iter().any(|owned| same_field(owned, name))
    }
}
