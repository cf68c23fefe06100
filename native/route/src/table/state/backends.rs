//! Backends and their endpoints, as the transactions so far said, and who names which policy.
//!
//! A change marks its backend; [`BackendState::compile`] then makes those anew, and only those.

use crate::ir;
use crate::table::backend::{Near, Nearness, seeds_of};
use crate::table::{Backend, Backends, Endpoint, Locality, Policies, Tags};
use ahash::{AHashMap, AHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Backend ids to dense slots. A slot is its id's until a transaction that leaves the backend undefined has been applied,
/// which no rule then names; it goes to another id after that. So there are never more slots than a transaction has found
/// and defined backends. Who still uses a table before that finds its own backends there.
#[derive(Debug, Default)]
pub struct Slots {
    taken: AHashMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl Slots {
    pub(in crate::table) fn of(&mut self, id: &str) -> u32 {
        if let Some(slot) = self.taken.get(id) {
            return *slot;
        }
        let fresh = || u32::try_from(self.taken.len()).unwrap_or(u32::MAX);
        let slot = self.free.pop().unwrap_or_else(fresh);
        self.taken.insert(Arc::from(id), slot);
        slot
    }

    /// Let a slot go, if the id has one.
    fn release(&mut self, id: &str) -> Option<u32> {
        let slot = self.taken.remove(id)?;
        self.free.push(slot);
        Some(slot)
    }

    /// How many there are, taken or free.
    fn len(&self) -> usize {
        self.taken.len() + self.free.len()
    }
}

#[derive(Debug)]
struct Entry {
    ir: ir::Backend,
    endpoints: BTreeMap<Arc<str>, Kept>,
}

/// An endpoint, and how near it is.
#[derive(Debug, Clone)]
struct Kept {
    endpoint: Arc<Endpoint>,
    nearness: Nearness,
}

/// The backends of the state.
#[derive(Debug, Default)]
pub(super) struct BackendState {
    pub(super) slots: Slots,
    entries: AHashMap<Arc<str>, Entry>,
    endpoint_backends: AHashMap<Arc<str>, Arc<str>>,
    /// Backends by the policies that they name.
    named_by: AHashMap<Arc<str>, AHashSet<Arc<str>>>,
    /// Ids to compile anew.
    touched: AHashSet<Arc<str>>,
    compiled: Backends,
}

impl BackendState {
    pub(super) fn contains(&self, id: &str) -> bool {
        self.entries.contains_key(id)
    }

    /// As of the last [`Self::compile`].
    pub(super) fn compiled(&self) -> &Backends {
        &self.compiled
    }

    /// Begin anew for a full state. The uids of `endpoints` that were there survive, so that pools do.
    pub(super) fn keep_endpoints(self, endpoints: &[ir::Endpoint]) -> Self {
        let before: AHashMap<Arc<str>, Kept> = self.entries.into_values().flat_map(|entry| entry.endpoints).collect();
        let mut kept = Self::default();
        for endpoint in endpoints {
            if let Some((id, before)) = before.get_key_value(endpoint.id.as_str()) {
                let backend = ir::Backend { id: endpoint.backend.clone(), ..ir::Backend::default() };
                let entry = kept.entries.entry(Arc::from(endpoint.backend.as_str()));
                let entry = entry.or_insert_with(|| Entry::of(backend));
                entry.endpoints.insert(Arc::clone(id), before.clone());
            }
        }
        kept
    }

    pub(super) fn remove_endpoint(&mut self, id: &str) {
        if let Some(backend) = self.endpoint_backends.remove(id)
            && let Some(entry) = self.entries.get_mut(&backend)
        {
            entry.endpoints.remove(id);
            self.touched.insert(backend);
        }
    }

    /// A policy is another one now: compile the backends that name it anew.
    pub(super) fn touch_named_by(&mut self, policy: &str) {
        if let Some(backends) = self.named_by.get(policy) {
            self.touched.extend(backends.iter().cloned());
        }
    }

    /// The backends that name a policy.
    pub(super) fn named_by(&self, policy: &str) -> impl Iterator<Item = &Arc<str>> {
        self.named_by.get(policy).into_iter().flatten()
    }

    fn forget_names(&mut self, backend: &str, policies: &[String]) {
        for policy in policies {
            if let Some(backends) = self.named_by.get_mut(policy.as_str()) {
                backends.remove(backend);
                if backends.is_empty() {
                    self.named_by.remove(policy.as_str());
                }
            }
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some((id, entry)) = self.entries.remove_entry(id) {
            for endpoint in entry.endpoints.keys() {
                self.endpoint_backends.remove(endpoint);
            }
            self.forget_names(&id, &entry.ir.policies);
            self.touched.insert(id);
        }
    }

    pub(super) fn put(&mut self, backend: ir::Backend) {
        let id: Arc<str> = Arc::from(backend.id.as_str());
        self.touched.insert(Arc::clone(&id));
        if let Some(before) = self.entries.get_mut(&id).map(|entry| std::mem::take(&mut entry.ir.policies)) {
            self.forget_names(&id, &before);
        }
        for policy in &backend.policies {
            self.named_by.entry(Arc::from(policy.as_str())).or_default().insert(Arc::clone(&id));
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.ir = backend;
        } else {
            self.entries.insert(id, Entry::of(backend));
        }
    }

    pub(super) fn put_endpoint(&mut self, endpoint: &ir::Endpoint, here: &Locality) {
        let id: Arc<str> = Arc::from(endpoint.id.as_str());
        let backend: Arc<str> = Arc::from(endpoint.backend.as_str());
        let before = self.endpoint_backends.insert(Arc::clone(&id), Arc::clone(&backend));
        if let Some(other) = before.filter(|other| *other != backend)
            && let Some(entry) = self.entries.get_mut(&other)
        {
            entry.endpoints.remove(&id);
            self.touched.insert(other);
        }
        if let Some(entry) = self.entries.get_mut(&backend) {
            let compiled = Endpoint::compile(endpoint, entry.endpoints.get(&id).map(|before| &*before.endpoint));
            let kept = Kept { endpoint: Arc::new(compiled), nearness: Nearness::of(endpoint, here) };
            entry.endpoints.insert(id, kept);
            self.touched.insert(backend);
        }
    }

    /// Compile what was touched since the last time.
    pub(super) fn compile(&mut self, policies: &Policies, tags: &dyn Tags) {
        let touched = std::mem::take(&mut self.touched);
        if touched.is_empty() && self.compiled.len() == self.slots.len() {
            return;
        }
        let compiled = Arc::make_mut(&mut self.compiled);
        for id in &touched {
            if let Some(entry) = self.entries.get(id) {
                let slot = self.slots.of(id) as usize;
                compiled.resize(self.slots.len().max(compiled.len()), None);
                compiled[slot] = Some(Arc::new(entry.compile(policies, tags)));
            }
        }
        // Now that every rule is there that will be: what was let go goes to the backends of the next transaction.
        for id in touched.iter().filter(|id| !self.entries.contains_key(*id)) {
            if let Some(slot) = self.slots.release(id).and_then(|slot| compiled.get_mut(slot as usize)) {
                *slot = None;
            }
        }
    }
}

impl Entry {
    fn of(backend: ir::Backend) -> Self {
        Self { ir: backend, endpoints: BTreeMap::new() }
    }

    /// Its policies, in the order in which they act.
    fn named<'p>(&self, policies: &'p Policies) -> impl Iterator<Item = &'p ir::Policy> {
        self.ir.policies.iter().filter_map(|id| policies.get(id.as_str()).map(|policy| &policy.ir))
    }

    fn compile(&self, policies: &Policies, tags: &dyn Tags) -> Backend {
        let of = |state: ir::EndpointState| -> Vec<Arc<Endpoint>> {
            let found = self.endpoints.values().map(|kept| &kept.endpoint);
            found.filter(|endpoint| endpoint.state == state).cloned().collect()
        };
        let mut backend = Backend {
            id: self.ir.id.clone(),
            protocol: self.ir.protocol,
            policies: self.ir.policies.clone(),
            tls: self.named(policies).find_map(ir::Policy::backend_tls).cloned(),
            policy: self.named(policies).find_map(ir::Policy::backend).cloned(),
            traffic: self.named(policies).find_map(ir::Policy::backend_traffic).cloned(),
            seeds: Vec::new(),
            near: Vec::new(),
            datagrams: self.ir.datagrams,
            external: self.ir.external.clone(),
            kept: None,
            ready: of(ir::EndpointState::Ready),
            draining: of(ir::EndpointState::Draining),
        };
        let is_hashed = backend.is_hashed();
        backend.seeds = seeds_of(is_hashed, backend.selectable());
        backend.near = self.near(is_hashed, backend.ready.len());
        if backend.policy.is_some() || backend.traffic.is_some() {
            backend.kept = tags.of_backend(&backend);
        }
        backend
    }

    /// The ready endpoints of this node, and of this zone, where these are some and not all of so many.
    fn near(&self, is_hashed: bool, ready: usize) -> Vec<Near> {
        let within = |limit: Nearness| {
            let kept = self.endpoints.values().filter(|kept| kept.endpoint.state == ir::EndpointState::Ready);
            let endpoints: Vec<_> =
                kept.filter(|kept| kept.nearness <= limit).map(|kept| Arc::clone(&kept.endpoint)).collect();
            Near { seeds: seeds_of(is_hashed, &endpoints), endpoints }
        };
        let mut found: Vec<Near> = Vec::new();
        if self.endpoints.values().any(|kept| kept.nearness < Nearness::Anywhere) {
            for near in [Nearness::Node, Nearness::Zone].map(within) {
                let nearer = found.last().map_or(0, |nearer| nearer.endpoints.len());
                if (nearer + 1..ready).contains(&near.endpoints.len()) {
                    found.push(near);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
