//! `ClientPolicy`: how clients are spoken to. Of a number or a time 0 is "as the engine's settings have it", which are upper
//! bounds besides.

use super::{Need, OtlpCollector, TlsVersions};
use serde::{Deserialize, Serialize};

/// `ClientPolicy.spec.clientAddress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAddress {
    /// `ClientPolicy/<namespace>/<name>/clientAddress`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// CIDR blocks: the proxies whose `X-Forwarded-For`, or whose PROXY protocol, is believed, in place of the engine setting
    /// `trusted_proxies`.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    #[serde(default, skip_serializing_if = "AcceptProxy::is_off")]
    pub proxy_protocol: AcceptProxy,
}

super::stanza!(ClientAddress of "ClientPolicy", "clientAddress", [Listener], tightens: false);

/// Whether connections begin with a header of the PROXY protocol, which says who the client is. Ordered by how much is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AcceptProxy {
    #[default]
    #[serde(rename = "Disabled")]
    Off,
    /// Those of a trusted proxy may. Of nobody else is one looked for.
    Optional,
    /// All must, and only trusted proxies connect.
    Required,
}

impl AcceptProxy {
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// `ClientPolicy.spec.tls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// `ClientPolicy/<namespace>/<name>/tls`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    #[serde(default)]
    pub versions: TlsVersions,
}

super::stanza!(ClientTls of "ClientPolicy", "tls", [Listener], tightens: false);

/// `ClientPolicy.spec.clientCertificate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificateHeader {
    /// `ClientPolicy/<namespace>/<name>/clientCertificate`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// The field that tells backends of the certificate.
    #[serde(default)]
    pub header: String,
    /// What it tells; the order is the writer's.
    #[serde(default)]
    pub fields: Vec<CertificateField>,
}

super::stanza!(ClientCertificateHeader of "ClientPolicy", "clientCertificate", [Listener], tightens: false, {
    fn owned_fields(&self) -> Vec<&str> {
        vec![&self.header]
    }
});

/// A part of `X-Forwarded-Client-Cert`, as Envoy names it. Written in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CertificateField {
    Hash,
    Cert,
    Subject,
    #[serde(rename = "URI")]
    Uri,
    #[serde(rename = "DNS")]
    Dns,
}

/// `ClientPolicy.spec.connections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConnections {
    /// `ClientPolicy/<namespace>/<name>/connections`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Open at once at a listener, of one pod.
    #[serde(default)]
    pub max: u32,
    #[serde(default)]
    pub max_duration_ms: u64,
    #[serde(default)]
    pub max_requests: u32,
}

super::stanza!(ClientConnections of "ClientPolicy", "connections", [Listener], tightens: false);

/// `ClientPolicy.spec.timeouts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTimeouts {
    /// `ClientPolicy/<namespace>/<name>/timeouts`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// From the first byte of a head to its last.
    #[serde(default)]
    pub head_ms: u64,
    /// Between requests.
    #[serde(default)]
    pub idle_ms: u64,
    /// Of a whole request, where its route says nothing.
    #[serde(default)]
    pub request_ms: u64,
}

super::stanza!(ClientTimeouts of "ClientPolicy", "timeouts", [Listener], tightens: false);

/// `ClientPolicy.spec.headers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientHeaders {
    /// `ClientPolicy/<namespace>/<name>/headers`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Octets of a head.
    #[serde(default)]
    pub max_bytes: u64,
    /// Fields of a head.
    #[serde(default)]
    pub max_count: u32,
    #[serde(default)]
    pub underscores: Underscores,
}

super::stanza!(ClientHeaders of "ClientPolicy", "headers", [Listener], tightens: false);

/// What becomes of fields with `_` in their name, which many backends take for `-`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Underscores {
    #[default]
    Keep,
    /// They are taken out.
    Drop,
    /// The request is refused.
    Reject,
}

/// `ClientPolicy.spec.http2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientHttp2 {
    /// `ClientPolicy/<namespace>/<name>/http2`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Streams that a client may have open.
    #[serde(default)]
    pub max_streams: u32,
}

super::stanza!(ClientHttp2 of "ClientPolicy", "http2", [Listener], tightens: false);

/// `ClientPolicy.spec.body`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientBody {
    /// `ClientPolicy/<namespace>/<name>/body`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Octets that the body of a request may have; 0: any number.
    #[serde(default)]
    pub max_bytes: u64,
    /// Without an octet of a body that is waited for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout_ms: u64,
}

super::stanza!(ClientBody of "ClientPolicy", "body", [Listener, HttpRule], tightens: false);

/// `ClientPolicy.spec.accessLog`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAccessLog {
    /// `ClientPolicy/<namespace>/<name>/accessLog`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    #[serde(default)]
    pub lines: LogLines,
    /// Of those that are no errors; errors are all logged.
    #[serde(default = "all")]
    pub sample: LogSample,
    /// Who takes lines besides the log of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<OtlpCollector>,
}

super::stanza!(ClientAccessLog of "ClientPolicy", "accessLog", [Listener, HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        self.collector.as_ref().map_or_else(Vec::new, OtlpCollector::needs)
    }
});

/// Which requests have a line in the access log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogLines {
    #[default]
    All,
    /// Those that were answered 400 or more, that the gateway answered with an error, or that were not answered.
    Errors,
    None,
}

/// A share: so many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSample {
    pub numerator: u32,
    pub denominator: u32,
}

fn all() -> LogSample {
    LogSample { numerator: 1, denominator: 1 }
}

// As serde calls it.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
