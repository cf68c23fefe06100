//! Why there is no connection to a backend.

use super::TlsTarget;
use nix::errno::Errno;
use rustls::AlertDescription;
use std::io;
use std::time::Duration;

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectStage {
    Tcp,
    Tls,
    Http2,
}

/// No connection. Nothing was sent, so trying elsewhere is always safe.
#[derive(Debug)]
pub struct ConnectError {
    pub stage: ConnectStage,
    pub timed_out: bool,
    /// The backend refuses HTTP/1.1, which was all that we offered: no fault of the endpoint's.
    pub no_http1: bool,
    /// We could not even ask: there is no descriptor, memory or port for another connection.
    pub exhausted: bool,
    /// The endpoint is this gateway.
    pub loops: bool,
    /// The backend has as many connections as its policy allows.
    pub overloaded: bool,
    pub reason: String,
}

impl ConnectError {
    pub(super) fn new(stage: ConnectStage, reason: &impl ToString) -> Self {
        let reason = reason.to_string();
        Self { stage, timed_out: false, no_http1: false, exhausted: false, loops: false, overloaded: false, reason }
    }

    pub(super) fn of_loop() -> Self {
        Self { loops: true, ..Self::new(ConnectStage::Tcp, &"this gateway itself listens there") }
    }

    pub(super) fn of_overload() -> Self {
        let reason = "the backend has as many connections as its policy allows";
        Self { overloaded: true, ..Self::new(ConnectStage::Tcp, &reason) }
    }

    /// Why there is no TCP connection.
    pub(super) fn tcp(error: &io::Error) -> Self {
        const OURS: [Errno; 5] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRNOTAVAIL];
        let code = error.raw_os_error().map(Errno::from_raw);
        Self { exhausted: code.is_some_and(|code| OURS.contains(&code)), ..Self::new(ConnectStage::Tcp, error) }
    }

    /// Nothing that the endpoint could have done better.
    pub(super) fn is_blameless(&self) -> bool {
        self.no_http1 || self.exhausted || self.overloaded
    }

    /// Why a TLS handshake failed.
    pub(super) fn tls(target: &TlsTarget, error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let refused = inner == Some(&rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol));
        if refused && target.config.alpn_protocols.iter().all(|protocol| protocol == b"http/1.1") {
            let reason = "the backend speaks no HTTP/1.1, and no other HTTP can be upgraded";
            return Self { no_http1: true, ..Self::new(ConnectStage::Tls, &reason) };
        }
        Self::new(ConnectStage::Tls, error)
    }

    pub(super) fn late(stage: ConnectStage, limit: Duration) -> Self {
        Self { timed_out: true, ..Self::new(stage, &format!("no connection within {limit:?}")) }
    }
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}: {}", self.stage, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectError, ConnectStage};
    use nix::errno::Errno;
    use std::io;

    /// Want of our own descriptors, memory or ports is no fault of an endpoint.
    #[test]
    fn whose_fault_it_is() {
        for (code, ours) in [
            (Errno::EMFILE, true),
            (Errno::ENFILE, true),
            (Errno::EADDRNOTAVAIL, true),
            (Errno::ENOBUFS, true),
            (Errno::ECONNREFUSED, false),
            (Errno::ETIMEDOUT, false),
            (Errno::EHOSTUNREACH, false),
        ] {
            let error = ConnectError::tcp(&io::Error::from_raw_os_error(code as i32));
            assert_eq!((error.stage, error.is_blameless()), (ConnectStage::Tcp, ours), "{code}");
        }
        assert!(!ConnectError::tcp(&io::Error::other("no number")).is_blameless());
        assert!(ConnectError::of_loop().loops);
    }
}
