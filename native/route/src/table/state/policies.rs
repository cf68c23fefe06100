//! Whether the policies that a transaction leaves are there for all that name them, mean something there, and have what they
//! need.

use super::State;
use super::check::Refuse;
use super::written::check_policy;
use crate::ir::{Need, Policy, PolicyPlace, Transaction};
use ahash::{AHashMap, AHashSet};

/// What names policies: the word for its kind, its id, the ids it names.
type Naming<'t> = (PolicyPlace, &'static str, &'t str, &'t [String]);

impl State {
    pub(super) fn check_policies(&self, transaction: &Transaction, refuse: &mut Refuse<'_>) {
        let upserted: AHashMap<&str, &Policy> =
            transaction.upsert.policies.iter().map(|policy| (policy.id(), policy)).collect();
        let removed = ids(&transaction.remove.policies);
        let before = |id: &str| {
            let policy = self.policies.get(id).filter(|_| !transaction.full && !removed.contains(id));
            policy.map(|policy| &policy.ir)
        };
        for (place, kind, id, policies) in named_in(transaction) {
            for name in policies {
                match upserted.get(name.as_str()).copied().or_else(|| before(name)) {
                    None => refuse(kind, id, format!("names the unknown policy {name}")),
                    Some(policy) if !policy.acts_on(place) => {
                        refuse(kind, id, format!("names the policy {name}, which has no meaning there"));
                    }
                    Some(_) => {}
                }
            }
        }
        for policy in &transaction.upsert.policies {
            if let Err(reason) = check_policy(policy) {
                refuse("policy", policy.id(), reason);
            }
        }
        // What names it was looked at when it was of the other kind.
        for (id, policy) in &upserted {
            if before(id).is_some_and(|before| !before.same_kind(policy)) {
                refuse("policy", id, "is of another type than before: it needs another id".to_owned());
            }
        }
        self.check_removed_policies(transaction, &upserted, &removed, refuse);
        self.check_needs(transaction, &upserted, refuse);
    }

    /// Everything that a policy needs is there afterwards.
    fn check_needs(&self, transaction: &Transaction, upserted: &AHashMap<&str, &Policy>, refuse: &mut Refuse<'_>) {
        let (upsert, secrets, remove) = (&transaction.upsert, &transaction.secrets, &transaction.remove);
        let removes = [&remove.backends, &remove.policy_secrets].iter().any(|ids| !ids.is_empty());
        let removed_policies = ids(&remove.policies);
        let staying = self.policies.iter().filter(|(id, _)| {
            removes && !transaction.full && !upserted.contains_key(&***id) && !removed_policies.contains(&***id)
        });
        let backends: AHashSet<&str> = upsert.backends.iter().map(|backend| backend.id.as_str()).collect();
        let policy_secrets: AHashSet<&str> = secrets.policy_secrets.iter().map(|secret| secret.id.as_str()).collect();
        let stays = |id: &str, removed: &[String]| !transaction.full && !removed.iter().any(|gone| gone == id);
        for policy in upserted.values().copied().chain(staying.map(|(_, policy)| &policy.ir)) {
            for need in policy.kind().needs() {
                let (word, id, there) = match need {
                    Need::Backend(id) => {
                        let before = self.backends.contains(id) && stays(id, &remove.backends);
                        ("backend", id, before || backends.contains(id))
                    }
                    Need::Secret(id) => {
                        let before = self.policy_secrets.contains_key(id) && stays(id, &remove.policy_secrets);
                        ("policy secret", id, before || policy_secrets.contains(id))
                    }
                };
                if !there {
                    refuse("policy", policy.id(), format!("needs the {word} {id}, which is not there"));
                }
            }
        }
    }

    /// A policy that goes away must not be named by what stays.
    fn check_removed_policies(
        &self,
        transaction: &Transaction,
        upserted: &AHashMap<&str, &Policy>,
        removed: &AHashSet<&str>,
        refuse: &mut Refuse<'_>,
    ) {
        if transaction.full || removed.is_empty() {
            return;
        }
        let goes = |id: &str| removed.contains(id) && !upserted.contains_key(id);
        let remove = &transaction.remove;
        let others = [&remove.listeners, &remove.http_rules, &remove.l4_rules, &remove.backends];
        let replaced: AHashSet<(&str, &str)> = named_in(transaction)
            .map(|(_, kind, id, _)| (kind, id))
            .chain(
                ["listener", "http_rule", "l4_rule", "backend"]
                    .into_iter()
                    .zip(others)
                    .flat_map(|(kind, ids)| ids.iter().map(move |id| (kind, id.as_str()))),
            )
            .collect();
        let listeners = self.listeners.iter().map(|(id, it)| ("listener", &**id, &it.ir.policies));
        let rules = self.rules.iter().map(|(id, it)| ("http_rule", &**id, &it.rule.ir.policies));
        let l4_rules = self.l4_rules.iter().map(|(id, it)| ("l4_rule", &**id, &it.rule.ir.policies));
        for (kind, id, policies) in listeners.chain(rules).chain(l4_rules) {
            if policies.is_empty() || replaced.contains(&(kind, id)) {
                continue;
            }
            for policy in policies.iter().filter(|name| goes(name)) {
                refuse("policy", policy, format!("is removed but {kind} {id} names it"));
            }
        }
        for policy in remove.policies.iter().filter(|id| goes(id)) {
            for id in self.backends.named_by(policy).filter(|id| !replaced.contains(&("backend", &***id))) {
                refuse("policy", policy, format!("is removed but backend {id} names it"));
            }
        }
    }
}

/// Everything in a transaction that may name policies.
fn named_in(transaction: &Transaction) -> impl Iterator<Item = Naming<'_>> {
    let upsert = &transaction.upsert;
    let listeners = upsert.listeners.iter().map(|it| (PolicyPlace::Listener, "listener", &*it.id, &*it.policies));
    let rules = upsert.http_rules.iter().map(|it| (PolicyPlace::HttpRule, "http_rule", &*it.id, &*it.policies));
    let l4_rules = upsert.l4_rules.iter().map(|it| (PolicyPlace::L4Rule, "l4_rule", &*it.id, &*it.policies));
    let backends = upsert.backends.iter().map(|it| (PolicyPlace::Backend, "backend", &*it.id, &*it.policies));
    listeners.chain(rules).chain(l4_rules).chain(backends)
}

fn ids(ids: &[String]) -> AHashSet<&str> {
    ids.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use crate::samples::{apply, listener, merged, rule, site};
    use crate::table::State;
    use serde_json::{Value, json};

    fn carried(policies: Value) -> Value {
        json!({"id": "t", "route": "t", "index": 0, "listeners": ["tcp"], "policies": policies})
    }

    /// Everything names the policy that means something there: `p` is of backends, `q` of requests and connections, `k` has a
    /// secret, `s` a backend.
    fn state() -> State {
        let mut state = State::default();
        let listeners =
            json!([listener("l", 80, json!({"policies": ["q"]})), listener("tcp", 53, json!({"protocol": "TCP"})),]);
        let mut change = site(
            json!([rule("r", json!({"policies": ["q"]}))]),
            json!({"listeners": listeners, "l4_rules": [carried(json!(["q"]))],
            "backends": [{"id": "b", "policies": ["p"]}, {"id": "asked"}],
            "policies": [
                {"type": "backend_tls", "id": "p", "hostname": "b"},
                {"type": "access_authorization", "id": "q"},
                {"type": "access_api_key", "id": "k", "keys": "keys"},
                service("asked"),
            ]}),
        );
        change["secrets"] = json!({"policy_secrets": [{"id": "keys", "data": ""}]});
        apply(&mut state, change).unwrap();
        state
    }

    fn service(backend: &str) -> Value {
        json!({"type": "external_auth", "id": "s", "service": {"backend": backend, "protocol": "http", "timeout_ms": 1}})
    }

    fn refused(change: Value) -> Option<String> {
        apply(&mut state(), change).err()
    }

    /// A policy is never skipped: where it is not there, or means nothing, nothing goes on.
    #[test]
    fn what_may_be_named_where() {
        for (kind, upserted, expected) in [
            (
                "listeners",
                listener("n", 90, json!({"policies": ["x"]})),
                Some("listener n: names the unknown policy x"),
            ),
            ("http_rules", rule("s", json!({"policies": ["x"]})), Some("http_rule s: names the unknown policy x")),
            ("l4_rules", carried(json!(["x"])), Some("l4_rule t: names the unknown policy x")),
            ("backends", json!({"id": "c", "policies": ["x"]}), Some("backend c: names the unknown policy x")),
            (
                "listeners",
                listener("n", 90, json!({"policies": ["p"]})),
                Some("listener n: names the policy p, which has no meaning there"),
            ),
            (
                "http_rules",
                rule("s", json!({"policies": ["p"]})),
                Some("http_rule s: names the policy p, which has no meaning there"),
            ),
            ("l4_rules", carried(json!(["k"])), Some("l4_rule t: names the policy k, which has no meaning there")),
            (
                "backends",
                json!({"id": "c", "policies": ["q"]}),
                Some("backend c: names the policy q, which has no meaning there"),
            ),
            ("http_rules", rule("s", json!({"policies": ["q", "k"]})), None),
            (
                "policies",
                json!({"type": "access_authorization", "id": "p"}),
                Some("policy p: is of another type than before: it needs another id"),
            ),
            ("policies", json!({"type": "backend_tls", "id": "p", "hostname": "c"}), None),
        ] {
            assert_eq!(refused(json!({"upsert": {kind: [upserted]}})).as_deref(), expected);
        }
    }

    /// What stays names it still, unless it goes in the same transaction or says otherwise there.
    #[test]
    fn what_cannot_go() {
        let gone = json!({"policies": ["q"]});
        let all = json!({"listeners": [listener("l", 80, json!({}))], "http_rules": [rule("r", json!({}))], "l4_rules": [carried(json!([]))]});
        let without = |kind: &str| {
            let mut all = all.clone();
            all.as_object_mut().unwrap().remove(kind);
            all
        };
        for (removed, upserted, expected) in [
            (gone.clone(), all.clone(), None),
            (gone.clone(), without("listeners"), Some("policy q: is removed but listener l names it")),
            (gone.clone(), without("http_rules"), Some("policy q: is removed but http_rule r names it")),
            (gone.clone(), without("l4_rules"), Some("policy q: is removed but l4_rule t names it")),
            (merged(gone.clone(), json!({"http_rules": ["r"]})), without("http_rules"), None),
            (gone, json!({"policies": [{"type": "access_authorization", "id": "q"}]}), None),
            (json!({"policies": ["p"]}), json!({}), Some("policy p: is removed but backend b names it")),
            (json!({"policies": ["p"]}), json!({"backends": [{"id": "b"}]}), None),
            (json!({"policies": ["k", "s"]}), json!({}), None),
        ] {
            let change = json!({"remove": removed, "upsert": upserted});
            assert_eq!(refused(change.clone()).as_deref(), expected, "{change}");
        }
    }

    /// Without what it needs a policy would hold for nobody, or for everybody.
    #[test]
    fn what_a_policy_needs_is_there() {
        let keys = json!({"type": "access_api_key", "id": "k", "keys": "others"});
        for (change, expected) in [
            (
                json!({"upsert": {"policies": [keys]}}),
                Some("policy k: needs the policy secret others, which is not there"),
            ),
            (
                json!({"upsert": {"policies": [keys]}, "secrets": {"policy_secrets": [{"id": "others", "data": ""}]}}),
                None,
            ),
            (
                json!({"upsert": {"policies": [service("x")]}}),
                Some("policy s: needs the backend x, which is not there"),
            ),
            (
                json!({"remove": {"policy_secrets": ["keys"]}}),
                Some("policy k: needs the policy secret keys, which is not there"),
            ),
            (json!({"remove": {"policy_secrets": ["keys"], "policies": ["k"]}}), None),
            (json!({"remove": {"backends": ["asked"]}}), Some("policy s: needs the backend asked, which is not there")),
            (
                json!({"full": true, "upsert": {"policies": [keys]}}),
                Some("policy k: needs the policy secret others, which is not there"),
            ),
        ] {
            assert_eq!(refused(change.clone()).as_deref(), expected, "{change}");
        }
    }

    #[test]
    fn what_a_policy_writes_is_looked_at() {
        let fault = json!({"type": "filter_fault", "id": "f", "abort": {"status": 99, "percentage": {"numerator": 1, "denominator": 1}}});
        let error = refused(json!({"upsert": {"policies": [fault]}}));
        assert_eq!(error.as_deref(), Some("policy f: abort.status: 99 is no status of an answer"));
    }
}
