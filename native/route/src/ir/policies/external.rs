//! External authorisation: a service that is asked about each request, and may say who it is from (GEP-1494).

use super::Need;
use crate::ir::HeaderValue;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `HTTPExternalAuthFilter`: whom to ask, what of a request, and what of the answer counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalService {
    /// Backend id; absent only where the policy is invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    pub protocol: ExternalProtocol,
    /// What the paths that are asked begin with (`http.path`); with `exact_path` a query may stand behind it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The method that it is asked by; empty: the request's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The host that it is asked for; empty: the request's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// That path alone is asked for, not what the request asks for behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact_path: bool,
    /// Fields of the request that the service is given, lower case. Of HTTP some go in any case; of gRPC none named is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
    /// Fields of its answer that go to the backend, lower case; none named is all but those of a connection and its message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_response_headers: Vec<String>,
    /// Fields that the service is given in any case, in place of those of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_headers: Vec<HeaderValue>,
    /// Fields of an answer that lets a request on which its client gets, lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_headers: Vec<String>,
    /// Cookies go with answers of 2xx and redirects alone, not with errors.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cookies_with_success: bool,
    /// Every 2xx lets a request on, else 200 alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_success: bool,
    /// Octets of a request's body that the service is given; a longer body is refused. 0: nothing of it.
    #[serde(default)]
    pub forward_body_bytes: usize,
    pub timeout_ms: u64,
    /// A service that gives no answer is taken to be content (`onUnavailable: Allow`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_unavailable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExternalProtocol {
    Http,
    /// Envoy's `ext_authz`.
    Grpc,
}

/// An `ExternalAuth` filter of a rule or a listener. Both hold where both are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalAuth {
    /// The owner of the filter and its place: `HTTPRoute/<namespace>/<name>/<rule index>/externalAuth`.
    pub id: String,
    /// True of a listener's: a rule does not replace it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    pub service: Arc<ExternalService>,
}

impl ExternalService {
    pub fn needs(&self) -> Vec<Need<'_>> {
        self.backend.iter().map(|backend| Need::Backend(backend)).collect()
    }

    pub fn owned_fields(&self) -> Vec<&str> {
        self.allowed_response_headers.iter().map(String::as_str).collect()
    }

    /// It judges what proves something. Who a client says that it is it is not told in a field that is its own to say.
    pub fn credential_fields(&self) -> Vec<&'static str> {
        vec!["authorization", "cookie"]
    }
}

super::stanza!(ExternalAuth of "ExternalAuth", "externalAuth", [Listener, HttpRule], tightens: true, {
    fn needs(&self) -> Vec<Need<'_>> {
        self.service.needs()
    }

    fn owned_fields(&self) -> Vec<&str> {
        self.service.owned_fields()
    }

    fn credential_fields(&self) -> Vec<&str> {
        self.service.credential_fields()
    }
});
