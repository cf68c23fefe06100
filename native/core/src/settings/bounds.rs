//! What each setting may be. Times end in the clock's reach: what is added to now must not overflow.

use super::Settings;
use std::ops::RangeInclusive;

/// An hour and a day, in milliseconds.
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Threads: more than any machine has cores.
const MAX_WORKERS: u64 = 256;

impl Settings {
    /// # Errors
    /// The first setting that cannot be used, and what it may be; `docs/settings.md` has the same figures.
    pub fn check(&self) -> Result<(), String> {
        let count = |value: usize| value as u64;
        let window = u64::from(super::MIN_WINDOW)..=u64::from(super::MAX_WINDOW);
        let connection_window = self.http2_connection_window.unwrap_or(super::MAX_WINDOW);
        let bounds: [(&str, u64, RangeInclusive<u64>); 29] = [
            ("workers", count(self.workers), 0..=MAX_WORKERS),
            ("max_connections", count(self.max_connections), 1..=1_000_000),
            ("max_connection_age_ms", self.max_connection_age_ms, 0..=30 * DAY),
            ("max_connection_requests", self.max_connection_requests.into(), 0..=1_000_000_000),
            ("max_head_bytes", count(self.max_head_bytes), 1024..=1_048_576),
            ("max_target_bytes", count(self.max_target_bytes), 1024..=65_534),
            ("max_head_fields", count(self.max_head_fields), 16..=384),
            ("max_response_head_bytes", count(self.max_response_head_bytes), 1024..=1_048_576),
            ("max_response_head_fields", count(self.max_response_head_fields), 16..=384),
            ("max_body_bytes", self.max_body_bytes, 0..=1 << 40),
            ("head_timeout_ms", self.head_timeout_ms, 1..=HOUR),
            ("idle_timeout_ms", self.idle_timeout_ms, 1..=DAY),
            ("request_body_timeout_ms", self.request_body_timeout_ms, 1..=DAY),
            ("response_read_timeout_ms", self.response_read_timeout_ms, 1..=DAY),
            ("stall_timeout_ms", self.stall_timeout_ms, 1..=DAY),
            ("handshake_timeout_ms", self.handshake_timeout_ms, 1..=HOUR),
            ("http2_max_streams", self.http2_max_streams.into(), 1..=100_000),
            ("http2_stream_window", self.http2_stream_window.into(), window.clone()),
            ("http2_connection_window", connection_window.into(), window),
            ("http2_ping_after_ms", self.http2_ping_after_ms, 0..=HOUR),
            ("upstream_connect_timeout_ms", self.upstream_connect_timeout_ms, 1..=HOUR),
            ("upstream_idle_timeout_ms", self.upstream_idle_timeout_ms, 1..=DAY),
            ("upstream_idle_per_endpoint", count(self.upstream_idle_per_endpoint), 0..=100_000),
            ("retry_buffer_bytes", count(self.retry_buffer_bytes), 0..=16_777_216),
            ("body_buffer_bytes", count(self.body_buffer_bytes), 1_048_576..=68_719_476_736),
            ("mirror_buffer_bytes", count(self.mirror_buffer_bytes), 65_536..=67_108_864),
            ("l4_idle_timeout_ms", self.l4_idle_timeout_ms, 1..=DAY),
            ("udp_idle_timeout_ms", self.udp_idle_timeout_ms, 1..=DAY),
            ("udp_max_sessions", count(self.udp_max_sessions), 1..=1_000_000),
        ];
        match bounds.iter().find(|(_, value, allowed)| !allowed.contains(value)) {
            None => Ok(()),
            Some((name, value, allowed)) => {
                Err(format!("{name} is {value}; it must be between {} and {}", allowed.start(), allowed.end()))
            }
        }
    }
}
