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
    pub fn of<'p>(policies: impl IntoIterator<Item = &'p Arc<Compiled>>) -> Self {
        let policies: Vec<_> = policies.into_iter().collect();
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

    /// Fields without them, in `space`; `sent`: how many of them are the client's, and how many are left of these. `None`: all of
    /// them stay.
    pub fn left<'f>(&self, fields: &[Field<'f>], sent: usize, space: &mut EditedFields<'f>) -> Option<usize> {
        if self.is_empty() || !fields.iter().any(|field| self.takes(field)) {
            return None;
        }
        let (sent, set) = fields.split_at(sent);
        space.extend(sent.iter().filter(|field| !self.takes(field)).copied());
        let left = space.len();
        space.extend(set.iter().filter(|field| !self.has(field.name)).copied());
        Some(left)
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

#[cfg(test)]
mod tests {
    use super::OwnedFields;
    use crate::policy::Compiled;
    use crate::policy::access::samples::{fields, from};
    use crate::samples::lines;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn owned(policies: &[Value]) -> OwnedFields {
        let compiled = policies.iter().map(|ir| Arc::new(Compiled::of(from(ir.clone()), Vec::new(), Vec::new())));
        OwnedFields::of(&compiled.collect::<Vec<_>>())
    }

    /// Keys in a field, whose client the backend is told in another one.
    fn keys(sought: &str, forward: &str) -> Value {
        json!({"type": "access_api_key", "id": "AccessPolicy/a/b/apiKey", "keys": "keys", "forward_header": forward,
            "from": [{"type": "header", "name": sought}]})
    }

    fn underscores(word: &str) -> Value {
        json!({"type": "client_headers", "id": "ClientPolicy/a/b/headers", "underscores": word})
    }

    /// Who may set a field would be whoever it likes, in any spelling that a backend takes for the name.
    #[test]
    fn fields_that_clients_may_not_send() {
        let owned = owned(&[keys("x-api-key", "X-User"), keys("x-api-key", "x_user"), keys("x", "x-client")]);
        assert!(!owned.is_empty());
        for (name, is_owned) in
            [("x-user", true), ("X_USER", true), ("x.client", true), ("x-users", false), ("x-api-key", false)]
        {
            let sent = fields(&[(name, "1")]);
            assert_eq!((owned.has(name.as_bytes()), owned.takes(&sent[0])), (is_owned, is_owned), "{name}");
            assert_eq!(owned.withholds(name.as_bytes()), is_owned, "{name}");
        }
    }

    /// A request is refused for its head (`head.rs`); a trailer comes too late for that.
    #[test]
    fn names_with_underscores() {
        for (word, is_empty, takes, withholds) in
            [("Keep", true, false, false), ("Drop", false, true, true), ("Reject", false, false, true)]
        {
            let owned = owned(&[underscores(word)]);
            let found = (owned.is_empty(), owned.takes(&fields(&[("x_a", "1")])[0]), owned.withholds(b"x_a"));
            assert_eq!(found, (is_empty, takes, withholds), "{word}");
            assert!(!owned.takes(&fields(&[("x-a", "1")])[0]) && !owned.withholds(b"x-a") && !owned.has(b"x_a"));
        }
        assert_eq!(owned(&[]), OwnedFields::default());
        assert!(owned(&[]).is_empty());
    }

    /// What is taken out of a request is looked at all the same where a policy seeks credentials, as that one spells it.
    #[test]
    fn a_credential_in_a_field_that_is_owned_is_still_seen() {
        let sent = fields(&[("x-user", "key"), ("X-USER", "other"), ("x.user", "forged"), ("x-a", "1")]);
        let left = &sent[3..];
        let judged = owned(&[keys("x-user", "x-user")]).judged(&sent, left).unwrap();
        assert_eq!(lines(&judged), ["x-a: 1", "x-user: key", "X-USER: other"]);
        // It is nobody's, or nobody seeks anything there.
        assert!(owned(&[keys("x-user", "x-user")]).judged(left, left).is_none());
        assert!(owned(&[keys("x-key", "x-user")]).judged(&sent, left).is_none());
        assert!(owned(&[keys("x-user", "x-client")]).judged(&sent, left).is_none(), "it is not taken out");
        // What is dropped for its name is no credential either.
        let sent = fields(&[("x_user", "key")]);
        for (word, is_seen) in [("Keep", true), ("Drop", false)] {
            let owned = owned(&[keys("x_user", "x_user"), underscores(word)]);
            assert_eq!(owned.judged(&sent, &[]).is_some(), is_seen, "{word}");
        }
    }
}
