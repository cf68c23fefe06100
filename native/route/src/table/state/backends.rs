//! Backends, their endpoints and TLS policies, as the transactions so far said.
//!
//! A change marks its backend; [`BackendState::compile`] then makes those anew, and only those.

use crate::ir;
use crate::table::{Backend, Backends, Endpoint};
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
    endpoints: BTreeMap<Arc<str>, Arc<Endpoint>>,
    tls: BTreeMap<Arc<str>, Arc<ir::BackendTls>>,
}

/// The backends of the state.
#[derive(Debug, Default)]
pub(super) struct BackendState {
    pub(super) slots: Slots,
    entries: AHashMap<Arc<str>, Entry>,
    endpoint_backends: AHashMap<Arc<str>, Arc<str>>,
    tls_backends: AHashMap<Arc<str>, Arc<str>>,
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
        let before: AHashMap<Arc<str>, Arc<Endpoint>> =
            self.entries.into_values().flat_map(|entry| entry.endpoints).collect();
        let mut kept = Self::default();
        for endpoint in endpoints {
            if let Some((id, before)) = before.get_key_value(endpoint.id.as_str()) {
                let backend = ir::Backend { id: endpoint.backend.clone(), protocol: ir::BackendProtocol::default() };
                let entry = kept.entries.entry(Arc::from(endpoint.backend.as_str()));
                let entry = entry.or_insert_with(|| Entry::of(backend));
                entry.endpoints.insert(Arc::clone(id), Arc::clone(before));
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

    pub(super) fn remove_policy(&mut self, id: &str) {
        if let Some(backend) = self.tls_backends.remove(id)
            && let Some(entry) = self.entries.get_mut(&backend)
        {
            entry.tls.remove(id);
            self.touched.insert(backend);
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        if let Some((id, entry)) = self.entries.remove_entry(id) {
            for endpoint in entry.endpoints.keys() {
                self.endpoint_backends.remove(endpoint);
            }
            for policy in entry.tls.keys() {
                self.tls_backends.remove(policy);
            }
            self.touched.insert(id);
        }
    }

    pub(super) fn put(&mut self, backend: ir::Backend) {
        let id: Arc<str> = Arc::from(backend.id.as_str());
        self.touched.insert(Arc::clone(&id));
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.ir = backend;
        } else {
            self.entries.insert(id, Entry::of(backend));
        }
    }

    pub(super) fn put_endpoint(&mut self, endpoint: &ir::Endpoint) {
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
            let compiled = Endpoint::compile(endpoint, entry.endpoints.get(&id).map(|before| &**before));
            entry.endpoints.insert(id, Arc::new(compiled));
            self.touched.insert(backend);
        }
    }

    pub(super) fn put_policy(&mut self, policy: ir::BackendTls) {
        let id: Arc<str> = Arc::from(policy.id.as_str());
        let backend: Arc<str> = Arc::from(policy.backend.as_str());
        let before = self.tls_backends.insert(Arc::clone(&id), Arc::clone(&backend));
        if let Some(other) = before.filter(|other| *other != backend)
            && let Some(entry) = self.entries.get_mut(&other)
        {
            entry.tls.remove(&id);
            self.touched.insert(other);
        }
        if let Some(entry) = self.entries.get_mut(&backend) {
            entry.tls.insert(id, Arc::new(policy));
            self.touched.insert(backend);
        }
    }

    /// Compile what was touched since the last time.
    pub(super) fn compile(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        if touched.is_empty() && self.compiled.len() == self.slots.len() {
            return;
        }
        let compiled = Arc::make_mut(&mut self.compiled);
        for id in &touched {
            if let Some(entry) = self.entries.get(id) {
                let slot = self.slots.of(id) as usize;
                compiled.resize(self.slots.len().max(compiled.len()), None);
                compiled[slot] = Some(Arc::new(entry.compile()));
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
        Self { ir: backend, endpoints: BTreeMap::new(), tls: BTreeMap::new() }
    }

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
