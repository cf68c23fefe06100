//! What one connection or session leaves behind: figures, and, where the access log is on, a line.

use super::Chosen;
use crate::io::Opened;
use crate::io::relay::Meter;
use crate::observe::l4::{L4Reason, L4Record};
use crate::worker::Worker;
use route::table::{Backend, Endpoint};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
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
    /// Where its listener has a limit of connections.
    pub opened: Option<Box<Opened>>,
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
    /// Who asks.
    pub fn address(&self) -> IpAddr {
        self.client.ip().to_canonical()
    }

    pub fn begin(worker: Rc<Worker>, client: SocketAddr, carriage: Carriage) -> Self {
        Self {
            worker,
            client,
            started: Instant::now(),
            carriage,
            sni: None,
            opened: None,
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

    pub fn client(&self) -> SocketAddr {
        self.client
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

#[cfg(test)]
mod tests {
    use super::{Carriage, Entry};
    use crate::io::relay::Meter;
    use crate::l4::{Moment, choose};
    use crate::observe::l4::L4Reason;
    use crate::worker::{Generation, Worker};
    use route::ir::Transport;
    use route::table::{SocketKey, State};
    use serde_json::json;
    use std::rc::Rc;
    use std::sync::Arc;

    /// A worker with one route for TCP, and what tells its figures.
    fn worker() -> Rc<Worker> {
        let worker = Worker::alone(Generation::default()).unwrap();
        let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "listeners": [{"id": "l", "gateway": "default/g", "port": 5, "bind_port": 5, "protocol": "TCP"}],
            "l4_rules": [{"id": "r", "route": "route", "index": 0, "listeners": ["l"],
                "backends": [{"backend": "b", "weight": 1}]}],
            "backends": [{"id": "b"}],
            "endpoints": [{"id": "e", "backend": "b", "address": "192.0.2.1", "port": 1, "state": "ready"}]}});
        let transaction = serde_json::from_value(transaction).unwrap();
        let table = State::default().apply(transaction, &worker.shared.registry).unwrap();
        worker.shared.generation.store(Arc::new(Generation { table, ..Generation::default() }));
        worker
    }

    fn begin(worker: &Rc<Worker>, chosen: bool) -> Entry {
        let mut entry = Entry::begin(Rc::clone(worker), ([192, 0, 2, 9], 9).into(), Carriage::Tcp);
        if chosen {
            let generation = worker.generation();
            let key = SocketKey { transport: Transport::Tcp, address: None, port: 5 };
            let socket = generation.table.socket(key).unwrap();
            choose(worker, &generation, socket, None, Moment::Only, &mut entry).unwrap();
        }
        entry
    }

    /// Figures of the route by the beginning of their names.
    fn figure(worker: &Worker, name: &str) -> u64 {
        let text = worker.shared.registry.render(0, 0);
        let line = text.lines().find(|line| line.starts_with(&format!("sluicegate_{name}")));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap_or_default().parse().unwrap())
    }

    #[test]
    fn a_flow_is_open_until_it_is_dropped() {
        let worker = worker();
        let (one, two) = (begin(&worker, true), begin(&worker, true));
        let open = || (figure(&worker, "l4_connections_total{"), figure(&worker, "l4_connections_active{"));
        assert_eq!(open(), (2, 2));
        assert_eq!(one.backend().map(|backend| backend.id.as_str()), Some("b"));
        one.finished();
        two.failed(L4Reason::ClientReset);
        drop(one);
        assert_eq!(open(), (2, 1));
        drop(two);
        assert_eq!(open(), (2, 0));
        // What no route took was never open.
        drop(begin(&worker, false));
        assert_eq!(open(), (2, 0));
    }

    #[test]
    fn bytes_and_datagrams_either_way() {
        let worker = worker();
        let entry = begin(&worker, true);
        entry.received(5);
        entry.sent(7);
        entry.datagram_received(10);
        entry.datagram_received(0);
        entry.datagram_sent(20);
        let directed = |name: &str| {
            let [received, sent] = ["received", "sent"].map(|direction| {
                figure(&worker, &format!("{name}{{listener=\"l\",route=\"route\",direction=\"{direction}\"}}"))
            });
            (received, sent)
        };
        assert_eq!((directed("l4_bytes_total"), directed("l4_datagrams_total")), ((15, 27), (2, 1)));
        assert_eq!((entry.received_datagrams.get(), entry.sent_datagrams.get()), (2, 1));
        entry.finished();
    }

    /// What ended a flow is counted once; what ended as its ends wanted, or was none, is not.
    #[test]
    fn why_a_flow_ended() {
        let ends: [(fn(Entry), Option<L4Reason>); 5] = [
            (|entry| entry.finished(), None),
            (Entry::discard, None),
            (|entry| entry.failed(L4Reason::Idle), Some(L4Reason::Idle)),
            (
                |entry| {
                    entry.failed(L4Reason::UpstreamReset);
                    // As the session of a lost endpoint does.
                    entry.finished();
                },
                Some(L4Reason::UpstreamReset),
            ),
            (drop, Some(L4Reason::Shutdown)),
        ];
        for (end, reason) in ends {
            let worker = worker();
            end(begin(&worker, true));
            let counted = |reason: &&L4Reason| worker.metrics.l4_failures.of(**reason).get() > 0;
            assert_eq!(L4Reason::ALL.iter().find(counted).copied(), reason);
            assert!(reason.is_none_or(|reason| worker.metrics.l4_failures.of(reason).get() == 1));
        }
    }
}
