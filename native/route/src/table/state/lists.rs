//! The lists of policies that rules name, and what comes of each at every listener below which one is in use.
//!
//! Joining costs what changed: a policy the lists that it is in, a rule its own list, a listener the lists below it.

use super::ListenerEntry;
use crate::ir::PolicyPlace;
use crate::policy::Compiled;
use crate::table::{Joins, ListNumber, Policies};
use ahash::{AHashMap, AHashSet};
use std::sync::Arc;

/// One list.
#[derive(Debug)]
struct List {
    names: Vec<String>,
    /// How many rules of each listener name it.
    rules: AHashMap<Arc<str>, usize>,
}

/// The lists of the state.
#[derive(Debug, Default)]
pub(super) struct Lists {
    numbers: AHashMap<Vec<String>, ListNumber>,
    by_number: AHashMap<ListNumber, List>,
    last: ListNumber,
    /// Lists by the policies in them.
    naming: AHashMap<String, AHashSet<ListNumber>>,
    /// Lists that rules of a listener name, by the listener.
    below: AHashMap<Arc<str>, AHashSet<ListNumber>>,
    /// By listener.
    joins: AHashMap<Arc<str>, Arc<Joins>>,
    /// To be joined anew.
    touched: AHashSet<ListNumber>,
    touched_listeners: AHashSet<Arc<str>>,
}

impl Lists {
    /// A rule of these listeners names these policies.
    pub(super) fn take<'l>(&mut self, names: &[String], listeners: impl Iterator<Item = &'l str>) -> ListNumber {
        if names.is_empty() {
            return 0;
        }
        let number = match self.numbers.get(names) {
            Some(number) => *number,
            None => self.add(names),
        };
        if let Some(list) = self.by_number.get_mut(&number) {
            for listener in listeners {
                let listener: Arc<str> = Arc::from(listener);
                let rules = list.rules.entry(Arc::clone(&listener)).or_default();
                *rules += 1;
                if *rules == 1 {
                    self.below.entry(listener).or_default().insert(number);
                    self.touched.insert(number);
                }
            }
        }
        number
    }

    fn add(&mut self, names: &[String]) -> ListNumber {
        self.last += 1;
        self.numbers.insert(names.to_vec(), self.last);
        self.by_number.insert(self.last, List { names: names.to_vec(), rules: AHashMap::new() });
        for name in names {
            self.naming.entry(name.clone()).or_default().insert(self.last);
        }
        self.last
    }

    /// A rule of these listeners names the list no longer.
    pub(super) fn release<'l>(&mut self, number: ListNumber, listeners: impl Iterator<Item = &'l str>) {
        let Some(list) = self.by_number.get_mut(&number) else {
            return;
        };
        for listener in listeners {
            if let Some(rules) = list.rules.get_mut(listener) {
                *rules -= 1;
            }
        }
        self.touched.insert(number);
    }

    /// A listener is there anew, or names other policies, or is gone.
    pub(super) fn touch_listener(&mut self, id: &str) {
        self.touched_listeners.insert(Arc::from(id));
    }

    /// A policy is another one now.
    pub(super) fn touch_policy(&mut self, id: &str, listeners: &AHashMap<Arc<str>, ListenerEntry>) {
        if let Some(lists) = self.naming.get(id) {
            self.touched.extend(lists);
        }
        let naming = listeners.iter().filter(|(_, listener)| listener.ir.policies.iter().any(|name| name == id));
        self.touched_listeners.extend(naming.map(|(id, _)| Arc::clone(id)));
    }

    /// What holds at a listener.
    pub(super) fn joins(&self, listener: &str) -> Option<&Arc<Joins>> {
        self.joins.get(listener)
    }

    /// Join what was touched since the last time.
    pub(super) fn join(&mut self, listeners: &AHashMap<Arc<str>, ListenerEntry>, policies: &Policies) {
        let touched = std::mem::take(&mut self.touched);
        let touched_listeners = std::mem::take(&mut self.touched_listeners);
        for number in &touched {
            self.drop_unused(*number);
        }
        for id in &touched_listeners {
            let Some(listener) = listeners.get(id) else {
                self.joins.remove(id);
                continue;
            };
            let below: Vec<ListNumber> = self.below.get(id).into_iter().flatten().copied().collect();
            if below.is_empty() && listener.ir.policies.is_empty() {
                self.joins.remove(id);
                continue;
            }
            let named = named(&listener.ir.policies, policies);
            let joins = Arc::make_mut(self.joins.entry(Arc::clone(id)).or_default());
            joins.put_own(&named, place_of(listener));
            for number in below {
                joins.put(number, &named, &list_of(&self.by_number, number, policies), place_of(listener));
            }
        }
        for number in touched {
            let at: Vec<Arc<str>> =
                self.by_number.get(&number).into_iter().flat_map(|list| list.rules.keys().cloned()).collect();
            let list = list_of(&self.by_number, number, policies);
            for id in at.iter().filter(|id| !touched_listeners.contains(*id)) {
                let Some(listener) = listeners.get(id) else { continue };
                let joins = Arc::make_mut(self.joins.entry(Arc::clone(id)).or_default());
                joins.put(number, &named(&listener.ir.policies, policies), &list, place_of(listener));
            }
        }
    }

    /// Forget a list where no rule of a listener names it any more, and altogether where none of any does.
    fn drop_unused(&mut self, number: ListNumber) {
        let Some(list) = self.by_number.get_mut(&number) else {
            return;
        };
        let unused: Vec<Arc<str>> =
            list.rules.iter().filter(|(_, rules)| **rules == 0).map(|(id, _)| Arc::clone(id)).collect();
        for listener in unused {
            list.rules.remove(&listener);
            if let Some(joins) = self.joins.get_mut(&listener) {
                Arc::make_mut(joins).drop_list(number);
            }
            if let Some(lists) = self.below.get_mut(&listener) {
                lists.remove(&number);
                if lists.is_empty() {
                    self.below.remove(&listener);
                }
            }
        }
        if list.rules.is_empty()
            && let Some(list) = self.by_number.remove(&number)
        {
            self.numbers.remove(&list.names);
            for name in &list.names {
                if let Some(lists) = self.naming.get_mut(name) {
                    lists.remove(&number);
                    if lists.is_empty() {
                        self.naming.remove(name);
                    }
                }
            }
        }
    }
}

/// What is below a listener: requests or connections.
fn place_of(listener: &ListenerEntry) -> PolicyPlace {
    if listener.ir.protocol.is_http() { PolicyPlace::HttpRule } else { PolicyPlace::L4Rule }
}

fn list_of(lists: &AHashMap<ListNumber, List>, number: ListNumber, policies: &Policies) -> Vec<Arc<Compiled>> {
    lists.get(&number).map_or_else(Vec::new, |list| named(&list.names, policies))
}

/// All of them are there: a transaction that leaves one out was refused.
fn named(names: &[String], policies: &Policies) -> Vec<Arc<Compiled>> {
    names.iter().filter_map(|name| policies.get(name.as_str()).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::Lists;
    use crate::resolve::Decision;
    use crate::samples::{apply, ask, listener, rule, site};
    use crate::table::{State, Table};
    use serde_json::{Value, json};

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// A list has one number as long as some rule names it; 0 is the empty one. None is used twice.
    #[test]
    fn numbers_of_lists() {
        let mut lists = Lists::default();
        let mut take = |all: &[&str]| lists.take(&names(all), ["l"].into_iter());
        assert_eq!([take(&[]), take(&["p"]), take(&["p", "q"]), take(&["q", "p"]), take(&["p"])], [0, 1, 2, 3, 1]);
        let join = |lists: &mut Lists| lists.join(&ahash::AHashMap::new(), &crate::table::Policies::default());
        lists.release(1, ["l"].into_iter());
        join(&mut lists);
        assert_eq!(lists.take(&names(&["p"]), ["l"].into_iter()), 1);
        for _ in 0..2 {
            lists.release(1, ["l"].into_iter());
        }
        // Until the transaction is through it is there for whoever comes back.
        assert_eq!(lists.take(&names(&["p"]), ["l"].into_iter()), 1);
        lists.release(1, ["l"].into_iter());
        join(&mut lists);
        assert_eq!(lists.take(&names(&["p"]), ["l"].into_iter()), 4);
        for number in [2, 3, 4, 4, 99] {
            lists.release(number, if number == 4 { [].iter() } else { ["l"].iter() }.copied());
        }
        lists.release(4, ["l"].into_iter());
        join(&mut lists);
        assert!(
            lists.numbers.is_empty() && lists.by_number.is_empty() && lists.naming.is_empty() && lists.below.is_empty()
        );
    }

    fn access(id: &str, allow: bool) -> Value {
        json!({"type": "access_authorization", "id": id, "default_allow": allow})
    }

    fn said(table: &Table) -> Vec<String> {
        let Decision { policies, .. } = ask(table, json!({}));
        policies.into_iter().map(|said| format!("{} {}", said.from, said.verdict)).collect()
    }

    const OWN: &str = "AccessPolicy/a/own/authorization";
    const BELOW: &str = "AccessPolicy/a/below/authorization";

    /// A change of a policy, of a list, of a listener: what holds is what all three say now.
    #[test]
    fn what_holds_after_each_change() {
        let mut state = State::default();
        let at = |policies: Value| json!([listener("l", 80, json!({"policies": policies}))]);
        let of = |policies: Value| json!([rule("r", json!({"policies": policies}))]);
        let change = site(
            of(json!([BELOW])),
            json!({"listeners": at(json!([OWN])), "policies": [access(OWN, true), access(BELOW, true)]}),
        );
        let (own, below) = ("AccessPolicy/a/own", "AccessPolicy/a/below");
        for (change, expected) in [
            (change, vec![format!("{below} pass")]),
            (json!({"upsert": {"policies": [access(BELOW, false)]}}), vec![format!("{below} deny")]),
            (json!({"upsert": {"http_rules": of(json!([]))}}), vec![format!("{own} pass")]),
            (json!({"upsert": {"policies": [access(OWN, false)]}}), vec![format!("{own} deny")]),
            (json!({"upsert": {"listeners": at(json!([]))}}), vec![]),
            (json!({"upsert": {"http_rules": of(json!([OWN]))}}), vec![format!("{own} deny")]),
            (
                json!({"upsert": {"http_rules": of(json!([BELOW])), "listeners": at(json!([OWN]))}}),
                vec![format!("{below} deny")],
            ),
            (json!({"remove": {"http_rules": ["r"]}}), vec![format!("{own} deny")]),
            (json!({"remove": {"listeners": ["l"]}}), vec![]),
            (json!({"upsert": {"listeners": at(json!([])), "http_rules": of(json!([]))}}), vec![]),
        ] {
            let table = apply(&mut state, change.clone()).unwrap();
            assert_eq!(said(&table), expected, "{change}");
        }
        assert!(state.lists.joins.is_empty() && state.lists.by_number.is_empty());
    }

    /// Of a listener of connections those count that mean something there.
    #[test]
    fn what_is_below_a_listener() {
        let policies = json!([access(OWN, true), {"type": "access_csrf", "id": "AccessPolicy/a/c/csrf"}]);
        let both = json!([OWN, "AccessPolicy/a/c/csrf"]);
        let listeners = json!([
            listener("l", 80, json!({"policies": both})),
            listener("t", 81, json!({"protocol": "TCP", "policies": both}))
        ]);
        let change = site(json!([rule("r", json!({}))]), json!({"listeners": listeners, "policies": policies}));
        let table = apply(&mut State::default(), change).unwrap();
        for (id, expected) in [("l", 2), ("t", 1)] {
            let all: Vec<_> =
                table.sockets().flat_map(|socket| socket.listeners()).filter(|it| it.id() == id).collect();
            assert_eq!(all[0].policies_without_rule().map_or(0, |joined| joined.policies.len()), expected, "{id}");
        }
    }
}
