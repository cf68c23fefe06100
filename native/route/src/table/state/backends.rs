//! Backends, their endpoints and TLS policies, as the transactions so far said.
//!
//! A change marks its backend; [`BackendState::compile`] then makes those anew, and only those.

use crate::ir;
use crate::table::{Backend, Backends, Endpoint};
use ahash::{AHashMap, AHashSet};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Backend ids to dense slots. A slot stays with its id for as long as the state lives, defined or not.
#[derive(Debug, Default)]
pub struct Slots(AHashMap<Arc<str>, u32>);

impl Slots {
    pub(in crate::table) fn of(&mut self, id: &str) -> u32 {
        if let Some(slot) = self.0.get(id) {
            return *slot;
        }
        let slot = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(Arc::from(id), slot);
        slot
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

    /// Begin anew for a full state. The uids of `endpoints` that were there survive, so that pools do, and so do slots.
    pub(super) fn keep_endpoints(self, endpoints: &[ir::Endpoint]) -> Self {
        let before: AHashMap<Arc<str>, Arc<Endpoint>> =
            self.entries.into_values().flat_map(|entry| entry.endpoints).collect();
        let mut kept = Self { slots: self.slots, ..Self::default() };
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
        let slots = self.slots.0.len();
        if touched.is_empty() && self.compiled.len() == slots {
            return;
        }
        for id in &touched {
            self.slots.of(id);
        }
        let compiled = Arc::make_mut(&mut self.compiled);
        compiled.resize(self.slots.0.len(), None);
        for id in &touched {
            let slot = self.slots.of(id) as usize;
            compiled[slot] = self.entries.get(id).map(|entry| Arc::new(entry.compile()));
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
