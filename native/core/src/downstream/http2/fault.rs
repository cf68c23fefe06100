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
    use crate::message::client::Client;
    use crate::settings::{AccessLog, Settings};
    use crate::worker::{Generation, Worker};
    use h2::{Reason, server};
    use route::ir::Transport;
    use route::table::SocketKey;
    use serde_json::{Value, json};
    use std::io::{self, ErrorKind};
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::time::Instant;

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

    /// A stream that cannot be read.
    struct Failing(ErrorKind);

    impl AsyncRead for Failing {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::new(self.0, "too many frames")))
        }
    }

    impl AsyncWrite for Failing {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// What the meter of frames says is a flood; a socket that fails is nobody's fault.
    #[tokio::test]
    async fn what_a_stream_says() {
        let flood = || Fault { flood: true, detail: "too many frames".to_owned() };
        for (kind, expected) in [
            (ErrorKind::Other, Some(flood())),
            (ErrorKind::ConnectionReset, None),
            (ErrorKind::UnexpectedEof, None),
            (ErrorKind::TimedOut, None),
        ] {
            let Err(error) = server::handshake(Failing(kind)).await else { panic!("{kind:?}") };
            assert_eq!(Fault::of(&error), expected, "{kind:?}");
        }
    }

    /// Each is counted by its kind; its line, where there is a log, says whose connection it was and what was wrong.
    #[tokio::test]
    async fn what_is_told_of_it() {
        for enabled in [true, false] {
            let path = std::env::temp_dir().join(format!("sluicegate-fault-{}-{enabled}", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let log = AccessLog { enabled, path: path.to_str().map(str::to_owned), ..AccessLog::default() };
            let settings = Settings { access_log: log, ..Settings::default() };
            let worker = Worker::alone_with(Generation::default(), settings).unwrap();
            let socket = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
            let client = Client::new(Rc::clone(&worker), ([192, 0, 2, 1], 1).into(), socket, None);
            let protocol = Fault::of(&Reason::PROTOCOL_ERROR.into()).unwrap();
            for fault in [&protocol, &Fault::resets(), &protocol] {
                fault.tell(&client, Instant::now());
            }
            worker.shared.access_log.stop();
            let lines: Vec<Value> = std::fs::read_to_string(&path)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            std::fs::remove_file(&path).unwrap();
            let found: Vec<_> = lines.iter().map(|line| line["error"].as_str().unwrap()).collect();
            let expected = ["http2_protocol", "http2_flood", "http2_protocol"];
            assert_eq!(found, if enabled { &expected[..] } else { &[] });
            for line in &lines {
                assert_eq!((&line["client"], &line["protocol"]), (&json!("192.0.2.1"), &json!("HTTP/2")));
                assert!(!line["error_detail"].as_str().unwrap().is_empty());
            }
            let text = worker.shared.registry.render(0, 0);
            for count in [r#"{reason="protocol"} 2"#, r#"{reason="flood"} 1"#] {
                assert!(text.contains(&format!("sluicegate_http2_faults_total{count}\n")), "{text}");
            }
        }
    }
}
