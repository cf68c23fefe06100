//! One question to one endpoint whether it does well (`health.active` of a `BackendPolicy`).
//!
//! Each question has a connection of its own: one that is kept would not tell that no new one can be made. It says of TLS what
//! requests would, with the certificate of a Gateway that has one, and where the backend's policy wants the PROXY protocol it
//! begins with a header that speaks for nobody. What answers is heard as what comes from a hostile peer.

mod http1;
mod http2;

use super::connect_error::ConnectStage;
use super::reach::RoutePolicy;
use super::tls::ClientTls;
use super::{Limits, TlsTarget, connect};
use crate::settings::Settings;
use route::ir::{ActiveHealth, BackendProtocol, HealthQuestion};
use route::table::{Backend, Endpoint};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What asks is called.
const USER_AGENT: &str = "sluicegate-health";

/// Octets of an answer that are read.
const MAX_ANSWER: usize = 16 * 1024;

/// Whom to ask what.
#[derive(Debug)]
pub struct Check {
    terms: Arc<ActiveHealth>,
    address: SocketAddr,
    tls: Option<TlsTarget>,
    /// HTTP/2 with prior knowledge.
    http2: bool,
    /// Whom an HTTP question is for.
    host: String,
    begins: RoutePolicy,
}

impl Check {
    /// `None`: nobody asks, or nothing could be asked: the endpoint takes datagrams, TLS to it cannot be set up, or the
    /// question cannot be said.
    pub fn of(backend: &Backend, endpoint: &Endpoint, tls: &ClientTls) -> Option<Self> {
        let policy = backend.policy.as_deref()?;
        let terms = Arc::clone(policy.active.as_ref()?);
        let invalid = backend.is_invalid() || backend.tls.as_ref().is_some_and(|policy| policy.invalid);
        if invalid || (backend.datagrams && terms.port == 0) {
            return None;
        }
        let mut address = endpoint.address;
        if terms.port != 0 {
            address.set_port(terms.port);
        }
        let host = match (&terms.question, &backend.tls) {
            (HealthQuestion::Http { host, .. }, _) if !host.is_empty() => host.clone(),
            (_, Some(tls)) => tls.hostname.clone(),
            (_, None) => address.to_string(),
        };
        let (http2, tls) = match &terms.question {
            HealthQuestion::Tcp => (false, tls.opaque_to(backend)?.tls),
            HealthQuestion::Http { .. } => (backend.protocol == BackendProtocol::H2c, tls.http_to(backend)?.tls),
            HealthQuestion::Grpc { .. } => (true, tls.grpc_to(backend)?.tls),
        };
        Some(Self { terms, address, tls, http2, host, begins: RoutePolicy::of_nobody(policy) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn terms(&self) -> &ActiveHealth {
        &self.terms
    }

    /// Another question of the same endpoint goes on where this one does.
    pub fn same_as(&self, other: &Self) -> bool {
        let tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(&one.config, &two.config) && one.name == two.name,
            _ => false,
        };
        tls && self.terms == other.terms
            && (self.address, self.http2, &self.host) == (other.address, other.http2, &other.host)
            && self.begins.proxy == other.begins.proxy
    }

    /// Ask.
    ///
    /// # Errors
    /// Why the endpoint does not do well, for people.
    pub async fn ask(&self, settings: &Settings) -> Result<(), String> {
        let limit = Duration::from_millis(self.terms.timeout_ms);
        let asked = tokio::time::timeout(limit, self.ask_in_time(settings)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {} ms", self.terms.timeout_ms)))
    }

    async fn ask_in_time(&self, settings: &Settings) -> Result<(), String> {
        let mut stage = ConnectStage::Tcp;
        let (tls, limits) = (self.tls.as_ref(), Limits::new(settings));
        let dialled = connect::dial(self.address, tls, Some(&self.begins), limits, &mut stage).await;
        let mut stream = dialled.map_err(|error| error.to_string())?;
        match &self.terms.question {
            HealthQuestion::Tcp => Ok(()),
            HealthQuestion::Http { path, statuses, .. } => {
                let status = if self.http2 || stream.negotiated_http2() {
                    http2::get(stream, self.is_tls(), &self.host, path).await?
                } else {
                    http1::get(&mut stream, &self.host, path).await?
                };
                let is_good =
                    if statuses.is_empty() { (200..400).contains(&status) } else { statuses.contains(&status) };
                if is_good { Ok(()) } else { Err(format!("status {status}")) }
            }
            HealthQuestion::Grpc { service } => http2::grpc(stream, self.is_tls(), &self.host, service).await,
        }
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Any error, for people.
fn said(error: &impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests;
