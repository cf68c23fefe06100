//! Whether a transaction fits itself and the state, looked at as a whole before anything changes.

use super::written::{check_filters, check_rule};
use super::{State, socket_keys};
use crate::ir::{self, Transaction};
use crate::table::compile::{Expressions, compile_expressions};
use crate::table::pattern::Patterns;
use crate::table::{ListenerFilters, SocketKey};
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
    pub(super) filters: Vec<ListenerFilters>,
}

/// Takes the kind and id of a resource, and what is wrong with it.
pub(super) type Refuse<'r> = dyn FnMut(&'static str, &str, String) + 'r;

impl State {
    /// Everything that could be wrong with a transaction, before anything changes. Returns what was compiled for that.
    pub(super) fn check(&self, transaction: &Transaction, patterns: &mut Patterns) -> Result<Checked, Refused> {
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
        let upserted_attachments: AHashSet<&str> =
            transaction.upsert.attachments.iter().map(|it| it.id.as_str()).collect();
        let removed_attachments = kept(&transaction.remove.attachments);
        let has_attachment = |id: &str| {
            upserted_attachments.contains(id)
                || (!transaction.full && self.attachments.contains_key(id) && !removed_attachments.contains(id))
        };
        let has_backend = |id: &str| {
            upserted_backends.contains(id)
                || (!transaction.full && self.backends.contains(id) && !removed_backends.contains(id))
        };
        let mut filters = Vec::with_capacity(transaction.upsert.listeners.len());
        for listener in &transaction.upsert.listeners {
            if let Err(reason) = check_filters("", &listener.filters) {
                refuse("listener", &listener.id, reason);
            }
            match ListenerFilters::compile(&listener.filters) {
                Ok(compiled) => filters.push(compiled),
                Err(reason) => refuse("listener", &listener.id, reason),
            }
        }
        for attachment in &transaction.upsert.attachments {
            for listener in attachment.listeners.iter().filter(|id| !has_listener(id)) {
                refuse("attachment", &attachment.id, format!("names the unknown listener {listener}"));
            }
        }
        let mut expressions = Vec::with_capacity(transaction.upsert.http_rules.len());
        for rule in &transaction.upsert.http_rules {
            for listener in rule.listeners.iter().filter(|id| !has_listener(id)) {
                refuse("http_rule", &rule.id, format!("names the unknown listener {listener}"));
            }
            for attachment in rule.attachments.iter().filter(|id| !has_attachment(id)) {
                refuse("http_rule", &rule.id, format!("names the unknown attachment {attachment}"));
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
            match compile_expressions(rule, patterns) {
                Ok(compiled) => expressions.push(compiled),
                Err(reason) => refuse("http_rule", &rule.id, reason),
            }
        }
        for rule in &transaction.upsert.l4_rules {
            for listener in rule.listeners.iter().filter(|id| !has_listener(id)) {
                refuse("l4_rule", &rule.id, format!("names the unknown listener {listener}"));
            }
            for attachment in rule.attachments.iter().filter(|id| !has_attachment(id)) {
                refuse("l4_rule", &rule.id, format!("names the unknown attachment {attachment}"));
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
        self.check_removals(transaction, &mut refuse);
        self.check_sockets(transaction, &removed_listeners, &mut refuse);
        if refused.is_empty() { Ok(Checked { expressions, filters }) } else { Err(Refused(refused)) }
    }

    /// What goes away must not be named by what stays.
    fn check_removals(&self, transaction: &Transaction, refuse: &mut impl FnMut(&'static str, &str, String)) {
        let Transaction { upsert, remove, .. } = transaction;
        let gone = Gone {
            listeners: gone(&remove.listeners, upsert.listeners.iter().map(|it| &it.id)),
            attachments: gone(&remove.attachments, upsert.attachments.iter().map(|it| &it.id)),
            backends: gone(&remove.backends, upsert.backends.iter().map(|it| &it.id)),
        };
        if transaction.full || gone.is_nothing() {
            return;
        }
        let replaced = all_of(&remove.attachments, upsert.attachments.iter().map(|it| &it.id));
        for (id, attachment) in self.attachments.iter().filter(|(id, _)| !replaced.contains(&***id)) {
            for listener in attachment.listeners.iter().filter(|id| gone.listeners.contains(id.as_str())) {
                refuse("listener", listener, format!("is removed but attachment {id} has it"));
            }
        }
        let replaced = all_of(&remove.http_rules, upsert.http_rules.iter().map(|it| &it.id));
        for (id, entry) in self.rules.iter().filter(|(id, _)| !replaced.contains(&***id)) {
            let rule = &entry.rule.ir;
            gone.check(id, &rule.listeners, &rule.attachments, backends_of(rule), refuse);
        }
        let replaced = all_of(&remove.l4_rules, upsert.l4_rules.iter().map(|it| &it.id));
        for (id, entry) in self.l4_rules.iter().filter(|(id, _)| !replaced.contains(&***id)) {
            let rule = &entry.rule.ir;
            gone.check(id, &rule.listeners, &rule.attachments, l4_backends_of(rule), refuse);
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

/// Ids of what is not there any more after a transaction.
struct Gone<'t> {
    listeners: AHashSet<&'t str>,
    attachments: AHashSet<&'t str>,
    backends: AHashSet<&'t str>,
}

impl Gone<'_> {
    fn is_nothing(&self) -> bool {
        self.listeners.is_empty() && self.attachments.is_empty() && self.backends.is_empty()
    }

    /// What a rule that stays names.
    fn check<'r>(
        &self,
        id: &str,
        listeners: &[String],
        attachments: &[String],
        backends: impl Iterator<Item = &'r str>,
        refuse: &mut impl FnMut(&'static str, &str, String),
    ) {
        for listener in listeners.iter().filter(|id| self.listeners.contains(id.as_str())) {
            refuse("listener", listener, format!("is removed but rule {id} is attached to it"));
        }
        for attachment in attachments.iter().filter(|id| self.attachments.contains(id.as_str())) {
            refuse("attachment", attachment, format!("is removed but rule {id} names it"));
        }
        for backend in backends.filter(|id| self.backends.contains(*id)) {
            refuse("backend", backend, format!("is removed but rule {id} names it"));
        }
    }
}

/// Removed, and not there anew.
fn gone<'t>(removed: &'t [String], upserted: impl Iterator<Item = &'t String>) -> AHashSet<&'t str> {
    let back: AHashSet<&String> = upserted.collect();
    removed.iter().filter(|id| !back.contains(id)).map(String::as_str).collect()
}

fn all_of<'t>(removed: &'t [String], upserted: impl Iterator<Item = &'t String>) -> AHashSet<&'t str> {
    removed.iter().chain(upserted).map(String::as_str).collect()
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

#[cfg(test)]
mod tests;
