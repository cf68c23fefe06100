//! What the transactions so far said, and how the next one changes it.
//!
//! All or nothing: [`State::apply`] first checks the whole transaction against itself and the state, and only then changes
//! anything. Every change costs work for what it touches: its rule's buckets, its backend, its listener.

use super::compile::{CompiledMatch, Rule, compile_matches};
use super::{
    Backend, Backends, Candidate, Endpoint, HostTable, L4Candidate, L4Rule, L4Table, Listener, PreRouting, Socket,
    SocketKey, Table,
};
use crate::ir::{self, Transaction};
use crate::observe::metrics::SeriesSource;
use ahash::{AHashMap, AHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why one resource of a transaction was refused.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Resolution {
    pub kind: &'static str,
    pub id: String,
    pub reason: String,
}

/// A transaction that was refused as a whole; the table before it goes on serving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<Resolution>);

impl std::fmt::Display for Refused {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Resolution { kind, id, reason }) in self.0.iter().enumerate() {
            write!(formatter, "{}{kind} {id}: {reason}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

/// Backend ids to dense slots. A slot stays with its id for as long as the state lives, defined or not.
#[derive(Debug, Default)]
pub struct Slots(AHashMap<Arc<str>, u32>);

impl Slots {
    pub(super) fn of(&mut self, id: &str) -> u32 {
        if let Some(slot) = self.0.get(id) {
            return *slot;
        }
        let slot = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(Arc::from(id), slot);
        slot
    }
}

#[derive(Debug)]
struct BackendEntry {
    ir: ir::Backend,
    endpoints: BTreeMap<Arc<str>, Arc<Endpoint>>,
    tls: BTreeMap<Arc<str>, Arc<ir::BackendTls>>,
}

/// The compiled parts of a transaction that passed, in its order.
struct Checked {
    /// Of each HTTP rule.
    matches: Vec<Vec<CompiledMatch>>,
    /// Of each listener.
    pre_routing: Vec<PreRouting>,
}

#[derive(Debug)]
struct ListenerEntry {
    ir: Arc<ir::Listener>,
    pre_routing: Arc<PreRouting>,
}

/// The mutable side of the table.
#[derive(Debug, Default)]
pub struct State {
    generation: u64,
    slots: Slots,
    listeners: AHashMap<Arc<str>, ListenerEntry>,
    hosts: AHashMap<Arc<str>, Arc<HostTable>>,
    rules: AHashMap<Arc<str>, Arc<Rule>>,
    l4: AHashMap<Arc<str>, Arc<L4Table>>,
    l4_rules: AHashMap<Arc<str>, Arc<L4Rule>>,
    backends: AHashMap<Arc<str>, BackendEntry>,
    endpoint_backends: AHashMap<Arc<str>, Arc<str>>,
    tls_backends: AHashMap<Arc<str>, Arc<str>>,
    compiled: Backends,
    certificates: Arc<AHashMap<Arc<str>, Arc<ir::Certificate>>>,
    trust: Arc<AHashMap<Arc<str>, Arc<ir::Trust>>>,
}

impl State {
    /// Apply a transaction and compile the table of the new generation.
    ///
    /// # Errors
    /// [`Refused`] with every reason; the state is then as before.
    pub fn apply(&mut self, transaction: Transaction, series: &dyn SeriesSource) -> Result<Table, Refused> {
        let Checked { matches, pre_routing } = self.check(&transaction)?;
        if transaction.full {
            self.forget_what_is_not_in(&transaction);
        }
        let mut touched: AHashSet<Arc<str>> = AHashSet::new();
        self.remove(&transaction.remove, &mut touched);
        let ir::Resources { listeners, http_rules, l4_rules, backends, endpoints, backend_tls, trust } =
            transaction.upsert;
        for (listener, pre_routing) in listeners.into_iter().zip(pre_routing) {
            let id = Arc::from(listener.id.as_str());
            self.listeners.insert(id, ListenerEntry { ir: Arc::new(listener), pre_routing: Arc::new(pre_routing) });
        }
        for backend in backends {
            self.put_backend(backend, &mut touched);
        }
        for endpoint in endpoints {
            self.put_endpoint(&endpoint, &mut touched);
        }
        for policy in backend_tls {
            self.put_policy(policy, &mut touched);
        }
        for (rule, matches) in http_rules.into_iter().zip(matches) {
            self.put_rule(rule, &matches, series);
        }
        for rule in l4_rules {
            self.put_l4_rule(rule, series);
        }
        if !trust.is_empty() {
            let all = Arc::make_mut(&mut self.trust);
            all.extend(trust.into_iter().map(|trust| (Arc::from(trust.id.as_str()), Arc::new(trust))));
        }
        if !transaction.secrets.certificates.is_empty() {
            let all = Arc::make_mut(&mut self.certificates);
            let certificates = transaction.secrets.certificates.into_iter();
            all.extend(certificates.map(|certificate| (Arc::from(certificate.id.as_str()), Arc::new(certificate))));
        }
        self.generation = transaction.generation;
        self.compile_backends(&touched);
        Ok(self.table())
    }

    /// Everything that could be wrong with a transaction, before anything changes. Returns what was compiled for that.
    fn check(&self, transaction: &Transaction) -> Result<Checked, Refused> {
        let mut refused = Vec::new();
        let mut refuse = |kind: &'static str, id: &str, reason: String| {
            refused.push(Resolution { kind, id: id.to_owned(), reason });
        };
        if transaction.version != ir::VERSION {
            refuse(
                "transaction",
                "version",
                format!("{} is not {}, the version of this engine", transaction.version, ir::VERSION),
            );
        }
        let kept = |ids: &[String]| -> AHashSet<String> { ids.iter().cloned().collect() };
        let removed_listeners = kept(&transaction.remove.listeners);
        let removed_backends = kept(&transaction.remove.backends);
        let upserted_listeners: AHashSet<&str> = transaction.upsert.listeners.iter().map(|it| it.id.as_str()).collect();
        let upserted_backends: AHashSet<&str> = transaction.upsert.backends.iter().map(|it| it.id.as_str()).collect();
        let has_listener = |id: &str| {
            upserted_listeners.contains(id)
                || (!transaction.full && self.listeners.contains_key(id) && !removed_listeners.contains(id))
        };
        let has_backend = |id: &str| {
            upserted_backends.contains(id)
                || (!transaction.full && self.backends.contains_key(id) && !removed_backends.contains(id))
        };
        let mut pre_routing = Vec::with_capacity(transaction.upsert.listeners.len());
        for listener in &transaction.upsert.listeners {
            match PreRouting::compile(&listener.filters) {
                Ok(compiled) => pre_routing.push(compiled),
                Err(reason) => refuse("listener", &listener.id, reason),
            }
        }
        let mut matches = Vec::with_capacity(transaction.upsert.http_rules.len());
        for rule in &transaction.upsert.http_rules {
            for listener in rule.listeners.iter().filter(|id| !has_listener(id)) {
                refuse("http_rule", &rule.id, format!("names the unknown listener {listener}"));
            }
            for backend in backends_of(rule).filter(|id| !has_backend(id)) {
                refuse("http_rule", &rule.id, format!("names the unknown backend {backend}"));
            }
            if rule.matches.is_empty() {
                refuse("http_rule", &rule.id, "has no match".to_owned());
            }
            match compile_matches(rule) {
                Ok(compiled) => matches.push(compiled),
                Err(reason) => refuse("http_rule", &rule.id, reason),
            }
        }
        for rule in &transaction.upsert.l4_rules {
            for listener in rule.listeners.iter().filter(|id| !has_listener(id)) {
                refuse("l4_rule", &rule.id, format!("names the unknown listener {listener}"));
            }
            for backend in l4_backends_of(rule).filter(|id| !has_backend(id)) {
                refuse("l4_rule", &rule.id, format!("names the unknown backend {backend}"));
            }
            if rule.backends.iter().any(|backend| !backend.filters.is_empty()) {
                refuse("l4_rule", &rule.id, "has a backend with filters, which act on requests only".to_owned());
            }
        }
        for endpoint in transaction.upsert.endpoints.iter().filter(|endpoint| !has_backend(&endpoint.backend)) {
            refuse("endpoint", &endpoint.id, format!("names the unknown backend {}", endpoint.backend));
        }
        for policy in transaction.upsert.backend_tls.iter().filter(|policy| !has_backend(&policy.backend)) {
            refuse("backend_tls", &policy.id, format!("names the unknown backend {}", policy.backend));
        }
        self.check_removals(transaction, &upserted_listeners, &upserted_backends, &mut refuse);
        self.check_sockets(transaction, &removed_listeners, &mut refuse);
        if refused.is_empty() { Ok(Checked { matches, pre_routing }) } else { Err(Refused(refused)) }
    }

    /// What goes away must not be named by what stays.
    fn check_removals(
        &self,
        transaction: &Transaction,
        upserted_listeners: &AHashSet<&str>,
        upserted_backends: &AHashSet<&str>,
        refuse: &mut impl FnMut(&'static str, &str, String),
    ) {
        if transaction.full || (transaction.remove.listeners.is_empty() && transaction.remove.backends.is_empty()) {
            return;
        }
        let gone = |ids: &[String], back: &AHashSet<&str>| -> AHashSet<String> {
            ids.iter().filter(|id| !back.contains(id.as_str())).cloned().collect()
        };
        let listeners = gone(&transaction.remove.listeners, upserted_listeners);
        let backends = gone(&transaction.remove.backends, upserted_backends);
        let replaced: AHashSet<&str> = transaction
            .upsert
            .http_rules
            .iter()
            .map(|rule| rule.id.as_str())
            .chain(transaction.remove.http_rules.iter().map(String::as_str))
            .collect();
        for (id, rule) in self.rules.iter().filter(|(id, _)| !replaced.contains(&***id)) {
            for listener in rule.ir.listeners.iter().filter(|id| listeners.contains(*id)) {
                refuse("listener", listener, format!("is removed but rule {id} is attached to it"));
            }
            for backend in backends_of(&rule.ir).filter(|id| backends.contains(*id)) {
                refuse("backend", backend, format!("is removed but rule {id} names it"));
            }
        }
        let upserted = transaction.upsert.l4_rules.iter().map(|rule| rule.id.as_str());
        let replaced: AHashSet<&str> = upserted.chain(transaction.remove.l4_rules.iter().map(String::as_str)).collect();
        for (id, rule) in self.l4_rules.iter().filter(|(id, _)| !replaced.contains(&***id)) {
            for listener in rule.ir.listeners.iter().filter(|id| listeners.contains(*id)) {
                refuse("listener", listener, format!("is removed but rule {id} is attached to it"));
            }
            for backend in l4_backends_of(&rule.ir).filter(|id| backends.contains(*id)) {
                refuse("backend", backend, format!("is removed but rule {id} names it"));
            }
        }
    }

    /// Listeners on one socket speak one protocol, or HTTPS and TLS, and have different hostnames.
    fn check_sockets(
        &self,
        transaction: &Transaction,
        removed: &AHashSet<String>,
        refuse: &mut impl FnMut(&'static str, &str, String),
    ) {
        if transaction.upsert.listeners.is_empty() {
            return;
        }
        let upserted = transaction.upsert.listeners.iter();
        let ids: AHashSet<&str> = upserted.clone().map(|listener| listener.id.as_str()).collect();
        let staying = self.listeners.values().map(|listener| &*listener.ir).filter(|listener| {
            !transaction.full && !removed.contains(&listener.id) && !ids.contains(listener.id.as_str())
        });
        let mut taken: AHashMap<(SocketKey, &str), &str> = AHashMap::new();
        let mut protocols: AHashMap<SocketKey, ir::ListenerProtocol> = AHashMap::new();
        for listener in staying.chain(upserted) {
            for key in socket_keys(listener) {
                if !protocols.entry(key).or_insert(listener.protocol).shares_socket_with(listener.protocol) {
                    refuse("listener", &listener.id, format!("speaks another protocol than its port {}", key.port));
                }
                if let Some(other) = taken.insert((key, &listener.hostname), &listener.id) {
                    refuse("listener", &listener.id, format!("has the port and hostname of {other}"));
                }
            }
        }
    }

    fn forget_what_is_not_in(&mut self, transaction: &Transaction) {
        // Endpoint uids survive, so that pools do; everything else is compiled anew.
        let uids: AHashMap<Arc<str>, Arc<Endpoint>> =
            self.backends.values_mut().flat_map(|backend| std::mem::take(&mut backend.endpoints)).collect();
        *self = Self { slots: std::mem::take(&mut self.slots), ..Self::default() };
        for endpoint in &transaction.upsert.endpoints {
            if let Some((id, before)) = uids.get_key_value(endpoint.id.as_str()) {
                let backend = BackendEntry {
                    ir: ir::Backend { id: endpoint.backend.clone(), protocol: ir::BackendProtocol::default() },
                    endpoints: BTreeMap::new(),
                    tls: BTreeMap::new(),
                };
                let backend = self.backends.entry(Arc::from(endpoint.backend.as_str())).or_insert(backend);
                backend.endpoints.insert(Arc::clone(id), Arc::clone(before));
            }
        }
    }

    fn remove(&mut self, remove: &ir::Removals, touched: &mut AHashSet<Arc<str>>) {
        for id in &remove.http_rules {
            self.take_rule(id);
        }
        for id in &remove.l4_rules {
            self.take_l4_rule(id);
        }
        for id in &remove.endpoints {
            if let Some(backend) = self.endpoint_backends.remove(id.as_str())
                && let Some(entry) = self.backends.get_mut(&backend)
            {
                entry.endpoints.remove(id.as_str());
                touched.insert(backend);
            }
        }
        for id in &remove.backend_tls {
            if let Some(backend) = self.tls_backends.remove(id.as_str())
                && let Some(entry) = self.backends.get_mut(&backend)
            {
                entry.tls.remove(id.as_str());
                touched.insert(backend);
            }
        }
        for id in &remove.backends {
            if let Some((id, entry)) = self.backends.remove_entry(id.as_str()) {
                for endpoint in entry.endpoints.keys() {
                    self.endpoint_backends.remove(endpoint);
                }
                for policy in entry.tls.keys() {
                    self.tls_backends.remove(policy);
                }
                touched.insert(id);
            }
        }
        for id in &remove.listeners {
            self.listeners.remove(id.as_str());
            self.hosts.remove(id.as_str());
            self.l4.remove(id.as_str());
        }
        if !remove.trust.is_empty() {
            let all = Arc::make_mut(&mut self.trust);
            remove.trust.iter().for_each(|id| drop(all.remove(id.as_str())));
        }
        if !remove.certificates.is_empty() {
            let all = Arc::make_mut(&mut self.certificates);
            remove.certificates.iter().for_each(|id| drop(all.remove(id.as_str())));
        }
    }

    fn put_backend(&mut self, backend: ir::Backend, touched: &mut AHashSet<Arc<str>>) {
        let id: Arc<str> = Arc::from(backend.id.as_str());
        touched.insert(Arc::clone(&id));
        if let Some(entry) = self.backends.get_mut(&id) {
            entry.ir = backend;
        } else {
            let entry = BackendEntry { ir: backend, endpoints: BTreeMap::new(), tls: BTreeMap::new() };
            self.backends.insert(id, entry);
        }
    }

    fn put_endpoint(&mut self, endpoint: &ir::Endpoint, touched: &mut AHashSet<Arc<str>>) {
        let id: Arc<str> = Arc::from(endpoint.id.as_str());
        let backend: Arc<str> = Arc::from(endpoint.backend.as_str());
        let before = self.endpoint_backends.insert(Arc::clone(&id), Arc::clone(&backend));
        if let Some(other) = before.filter(|other| *other != backend)
            && let Some(entry) = self.backends.get_mut(&other)
        {
            entry.endpoints.remove(&id);
            touched.insert(other);
        }
        if let Some(entry) = self.backends.get_mut(&backend) {
            let compiled = Endpoint::compile(endpoint, entry.endpoints.get(&id).map(|before| &**before));
            entry.endpoints.insert(id, Arc::new(compiled));
            touched.insert(backend);
        }
    }

    fn put_policy(&mut self, policy: ir::BackendTls, touched: &mut AHashSet<Arc<str>>) {
        let id: Arc<str> = Arc::from(policy.id.as_str());
        let backend: Arc<str> = Arc::from(policy.backend.as_str());
        if let Some(entry) = self.backends.get_mut(&backend) {
            entry.tls.insert(Arc::clone(&id), Arc::new(policy));
            self.tls_backends.insert(id, Arc::clone(&backend));
            touched.insert(backend);
        }
    }

    fn put_rule(&mut self, rule: ir::HttpRule, matches: &[CompiledMatch], series: &dyn SeriesSource) {
        self.take_rule(&rule.id);
        let rule = Arc::new(Rule::compile(rule, &mut self.slots));
        for listener in &rule.ir.listeners {
            let series = series.route_series(listener, &rule.ir.route);
            let hosts = Arc::make_mut(self.hosts.entry(Arc::from(listener.as_str())).or_default());
            for hostname in hostnames_of(&rule.ir) {
                let paths = Arc::make_mut(hosts.entry(hostname));
                for (index, matched) in (0_u32..).zip(matches) {
                    let candidate = Candidate {
                        rule: Arc::clone(&rule),
                        match_index: index,
                        predicates: Arc::clone(&matched.predicates),
                        series: Arc::clone(&series),
                    };
                    paths.insert(candidate, &matched.path);
                }
            }
        }
        self.rules.insert(Arc::from(rule.ir.id.as_str()), rule);
    }

    fn take_rule(&mut self, id: &str) {
        let Some(rule) = self.rules.remove(id) else {
            return;
        };
        for listener in &rule.ir.listeners {
            let Some(hosts) = self.hosts.get_mut(listener.as_str()) else {
                continue;
            };
            let hosts = Arc::make_mut(hosts);
            for hostname in hostnames_of(&rule.ir) {
                hosts.update(hostname, |paths| {
                    paths.remove(id, rule.ir.matches.iter().map(|matched| &matched.path));
                });
            }
        }
    }

    fn put_l4_rule(&mut self, rule: ir::L4Rule, series: &dyn SeriesSource) {
        self.take_l4_rule(&rule.id);
        let rule = Arc::new(L4Rule::compile(rule, &mut self.slots));
        for listener in &rule.ir.listeners {
            let table = Arc::make_mut(self.l4.entry(Arc::from(listener.as_str())).or_default());
            let series = series.l4_series(listener, &rule.ir.route);
            table.insert(&L4Candidate { rule: Arc::clone(&rule), series });
        }
        self.l4_rules.insert(Arc::from(rule.ir.id.as_str()), rule);
    }

    fn take_l4_rule(&mut self, id: &str) {
        let Some(rule) = self.l4_rules.remove(id) else {
            return;
        };
        for listener in &rule.ir.listeners {
            if let Some(table) = self.l4.get_mut(listener.as_str()) {
                Arc::make_mut(table).remove(&rule.ir);
            }
        }
    }

    fn compile_backends(&mut self, touched: &AHashSet<Arc<str>>) {
        let slots = self.slots.0.len();
        if touched.is_empty() && self.compiled.len() == slots {
            return;
        }
        for id in touched {
            self.slots.of(id);
        }
        let compiled = Arc::make_mut(&mut self.compiled);
        compiled.resize(self.slots.0.len(), None);
        for id in touched {
            let slot = self.slots.of(id) as usize;
            compiled[slot] = self.backends.get(id).map(|entry| Arc::new(entry.compile()));
        }
    }

    fn table(&self) -> Table {
        let mut sockets: BTreeMap<SocketKey, Socket> = BTreeMap::new();
        for (id, ListenerEntry { ir, pre_routing }) in &self.listeners {
            let listener = Arc::new(Listener {
                ir: Arc::clone(ir),
                hosts: self.hosts.get(id).cloned().unwrap_or_default(),
                pre_routing: Arc::clone(pre_routing),
                l4: self.l4.get(id).cloned().unwrap_or_default(),
            });
            for key in socket_keys(ir) {
                let empty = || Socket { key, protocol: ir.protocol, carries_flows: false, listeners: AHashMap::new() };
                let socket = sockets.entry(key).or_insert_with(empty);
                if ir.protocol == ir::ListenerProtocol::Https {
                    socket.protocol = ir.protocol;
                }
                socket.carries_flows |= !ir.protocol.is_http();
                socket.listeners.insert(ir.hostname.as_str().into(), Arc::clone(&listener));
            }
        }
        Table {
            generation: self.generation,
            sockets: sockets.into_iter().map(|(key, socket)| (key, Arc::new(socket))).collect(),
            backends: Arc::clone(&self.compiled),
            certificates: Arc::clone(&self.certificates),
            trust: Arc::clone(&self.trust),
        }
    }
}

impl BackendEntry {
    fn compile(&self) -> Backend {
        let of =
            |state: ir::EndpointState| self.endpoints.values().filter(move |it| it.state == state).cloned().collect();
        Backend {
            id: self.ir.id.clone(),
            protocol: self.ir.protocol,
            tls: self.tls.values().next().cloned(),
            ready: of(ir::EndpointState::Ready),
            draining: of(ir::EndpointState::Draining),
        }
    }
}

fn socket_keys(listener: &ir::Listener) -> impl Iterator<Item = SocketKey> + use<> {
    let (transport, port) = (listener.protocol.transport(), listener.bind_port);
    let all = listener.addresses.is_empty().then_some(None);
    let addresses = listener.addresses.clone().into_iter().map(Some);
    all.into_iter().chain(addresses).map(move |address| SocketKey { transport, address, port })
}

fn hostnames_of(rule: &ir::HttpRule) -> impl Iterator<Item = &str> {
    let any = rule.hostnames.is_empty().then_some("");
    any.into_iter().chain(rule.hostnames.iter().map(String::as_str))
}

fn l4_backends_of(rule: &ir::L4Rule) -> impl Iterator<Item = &str> {
    rule.backends.iter().filter_map(|backend| backend.backend.as_deref())
}

/// Every backend that a rule names, in its backendRefs and its mirrors.
fn backends_of(rule: &ir::HttpRule) -> impl Iterator<Item = &str> {
    let filters = rule.filters.iter().chain(rule.backends.iter().flat_map(|backend| &backend.filters));
    let mirrors = filters.filter_map(|filter| match filter {
        ir::Filter::Mirror { backend, .. } => Some(backend.as_str()),
        _ => None,
    });
    rule.backends.iter().filter_map(|backend| backend.backend.as_deref()).chain(mirrors)
}
