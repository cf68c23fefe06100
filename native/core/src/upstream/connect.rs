//! Opening a connection: TCP, then TLS, then whatever ALPN says.

use super::endpoint::{EndpointState, Http1Connection};
use super::{Connection, Limits, Route, TlsTarget, http2};
use rustls::AlertDescription;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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
    pub reason: String,
}

impl ConnectError {
    pub(super) fn new(stage: ConnectStage, reason: &impl ToString) -> Self {
        Self { stage, timed_out: false, no_http1: false, reason: reason.to_string() }
    }

    /// Why a TLS handshake failed.
    fn tls(target: &TlsTarget, error: &io::Error) -> Self {
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

/// A byte stream to a backend.
#[derive(Debug)]
pub enum UpstreamStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A byte stream within `limit`, TLS handshake included; what is spoken on it is the caller's.
pub(super) async fn open(
    state: &EndpointState,
    tls: Option<&TlsTarget>,
    limit: Duration,
) -> Result<UpstreamStream, ConnectError> {
    let mut stage = ConnectStage::Tcp;
    let opened = tokio::time::timeout(limit, dial(state, tls, &mut stage)).await;
    opened.unwrap_or_else(|_| Err(ConnectError::late(stage, limit)))
}

/// Connect within the limit of time, TLS handshake included.
pub(super) async fn connect(
    state: &Rc<EndpointState>,
    route: &Route,
    limits: Limits,
) -> Result<Connection, ConnectError> {
    let mut stage = ConnectStage::Tcp;
    match tokio::time::timeout(limits.connect_timeout, establish(state, route, limits.head_bytes, &mut stage)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::late(stage, limits.connect_timeout)),
    }
}

async fn establish(
    state: &Rc<EndpointState>,
    route: &Route,
    head_bytes: usize,
    stage: &mut ConnectStage,
) -> Result<Connection, ConnectError> {
    let stream = dial(state, route.tls.as_ref(), stage).await?;
    if route.http2 || stream.negotiated_http2() {
        *stage = ConnectStage::Http2;
        return http2::start(state, route, stream, head_bytes).await.map(Connection::Http2);
    }
    Ok(Connection::Http1(Box::new(Http1Connection::new(stream, route.clone()))))
}

async fn dial(
    state: &EndpointState,
    tls: Option<&TlsTarget>,
    stage: &mut ConnectStage,
) -> Result<UpstreamStream, ConnectError> {
    let tcp = TcpStream::connect(state.address).await.map_err(|error| ConnectError::new(*stage, &error))?;
    // Without it the last segment of a request waits for the backend's delayed acknowledgement.
    tcp.set_nodelay(true).map_err(|error| ConnectError::new(*stage, &error))?;
    Ok(match tls {
        None => UpstreamStream::Plain(tcp),
        Some(target) => {
            *stage = ConnectStage::Tls;
            let connector = TlsConnector::from(std::sync::Arc::clone(&target.config));
            let stream = connector.connect(target.name.clone(), tcp).await;
            UpstreamStream::Tls(Box::new(stream.map_err(|error| ConnectError::tls(target, &error))?))
        }
    })
}

impl UpstreamStream {
    fn negotiated_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, space),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, space),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectError, ConnectStage};
    use crate::tls::provider;
    use crate::upstream::TlsTarget;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::{ClientConfig, RootCertStore, ServerConfig, server::Acceptor};
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Duration;

    /// A server that ends the handshake for want of a common protocol (RFC 7301 section 3.2) is told from a broken one.
    #[tokio::test]
    async fn a_backend_that_refuses_http1() {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["a.test".to_owned()]).expect("a certificate");
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate that can be served");
        server.alpn_protocols = vec![b"h2".to_vec()];
        let server = Arc::new(server);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let thread = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut acceptor = Acceptor::default();
                let accepted = loop {
                    acceptor.read_tls(&mut stream).expect("a hello");
                    if let Some(accepted) = acceptor.accept().map_err(|(error, _)| error).expect("a good hello") {
                        break accepted;
                    }
                };
                let (_, mut alert) = accepted.into_connection(Arc::clone(&server)).expect_err("no common protocol");
                alert.write_all(&mut stream).expect("an alert");
                stream.flush().expect("an alert");
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).expect("an anchor");
        let state = super::EndpointState::new(address);
        for (offered, no_http1) in [(b"http/1.1", true), (b"http/0.9", false)] {
            let mut config = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = vec![offered.to_vec()];
            let name = rustls_pki_types::ServerName::try_from("a.test").expect("a name");
            let target = TlsTarget { config: Arc::new(config), name };
            let error: ConnectError =
                super::open(&state, Some(&target), Duration::from_secs(60)).await.expect_err("a refusal");
            assert_eq!((error.stage, error.no_http1), (ConnectStage::Tls, no_http1), "{error}");
        }
        thread.join().expect("the server");
    }
}
