//! What is known of a client connection before its first request. What is said of it to backends: `forwarding`.

use super::life::Life;
use super::terms::Terms;
use crate::io::text_of;
use crate::tls::server::Handshake;
use crate::worker::Worker;
use codec::Field;
use route::policy::{ClientCertificate, Networks};
use route::table::SocketKey;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

/// One downstream connection.
#[derive(Debug)]
pub struct Client {
    pub worker: Rc<Worker>,
    /// The other end of the connection, or the client whose connection a proxy passes on (PROXY protocol).
    pub peer: SocketAddr,
    /// What it was made to; `None`: as of [`Origin::local`].
    pub local: Option<SocketAddr>,
    /// Who passes the connection on, where that was said.
    pub through: Option<Box<Through>>,
    pub socket: SocketKey,
    pub tls: Option<Handshake>,
    /// The peer is a proxy that the operator trusts: its forwarding fields are extended instead of replaced.
    pub trusted: bool,
    pub address: IpAddr,
    /// The peer's address as text, for `X-Forwarded-For` and the log.
    pub address_text: String,
    /// In place of the settings; boxed, since most have none.
    pub terms: Option<Box<Terms>>,
    pub life: Life,
}

/// Where a connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// As of [`Client::peer`].
    pub peer: SocketAddr,
    pub through: Option<Box<Through>>,
}

impl Origin {
    pub fn of(peer: SocketAddr) -> Self {
        Self { peer, through: None }
    }

    /// What the client connected to; `None`: the system does not say, or nobody is told.
    pub fn local(&self, worker: &Worker, stream: &TcpStream) -> Option<SocketAddr> {
        match &self.through {
            Some(through) => Some(through.local),
            None => worker.generation().tells_ends.then(|| stream.local_addr().ok()).flatten(),
        }
    }
}

/// What a proxy has said of a connection that it passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The proxy.
    pub proxy: IpAddr,
    /// What the client connected to.
    pub local: SocketAddr,
}

impl Client {
    pub fn new(worker: Rc<Worker>, peer: SocketAddr, socket: SocketKey, tls: Option<Handshake>) -> Self {
        let address = peer.ip().to_canonical();
        let trusted = worker.settings().trusts(address);
        let terms = Terms::of(worker.settings());
        let life = Life::begin(&worker, &terms);
        Self {
            worker,
            peer,
            local: None,
            through: None,
            socket,
            tls,
            trusted,
            terms: None,
            life,
            address,
            address_text: text_of(address),
        }
    }

    /// As [`Self::new`], of a connection of which more is known. `local`: what it was made to.
    pub fn of(
        worker: Rc<Worker>,
        origin: Origin,
        local: Option<SocketAddr>,
        socket: SocketKey,
        tls: Option<Handshake>,
    ) -> Self {
        let Origin { peer, through } = origin;
        Self { local, through, ..Self::new(worker, peer, socket, tls) }
    }

    /// The same one, under other terms.
    #[must_use]
    pub fn under(self, terms: Terms) -> Self {
        let life = Life::begin(&self.worker, &terms);
        Self { terms: Some(Box::new(terms)), life, ..self }
    }

    /// From the first byte of a head to its last.
    pub fn head_timeout(&self) -> Duration {
        self.terms.as_ref().map_or_else(|| self.worker.settings().head_timeout(), |terms| terms.head)
    }

    /// Between requests.
    pub fn idle_timeout(&self) -> Duration {
        self.terms.as_ref().map_or_else(|| self.worker.settings().idle_timeout(), |terms| terms.idle)
    }

    /// Streams of HTTP/2 that may be open.
    pub fn max_streams(&self) -> u32 {
        self.terms.as_ref().map_or_else(|| self.worker.settings().http2_max_streams, |terms| terms.streams)
    }

    /// The address of the connection's other end, for the log.
    pub fn peer_text(&self) -> Cow<'_, str> {
        match &self.through {
            None => Cow::Borrowed(&self.address_text),
            Some(through) => Cow::Owned(text_of(through.proxy)),
        }
    }

    /// Who asks with these fields, and what it connected to: the peer, or whom a trusted proxy names. `proxies`: as of
    /// [`Self::asking`].
    pub fn ends(&self, fields: &[Field<'_>], proxies: Option<&Networks>) -> (SocketAddr, SocketAddr) {
        let unknown = || SocketAddr::new(self.socket.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), self.socket.port);
        // Where nobody can say who asks it is the peer that does.
        let asks = self.asking(fields, proxies).unwrap_or(self.address);
        (SocketAddr::new(asks, self.peer.port()), self.local.unwrap_or_else(unknown))
    }

    /// The client came by TLS, or it is a proxy whose word counts (`believed`) and says so.
    pub fn is_secure(&self, fields: &[Field<'_>], believed: bool) -> bool {
        let says_so = |field: &Field<'_>| {
            field.name.eq_ignore_ascii_case(b"x-forwarded-proto") && field.value.eq_ignore_ascii_case(b"https")
        };
        self.tls.is_some() || (believed && fields.iter().any(says_so))
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What the listener validated of the client's certificate.
    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.tls.as_ref().and_then(|handshake| handshake.certificate.as_deref())
    }

    /// The server name that the client asked for in its TLS handshake.
    pub fn sni(&self) -> Option<&str> {
        self.tls.as_ref().and_then(|handshake| handshake.sni.as_deref())
    }
}
