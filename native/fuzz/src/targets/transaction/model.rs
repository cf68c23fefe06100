//! What the transactions so far said, kept as plainly as it can be: resources by their ids.

use route::ir::{
    Attachment, Backend, Certificate, Endpoint, HttpRule, L4Rule, Listener, Policy, PolicySecret, Removals, Replicas,
    Resources, Secrets, SessionTickets, Transaction, Trust, VERSION,
};
use std::collections::{BTreeMap, BTreeSet};

/// Resources of one kind. What comes later under an id takes the place of what was there.
type ById<T> = BTreeMap<String, T>;

#[derive(Debug, Default)]
pub struct Model {
    generation: u64,
    listeners: ById<Listener>,
    attachments: ById<Attachment>,
    http_rules: ById<HttpRule>,
    l4_rules: ById<L4Rule>,
    backends: ById<Backend>,
    endpoints: ById<Endpoint>,
    policies: ById<Policy>,
    trust: ById<Trust>,
    replicas: ById<Replicas>,
    certificates: ById<Certificate>,
    session_tickets: ById<SessionTickets>,
    policy_secrets: ById<PolicySecret>,
}

impl Model {
    /// The transaction was accepted.
    pub fn apply(&mut self, transaction: Transaction) {
        if transaction.full {
            *self = Self::default();
        }
        self.generation = transaction.generation;
        let Removals {
            listeners,
            attachments,
            http_rules,
            l4_rules,
            backends,
            endpoints,
            policies,
            trust,
            replicas,
            certificates,
            session_tickets,
            policy_secrets,
        } = &transaction.remove;
        remove(&mut self.listeners, listeners);
        remove(&mut self.attachments, attachments);
        remove(&mut self.http_rules, http_rules);
        remove(&mut self.l4_rules, l4_rules);
        remove(&mut self.backends, backends);
        remove(&mut self.endpoints, endpoints);
        remove(&mut self.policies, policies);
        remove(&mut self.trust, trust);
        remove(&mut self.certificates, certificates);
        remove(&mut self.session_tickets, session_tickets);
        remove(&mut self.replicas, replicas);
        remove(&mut self.policy_secrets, policy_secrets);
        // A backend takes with it what belongs to it.
        self.endpoints.retain(|_, endpoint| !backends.contains(&endpoint.backend));
        let Resources { listeners, attachments, http_rules, l4_rules, backends, endpoints, policies, trust, replicas } =
            transaction.upsert;
        put(&mut self.listeners, listeners, |it| &it.id);
        put(&mut self.attachments, attachments, |it| &it.id);
        put(&mut self.http_rules, http_rules, |it| &it.id);
        put(&mut self.l4_rules, l4_rules, |it| &it.id);
        put(&mut self.backends, backends, |it| &it.id);
        put(&mut self.endpoints, endpoints, |it| &it.id);
        put(&mut self.policies, policies, Policy::id);
        put(&mut self.trust, trust, |it| &it.id);
        put(&mut self.replicas, replicas, |it| &it.id);
        put(&mut self.certificates, transaction.secrets.certificates, |it| &it.id);
        put(&mut self.session_tickets, transaction.secrets.session_tickets, |it| &it.id);
        put(&mut self.policy_secrets, transaction.secrets.policy_secrets, |it| &it.id);
    }

    /// No two rules have one place in a route. Their ids are made of route and place, so no control plane sends that, and
    /// which of the two is first is not told.
    pub fn has_an_order(&self) -> bool {
        let http = self.http_rules.values().map(|rule| (&rule.route, rule.index));
        let l4 = self.l4_rules.values().map(|rule| (&rule.route, rule.index));
        http.collect::<BTreeSet<_>>().len() == self.http_rules.len()
            && l4.collect::<BTreeSet<_>>().len() == self.l4_rules.len()
    }

    /// All of it, as one that is to replace whatever there is.
    pub fn transaction(&self) -> Transaction {
        Transaction {
            version: VERSION,
            generation: self.generation,
            full: true,
            upsert: Resources {
                listeners: self.listeners.values().cloned().collect(),
                attachments: self.attachments.values().cloned().collect(),
                http_rules: self.http_rules.values().cloned().collect(),
                l4_rules: self.l4_rules.values().cloned().collect(),
                backends: self.backends.values().cloned().collect(),
                endpoints: self.endpoints.values().cloned().collect(),
                policies: self.policies.values().cloned().collect(),
                trust: self.trust.values().cloned().collect(),
                replicas: self.replicas.values().cloned().collect(),
            },
            secrets: Secrets {
                certificates: self.certificates.values().cloned().collect(),
                session_tickets: self.session_tickets.values().cloned().collect(),
                policy_secrets: self.policy_secrets.values().cloned().collect(),
            },
            remove: Removals::default(),
        }
    }
}

fn remove<T>(all: &mut ById<T>, ids: &[String]) {
    for id in ids {
        all.remove(id);
    }
}

fn put<T>(all: &mut ById<T>, given: Vec<T>, id: impl Fn(&T) -> &str) {
    for resource in given {
        all.insert(id(&resource).to_owned(), resource);
    }
}
