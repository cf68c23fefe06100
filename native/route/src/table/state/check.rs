//! Whether a transaction fits itself and the state, looked at as a whole before anything changes.

use super::written::{check_filters, check_rule};
use super::{State, socket_keys};
use crate::ir::{self, Transaction};
use crate::table::compile::{Expressions, compile_expressions};
use crate::table::{PreRouting, SocketKey};
use ahash::{AHashMap, AHashSet};

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

/// The compiled parts of a transaction that passed, in its order.
pub(super) struct Checked {
    /// Of each HTTP rule.
    pub(super) expressions: Vec<Expressions>,
    /// Of each listener.
    pub(super) pre_routing: Vec<PreRouting>,
}

/// Takes the kind and id of a resource, and what is wrong with it.
pub(super) type Refuse<'r> = dyn FnMut(&'static str, &str, String) + 'r;

impl State {
    /// Everything that could be wrong with a transaction, before anything changes. Returns what was compiled for that.
    pub(super) fn check(&self, transaction: &Transaction) -> Result<Checked, Refused> {
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
                || (!transaction.full && self.backends.contains(id) && !removed_backends.contains(id))
        };
        let mut pre_routing = Vec::with_capacity(transaction.upsert.listeners.len());
        for listener in &transaction.upsert.listeners {
            if let Err(reason) = check_filters("", &listener.filters) {
                refuse("listener", &listener.id, reason);
            }
            match PreRouting::compile(&listener.filters) {
                Ok(compiled) => pre_routing.push(compiled),
                Err(reason) => refuse("listener", &listener.id, reason),
            }
        }
        let mut expressions = Vec::with_capacity(transaction.upsert.http_rules.len());
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
            if let Err(reason) = check_rule(rule) {
                refuse("http_rule", &rule.id, reason);
            }
            match compile_expressions(rule) {
                Ok(compiled) => expressions.push(compiled),
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
        for tickets in &transaction.secrets.session_tickets {
            if tickets.keys.iter().any(|key| key.bytes().is_none()) {
                refuse("session_tickets", &tickets.id, "has a key that is not 64 hexadecimal digits".to_owned());
            }
        }
        self.check_policies(transaction, &mut refuse);
        self.check_removals(transaction, &upserted_listeners, &upserted_backends, &mut refuse);
        self.check_sockets(transaction, &removed_listeners, &mut refuse);
        if refused.is_empty() { Ok(Checked { expressions, pre_routing }) } else { Err(Refused(refused)) }
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
