//! Every setting and limit of the engine, with its unit, its default, and the attack or fault that it stops.

mod bounds;

use route::path_normalization::PathNormalization;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The largest window of HTTP/2 (RFC 9113 section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The window that every HTTP/2 connection begins with (RFC 9113 section 6.9.2).
const MIN_WINDOW: u32 = 65_535;

/// Settings as JSON gives them; absent ones have their default. Times are in milliseconds, sizes in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Threads that serve traffic. 0: one per core that this process may use.
    pub workers: usize,
    /// Where `/healthz`, `/readyz`, `/metrics` and `/config` are served; absent: nowhere.
    pub admin: Option<SocketAddr>,
    pub access_log: AccessLog,
    /// Where keys of identity providers are kept for the next start; absent: nowhere.
    pub state_directory: Option<PathBuf>,
    /// Client connections per worker; further ones wait in the kernel. Stops descriptor exhaustion.
    pub max_connections: usize,
    /// How long a client's connection takes requests; up to a tenth less, so that they do not end together. 0: for ever. Stops
    /// old connections from outliving what clients have to prove now. Requests under way and tunnels go on.
    pub max_connection_age_ms: u64,
    /// Requests of one connection; 0: any number.
    pub max_connection_requests: u32,
    /// A request head, as a list of fields (RFC 9113 section 6.5.2). Stops header bombs.
    pub max_head_bytes: usize,
    /// The target of a request. Stops those that backends would choke on.
    pub max_target_bytes: usize,
    /// Fields of a request head. Stops heads of many small fields, which cost more than their size.
    pub max_head_fields: usize,
    /// The head of a backend's response. Stops backends that never come to an end.
    pub max_response_head_bytes: usize,
    /// Fields of the head of a response. Stops heads of many small fields, as of requests.
    pub max_response_head_fields: usize,
    /// A request body; 0: any. Stops uploads that a backend should not have to see.
    pub max_body_bytes: u64,
    /// From the first byte of a head to its last. Stops slow heads (Slowloris).
    pub head_timeout_ms: u64,
    /// Between requests on one connection. Frees what silent clients hold.
    pub idle_timeout_ms: u64,
    /// Without a byte of a request's body that is waited for. Stops slow uploads. Streams of gRPC, and what comes after the
    /// response has begun, may be silent.
    pub request_body_timeout_ms: u64,
    /// Without a byte of a response taken by its client. Stops clients that do not read, and zero windows.
    pub response_read_timeout_ms: u64,
    /// Without a byte moved in either direction, whoever is waited for: the two limits before are at most as long. Stops
    /// backends that say nothing; also bytes that wait on a TCP or TLS connection that is not HTTP, or no longer.
    pub stall_timeout_ms: u64,
    /// A TLS handshake with a client. Stops half-done handshakes.
    pub handshake_timeout_ms: u64,
    /// Streams that one HTTP/2 client may have open.
    pub http2_max_streams: u32,
    /// Bytes that one stream may send ahead of us: what an upload to a backend that does not read holds.
    pub http2_stream_window: u32,
    /// The same for all streams of a connection, and so its memory. Absent: room for every stream's window (32 MiB by
    /// default). With less, uploads that stand still stop the others of their connection.
    pub http2_connection_window: Option<u32>,
    /// Silence of an HTTP/2 client or backend with open streams after which it is asked by PING whether it is there; it has as
    /// long to answer. 0: never. Stops peers that are gone behind a system that is not.
    pub http2_ping_after_ms: u64,
    /// A connection to a backend, TLS handshake included.
    pub upstream_connect_timeout_ms: u64,
    /// Idle time of a pooled connection; below the backends' own, so that they do not close under a request.
    pub upstream_idle_timeout_ms: u64,
    /// Idle connections per endpoint and worker. Where as many requests come at once, those beyond it have to connect.
    pub upstream_idle_per_endpoint: usize,
    /// Bytes of a request body that are kept, so that it can be sent again; a larger one is sent once. Bounds what retries
    /// take of memory.
    pub retry_buffer_bytes: usize,
    /// Bytes of all request bodies that are collected before a backend or a service is asked. Stops uploads from taking the
    /// memory of others.
    pub body_buffer_bytes: usize,
    /// Bytes of a request that may wait for one of its mirrors. Stops mirrors that are slow from taking memory.
    pub mirror_buffer_bytes: usize,
    /// Without a byte in either direction on a TCP or TLS connection that is not HTTP, or no longer (WebSocket). Frees
    /// what dead peers hold.
    pub l4_idle_timeout_ms: u64,
    /// Without a datagram in either direction of a UDP session.
    pub udp_idle_timeout_ms: u64,
    /// UDP sessions per worker; datagrams of further clients are dropped. Stops floods with forged senders.
    pub udp_max_sessions: usize,
    /// What is done to paths before they are matched and forwarded. `Strict` stops requests that a rule sees otherwise than
    /// its backend, such as `/x/../admin`.
    pub path_normalization: PathNormalization,
    /// Addresses of proxies whose forwarding fields are believed.
    pub trusted_proxies: Vec<IpNetwork>,
    /// Where this gateway is, as endpoints say where they are; empty: not known. Services may want traffic to stay near.
    pub zone: String,
    pub node: String,
    /// Names of external hosts may come to addresses of this machine. Else whoever may name a host reaches what listens on
    /// loopback only.
    pub local_external_hosts: bool,
}

/// Where access log lines go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLog {
    pub enabled: bool,
    /// Absent: standard output, or standard error.
    pub path: Option<String>,
    /// Lines go to standard error where there is no path.
    pub standard_error: bool,
    /// Lines are text for people, not JSON.
    pub text: bool,
    /// Text has colours.
    pub color: bool,
    /// Seconds that the clock of text is ahead of UTC.
    pub utc_offset: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 0,
            admin: None,
            access_log: AccessLog::default(),
            state_directory: None,
            max_connections: 16_384,
            max_connection_age_ms: 3_600_000,
            max_connection_requests: 0,
            max_head_bytes: 64 * 1024,
            max_target_bytes: 60 * 1024,
            max_head_fields: 256,
            max_response_head_bytes: 256 * 1024,
            max_response_head_fields: 384,
            max_body_bytes: 0,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            request_body_timeout_ms: 60_000,
            response_read_timeout_ms: 60_000,
            stall_timeout_ms: 300_000,
            handshake_timeout_ms: 10_000,
            http2_max_streams: 128,
            http2_stream_window: 256 * 1024,
            http2_connection_window: None,
            http2_ping_after_ms: 30_000,
            upstream_connect_timeout_ms: 5_000,
            upstream_idle_timeout_ms: 30_000,
            upstream_idle_per_endpoint: 1024,
            retry_buffer_bytes: 64 * 1024,
            body_buffer_bytes: 64 * 1024 * 1024,
            mirror_buffer_bytes: 1024 * 1024,
            l4_idle_timeout_ms: 3_600_000,
            udp_idle_timeout_ms: 60_000,
            udp_max_sessions: 16_384,
            path_normalization: PathNormalization::Strict,
            trusted_proxies: Vec::new(),
            zone: String::new(),
            node: String::new(),
            local_external_hosts: false,
        }
    }
}

impl Settings {
    /// `None`: any age.
    pub fn max_connection_age(&self) -> Option<Duration> {
        (self.max_connection_age_ms > 0).then(|| Duration::from_millis(self.max_connection_age_ms))
    }

    pub fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    /// Nobody is waited for longer than the stall limit.
    pub fn request_body_timeout(&self) -> Duration {
        Duration::from_millis(self.request_body_timeout_ms.min(self.stall_timeout_ms))
    }

    /// As [`Self::request_body_timeout`].
    pub fn response_read_timeout(&self) -> Duration {
        Duration::from_millis(self.response_read_timeout_ms.min(self.stall_timeout_ms))
    }

    pub fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }

    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// Window of a client's HTTP/2 connection, in bytes.
    pub fn connection_window(&self) -> u32 {
        let whole = self.http2_max_streams.saturating_mul(self.http2_stream_window);
        self.http2_connection_window.unwrap_or(whole).min(MAX_WINDOW)
    }

    /// Silence after which the peer of an HTTP/2 connection is asked; `None`: it never is.
    pub fn http2_ping_after(&self) -> Option<Duration> {
        (self.http2_ping_after_ms > 0).then(|| Duration::from_millis(self.http2_ping_after_ms))
    }

    pub fn upstream_connect_timeout(&self) -> Duration {
        Duration::from_millis(self.upstream_connect_timeout_ms)
    }

    pub fn upstream_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.upstream_idle_timeout_ms)
    }

    pub fn l4_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.l4_idle_timeout_ms)
    }

    pub fn udp_idle_timeout(&self) -> Duration {
        Duration::from_millis(self.udp_idle_timeout_ms)
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }

    /// Threads to start.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_start(&network.octets(), &address.octets(), self.prefix),
            (IpAddr::V6(network), IpAddr::V6(address)) => same_start(&network.octets(), &address.octets(), self.prefix),
            _ => false,
        }
    }
}

fn same_start(network: &[u8], address: &[u8], prefix: u8) -> bool {
    let (bytes, bits) = (usize::from(prefix / 8), prefix % 8);
    network[..bytes] == address[..bytes] && (bits == 0 || (network[bytes] ^ address[bytes]) >> (8 - bits) == 0)
}

impl TryFrom<String> for IpNetwork {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.as_str(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| format!("{text} is not an address or network"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or_else(|| format!("{text}: the prefix length is not between 0 and {longest}"))?,
        };
        Ok(Self { address, prefix })
    }
}

impl From<IpNetwork> for String {
    fn from(network: IpNetwork) -> Self {
        format!("{}/{}", network.address, network.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::IpNetwork;

    #[test]
    fn networks() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.0.0.0/9", "10.128.0.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("2001:db8::/32", "2001:db8:8000::1", true),
            ("10.0.0.0/8", "::1", false),
        ] {
            let parsed = IpNetwork::try_from(network.to_owned()).unwrap();
            assert_eq!(parsed.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        assert!(IpNetwork::try_from("10.0.0.0/33".to_owned()).is_err());
        assert!(IpNetwork::try_from("x".to_owned()).is_err());
    }
}
