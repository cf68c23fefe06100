//! What the transactions so far said, and how the next one changes it.
//!
//! All or nothing: [`State::apply`] first checks the whole transaction against itself and the state, and only then changes
//! anything. Every change costs work for what it touches: its rule's buckets, its backend, its listener.

mod attached;
mod backends;
mod check;
mod lists;
mod policies;
mod written;

pub use backends::Slots;
pub use check::{Refused, Resolution};

use super::Tags;
use super::pattern::Patterns;
use super::{Attachments, HostTable, L4Table, Listener, ListenerFilters, Policies, Socket, SocketKey, Table};
use crate::ir::{self, Need, Policy, PolicySecret, Transaction};
use crate::policy::{Compiled, Preamble};
use ahash::{AHashMap, AHashSet};
use attached::{L4RuleEntry, RuleEntry};
use backends::BackendState;
use check::Checked;
use lists::Lists;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

#[derive(Debug)]
struct ListenerEntry {
    ir: Arc<ir::Listener>,
    filters: Arc<ListenerFilters>,
}

/// The mutable side of the table.
#[derive(Debug, Default)]
pub struct State {
    generation: u64,
    listeners: AHashMap<Arc<str>, ListenerEntry>,
    hosts: AHashMap<Arc<str>, Arc<HostTable>>,
    attachments: Attachments,
    rules: AHashMap<Arc<str>, RuleEntry>,
    l4: AHashMap<Arc<str>, Arc<L4Table>>,
    l4_rules: AHashMap<Arc<str>, L4RuleEntry>,
    backends: BackendState,
    certificates: Arc<AHashMap<Arc<str>, Arc<ir::Certificate>>>,
    policies: Policies,
    policy_secrets: AHashMap<Arc<str>, Arc<PolicySecret>>,
    lists: Lists,
    trust: Arc<AHashMap<Arc<str>, Arc<ir::Trust>>>,
    replicas: AHashMap<String, NonZeroU32>,
    session_tickets: Arc<AHashMap<Arc<str>, Arc<ir::SessionTickets>>>,
    patterns: Patterns,
}

impl State {
    /// Apply a transaction and compile the table of the new generation.
    ///
    /// # Errors
    /// [`Refused`] with every reason; the state is then as before.
    pub fn apply(&mut self, transaction: Transaction, tags: &dyn Tags) -> Result<Table, Refused> {
        let mut patterns = std::mem::take(&mut self.patterns);
        let checked = self.check(&transaction, &mut patterns);
        self.patterns = patterns;
        let Checked { expressions, filters } = checked?;
        if transaction.full {
            // Of what was there, only backends and patterns have something to keep; everything else is
            // compiled anew.
            let backends = std::mem::take(&mut self.backends).keep_endpoints(&transaction.upsert.endpoints);
            *self = Self { backends, patterns: std::mem::take(&mut self.patterns), ..Self::default() };
        }
        self.remove(&transaction.remove, &transaction.upsert);
        let ir::Resources {
            listeners,
            attachments,
            http_rules,
            l4_rules,
            backends,
            endpoints,
            policies,
            trust,
            replicas,
        } = transaction.upsert;
        for (listener, filters) in listeners.into_iter().zip(filters) {
            let id = Arc::from(listener.id.as_str());
            self.lists.touch_listener(&id);
            self.listeners.insert(id, ListenerEntry { ir: Arc::new(listener), filters: Arc::new(filters) });
        }
        self.put_policies(policies, transaction.secrets.policy_secrets);
        for backend in backends {
            self.backends.put(backend);
        }
        let here = tags.locality();
        for endpoint in endpoints {
            self.backends.put_endpoint(&endpoint, &here);
        }
        self.put_attachments(attachments, tags);
        for (rule, expressions) in http_rules.into_iter().zip(expressions) {
            self.put_rule(rule, expressions, tags);
        }
        for rule in l4_rules {
            self.put_l4_rule(rule, tags);
        }
        if !trust.is_empty() {
            let all = Arc::make_mut(&mut self.trust);
            all.extend(trust.into_iter().map(|trust| (Arc::from(trust.id.as_str()), Arc::new(trust))));
        }
        self.replicas.extend(replicas.into_iter().map(|replicas| (replicas.id, replicas.pods)));
        if !transaction.secrets.certificates.is_empty() {
            let all = Arc::make_mut(&mut self.certificates);
            let certificates = transaction.secrets.certificates.into_iter();
            all.extend(certificates.map(|certificate| (Arc::from(certificate.id.as_str()), Arc::new(certificate))));
        }
        if !transaction.secrets.session_tickets.is_empty() {
            let all = Arc::make_mut(&mut self.session_tickets);
            let tickets = transaction.secrets.session_tickets.into_iter();
            all.extend(tickets.map(|tickets| (Arc::from(tickets.id.as_str()), Arc::new(tickets))));
        }
        self.generation = transaction.generation;
        self.backends.compile(&self.policies, tags);
        self.lists.join(&self.listeners, &self.policies);
        Ok(self.table())
    }

    /// `upserted`: listeners and attachments that are there again afterwards, with the rules that are attached to them.
    fn remove(&mut self, remove: &ir::Removals, upserted: &ir::Resources) {
        for id in &remove.http_rules {
            self.take_rule(id);
        }
        for id in &remove.l4_rules {
            self.take_l4_rule(id);
        }
        for id in &remove.endpoints {
            self.backends.remove_endpoint(id);
        }
        for id in &remove.backends {
            self.backends.remove(id);
        }
        let back: AHashSet<&str> = upserted.listeners.iter().map(|it| it.id.as_str()).collect();
        for id in remove.listeners.iter().filter(|id| !back.contains(id.as_str())) {
            self.lists.touch_listener(id);
            self.listeners.remove(id.as_str());
            self.hosts.remove(id.as_str());
            self.l4.remove(id.as_str());
        }
        if !remove.attachments.is_empty() {
            let back: AHashSet<&str> = upserted.attachments.iter().map(|it| it.id.as_str()).collect();
            let all = Arc::make_mut(&mut self.attachments);
            let gone = remove.attachments.iter().filter(|id| !back.contains(id.as_str()));
            gone.for_each(|id| drop(all.remove(id.as_str())));
        }
        if !remove.policies.is_empty() {
            let all = Arc::make_mut(&mut self.policies);
            remove.policies.iter().for_each(|id| drop(all.remove(id.as_str())));
        }
        for id in &remove.policy_secrets {
            self.policy_secrets.remove(id.as_str());
        }
        if !remove.trust.is_empty() {
            let all = Arc::make_mut(&mut self.trust);
            remove.trust.iter().for_each(|id| drop(all.remove(id.as_str())));
        }
        self.replicas.retain(|id, _| !remove.replicas.contains(id));
        if !remove.certificates.is_empty() {
            let all = Arc::make_mut(&mut self.certificates);
            remove.certificates.iter().for_each(|id| drop(all.remove(id.as_str())));
        }
        if !remove.session_tickets.is_empty() {
            let all = Arc::make_mut(&mut self.session_tickets);
            remove.session_tickets.iter().for_each(|id| drop(all.remove(id.as_str())));
        }
    }

    /// Compile policies: those that are sent, and those whose secrets are.
    fn put_policies(&mut self, policies: Vec<Policy>, secrets: Vec<PolicySecret>) {
        let mut anew: AHashMap<String, Policy> =
            policies.into_iter().map(|policy| (policy.id().to_owned(), policy)).collect();
        let secrets: Vec<(Arc<str>, Arc<PolicySecret>)> =
            secrets.into_iter().map(|secret| (Arc::from(secret.id.as_str()), Arc::new(secret))).collect();
        for (id, secret) in secrets {
            for (policy, compiled) in self.policies.iter().filter(|(_, compiled)| needs_secret(&compiled.ir, &id)) {
                anew.entry((**policy).to_owned()).or_insert_with(|| compiled.ir.clone());
            }
            self.policy_secrets.insert(id, secret);
        }
        if anew.is_empty() {
            return;
        }
        let all = Arc::make_mut(&mut self.policies);
        for (id, policy) in anew {
            self.backends.touch_named_by(&id);
            self.lists.touch_policy(&id, &self.listeners);
            let needs = policy.kind().needs();
            let secrets = needs.iter().filter_map(|need| match need {
                Need::Secret(id) => self.policy_secrets.get(*id).cloned(),
                Need::Backend(_) => None,
            });
            let secrets = secrets.collect();
            let slots = needs.iter().filter_map(|need| match need {
                Need::Backend(id) => Some(self.backends.slots.of(id)),
                Need::Secret(_) => None,
            });
            let slots = slots.collect();
            drop(needs);
            all.insert(Arc::from(id), Arc::new(Compiled::of(policy, secrets, slots)));
        }
    }

    fn table(&self) -> Table {
        let mut sockets: BTreeMap<SocketKey, Socket> = BTreeMap::new();
        for (id, ListenerEntry { ir, filters }) in &self.listeners {
            let joins = self.lists.joins(id).cloned();
            let asks = joins.as_ref().and_then(|joins| joins.of(0)).is_some_and(|joined| joined.preceding > 0);
            let listener = Arc::new(Listener {
                precedes: asks || !filters.pre_routing.is_empty(),
                ir: Arc::clone(ir),
                hosts: self.hosts.get(id).cloned().unwrap_or_default(),
                filters: Arc::clone(filters),
                l4: self.l4.get(id).cloned().unwrap_or_default(),
                joins,
            });
            for key in socket_keys(ir) {
                let empty = || Socket {
                    key,
                    protocol: ir.protocol,
                    carries_flows: false,
                    preamble: None,
                    governed: false,
                    listeners: AHashMap::new(),
                };
                let socket = sockets.entry(key).or_insert_with(empty);
                if ir.protocol == ir::ListenerProtocol::Https {
                    socket.protocol = ir.protocol;
                }
                socket.carries_flows |= !ir.protocol.is_http();
                for policy in listener.policies().iter().flat_map(|joined| &joined.policies) {
                    Preamble::note(&mut socket.preamble, policy);
                    socket.governed |= policy.ir.is_of_connections();
                }
                socket.listeners.insert(ir.hostname.as_str().into(), Arc::clone(&listener));
            }
        }
        Table {
            generation: self.generation,
            sockets: sockets.into_iter().map(|(key, socket)| (key, Arc::new(socket))).collect(),
            attachments: Arc::clone(&self.attachments),
            backends: Arc::clone(self.backends.compiled()),
            certificates: Arc::clone(&self.certificates),
            policies: Arc::clone(&self.policies),
            trust: Arc::clone(&self.trust),
            pods: self.replicas.values().max().copied(),
            session_tickets: Arc::clone(&self.session_tickets),
        }
    }
}

fn needs_secret(policy: &Policy, id: &str) -> bool {
    policy.kind().needs().contains(&Need::Secret(id))
}

fn socket_keys(listener: &ir::Listener) -> impl Iterator<Item = SocketKey> + use<> {
    let (transport, port) = (listener.protocol.transport(), listener.bind_port);
    let all = listener.addresses.is_empty().then_some(None);
    let addresses = listener.addresses.clone().into_iter().map(Some);
    all.into_iter().chain(addresses).map(move |address| SocketKey { transport, address, port })
}

#[cfg(test)]
mod tests;
