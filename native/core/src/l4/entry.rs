//! What one connection or session leaves behind: figures, and, where the access log is on, a line.

use super::Chosen;
use crate::io::relay::Meter;
use crate::observe::l4::{L4Reason, L4Record};
use crate::worker::Worker;
use route::table::{Backend, Endpoint};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How a flow is carried, as logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    Tcp,
    Passthrough,
    Terminated,
    Udp,
}

impl Carriage {
    const fn protocol(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Passthrough | Self::Terminated => "TLS",
            Self::Udp => "UDP",
        }
    }

    const fn tls(self) -> Option<&'static str> {
        match self {
            Self::Passthrough => Some("passthrough"),
            Self::Terminated => Some("terminate"),
            Self::Tcp | Self::Udp => None,
        }
    }
}

/// Filled while a flow lives; counted and logged when it is dropped.
#[derive(Debug)]
pub struct Entry {
    worker: Rc<Worker>,
    client: SocketAddr,
    started: Instant,
    pub carriage: Carriage,
    pub sni: Option<String>,
    /// Id of the listener where no route was found.
    pub listener: Option<Box<str>>,
    chosen: Option<Rc<Chosen>>,
    endpoint: Option<Arc<Endpoint>>,
    /// Set once the flow has an end of its own.
    ended: Cell<bool>,
    discarded: Cell<bool>,
    reason: Cell<Option<L4Reason>>,
    detail: RefCell<Option<String>>,
    received: Cell<u64>,
    sent: Cell<u64>,
    received_datagrams: Cell<u64>,
    sent_datagrams: Cell<u64>,
}

impl Entry {
    pub fn begin(worker: Rc<Worker>, client: SocketAddr, carriage: Carriage) -> Self {
        Self {
            worker,
            client,
            started: Instant::now(),
            carriage,
            sni: None,
            listener: None,
            chosen: None,
            endpoint: None,
            ended: Cell::new(false),
            discarded: Cell::new(false),
            reason: Cell::new(None),
            detail: RefCell::default(),
            received: Cell::new(0),
            sent: Cell::new(0),
            received_datagrams: Cell::new(0),
            sent_datagrams: Cell::new(0),
        }
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// A route took it: it counts as open from here on.
    pub fn chosen(&mut self, chosen: &Rc<Chosen>) {
        self.chosen = Some(Rc::clone(chosen));
        if let Some(shard) = self.shard() {
            shard.open();
        }
    }

    /// Where it goes, once that is chosen.
    pub fn backend(&self) -> Option<&Arc<Backend>> {
        self.chosen.as_ref().map(|chosen| &chosen.backend)
    }

    pub fn endpoint(&mut self, endpoint: &Arc<Endpoint>) {
        self.endpoint = Some(Arc::clone(endpoint));
    }

    /// It ended as its ends wanted, unless something was said before.
    pub fn finished(&self) {
        self.ended.set(true);
    }

    /// It is not a flow after all: nothing is counted or logged.
    pub fn discard(self) {
        self.ended.set(true);
        self.discarded.set(true);
    }

    /// A datagram that the kernel had no room for.
    pub fn dropped(&self) {
        self.worker.metrics.l4_failures.count(L4Reason::Full);
    }

    /// It ended otherwise, or never began.
    pub fn failed(&self, reason: L4Reason) {
        self.ended.set(true);
        self.reason.set(Some(reason));
    }

    /// What exactly went wrong, made only where it is written.
    pub fn detail(&self, detail: impl FnOnce() -> String) {
        if self.worker.shared.access_log.is_enabled() {
            *self.detail.borrow_mut() = Some(detail());
        }
    }

    pub fn datagram_received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
        self.received_datagrams.set(self.received_datagrams.get() + 1);
        if let Some(shard) = self.shard() {
            shard.datagram_received(bytes);
        }
    }

    pub fn datagram_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
        self.sent_datagrams.set(self.sent_datagrams.get() + 1);
        if let Some(shard) = self.shard() {
            shard.datagram_sent(bytes);
        }
    }

    fn shard(&self) -> Option<&crate::observe::l4::L4Shard> {
        self.chosen.as_ref()?.series.as_ref()?.shard(self.worker.id)
    }

    fn log(&self) {
        let duration_ms = self.started.elapsed().as_secs_f64() * 1000.0;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let client = self.client.ip().to_canonical().to_string();
        let endpoint = self.endpoint.as_ref().map(|endpoint| endpoint.address.to_string());
        let chosen = self.chosen.as_deref();
        let rule = chosen.map(|chosen| &chosen.rule.ir);
        self.worker.shared.access_log.push(&L4Record {
            time: now - duration_ms / 1000.0,
            duration_ms,
            client: &client,
            protocol: self.carriage.protocol(),
            tls: self.carriage.tls(),
            sni: self.sni.as_deref(),
            listener: chosen.map(|chosen| chosen.listener.id.as_str()).or(self.listener.as_deref()),
            route: rule.map(|rule| rule.route.as_str()),
            rule: rule.map(|rule| if rule.name.is_empty() { rule.id.as_str() } else { rule.name.as_str() }),
            backend: chosen.map(|chosen| chosen.backend.id.as_str()),
            endpoint: endpoint.as_deref(),
            error: self.reason.get().map(L4Reason::name),
            error_detail: self.detail.borrow().as_deref(),
            received_bytes: self.received.get(),
            sent_bytes: self.sent.get(),
            received_datagrams: self.received_datagrams.get(),
            sent_datagrams: self.sent_datagrams.get(),
        });
    }
}

impl Meter for Entry {
    fn received(&self, count: usize) {
        self.received.set(self.received.get() + count as u64);
        if let Some(shard) = self.shard() {
            shard.received(count);
        }
    }

    fn sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
        if let Some(shard) = self.shard() {
            shard.sent(count);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.ended.get() {
            self.reason.set(Some(L4Reason::Shutdown));
        }
        if let Some(shard) = self.shard() {
            shard.close();
        }
        if let Some(reason) = self.reason.get() {
            self.worker.metrics.l4_failures.count(reason);
        }
        if self.worker.shared.access_log.is_enabled() && !self.discarded.get() {
            self.log();
        }
    }
}
