//! What a `BackendPolicy` says of the endpoints of a backend.

use super::{PolicyKind, PolicyPlace, SessionCookieAttributes, TlsVersions};
use crate::ir::Session;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A `BackendPolicy` that won for its target; durations in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendPolicy {
    /// `BackendPolicy/<namespace>/<name>`.
    pub id: String,
    #[serde(default)]
    pub load_balancing: LoadBalancing,
    /// An endpoint that is new, or has come back, gets its whole share only after so long; 0: at once.
    #[serde(default)]
    pub slow_start_ms: u64,
    #[serde(default)]
    pub limits: BackendLimits,
    #[serde(default)]
    pub timeouts: BackendTimeouts,
    /// Methods that are not idempotent, and are sent again all the same where a rule's `retry` says so.
    #[serde(default)]
    pub retry_methods: Vec<String>,
    /// Since the first try began; no other one begins later. 0: any time.
    #[serde(default)]
    pub retry_within_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<PassiveHealth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Arc<ActiveHealth>>,
    /// Where fewer percent of the endpoints than this do well all of them are used; 0: never.
    #[serde(default)]
    pub panic_percent: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Requests after which a connection is used no more; 0: any number.
    #[serde(default)]
    pub max_requests: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive: Option<Keepalive>,
    #[serde(default)]
    pub tls: TlsVersions,
    /// Whatever certificate a backend shows is taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
    /// No name is sent in a `ClientHello`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// How the cookie is written that keeps sessions with it; absent: as GEP-1619 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_cookie: Option<SessionCookieAttributes>,
    /// The policy exists but cannot be honoured: requests get 500.
    #[serde(default)]
    pub invalid: bool,
}

/// How one of several endpoints is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type")]
pub enum LoadBalancing {
    /// Fewest requests under way, ties in turn.
    #[default]
    LeastRequest,
    RoundRobin,
    Random,
    /// The same one for the same key, as long as it is there; a request without any part of the key goes by `LeastRequest`.
    Hash {
        key: Vec<KeyPart>,
        /// So many for each key, and of these the one with the fewest requests under way; 0: one.
        #[serde(default)]
        subset: u32,
    },
    /// Of two at random the one that would answer sooner, by the time its answers take and what it has under way.
    PeakEwma,
}

/// A part of what is hashed. Names of fields are lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum KeyPart {
    /// The client's address.
    Client,
    /// The host that was asked for, lower case, without port.
    Host,
    Header {
        name: String,
    },
    Cookie {
        name: String,
    },
    /// The first pair of that name, decoded.
    Query {
        name: String,
    },
}

/// Of one process, all of its workers together; absent: any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendLimits {
    /// Connections that are open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Requests that are under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u32>,
    /// Requests that wait for one of the former.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u32>,
}

/// Milliseconds; 0: what the settings of the engine say, of the first byte no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackendTimeouts {
    pub connect_ms: u64,
    /// How long a connection is kept that nobody uses.
    pub idle_ms: u64,
    /// Until the head of a response, from the moment that a try began.
    pub first_byte_ms: u64,
    /// Without an octet that the backend takes or sends.
    pub stall_ms: u64,
}

/// Endpoints are judged by what comes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassiveHealth {
    /// Answers of 5xx, broken connections and time limits in a row after which an endpoint is ejected.
    pub consecutive_errors: u32,
    /// The first time; each further time in a row takes twice as long.
    pub eject_for_ms: u64,
    /// Percent of a backend's endpoints that may be ejected at once.
    pub max_ejected_percent: u8,
}

/// Endpoints are asked whether they do well; by one process, whatever number of workers it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveHealth {
    pub question: HealthQuestion,
    /// From one question to the next.
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// Questions in a row that fail, of an endpoint that did well.
    pub unhealthy_after: u32,
    /// Questions in a row that are answered well, of one that did not.
    pub healthy_after: u32,
    /// Where it is asked; 0: at the port of the endpoint.
    #[serde(default)]
    pub port: u16,
}

/// What an endpoint is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum HealthQuestion {
    /// For a connection, with TLS where TLS is spoken to the backend.
    Tcp,
    /// `GET path`.
    Http {
        path: String,
        /// Empty: the name that TLS wants, else the address.
        #[serde(default)]
        host: String,
        /// Empty: 200 to 399.
        #[serde(default)]
        statuses: Vec<u16>,
    },
    /// `grpc.health.v1.Health/Check` of a service; empty: of the server.
    Grpc {
        #[serde(default)]
        service: String,
    },
}

/// How TCP itself asks whether a silent peer is there: seconds, and questions that are not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keepalive {
    pub idle_seconds: u32,
    pub interval_seconds: u32,
    pub probes: u32,
}

/// What a connection begins with, so that the backend learns of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    V1,
    V2,
}

/// An `XBackendTrafficPolicy` that won for its target (GEP-3388, GEP-1619).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendTraffic {
    /// `XBackendTrafficPolicy/<namespace>/<name>`.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
    /// Of rules that say nothing of sessions themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// The policy exists but cannot be honoured: requests get 500.
    #[serde(default)]
    pub invalid: bool,
}

/// How much of what a backend gets may be retries, of one process; further ones are answered 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryBudget {
    /// Of the requests within the interval.
    pub percent: u8,
    pub interval_ms: u64,
    /// So many within their own interval there may be in any case.
    pub min_count: u32,
    pub min_interval_ms: u64,
}

impl PolicyKind for BackendPolicy {
    fn id(&self) -> &str {
        &self.id
    }

    fn places(&self) -> &'static [PolicyPlace] {
        &[PolicyPlace::Backend]
    }
}

impl PolicyKind for BackendTraffic {
    fn id(&self) -> &str {
        &self.id
    }

    fn places(&self) -> &'static [PolicyPlace] {
        &[PolicyPlace::Backend]
    }
}
