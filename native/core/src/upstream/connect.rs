//! Opening a connection: TCP, then TLS, then whatever ALPN says.

use super::endpoint::{EndpointState, Http1Connection};
use super::{Connection, Route, TlsTarget, http2};
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
    pub reason: String,
}

impl ConnectError {
    pub(super) fn new(stage: ConnectStage, reason: &impl ToString) -> Self {
        Self { stage, timed_out: false, reason: reason.to_string() }
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
    opened.unwrap_or_else(|_| Err(late(stage, limit)))
}

/// Connect within `limit`, TLS handshake included.
pub(super) async fn connect(
    state: &Rc<EndpointState>,
    route: &Route,
    limit: Duration,
) -> Result<Connection, ConnectError> {
    let mut stage = ConnectStage::Tcp;
    match tokio::time::timeout(limit, establish(state, route, &mut stage)).await {
        Ok(result) => result,
        Err(_) => Err(late(stage, limit)),
    }
}

fn late(stage: ConnectStage, limit: Duration) -> ConnectError {
    ConnectError { stage, timed_out: true, reason: format!("no connection within {limit:?}") }
}

async fn establish(
    state: &Rc<EndpointState>,
    route: &Route,
    stage: &mut ConnectStage,
) -> Result<Connection, ConnectError> {
    let stream = dial(state, route.tls.as_ref(), stage).await?;
    if route.http2 || stream.negotiated_http2() {
        *stage = ConnectStage::Http2;
        return http2::start(state, route, stream).await.map(Connection::Http2);
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
            let stream =
                connector.connect(target.name.clone(), tcp).await.map_err(|error| ConnectError::new(*stage, &error))?;
            UpstreamStream::Tls(Box::new(stream))
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
