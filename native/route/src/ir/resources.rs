//! Listeners, backends, endpoints and secrets.

use super::http::{Filter, HttpRule};
use super::l4::L4Rule;
use super::policies::Policy;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The resources that a transaction adds or replaces, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    pub listeners: Vec<Listener>,
    pub attachments: Vec<Attachment>,
    pub http_rules: Vec<HttpRule>,
    pub l4_rules: Vec<L4Rule>,
    pub backends: Vec<Backend>,
    pub endpoints: Vec<Endpoint>,
    pub policies: Vec<Policy>,
    pub trust: Vec<Trust>,
    pub replicas: Vec<Replicas>,
}

/// Key material. Never shown by `/config`, `translate` or any log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    pub certificates: Vec<Certificate>,
    pub session_tickets: Vec<SessionTickets>,
    pub policy_secrets: Vec<PolicySecret>,
}

/// Ids of the resources that a transaction removes, by kind. Removing what is not there is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Removals {
    pub listeners: Vec<String>,
    pub attachments: Vec<String>,
    pub http_rules: Vec<String>,
    pub l4_rules: Vec<String>,
    pub backends: Vec<String>,
    pub endpoints: Vec<String>,
    pub policies: Vec<String>,
    pub trust: Vec<String>,
    pub replicas: Vec<String>,
    pub certificates: Vec<String>,
    pub session_tickets: Vec<String>,
    pub policy_secrets: Vec<String>,
}

/// One listener of a Gateway or a `ListenerSet` (`Gateway.spec.listeners[]`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// `Gateway/<namespace>/<name>/<section>` or `ListenerSet/<namespace>/<name>/<section>`.
    pub id: String,
    /// `<namespace>/<name>` of the Gateway.
    pub gateway: String,
    /// Addresses to bind. Empty: every address, IPv4 and IPv6.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// As clients see it, what redirects speak of: `listeners[].port`, with the port offset.
    pub port: u16,
    /// The port that is bound; differs from `port` under `--port-offset` and in shared mode. 0 lets the system choose.
    pub bind_port: u16,
    pub protocol: ListenerProtocol,
    /// Lower case; empty: any host; `*.example.com`: one or more labels before `example.com`.
    #[serde(default)]
    pub hostname: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Certificate id of `Gateway.spec.tls.backend.clientCertificateRef`: presented to TLS backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_certificate: Option<String>,
    /// Request header edits that come before a rule is chosen (GEP-5224), edits of whatever answers, and an answer to all that have
    /// a rule; other kinds refuse the transaction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Policy ids, of its Gateway, its `ListenerSet` and itself, in the order in which they act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// Listeners of one Gateway that rules are attached to together: said once, however many rules name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// `<namespace>/<name>` of the Gateway, `/`, and a digest of the listeners.
    pub id: String,
    /// `<namespace>/<name>` of the Gateway.
    pub gateway: String,
    /// Ids of the listeners.
    pub listeners: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ListenerProtocol {
    Http,
    /// Terminates TLS and speaks HTTP. May share a socket with `Tls`: the SNI decides.
    Https,
    /// With `tls` it terminates, without it passes connections through.
    Tls,
    Tcp,
    Udp,
}

/// What a listener binds below its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Tcp,
    Udp,
}

impl ListenerProtocol {
    pub const fn transport(self) -> Transport {
        match self {
            Self::Http | Self::Https | Self::Tls | Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }

    /// Connections begin with a TLS `ClientHello`, whose server name chooses the listener.
    pub const fn begins_with_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// What a client of it says in a URI.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http | Self::Tls | Self::Tcp | Self::Udp => "http",
        }
    }

    /// Requests are routed, not connections.
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Listeners of both may stand on one socket.
    pub fn shares_socket_with(self, other: Self) -> bool {
        self == other || (self.begins_with_tls() && other.begins_with_tls())
    }
}

/// TLS termination at a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// Certificate ids, in the order written; `docs/tls.md` says which one a client gets.
    pub certificates: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_validation: Option<ClientValidation>,
}

/// Frontend client-certificate validation (`Gateway.spec.tls.frontend`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientValidation {
    pub mode: ClientValidationMode,
    /// Trust ids whose certificates sign accepted client certificates.
    pub trust: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientValidationMode {
    AllowValidOnly,
    AllowInsecureFallback,
}

/// One port of one Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// `<namespace>/<service>:<port>`.
    pub id: String,
    #[serde(default)]
    pub protocol: BackendProtocol,
    /// Policy ids, in the order in which they act; of several of one kind the first counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Its endpoints are reached by datagrams.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub datagrams: bool,
    /// Its endpoints are what this name comes to, and no resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalHost>,
}

/// A host outside the cluster (`XBackend`, a Service of type `ExternalName`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalHost {
    /// Lower case, without a dot at its end.
    pub hostname: String,
    pub port: u16,
}

/// From `Service.spec.ports[].appProtocol` (GEP-1911).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendProtocol {
    /// HTTP/1.1; with TLS, ALPN decides between HTTP/2 and HTTP/1.1. An upgrade (WebSocket) goes over HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 whatever ALPN would offer (`kubernetes.io/ws`, `kubernetes.io/wss`).
    Http1,
    /// HTTP/2 with prior knowledge (`kubernetes.io/h2c`).
    H2c,
}

/// One address and port that serves a backend (an `EndpointSlice` endpoint).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `<backend id>@<address>:<port>`.
    pub id: String,
    pub backend: String,
    pub address: IpAddr,
    pub port: u16,
    #[serde(default)]
    pub state: EndpointState,
    /// Zones and nodes whose traffic should go here, where the Service wants it to stay near.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// `EndpointSlice` conditions. Ready endpoints take all traffic; draining ones only when none is ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndpointState {
    #[default]
    Ready,
    /// Serving and terminating.
    Draining,
}

/// A bundle of CA certificates, PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    pub id: String,
    pub pem: String,
}

/// A certificate chain and its key, PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// `<namespace>/<secret>`.
    pub id: String,
    pub chain: String,
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Certificate").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How many pods share budgets, this one among them; without it it is alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// `<namespace>/<name>` of the data plane.
    pub id: String,
    pub pods: std::num::NonZeroU32,
}

/// What a policy knows and nobody else may: passwords, keys, tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySecret {
    /// Id of the policy, and `/<part>` where it has several.
    pub id: String,
    /// In the form of its kind.
    pub data: String,
}

impl std::fmt::Debug for PolicySecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PolicySecret").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the session tickets of a Gateway's listeners are encrypted with, the same for all of its replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTickets {
    /// `<namespace>/<name>` of the Gateway.
    pub id: String,
    /// In any order; the newest makes tickets, those before it are good for theirs.
    pub keys: Vec<TicketKey>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketKey {
    /// 32 random bytes in hexadecimal digits.
    pub secret: String,
    /// Seconds since 1970.
    pub created: i64,
}

impl TicketKey {
    /// Bytes of a secret.
    pub const LENGTH: usize = 32;

    /// The secret; `None`: it has another length, or other characters than hexadecimal digits.
    pub fn bytes(&self) -> Option<[u8; Self::LENGTH]> {
        let pairs = self.secret.as_bytes().chunks(2);
        let byte = |pair: &[u8]| match *pair {
            [high, low] => u8::try_from(char::from(high).to_digit(16)? << 4 | char::from(low).to_digit(16)?).ok(),
            _ => None,
        };
        pairs.map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
    }
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TicketKey").field("created", &self.created).finish_non_exhaustive()
    }
}
