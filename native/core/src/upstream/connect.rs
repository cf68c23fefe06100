//! Opening a connection: TCP, then TLS, then whatever ALPN says.

use super::connect_error::{ConnectError, ConnectStage};
use super::load::Slot;
use super::pool::{EndpointState, Http1Connection};
use super::stream::UpstreamStream;
use super::{Connection, Limits, Route, RoutePolicy, TlsTarget, http2};
use crate::observe::metrics::WorkerMetrics;
use socket2::SockRef;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// A byte stream within the limit of time, TLS handshake included; what is spoken on it is the caller's. The place that it takes
/// where connections are limited goes with it.
pub(super) async fn open(
    state: &EndpointState,
    tls: Option<&TlsTarget>,
    policy: Option<&RoutePolicy>,
    limits: Limits,
    metrics: &WorkerMetrics,
) -> Result<(UpstreamStream, Option<Slot>), ConnectError> {
    let slot = place(policy, limits, metrics).await?;
    let mut stage = ConnectStage::Tcp;
    let dialled = dial(state.address, tls, policy, limits, &mut stage);
    let opened = tokio::time::timeout(limits.connect_timeout, dialled).await;
    opened.unwrap_or_else(|_| Err(ConnectError::late(stage, limits.connect_timeout))).map(|stream| (stream, slot))
}

/// A place for a connection: it is waited for before the endpoint is, which has no part in that.
async fn place(
    policy: Option<&RoutePolicy>,
    limits: Limits,
    metrics: &WorkerMetrics,
) -> Result<Option<Slot>, ConnectError> {
    let Some(load) = policy.and_then(|policy| policy.load.as_ref()) else {
        return Ok(None);
    };
    let place = load.connection(Instant::now() + limits.connect_timeout, metrics).await;
    place.map_err(|_| ConnectError::of_overload())
}

/// One connect at a time per endpoint: requests that arrive together share the connection they wait for.
pub(super) async fn connect_shared(
    state: &Rc<EndpointState>,
    route: &Route,
    limits: Limits,
    fresh: bool,
    metrics: &WorkerMetrics,
) -> Result<Connection, ConnectError> {
    let shared = async {
        let turn = state.connecting.lock().await;
        loop {
            if let Some(handle) = state.http2_handle(route).filter(|_| !fresh) {
                return (turn, Some(handle));
            }
            match state.settling(route).filter(|_| !fresh) {
                Some(handle) => handle.settle().await,
                None => return (turn, None),
            }
        }
    };
    let Ok((_turn, shared)) = tokio::time::timeout(limits.connect_timeout, shared).await else {
        return Err(ConnectError::late(ConnectStage::Tcp, limits.connect_timeout));
    };
    match shared {
        Some(handle) => Ok(Connection::Http2(handle)),
        None => connect(state, route, limits, metrics).await,
    }
}

/// Connect within the limit of time, TLS handshake included.
pub(super) async fn connect(
    state: &Rc<EndpointState>,
    route: &Route,
    limits: Limits,
    metrics: &WorkerMetrics,
) -> Result<Connection, ConnectError> {
    let slot = place(route.policy.as_deref(), limits, metrics).await?;
    let mut stage = ConnectStage::Tcp;
    match tokio::time::timeout(limits.connect_timeout, establish(state, route, slot, limits, &mut stage)).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::late(stage, limits.connect_timeout)),
    }
}

async fn establish(
    state: &Rc<EndpointState>,
    route: &Route,
    slot: Option<Slot>,
    limits: Limits,
    stage: &mut ConnectStage,
) -> Result<Connection, ConnectError> {
    let stream = dial(state.address, route.tls.as_ref(), route.policy.as_deref(), limits, stage).await?;
    if route.http2 || stream.negotiated_http2() {
        *stage = ConnectStage::Http2;
        let handle = http2::start(stream, limits, slot, route.max_requests()).await?;
        state.put_http2(route, &handle);
        return Ok(Connection::Http2(handle));
    }
    Ok(Connection::Http1(Box::new(Http1Connection::new(stream, route.clone(), slot))))
}

/// A byte stream, without a limit of time. `stage`: how far it has come.
pub(super) async fn dial(
    address: SocketAddr,
    tls: Option<&TlsTarget>,
    policy: Option<&RoutePolicy>,
    limits: Limits,
    stage: &mut ConnectStage,
) -> Result<UpstreamStream, ConnectError> {
    let mut tcp = TcpStream::connect(address).await.map_err(|error| ConnectError::tcp(&error))?;
    // Without it the last segment of a request waits for the backend's delayed acknowledgement.
    tcp.set_nodelay(true).map_err(|error| ConnectError::new(*stage, &error))?;
    limits.alive.set(SockRef::from(&tcp));
    if let Some(header) = policy.and_then(|policy| policy.proxy.as_ref()) {
        tcp.write_all(&header.bytes()).await.map_err(|error| ConnectError::new(*stage, &error))?;
    }
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

#[cfg(test)]
mod tests {
    use super::{ConnectError, ConnectStage, WorkerMetrics};
    use crate::settings::Settings;
    use crate::tls::provider;
    use crate::upstream::{Limits, TlsTarget};
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::{ClientConfig, RootCertStore, ServerConfig, server::Acceptor};
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::Arc;

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
        let state = super::EndpointState::new(address, std::sync::Arc::default());
        let limits = Limits::new(&Settings { upstream_connect_timeout_ms: 60_000, ..Settings::default() });
        for (offered, no_http1) in [(b"http/1.1", true), (b"http/0.9", false)] {
            let mut config = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = vec![offered.to_vec()];
            let name = rustls_pki_types::ServerName::try_from("a.test").expect("a name");
            let target = TlsTarget { config: Arc::new(config), name };
            let error: ConnectError = super::open(&state, Some(&target), None, limits, &WorkerMetrics::default())
                .await
                .expect_err("a refusal");
            assert_eq!((error.stage, error.no_http1), (ConnectStage::Tls, no_http1), "{error}");
        }
        thread.join().expect("the server");
    }
}
