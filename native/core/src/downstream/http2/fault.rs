//! HTTP/2 connections that end because their clients break the rules of the protocol, or flood: a line in the access log and
//! a figure for each, as failed handshakes have. What is wrong with one stream alone ends that stream.

use crate::message::client::Client;
use crate::observe::l4::{L4Reason, L4Record};
use h2::Reason;
use std::io::ErrorKind;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Why a connection has to end, and what exactly went wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    flood: bool,
    detail: String,
}

impl Fault {
    /// Of the error that ended a connection. `None`: the client left, or said so itself.
    pub fn of(error: &h2::Error) -> Option<Self> {
        if let Some(io) = error.get_io() {
            // The meter of frames says so; what a socket or TLS says is of another kind.
            return (io.kind() == ErrorKind::Other).then(|| Self { flood: true, detail: io.to_string() });
        }
        if error.is_remote() {
            return None;
        }
        let reason = error.reason()?;
        Some(Self { flood: reason == Reason::ENHANCE_YOUR_CALM, detail: reason.description().to_owned() })
    }

    /// Of streams that were opened and reset at once.
    pub fn resets() -> Self {
        Self { flood: true, detail: "too many requests that were reset at once".to_owned() }
    }

    /// Count it, and write its line. `opened`: when the connection began to speak.
    pub fn tell(&self, client: &Client, opened: Instant) {
        client.worker.metrics.http2_fault(self.flood);
        let log = &client.worker.shared.access_log;
        if !log.is_enabled() {
            return;
        }
        let duration_ms = opened.elapsed().as_secs_f64() * 1000.0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let reason = if self.flood { L4Reason::Http2Flood } else { L4Reason::Http2Protocol };
        log.push(&L4Record {
            time: now - duration_ms / 1000.0,
            duration_ms,
            client: &client.peer.ip().to_canonical().to_string(),
            protocol: "HTTP/2",
            tls: client.sni().map(|_| "terminate"),
            sni: client.sni(),
            error: Some(reason.name()),
            error_detail: Some(&self.detail),
            ..L4Record::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;
    use h2::Reason;

    #[test]
    fn whose_fault_it_is() {
        let of = |reason: Reason| Fault::of(&reason.into());
        let is_flood = |reason| of(reason).map(|fault| fault.flood);
        assert_eq!(
            (is_flood(Reason::ENHANCE_YOUR_CALM), is_flood(Reason::COMPRESSION_ERROR)),
            (Some(true), Some(false))
        );
        assert!(Fault::resets().flood);
    }
}
