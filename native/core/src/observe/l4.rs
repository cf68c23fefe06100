//! What is counted and logged of connections and datagrams that are not HTTP.

use super::counter::{Counter, header};
use serde::Serialize;
use std::fmt::Write;
use std::sync::OnceLock;

macro_rules! reasons {
    ($($variant:ident = $name:literal, $meaning:literal;)*) => {
        /// Why a connection was closed, or a datagram dropped, other than by its ends.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum L4Reason { $(#[doc = $meaning] $variant,)* }

        impl L4Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Stable, `snake_case`: metric label and `error` of the access log.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    ProxyProtocol = "proxy_protocol", "the connection does not begin with a PROXY header that counts, as a policy wants it";
    ConnectionLimit = "connection_limit", "the listener has as many connections as a policy allows";
    HelloTimeout = "hello_timeout", "the client did not finish its hello in time";
    HelloMalformed = "hello_malformed", "the client began with something that is no hello";
    Http2Protocol = "http2_protocol", "an HTTP/2 client broke the rules of its protocol";
    Http2Flood = "http2_flood", "an HTTP/2 client sent too many control frames, or requests that it reset at once";
    Handshake = "handshake", "the TLS handshake with the client failed or took too long";
    NoListener = "no_listener", "no listener has the server name that the client asked for";
    NoCertificate = "no_certificate", "the listener has no certificate that can be served";
    NoRoute = "no_route", "no route is attached that takes the connection";
    PolicyInvalid = "policy_invalid", "a policy that holds for the connection cannot be honoured";
    Unauthenticated = "unauthenticated", "a policy asks for a client certificate that is not there, or is another";
    Forbidden = "forbidden", "a policy does not allow the connection";
    RateLimited = "rate_limited", "a limit is reached";
    NoBackend = "no_backend", "the rule has no backend with a weight";
    BackendInvalid = "backend_invalid", "the backend does not exist, or a policy of it cannot be honoured";
    NoEndpoint = "no_endpoint", "the backend has no ready endpoint";
    BackendOverloaded = "backend_overloaded", "the backend has as many connections as its policy allows";
    LoopDetected = "loop_detected", "the route leads back to this gateway";
    UpstreamConnect = "upstream_connect", "the backend does not accept connections";
    UpstreamConnectTimeout = "upstream_connect_timeout", "the backend did not accept a connection in time";
    UpstreamTls = "upstream_tls", "the TLS handshake with the backend failed";
    ClientReset = "client_reset", "the client broke the connection off";
    UpstreamReset = "upstream_reset", "the backend broke the connection off, or its port is unreachable";
    Idle = "idle_timeout", "nothing was sent for the idle limit";
    Stalled = "stall_timeout", "one side took nothing for the stall limit";
    Sessions = "session_limit", "there are as many UDP sessions as there may be";
    Draining = "draining", "the gateway is about to end and takes no new sessions";
    Full = "send_buffer_full", "the kernel had no room for a datagram";
    Shutdown = "shutdown", "the gateway ended";
}

/// One worker's share of the figures of a route at a listener.
#[derive(Debug, Default)]
pub struct L4Shard {
    opened: Counter,
    open: Counter,
    received_bytes: Counter,
    sent_bytes: Counter,
    received_datagrams: Counter,
    sent_datagrams: Counter,
}

impl L4Shard {
    pub fn open(&self) {
        self.opened.add(1);
        self.open.add(1);
    }

    pub fn close(&self) {
        self.open.subtract(1);
    }

    /// Bytes from a client.
    pub fn received(&self, bytes: usize) {
        self.received_bytes.add(bytes as u64);
    }

    /// Bytes to a client.
    pub fn sent(&self, bytes: usize) {
        self.sent_bytes.add(bytes as u64);
    }

    pub fn datagram_received(&self, bytes: usize) {
        self.received_datagrams.add(1);
        self.received(bytes);
    }

    pub fn datagram_sent(&self, bytes: usize) {
        self.sent_datagrams.add(1);
        self.sent(bytes);
    }
}

/// The figures of one L4 route at one listener.
#[derive(Debug, Default)]
pub struct L4Series {
    shards: Box<[OnceLock<Box<L4Shard>>]>,
}

impl L4Series {
    pub(super) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| OnceLock::new()).collect() }
    }

    /// The share of one worker; only `worker` itself may count in it. `None`: nothing is counted.
    pub fn shard(&self, worker: usize) -> Option<&L4Shard> {
        self.shards.get(worker).map(|shard| &**shard.get_or_init(Box::default))
    }

    fn sum(&self, of: impl Fn(&L4Shard) -> &Counter) -> u64 {
        self.shards.iter().filter_map(|shard| shard.get().map(|shard| of(shard).get())).sum()
    }
}

/// The reasons of one worker.
#[derive(Debug)]
pub struct L4Failures([Counter; L4Reason::ALL.len()]);

impl Default for L4Failures {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl L4Failures {
    pub fn count(&self, reason: L4Reason) {
        self.0[reason as usize].add(1);
    }

    pub fn of(&self, reason: L4Reason) -> &Counter {
        &self.0[reason as usize]
    }
}

/// One value of a series.
type Read = fn(&L4Shard) -> &Counter;

/// The figures by listener and route, labels escaped.
pub(super) fn render(text: &mut String, all: &[(String, std::sync::Arc<L4Series>)]) {
    let plain: [(&str, &str, &str, Read); 2] = [
        ("l4_connections_total", "counter", "TCP and TLS connections, and UDP sessions, that a route took.", |it| {
            &it.opened
        }),
        ("l4_connections_active", "gauge", "Those that are open.", |it| &it.open),
    ];
    for (name, kind, help, read) in plain {
        header(text, name, kind, help);
        for (labels, series) in all {
            let _ = writeln!(text, "sluicegate_{name}{{{labels}}} {}", series.sum(read));
        }
    }
    let directed: [(&str, &str, Read, Read); 2] = [
        ("l4_bytes_total", "Bytes from clients and to them.", |it| &it.received_bytes, |it| &it.sent_bytes),
        (
            "l4_datagrams_total",
            "Datagrams from clients and to them.",
            |it| &it.received_datagrams,
            |it| &it.sent_datagrams,
        ),
    ];
    for (name, help, received, sent) in directed {
        header(text, name, "counter", help);
        for (labels, series) in all {
            for (direction, read) in [("received", received), ("sent", sent)] {
                let count = series.sum(read);
                let _ = writeln!(text, "sluicegate_{name}{{{labels},direction=\"{direction}\"}} {count}");
            }
        }
    }
}

/// One line of the access log. The fields are documented in `docs/access-log.md`.
#[derive(Debug, Default, Serialize)]
pub struct L4Record<'r> {
    /// Start of the connection or session, seconds since 1970.
    pub time: f64,
    pub duration_ms: f64,
    pub client: &'r str,
    pub protocol: &'r str,
    pub tls: Option<&'r str>,
    pub sni: Option<&'r str>,
    pub listener: Option<&'r str>,
    pub route: Option<&'r str>,
    pub rule: Option<&'r str>,
    pub backend: Option<&'r str>,
    pub endpoint: Option<&'r str>,
    pub error: Option<&'r str>,
    pub error_detail: Option<&'r str>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub received_datagrams: u64,
    pub sent_datagrams: u64,
}

#[cfg(test)]
mod tests {
    use super::L4Reason;

    #[test]
    fn every_reason_is_documented() {
        let page = include_str!("../../../../docs/l4.md");
        for reason in L4Reason::ALL {
            assert!(page.contains(&format!("\n| `{}` | ", reason.name())), "{}", reason.name());
        }
    }
}
