//! What policies see of a request or a connection, and what they leave behind.

use super::{AnswerField, ClientCertificate};
use codec::Field;
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
    /// The server name of the TLS handshake, lower case.
    pub sni: Option<&'r str>,
    /// Ids of the listener, the route and the rule.
    pub listener: &'r str,
    pub route: &'r str,
    pub rule: &'r str,
    pub rule_uid: u64,
    /// As the head declares it; `None`: it streams.
    pub body_length: Option<u64>,
    /// Of the connection, validated by its listener.
    pub certificate: Option<&'r ClientCertificate>,
    /// Who is taken to have proved who they are, where a decision is only tried (`decide`).
    pub assumed: Option<&'r Identity>,
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

/// A credential of a request that its backend does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Fields of this name, in any spelling.
    Field(Cow<'static, str>),
    Cookie(String),
    /// Pairs of the query with this name.
    Query(String),
}

/// What the steps so far have found out about a request, and done to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    pub identity: Option<Identity>,
    /// Set towards the backend, before the rule's filters, which may edit them. Each is one of the policy's `owned_fields`.
    pub forward: Vec<AnswerField>,
    /// Appended to the response, whoever gives it.
    pub respond: Vec<AnswerField>,
    pub removed: Vec<Removal>,
}

impl Passage {
    /// Add what somebody has found out.
    pub fn add(&mut self, found: Self) {
        self.identity = found.identity.or(self.identity.take());
        self.forward.extend(found.forward);
        self.respond.extend(found.respond);
        self.removed.extend(found.removed);
    }

    /// The request goes on as it came.
    pub fn is_plain(&self) -> bool {
        self.forward.is_empty() && self.removed.is_empty()
    }
}
