//! The routing table: compiled once per transaction, immutable, "first hit wins".
//!
//! [`State`] is the mutable side: it holds what the transactions so far said, compiled. [`State::apply`] checks a whole
//! transaction, then changes only the buckets it touches, and hands out a new [`Table`], which shares everything else
//! with the one before. A request sees exactly one table.
//!
//! Rules name their backends by slot: endpoints change without touching a single rule, and looking a backend up is an
//! index into the table's own dense list, so rule and endpoints are always of one generation.
//!
//! Knows nothing of sockets, connections or time.

pub mod authority;
mod backend;
mod candidate;
mod compile;
mod filter;
mod grpc;
mod host;
mod join;
mod l4;
mod method_pattern;
mod path;
mod pattern;
mod predicate;
mod state;
mod substitution;

pub use backend::{Backend, Backends, Endpoint, Locality, Near};
pub use candidate::Candidate;
pub use compile::{Retry, Rule, RuleBackend, Timeouts, backend_at};
pub(crate) use filter::made_value;
pub use filter::{
    CorsFilter, EditedFields, Filters, HeaderEdits, ListenerFilters, MadeValue, MadeValues, Mirror, OriginPattern,
    PreRouting, Respond, Rewrite,
};
pub use host::{HostTable, hostname_specificity};
pub use join::{Formats, Joined, Joins, ListNumber, Traces};
pub use l4::{L4Candidate, L4Rule, L4Table};
pub use path::PathTable;
pub use pattern::{PatternFacts, pattern_facts};
pub(crate) use predicate::query_value;
pub use state::{Refused, Resolution, State};
pub use substitution::Substitution;

use crate::ir;
use crate::policy::{Compiled, Preamble};
use ahash::AHashMap;
use codec::Field;
use std::any::Any;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

/// What the owner of a table wants back with each match, such as where its requests are counted. The table only keeps it.
pub type Tag = Arc<dyn Any + Send + Sync>;

/// Where a table gets its tags from.
pub trait Tags {
    fn of_rule(&self, listener: &str, rule: &ir::HttpRule) -> Tag;
    fn of_l4_route(&self, listener: &str, route: &str) -> Tag;
    /// Of a backend with policies, compiled but for its tag; the same one as before while the owner needs the same.
    fn of_backend(&self, backend: &Backend) -> Option<Tag>;

    /// Where this gateway is.
    fn locality(&self) -> Locality {
        Locality::default()
    }
}

/// For tables that only decide.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoTags;

impl Tags for NoTags {
    fn of_rule(&self, _: &str, _: &ir::HttpRule) -> Tag {
        Arc::new(())
    }

    fn of_l4_route(&self, _: &str, _: &str) -> Tag {
        Arc::new(())
    }

    fn of_backend(&self, _: &Backend) -> Option<Tag> {
        None
    }
}

/// What is matched. Everything is borrowed, from an HTTP/1.1 buffer or an HTTP/2 header map.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    pub method: &'a str,
    /// As [`crate::path_normalization::normalise`] leaves it.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Lower case, without port.
    pub host: &'a str,
    /// As sent; empty where a request of HTTP/1.0 has none.
    pub authority: &'a [u8],
    /// Those that are forwarded.
    pub fields: &'a [Field<'a>],
    /// Those that are not forwarded as they came, `Host` apart: framing and hop-by-hop fields. Only matching looks at them.
    pub taken_out: &'a [Field<'a>],
}

impl<'a> RequestHead<'a> {
    /// Every field as the client sent it; `Host` is the authority, whatever carried it.
    pub fn all_fields(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        let host = (!self.authority.is_empty()).then_some(Field { name: b"host", value: self.authority });
        host.into_iter().chain(self.taken_out.iter().copied()).chain(self.fields.iter().copied())
    }
}

/// What a listener binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketKey {
    pub transport: ir::Transport,
    /// `None`: every address.
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// One listener with the routes attached to it.
#[derive(Debug)]
pub struct Listener {
    pub ir: Arc<ir::Listener>,
    pub hosts: Arc<HostTable>,
    pub filters: Arc<ListenerFilters>,
    pub l4: Arc<L4Table>,
    /// Something acts before a rule is looked for: edits of its filters, or somebody who is asked.
    precedes: bool,
    /// `None`: neither it nor a rule attached to it names a policy.
    joins: Option<Arc<Joins>>,
}

/// The listeners that share a socket.
#[derive(Debug)]
pub struct Socket {
    pub key: SocketKey,
    /// Of its listeners; `Https` where HTTPS and TLS listeners share it.
    pub protocol: ir::ListenerProtocol,
    /// Some listener is not HTTP: its connections are carried, or must be told from those of the others.
    pub carries_flows: bool,
    /// How its connections begin, before anything of them is read: `None` nearly always.
    pub preamble: Option<Box<Preamble>>,
    /// Some listener says how its connections are treated.
    pub governed: bool,
    /// By hostname; the empty one takes what no other takes.
    listeners: AHashMap<Box<str>, Arc<Listener>>,
}

/// The match that takes a request.
#[derive(Debug, Clone, Copy)]
pub struct Found<'t> {
    pub rule: &'t Arc<Rule>,
    pub match_index: u32,
    /// Bytes of the path that a `PathPrefix` matched; `None` for other kinds.
    pub prefix_length: Option<usize>,
    pub tag: &'t Tag,
}

/// Policies by id.
pub type Policies = Arc<AHashMap<Arc<str>, Arc<Compiled>>>;

/// Attachments by id.
pub type Attachments = Arc<AHashMap<Arc<str>, Arc<ir::Attachment>>>;

/// An immutable generation.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub generation: u64,
    sockets: BTreeMap<SocketKey, Arc<Socket>>,
    attachments: Attachments,
    backends: Backends,
    pub certificates: Arc<AHashMap<Arc<str>, Arc<ir::Certificate>>>,
    pub policies: Policies,
    pub trust: Arc<AHashMap<Arc<str>, Arc<ir::Trust>>>,
    /// How many pods share budgets; `None`: this one is alone.
    pub pods: Option<NonZeroU32>,
    /// By Gateway.
    pub session_tickets: Arc<AHashMap<Arc<str>, Arc<ir::SessionTickets>>>,
}

impl Table {
    pub fn sockets(&self) -> impl Iterator<Item = &Arc<Socket>> {
        self.sockets.values()
    }

    pub fn socket(&self, key: SocketKey) -> Option<&Arc<Socket>> {
        self.sockets.get(&key)
    }

    /// The first socket with that port, whatever its address.
    pub fn socket_on_port(&self, transport: ir::Transport, port: u16) -> Option<&Arc<Socket>> {
        self.sockets.values().find(|socket| socket.key.transport == transport && socket.key.port == port)
    }

    pub fn backend(&self, slot: u32) -> Option<&Arc<Backend>> {
        self.backends.get(slot as usize)?.as_ref()
    }

    /// The uids of all rules, some of them more than once.
    pub fn rule_uids(&self) -> impl Iterator<Item = u64> {
        let listeners = self.sockets.values().flat_map(|socket| socket.listeners());
        listeners.flat_map(|listener| {
            let flows = listener.l4.rules().map(|rule| rule.uid);
            listener.hosts.rules().map(|rule| rule.uid).chain(flows)
        })
    }

    /// The configuration as IR without secrets, JSON.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// The same, to be written into something.
    pub fn to_value(&self) -> serde_json::Value {
        let mut listeners: BTreeMap<&str, &ir::Listener> = BTreeMap::new();
        let mut rules: BTreeMap<&str, &ir::HttpRule> = BTreeMap::new();
        let mut l4_rules: BTreeMap<&str, &ir::L4Rule> = BTreeMap::new();
        for listener in self.sockets.values().flat_map(|socket| socket.listeners()) {
            listeners.insert(listener.id(), &listener.ir);
            for rule in listener.hosts.rules() {
                rules.insert(&rule.ir.id, &rule.ir);
            }
            for rule in listener.l4.rules() {
                l4_rules.insert(&rule.ir.id, &rule.ir);
            }
        }
        let attachments: BTreeMap<&str, &ir::Attachment> =
            self.attachments.iter().map(|(id, it)| (&**id, &**it)).collect();
        let policies: BTreeMap<&str, &ir::Policy> =
            self.policies.iter().map(|(id, policy)| (&**id, &policy.ir)).collect();
        let json_of = |backend: &Backend| ir::Backend {
            id: backend.id.clone(),
            protocol: backend.protocol,
            policies: backend.policies.clone(),
            datagrams: backend.datagrams,
            external: backend.external.clone(),
        };
        let mut backends: Vec<&Arc<Backend>> = self.backends().collect();
        backends.sort_by(|one, two| one.id.cmp(&two.id));
        let endpoints = |backend: &Arc<Backend>| -> Vec<serde_json::Value> {
            let all = backend.ready.iter().chain(&backend.draining);
            all.map(|it| {
                serde_json::json!({"id": it.id, "backend": backend.id, "address": it.address.ip(),
                "port": it.address.port(), "state": it.state})
            })
            .collect()
        };
        serde_json::json!({
            "version": ir::VERSION,
            "generation": self.generation,
            "full": true,
            "upsert": {
                "listeners": listeners.values().collect::<Vec<_>>(),
                "attachments": attachments.values().collect::<Vec<_>>(),
                "http_rules": rules.values().collect::<Vec<_>>(),
                "l4_rules": l4_rules.values().collect::<Vec<_>>(),
                "backends": backends.iter().map(|it| json_of(it)).collect::<Vec<_>>(),
                "endpoints": backends.iter().flat_map(|backend| endpoints(backend)).collect::<Vec<_>>(),
                "policies": policies.values().collect::<Vec<_>>(),
                "trust": self.trust.values().map(|trust| &**trust).collect::<Vec<_>>(),
            },
        })
    }

    /// The very list that generations share until a backend or an endpoint changes.
    pub fn backend_slots(&self) -> &Backends {
        &self.backends
    }

    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.backends.iter().flatten()
    }

    /// Give the backends that are external hosts the addresses that these have now.
    pub fn resolve(&mut self, mut endpoints: impl FnMut(&Backend, &ir::ExternalHost) -> Vec<Arc<Endpoint>>) {
        if self.backends().all(|backend| backend.external.is_none()) {
            return;
        }
        for backend in Arc::make_mut(&mut self.backends).iter_mut().flatten() {
            if let Some(host) = &backend.external {
                let found = endpoints(backend, host);
                *backend = Arc::new(backend.resolved(found));
            }
        }
    }
}

impl Socket {
    pub fn listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.values()
    }

    /// Exact hostname, else the longest wildcard, else the listener without hostname. No other one is tried after it
    /// (`GatewayHTTPListenerIsolation`).
    pub fn listener_for_host(&self, host: &str) -> Option<&Arc<Listener>> {
        if self.listeners.len() == 1
            && let Some(any) = self.listeners.get("")
        {
            return Some(any);
        }
        host::most_specific(&self.listeners, host).or_else(|| self.listeners.get(""))
    }

    /// The policies that hold for a connection: by TLS those of the listener that it names, else of all listeners.
    pub fn policies_of_connection(&self, sni: Option<&str>) -> impl Iterator<Item = &Arc<Compiled>> {
        let is_named = self.protocol.begins_with_tls();
        let named = self.listener_for_sni(sni).filter(|_| is_named);
        let all = self.listeners.values().filter(move |_| !is_named);
        let joined = named.into_iter().chain(all).filter_map(|listener| listener.policies());
        joined.flat_map(|joined| &joined.policies).filter(|policy| !policy.is_invalid())
    }

    /// Connections that may be open at once; `None`: any number.
    pub fn connection_limit(&self, sni: Option<&str>) -> Option<u32> {
        let limits = self.policies_of_connection(sni).filter_map(|policy| match &policy.ir {
            ir::Policy::ClientConnections(connections) => Some(connections.max),
            _ => None,
        });
        limits.filter(|most| *most > 0).min()
    }

    /// The listener whose certificate and client validation a handshake uses (GEP-3567).
    pub fn listener_for_sni(&self, name: Option<&str>) -> Option<&Arc<Listener>> {
        self.listener_for_host(name.unwrap_or_default())
    }
}

impl Listener {
    pub fn id(&self) -> &str {
        &self.ir.id
    }

    /// Whether the connections of its L4 rules come out of TLS that ends here.
    pub fn ends_tls(&self) -> bool {
        self.ir.protocol == ir::ListenerProtocol::Tls && self.ir.tls.is_some()
    }

    /// The L4 rule that takes a connection or datagram; `name`: the server name of the TLS handshake, lower case.
    pub fn find_l4(&self, name: Option<&str>) -> Option<&L4Candidate> {
        self.l4.find(name.unwrap_or_default())
    }

    /// What its own filters do to its answers; `None` nearly always.
    pub fn answers(&self) -> Option<&Filters> {
        self.filters.own.as_deref()
    }

    /// What a filter answers to the requests of a rule: its own, or the rule's.
    pub fn respond<'t>(&'t self, rule: &'t Rule) -> Option<&'t Respond> {
        self.answers().and_then(|own| own.respond.as_ref()).or(rule.filters.respond.as_ref())
    }

    /// The policies that hold for itself, of what its Gateway, its `ListenerSet` and it name.
    pub fn policies(&self) -> Option<&Arc<Joined>> {
        self.joins.as_ref()?.own()
    }

    /// Who traces its requests.
    pub fn tracing(&self) -> Option<&Arc<Compiled>> {
        self.joins.as_ref()?.tracing()
    }

    /// What is said of the traces of its requests before it is known which rule takes them.
    pub fn traces(&self) -> Traces {
        self.policies().map_or_else(Traces::default, |joined| joined.traces)
    }

    /// What is said of the traces of a rule's requests, or of those that no rule takes.
    pub fn traces_of(&self, rule: Option<&Rule>) -> Traces {
        let joined = self.joins.as_ref().and_then(|joins| joins.of(rule.map_or(0, |rule| rule.policies)));
        joined.map_or_else(Traces::default, |joined| joined.traces)
    }

    /// The policies that hold for the requests of one of its rules.
    pub fn policies_of(&self, rule: &Rule) -> Option<&Arc<Joined>> {
        self.joins.as_ref()?.of(rule.policies)
    }

    /// The policies that hold for a request that no rule takes: those of a rule that names none.
    pub fn policies_without_rule(&self) -> Option<&Arc<Joined>> {
        self.joins.as_ref()?.of(0)
    }

    /// Whether edits of its filters, or policies, act before a rule is looked for.
    pub fn precedes(&self) -> bool {
        self.precedes
    }

    /// The policies of which some act before a rule is looked for.
    pub fn asks_before_rules(&self) -> Option<&Arc<Joined>> {
        self.policies_without_rule().filter(|joined| joined.preceding > 0)
    }

    /// The policies that hold for the connections, or datagrams, of one of its rules.
    pub fn policies_of_l4(&self, rule: &L4Rule) -> Option<&Arc<Joined>> {
        self.joins.as_ref()?.of(rule.policies)
    }

    /// All that is joined here.
    pub fn joined(&self) -> impl Iterator<Item = &Arc<Joined>> {
        self.joins.iter().flat_map(|joins| joins.all())
    }

    /// The first match in the order of the specification.
    pub fn find<'t>(&'t self, head: &RequestHead<'_>) -> Option<Found<'t>> {
        self.hosts.find(head)
    }
}

#[cfg(test)]
mod tests;
