//! Handshakes with clients that failed: why, in words for operators, and a line in the access log.

use crate::io::{OpenConnections, Opened};
use crate::observe::access_log::AccessLog;
use crate::observe::l4::{L4Reason, L4Record};
use route::table::Listener;
use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Why a handshake failed.
#[derive(Debug)]
pub enum TlsError {
    Timeout,
    /// No listener for the name.
    NoListener,
    /// The listener has no usable certificate.
    NoCertificate,
    /// The listener has as many connections as it may have.
    Full,
    Io(io::Error),
}

/// What is known of a handshake under way, also of one that is broken off.
#[derive(Debug, Default)]
pub struct Progress {
    /// The `ClientHello` has come.
    pub hello: bool,
    /// The server name that the client asked for, lower case.
    pub sni: Option<String>,
    pub listener: Option<Arc<Listener>>,
    /// Where listeners may have limits of connections.
    pub open: Option<Arc<OpenConnections>>,
    /// It is counted in its listener.
    pub opened: Option<Opened>,
}

impl TlsError {
    /// The code of logs and figures.
    pub fn reason(&self, progress: &Progress) -> L4Reason {
        match self {
            Self::NoListener => L4Reason::NoListener,
            Self::NoCertificate => L4Reason::NoCertificate,
            Self::Full => L4Reason::ConnectionLimit,
            Self::Timeout if !progress.hello => L4Reason::HelloTimeout,
            Self::Io(_) if !progress.hello => L4Reason::HelloMalformed,
            Self::Timeout | Self::Io(_) => L4Reason::Handshake,
        }
    }

    /// What exactly went wrong, where the code does not say it.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Timeout => Some("it took too long".to_owned()),
            Self::NoListener | Self::NoCertificate | Self::Full => None,
            Self::Io(error) => Some(words(error)),
        }
    }

    /// A line for a handshake with a listener whose requests have lines of their own.
    pub fn log(&self, log: &AccessLog, client: SocketAddr, opened: Instant, progress: &Progress) {
        if !log.is_enabled() {
            return;
        }
        let duration_ms = opened.elapsed().as_secs_f64() * 1000.0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        log.push(&L4Record {
            time: now - duration_ms / 1000.0,
            duration_ms,
            client: &client.ip().to_canonical().to_string(),
            protocol: "TLS",
            tls: Some("terminate"),
            sni: progress.sni.as_deref(),
            listener: progress.listener.as_ref().map(|listener| listener.id()),
            error: Some(self.reason(progress).name()),
            error_detail: self.detail().as_deref(),
            ..L4Record::default()
        });
    }
}

/// What `rustls` says, for people: who did what.
fn words(error: &io::Error) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            ErrorKind::UnexpectedEof => "the client closed the connection".to_owned(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "the client broke the connection off".to_owned(),
            _ => error.to_string(),
        };
    };
    match tls {
        Error::AlertReceived(alert) => refusal(*alert),
        Error::NoCertificatesPresented => "the client showed no certificate, and the listener wants one".to_owned(),
        Error::InvalidCertificate(why) => format!("the client's certificate is not accepted: {why}"),
        Error::DecryptError => "the client encrypted with another key than was agreed".to_owned(),
        Error::NoApplicationProtocol => "the client speaks neither h2 nor http/1.1, by its ALPN".to_owned(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what the client sent is no TLS; is it plain HTTP?".to_owned()
        }
        Error::InvalidMessage(why) => format!("what the client sent is malformed TLS: {why:?}"),
        Error::PeerIncompatible(why) => match why {
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired => {
                "the client offers no version of TLS that the listener takes".to_owned()
            }
            PeerIncompatible::NoCipherSuitesInCommon => {
                "the client offers no cipher suite that is known here".to_owned()
            }
            PeerIncompatible::NoKxGroupsInCommon => "the client offers no key exchange that is known here".to_owned(),
            PeerIncompatible::NoSignatureSchemesInCommon => {
                "the client can verify no signature that a certificate of the listener makes".to_owned()
            }
            other => format!("the client and the gateway have too little in common: {other:?}"),
        },
        Error::PeerMisbehaved(why) => format!("the client breaks the rules of TLS: {why:?}"),
        other => other.to_string(),
    }
}

/// What a client means by its alert (RFC 8446 section 6.2).
fn refusal(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::UnknownCA => "it does not trust who signed the listener's certificate",
        AlertDescription::CertificateExpired => "to it the listener's certificate has expired or is not valid yet",
        AlertDescription::CertificateRevoked => "to it the listener's certificate is revoked",
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept the listener's certificate, maybe for another name"
        }
        AlertDescription::UnsupportedCertificate => "it cannot use a certificate of the listener's kind",
        AlertDescription::ProtocolVersion => "it does not take the version of TLS that was agreed",
        AlertDescription::UserCanceled => "its user broke off",
        _ => "it gave no other reason",
    };
    format!("the client refused: {meaning} (alert {alert:?})")
}

#[cfg(test)]
mod tests {
    use super::words;
    use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
    use std::io;

    #[test]
    fn reasons_in_words() {
        let of = |error: Error| words(&io::Error::new(io::ErrorKind::InvalidData, error));
        for (error, wanted) in [
            (Error::AlertReceived(AlertDescription::UnknownCA), "the client refused: it does not trust who signed"),
            (
                Error::AlertReceived(AlertDescription::Unknown(200)),
                "the client refused: it gave no other reason (alert ",
            ),
            (CertificateError::UnknownIssuer.into(), "the client's certificate is not accepted: "),
            (PeerIncompatible::NoKxGroupsInCommon.into(), "the client offers no key exchange"),
            (Error::FailedToGetCurrentTime, "failed to get current time"),
        ] {
            let found = of(error);
            assert!(found.starts_with(wanted), "{found}");
        }
        assert_eq!(words(&io::ErrorKind::ConnectionReset.into()), "the client broke the connection off");
        assert_eq!(words(&io::Error::other("odd")), "odd");
    }
}
