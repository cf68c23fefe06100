//! The `decide` contract: JSON in, JSON out (ARCHITECTURE.md).

use crate::ir::Transport;
use crate::path_normalization::PathNormalization;
use crate::policy::{ClientCertificate, Identity, Said};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::net::IpAddr;

/// Name and value pairs as JSON carries them.
pub type Headers = Vec<(String, String)>;

/// What a client of HTTP speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    Http,
    Https,
}

/// A request to decide on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    pub bind_port: u16,
    #[serde(default, deserialize_with = "read_address")]
    pub address: Option<IpAddr>,
    #[serde(default)]
    pub sni: Option<String>,
    /// What the client speaks; `None`: what the socket does.
    #[serde(default)]
    pub scheme: Option<Scheme>,
    pub method: String,
    pub authority: String,
    pub target: String,
    #[serde(default)]
    pub path_normalization: PathNormalization,
    #[serde(default)]
    pub headers: Headers,
    #[serde(default)]
    pub entropy: u64,
    #[serde(default)]
    pub response: Option<Reply>,
    /// The address of who asks; absent: nobody can say.
    #[serde(default)]
    pub from: Option<IpAddr>,
    /// Who is taken to have proved who they are.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// What the listener validated of its connection.
    #[serde(default)]
    pub certificate: Option<ClientCertificate>,
}

/// Empty stands for the first socket of the port.
fn read_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    let text: Cow<'de, str> = Deserialize::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom(format_args!("address: {text:?} is no IP address")))
}

/// A connection, or a client's datagrams, to decide on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Request {
    pub transport: Transport,
    pub bind_port: u16,
    #[serde(default, deserialize_with = "read_address")]
    pub address: Option<IpAddr>,
    /// The server name of the `ClientHello`.
    #[serde(default)]
    pub sni: Option<String>,
    #[serde(default)]
    pub entropy: u64,
    /// As of a request.
    #[serde(default)]
    pub from: Option<IpAddr>,
    #[serde(default)]
    pub certificate: Option<ClientCertificate>,
}

/// A response: the backend's sample, or what the gateway writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub status: u16,
    #[serde(default)]
    pub headers: Headers,
}

/// The request as it is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    pub method: String,
    pub authority: String,
    pub target: String,
    pub headers: Headers,
}

/// What happens to a request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub outcome: &'static str,
    pub status: u16,
    pub reason: &'static str,
    pub listener: Option<String>,
    pub rule: Option<String>,
    #[serde(rename = "match")]
    pub match_index: Option<u32>,
    pub backend: Option<usize>,
    pub endpoints: Vec<String>,
    pub request: Option<Message>,
    pub mirrors: Vec<String>,
    pub response: Option<Reply>,
    /// What policies said, up to the first that refuses.
    pub policies: Vec<Said>,
}

impl Decision {
    pub(super) fn respond(status: u16, reason: &'static str) -> Self {
        Self {
            outcome: "respond",
            status,
            reason,
            listener: None,
            rule: None,
            match_index: None,
            backend: None,
            endpoints: Vec::new(),
            request: None,
            mirrors: Vec::new(),
            response: Some(Reply { status, headers: Vec::new() }),
            policies: Vec::new(),
        }
    }

    pub(super) fn close(reason: &'static str) -> Self {
        Self { outcome: "close", response: None, ..Self::respond(0, reason) }
    }

    /// What policies add to every response.
    pub(super) fn with_appended(mut self, fields: Headers) -> Self {
        if let Some(response) = &mut self.response {
            response.headers.extend(fields);
        }
        self
    }

    pub(super) fn with_headers(mut self, headers: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        if let Some(response) = &mut self.response {
            response.headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        }
        self
    }
}
