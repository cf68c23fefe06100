//! What policies see of a request or a connection, and what they leave behind.

use super::{AnswerField, ClientCertificate, QueryEdits, Removal, Removed, SentHead, is_forwardable, same_field};
use codec::{Field, is_value};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

/// What a policy sees of a request. All of it is what goes on to the backend, but for what policies themselves take out.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'r> {
    /// Who asks: computed once, the same for all policies, limits and logs. `None`: nobody can say; that is in no range of
    /// addresses, so nothing that allows by address holds, and everything that denies by address does.
    pub address: Option<IpAddr>,
    pub method: &'r str,
    pub scheme: &'r str,
    /// Lower case, without port.
    pub host: &'r str,
    /// As sent.
    pub authority: &'r [u8],
    /// Normalised.
    pub path: &'r str,
    pub query: Option<&'r str>,
    /// With the edits of the listener's filters, and without what policies may set; credentials are still among them.
    pub fields: &'r [Field<'r>],
    /// Those that conditions ask: as the backend is told where a request comes from ([`told`](super::told)); `None`: as they are.
    pub told: Option<&'r [Field<'r>]>,
    /// As the client sent them, whatever was edited since.
    pub sent: SentHead<'r>,
    /// The server name of the TLS handshake, lower case.
    pub sni: Option<&'r str>,
    /// Ids of the listener, the route and the rule.
    pub listener: &'r str,
    pub route: &'r str,
    pub rule: &'r str,
    pub rule_uid: u64,
    /// The rule is one of a `GRPCRoute`: both sides may speak at once.
    pub grpc: bool,
    /// As the head declares it; `None`: it streams.
    pub body_length: Option<u64>,
    /// Of the connection, validated by its listener.
    pub certificate: Option<&'r ClientCertificate>,
    /// Who is taken to have proved who they are, where a decision is only tried (`decide`).
    pub assumed: Option<&'r Identity>,
}

impl<'r> Facts<'r> {
    /// The fields that conditions ask.
    pub fn told(&self) -> &'r [Field<'r>] {
        self.told.unwrap_or(self.fields)
    }
}

/// What a policy sees of a connection, or of the datagrams of one client.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionFacts<'c> {
    /// As [`Facts::address`].
    pub address: Option<IpAddr>,
    pub sni: Option<&'c str>,
    pub listener: &'c str,
    pub route: &'c str,
    pub rule: &'c str,
    pub rule_uid: u64,
    /// `None`: its handshake is not done yet.
    pub certificate: Option<Option<&'c ClientCertificate>>,
    /// Who that is, where a policy takes it for a proof ([`user_of_connection`](super::user_of_connection)), and the place of
    /// that one at the listener, as of [`Passage::proved_by`].
    pub user: Option<(&'c str, Option<usize>)>,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    Certificate,
    ApiKey,
    Jwt,
    Basic,
    External,
}

/// Who asks, proved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub proof: Proof,
    #[serde(default)]
    pub user: String,
    #[serde(default)]
    pub claims: Arc<Map<String, Value>>,
    #[serde(default)]
    pub scopes: Vec<String>,
}

impl Identity {
    /// Somebody of whom nothing is known but the name.
    pub fn of(proof: Proof, user: &str) -> Self {
        Self { proof, user: user.to_owned(), claims: Arc::default(), scopes: Vec::new() }
    }
}

/// The name of a field in which policies may tell backends something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardField(String);

impl ForwardField {
    /// `None`: it is no such name, or empty.
    pub fn of(name: &str) -> Option<Self> {
        is_forwardable(name).then(|| Self(name.to_owned()))
    }
}

impl Proof {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::ApiKey => "apiKey",
            Self::Jwt => "jwt",
            Self::Basic => "basic",
            Self::External => "external",
        }
    }
}

/// Fields that policies add to an answer that is no error. In a box, since hardly a request has any and all carry the place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfSuccess(pub Vec<AnswerField>);

/// What the steps so far have found out about a request, and done to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage<'p> {
    /// Shared by the requests that proved the same.
    pub identity: Option<Arc<Identity>>,
    /// Place at the listener of the credentials that proved it ([`Level::place`](super::Level::place)).
    pub proved_by: Option<usize>,
    /// Set towards the backend, before the rule's filters, which may edit them; by [`Self::tell`] and [`Self::add`].
    pub forward: Vec<AnswerField>,
    /// Credentials towards single backends of the rule, by their place, until one is [chosen](Self::chosen).
    pub of_backends: Vec<(usize, AnswerField)>,
    /// Appended to the response, whoever gives it.
    pub respond: Vec<AnswerField>,
    /// The same, where it is no error.
    pub respond_to_success: Option<Box<OfSuccess>>,
    pub removed: Removed<'p>,
    /// What is changed of the query on the way to the backend.
    pub query: Option<Box<QueryEdits>>,
}

impl Passage<'_> {
    /// Somebody proved who they are, by credentials with this place at the listener. The first proof counts: an overriding one
    /// comes before all others.
    pub fn prove(&mut self, identity: Arc<Identity>, place: Option<usize>) {
        if self.identity.is_none() {
            (self.identity, self.proved_by) = (Some(identity), place);
        }
    }

    /// Tell the backend who asks. The first who proved it counts, as for [`Self::identity`]: a field is not told twice.
    pub fn tell(&mut self, name: Cow<'static, str>, value: Vec<u8>) {
        if is_forwardable(&name) && self.may_tell(&name, &value) {
            self.forward.push((name, value));
        }
    }

    /// As [`Self::tell`], by the field that a policy has for it, where it has one.
    pub fn tell_user(&mut self, by: Option<&ForwardField>, user: &str) {
        if let Some(ForwardField(name)) = by
            && self.may_tell(name, user.as_bytes())
        {
            self.forward.push((Cow::Owned(name.clone()), user.as_bytes().to_vec()));
        }
    }

    /// Add what somebody has found out who was asked. What it removes it may say itself, in several fields of a name.
    pub fn add(&mut self, found: Passage<'static>) {
        if let Some(identity) = found.identity {
            self.prove(identity, found.proved_by);
        }
        self.forward.retain(|(name, _)| !found.removed.iter().any(|removal| removal.takes(name.as_bytes())));
        let may_tell = |(name, value): &AnswerField| is_forwardable(name) && self.may_tell(name, value);
        let told: Vec<_> = found.forward.into_iter().filter(may_tell).collect();
        self.forward.extend(told);
        self.of_backends.extend(found.of_backends);
        self.respond.extend(found.respond);
        if let Some(more) = found.respond_to_success {
            self.respond_to_success.get_or_insert_default().0.extend(more.0);
        }
        self.removed.append(found.removed);
        if let Some(query) = found.query {
            self.query.get_or_insert_default().extend(*query);
        }
    }

    /// A credential of the gateway's own: what the client sent under its name does not go on, in any spelling, nor what
    /// others told there.
    pub fn give(&mut self, (name, value): AnswerField) {
        self.forward.retain(|(told, _)| !same_field(told.as_bytes(), name.as_bytes()));
        self.removed.push(Removal::Field(name.clone()));
        self.forward.push((name, value));
    }

    /// The request goes to the backend of its rule that has this place.
    pub fn chosen(&mut self, backend: usize) {
        if self.of_backends.is_empty() {
            return;
        }
        for (place, field) in std::mem::take(&mut self.of_backends) {
            if place == backend {
                self.give(field);
            }
        }
    }

    /// A value with blanks around it would be another one: that of somebody else, maybe.
    fn may_tell(&self, name: &str, value: &[u8]) -> bool {
        is_value(value)
            && value.trim_ascii() == value
            && !self.forward.iter().any(|(told, _)| same_field(told.as_bytes(), name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, Passage, Proof};
    use crate::policy::{AnswerField, Removal};
    use std::sync::Arc;

    fn fields(pairs: &[(&'static str, &str)]) -> Vec<AnswerField> {
        pairs.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect()
    }

    fn identity(user: &str) -> Arc<Identity> {
        Arc::new(Identity::of(Proof::Basic, user))
    }

    #[test]
    fn the_first_proof_is_told() {
        let mut passage = Passage { identity: Some(identity("bob")), ..Passage::default() };
        for (name, value) in fields(&[
            ("x-user", "bob"),
            ("X_User", "ann"),
            ("transfer-encoding", "chunked"),
            ("host", "a"),
            ("x-padded", " bob "),
            ("x-broken", "a\r\nb: c"),
            ("", "bob"),
        ]) {
            passage.tell(name, value);
        }
        let found =
            Passage { forward: fields(&[("X-USER", "eve")]), identity: Some(identity("eve")), ..Passage::default() };
        passage.add(found);
        assert_eq!(passage.forward, fields(&[("x-user", "bob")]));
        assert_eq!(passage.identity, Some(identity("bob")));
    }

    #[test]
    fn a_service_replaces_and_removes_what_was_told_before() {
        let mut passage =
            Passage { forward: fields(&[("x-user", "bob"), ("x-mail", "b"), ("x-role", "r")]), ..Passage::default() };
        let forward = fields(&[("x_user", "eve"), ("x_user", "eva"), ("content-length", "5"), ("x-role", "root")]);
        let removed = vec![Removal::Field("x_user".into()), Removal::Field("X-Mail".into())];
        passage.add(Passage { forward, removed: removed.into(), ..Passage::default() });
        assert_eq!(passage.forward, fields(&[("x-role", "r"), ("x_user", "eve"), ("x_user", "eva")]));
    }
}
