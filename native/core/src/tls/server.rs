//! TLS termination: the listener is chosen by the name in the `ClientHello`, and its own configuration does the handshake
//! (GEP-3567, GEP-91). Keys and configurations are kept from generation to generation where nothing changed.

mod ends;

use super::client_certificates::{self, AcceptAny, AcceptTrusted};
use super::failure::{Progress, TlsError};
use super::server_certificates::{ServedKey, ServedKeys};
use super::tickets::{TicketKeys, Ticketer};
use super::trust::Trust;
use super::{pem, provider, provider_with, versions};
use crate::observe::events::Events;
use ahash::AHashMap;
use route::ir::{self, ClientValidationMode, TlsVersions};
use route::policy::{ClientCertificate, Judge};
use route::table::{Listener, Socket, Table};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

/// Alerts (RFC 8446 section 6).
const INTERNAL_ERROR: u8 = 80;
const UNRECOGNIZED_NAME: u8 = 112;

/// Bytes of a `ClientHello` that are read at once, where its beginning was read already.
const HELLO_PIECE: usize = 4096;

/// What a handshake told us.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The server name that the client asked for, lower case.
    pub sni: Option<String>,
    pub http2: bool,
    /// Of the client, where its listener asks for one and it is valid.
    pub certificate: Option<Box<ClientCertificate>>,
}

#[derive(Debug)]
struct ListenerTls {
    listener: Arc<ir::Listener>,
    terms: TlsTerms,
    keys: Vec<Arc<ServedKey>>,
    trust: Vec<Arc<ir::Trust>>,
    config: Arc<ServerConfig>,
    /// Who may validate clients: the handshake does, unless it lets everybody in.
    clients: Option<Arc<AcceptTrusted>>,
}

/// The configurations of all HTTPS and TLS listeners of one generation.
#[derive(Debug, Clone, Default)]
pub struct ServerTls {
    listeners: AHashMap<Box<str>, Arc<ListenerTls>>,
    keys: AHashMap<Box<str>, Arc<ServedKey>>,
    tickets: Arc<TicketKeys>,
}

impl ServerTls {
    /// The keys of Gateways, for what else clients keep for them.
    pub fn tickets(&self) -> &Arc<TicketKeys> {
        &self.tickets
    }

    /// Build what changed, take the rest from the generation before. What cannot be built is reported and not served.
    pub fn build(table: &Table, before: &Self, events: &Events) -> Self {
        let mut built = Self { tickets: Arc::clone(&before.tickets), ..Self::default() };
        // Configurations that are kept see the new keys too.
        built.tickets.share(table.session_tickets.values());
        for listener in table.sockets().flat_map(|socket| socket.listeners()) {
            let Some(tls) = &listener.ir.tls else {
                continue;
            };
            let keys: Vec<_> = tls.certificates.iter().filter_map(|id| built.key(id, table, before, events)).collect();
            let trust = tls.client_validation.iter().flat_map(|validation| &validation.trust);
            let trust: Vec<_> = trust.filter_map(|id| table.trust.get(id.as_str()).cloned()).collect();
            if keys.is_empty() {
                continue;
            }
            let terms = TlsTerms::of(listener);
            let is_same = |same: &&Arc<ListenerTls>| same.terms == terms && same.is(&listener.ir, &keys, &trust);
            if let Some(same) = before.listeners.get(listener.id()).filter(is_same) {
                built.listeners.insert(listener.id().into(), Arc::clone(same));
                continue;
            }
            let made = clients(tls, &trust).and_then(|clients| {
                let config = config((&*listener.ir, terms), tls, &keys, &trust, clients.clone(), &built.tickets)?;
                Ok(ListenerTls {
                    listener: Arc::clone(&listener.ir),
                    terms,
                    keys,
                    trust,
                    config: Arc::new(config),
                    clients,
                })
            });
            match made {
                Ok(made) => {
                    built.listeners.insert(listener.id().into(), Arc::new(made));
                }
                Err(error) => events.push("listener_tls", format!("{}: {error}", listener.id())),
            }
        }
        built
    }

    fn key(&mut self, id: &str, table: &Table, before: &Self, events: &Events) -> Option<Arc<ServedKey>> {
        if let Some(key) = self.keys.get(id) {
            return Some(Arc::clone(key));
        }
        let ir = table.certificates.get(id)?;
        let known = before.keys.get(id).filter(|known| known.ir == *ir);
        let key = match known {
            Some(known) => Arc::clone(known),
            None => match ServedKey::load(ir) {
                Ok(key) => Arc::new(key),
                Err(error) => {
                    events.push("certificate", format!("{id}: {error}"));
                    return None;
                }
            },
        };
        self.keys.insert(id.into(), Arc::clone(&key));
        Some(key)
    }
}

/// What policies say of the TLS of a listener.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct TlsTerms {
    versions: TlsVersions,
    /// Backends are told of the whole certificate of a client.
    keeps_certificates: bool,
}

impl TlsTerms {
    fn of(listener: &Listener) -> Self {
        let mut terms = Self::default();
        let joined = listener.policies().map(|joined| &*joined.policies).unwrap_or_default();
        for policy in joined.iter().filter(|policy| !policy.is_invalid()) {
            if let ir::Policy::ClientTls(tls) = &policy.ir {
                terms.versions = tls.versions;
            }
            if let Judge::CertificateHeader(header) = &policy.judge {
                terms.keeps_certificates = header.wants_all();
            }
        }
        terms
    }
}

impl ListenerTls {
    fn is(&self, listener: &Arc<ir::Listener>, keys: &[Arc<ServedKey>], trust: &[Arc<ir::Trust>]) -> bool {
        self.listener.tls == listener.tls
            && self.listener.protocol == listener.protocol
            && self.keys.len() == keys.len()
            && self.keys.iter().zip(keys).all(|(one, two)| Arc::ptr_eq(one, two))
            && self.trust == *trust
    }
}

/// What validates the certificates of clients; `None`: nothing does. Where every client is let in, CA certificates that cannot
/// be used are no reason to serve nobody: then no client's certificate is valid.
fn clients(tls: &ir::ListenerTls, trust: &[Arc<ir::Trust>]) -> Result<Option<Arc<AcceptTrusted>>, String> {
    let Some(validation) = &tls.client_validation else { return Ok(None) };
    let made = Trust::read(trust.iter().map(|trust| trust.pem.as_str())).and_then(|trust| {
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::clone(&trust.roots), provider());
        let chains = chains.build().map_err(|error| error.to_string())?;
        Ok(Arc::new(AcceptTrusted { trust, chains }))
    });
    match validation.mode {
        ClientValidationMode::AllowValidOnly => made.map(Some),
        ClientValidationMode::AllowInsecureFallback => Ok(made.ok()),
    }
}

fn config(
    (listener, terms): (&ir::Listener, TlsTerms),
    tls: &ir::ListenerTls,
    keys: &[Arc<ServedKey>],
    trust: &[Arc<ir::Trust>],
    clients: Option<Arc<AcceptTrusted>>,
    tickets: &Arc<TicketKeys>,
) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(provider_with(terms.versions.suites))
        .with_protocol_versions(&versions::allowed(terms.versions))
        .map_err(|error| error.to_string())?;
    let builder = match &tls.client_validation {
        None => builder.with_no_client_auth(),
        Some(validation) => match validation.mode {
            ClientValidationMode::AllowValidOnly => {
                builder.with_client_cert_verifier(clients.ok_or("no CA certificates validate clients")?)
            }
            ClientValidationMode::AllowInsecureFallback => builder.with_client_cert_verifier(Arc::new(AcceptAny)),
        },
    };
    let mut config = builder.with_cert_resolver(Arc::new(ServedKeys(keys.to_vec())));
    if listener.protocol.is_http() {
        // Of a TLS listener the gateway does not know what is spoken inside, so it has nothing to agree to.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    }
    let mode = tls.client_validation.as_ref().map(|validation| validation.mode);
    if mode == Some(ClientValidationMode::AllowValidOnly) {
        // A session that is resumed shows no certificate, and may be resumed for ever: nothing would tell that the client's
        // has expired.
        config.session_storage = Arc::new(NoServerSessionStorage {});
    } else {
        config.ticketer = Arc::new(Ticketer::new(tickets, listener, trust));
    }
    Ok(config)
}

/// Do the handshake of one connection, of which `ahead` was read already; `progress` is what it knows by its end.
///
/// # Errors
/// [`TlsError`]; the client has been told with an alert where that is possible.
pub async fn accept(
    stream: TcpStream,
    ahead: &[u8],
    socket: &Socket,
    tls: &ServerTls,
    limit: Duration,
    progress: &mut Progress,
) -> Result<(TlsStream<TcpStream>, Handshake), TlsError> {
    match tokio::time::timeout(limit, handshake(stream, ahead, socket, tls, progress)).await {
        Ok(result) => result,
        Err(_) => Err(TlsError::Timeout),
    }
}

async fn handshake(
    stream: TcpStream,
    ahead: &[u8],
    socket: &Socket,
    tls: &ServerTls,
    progress: &mut Progress,
) -> Result<(TlsStream<TcpStream>, Handshake), TlsError> {
    let start = if ahead.is_empty() {
        LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(TlsError::Io)?
    } else {
        hello_behind(stream, ahead).await?
    };
    finish(start, socket, tls, progress).await
}

/// The `ClientHello` of a connection whose first bytes have been read already.
async fn hello_behind(mut stream: TcpStream, ahead: &[u8]) -> Result<StartHandshake<TcpStream>, TlsError> {
    let mut acceptor = Acceptor::default();
    let mut ahead = Cow::Borrowed(ahead);
    loop {
        let mut unread = &*ahead;
        while !unread.is_empty() {
            acceptor.read_tls(&mut unread).map_err(TlsError::Io)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(StartHandshake::from_parts(accepted, stream)),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                alert.write_all(&mut bytes).map_err(TlsError::Io)?;
                stream.write_all(&bytes).await.map_err(TlsError::Io)?;
                return Err(TlsError::Io(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        }
        let mut more = Vec::with_capacity(HELLO_PIECE);
        if stream.read_buf(&mut more).await.map_err(TlsError::Io)? == 0 {
            return Err(TlsError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        ahead = Cow::Owned(more);
    }
}

/// Say with an alert why there is no handshake (RFC 8446 sections 5.1 and 6): a client that hears nothing takes the network
/// for broken. One that does not listen is no concern of ours.
async fn refuse(start: &mut StartHandshake<TcpStream>, description: u8) {
    const ALERT: u8 = 21;
    const FATAL: u8 = 2;
    let record = [ALERT, 3, 3, 0, 2, FATAL, description];
    if start.io.write_all(&record).await.is_ok() {
        let _ = start.io.shutdown().await;
    }
}

async fn finish(
    mut start: StartHandshake<TcpStream>,
    socket: &Socket,
    tls: &ServerTls,
    progress: &mut Progress,
) -> Result<(TlsStream<TcpStream>, Handshake), TlsError> {
    progress.hello = true;
    let sni = start.client_hello().server_name().map(str::to_ascii_lowercase);
    progress.sni.clone_from(&sni);
    let Some(listener) = socket.listener_for_sni(sni.as_deref()) else {
        refuse(&mut start, UNRECOGNIZED_NAME).await;
        return Err(TlsError::NoListener);
    };
    progress.listener = Some(Arc::clone(listener));
    if let Some(open) = &progress.open
        && let Some(most) = socket.connection_limit(sni.as_deref())
    {
        progress.opened = open.open(listener.id(), most);
        if progress.opened.is_none() {
            refuse(&mut start, INTERNAL_ERROR).await;
            return Err(TlsError::Full);
        }
    }
    let Some(listener) = tls.listeners.get(listener.id()) else {
        refuse(&mut start, INTERNAL_ERROR).await;
        return Err(TlsError::NoCertificate);
    };
    let stream = start.into_stream(Arc::clone(&listener.config)).await.map_err(TlsError::Io)?;
    let session = stream.get_ref().1;
    let handshake = Handshake {
        sni,
        http2: session.alpn_protocol() == Some(b"h2"),
        certificate: client_certificate(listener, session.peer_certificates()),
    };
    Ok((stream, handshake))
}

/// What a valid certificate says. A handshake that lets everybody in has only asked whether the client has its key.
fn client_certificate(listener: &ListenerTls, shown: Option<&[CertificateDer<'_>]>) -> Option<Box<ClientCertificate>> {
    let [own, intermediates @ ..] = shown? else { return None };
    listener.clients.as_ref()?.verify_client_cert(own, intermediates, UnixTime::now()).ok()?;
    let mut found = client_certificates::read(own);
    if listener.terms.keeps_certificates {
        found.pem = pem::of_certificate(own);
    }
    Some(Box::new(found))
}

#[cfg(test)]
mod tests;
