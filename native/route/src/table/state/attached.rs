//! Rules at the listeners that they are attached to, which they name one by one or as an attachment.

use super::State;
use crate::ir;
use crate::table::compile::{CompiledMatch, Expressions, Rule};
use crate::table::{Candidate, L4Candidate, L4Rule, Tags};
use ahash::AHashSet;
use std::sync::Arc;

/// A rule, and what its places in the tables are made of: they are found by it again when it goes.
#[derive(Debug)]
pub(super) struct RuleEntry {
    pub rule: Arc<Rule>,
    matches: Vec<CompiledMatch>,
    attachments: Box<[Arc<ir::Attachment>]>,
}

/// The same of a rule of connections.
#[derive(Debug)]
pub(super) struct L4RuleEntry {
    pub rule: Arc<L4Rule>,
    attachments: Box<[Arc<ir::Attachment>]>,
}

impl State {
    /// Take in attachments. Rules that name one which changed move with it.
    pub(super) fn put_attachments(&mut self, attachments: Vec<ir::Attachment>, tags: &dyn Tags) {
        if attachments.is_empty() {
            return;
        }
        let changed: AHashSet<&str> = attachments
            .iter()
            .filter(|it| self.attachments.get(it.id.as_str()).is_some_and(|known| **known != **it))
            .map(|it| it.id.as_str())
            .collect();
        let names_one = |names: &[String]| names.iter().any(|name| changed.contains(name.as_str()));
        let (mut rules, mut l4_rules): (Vec<Arc<str>>, Vec<Arc<str>>) = (Vec::new(), Vec::new());
        if !changed.is_empty() {
            rules.extend(
                self.rules.iter().filter(|(_, it)| names_one(&it.rule.ir.attachments)).map(|(id, _)| Arc::clone(id)),
            );
            l4_rules.extend(
                self.l4_rules.iter().filter(|(_, it)| names_one(&it.rule.ir.attachments)).map(|(id, _)| Arc::clone(id)),
            );
        }
        let rules: Vec<RuleEntry> = rules.iter().filter_map(|id| self.take_rule(id)).collect();
        let l4_rules: Vec<L4RuleEntry> = l4_rules.iter().filter_map(|id| self.take_l4_rule(id)).collect();
        let all = Arc::make_mut(&mut self.attachments);
        all.extend(attachments.into_iter().map(|it| (Arc::from(it.id.as_str()), Arc::new(it))));
        for RuleEntry { rule, matches, .. } in rules {
            let attachments = self.named(&rule.ir.attachments);
            // Its list of policies keeps its number: lists are let go of when the transaction is through.
            self.lists.take(&rule.ir.policies, all_listeners(&rule.ir.listeners, &attachments));
            self.attach(rule, attachments, matches, tags);
        }
        for L4RuleEntry { rule, .. } in l4_rules {
            let attachments = self.named(&rule.ir.attachments);
            self.lists.take(&rule.ir.policies, all_listeners(&rule.ir.listeners, &attachments));
            self.attach_l4(rule, attachments, tags);
        }
    }

    pub(super) fn put_rule(&mut self, rule: ir::HttpRule, expressions: Expressions, tags: &dyn Tags) {
        self.take_rule(&rule.id);
        let attachments = self.named(&rule.attachments);
        let policies = self.lists.take(&rule.policies, all_listeners(&rule.listeners, &attachments));
        let Expressions { matches, filters } = expressions;
        let rule = Arc::new(Rule::compile(rule, policies, &mut self.backends.slots, filters));
        self.attach(rule, attachments, matches, tags);
    }

    fn attach(
        &mut self,
        rule: Arc<Rule>,
        attachments: Box<[Arc<ir::Attachment>]>,
        matches: Vec<CompiledMatch>,
        tags: &dyn Tags,
    ) {
        let asks_forwarded = matches.iter().any(|matched| matched.predicates.asks_forwarded());
        for listener in all_listeners(&rule.ir.listeners, &attachments) {
            let tag = tags.of_rule(listener, &rule.ir);
            let hosts = Arc::make_mut(self.hosts.entry(Arc::from(listener)).or_default());
            if asks_forwarded {
                hosts.ask_forwarded();
            }
            for hostname in hostnames_of(&rule.ir) {
                let paths = Arc::make_mut(hosts.entry(hostname));
                for (index, matched) in (0_u32..).zip(&matches) {
                    let candidate = Candidate {
                        rule: Arc::clone(&rule),
                        match_index: index,
                        predicates: Arc::clone(&matched.predicates),
                        tag: Arc::clone(&tag),
                    };
                    paths.insert(candidate, &matched.path);
                }
            }
        }
        self.rules.insert(Arc::from(rule.ir.id.as_str()), RuleEntry { rule, matches, attachments });
    }

    pub(super) fn take_rule(&mut self, id: &str) -> Option<RuleEntry> {
        let entry = self.rules.remove(id)?;
        let ir = &entry.rule.ir;
        self.lists.release(entry.rule.policies, all_listeners(&ir.listeners, &entry.attachments));
        for listener in all_listeners(&ir.listeners, &entry.attachments) {
            let Some(hosts) = self.hosts.get_mut(listener) else {
                continue;
            };
            let hosts = Arc::make_mut(hosts);
            for hostname in hostnames_of(ir) {
                hosts.update(hostname, |paths| paths.remove(id, ir.matches.iter().map(|matched| &matched.path)));
            }
        }
        Some(entry)
    }

    pub(super) fn put_l4_rule(&mut self, rule: ir::L4Rule, tags: &dyn Tags) {
        self.take_l4_rule(&rule.id);
        let attachments = self.named(&rule.attachments);
        let policies = self.lists.take(&rule.policies, all_listeners(&rule.listeners, &attachments));
        let rule = Arc::new(L4Rule::compile(rule, policies, &mut self.backends.slots));
        self.attach_l4(rule, attachments, tags);
    }

    fn attach_l4(&mut self, rule: Arc<L4Rule>, attachments: Box<[Arc<ir::Attachment>]>, tags: &dyn Tags) {
        for listener in all_listeners(&rule.ir.listeners, &attachments) {
            let table = Arc::make_mut(self.l4.entry(Arc::from(listener)).or_default());
            let tag = tags.of_l4_route(listener, &rule.ir.route);
            table.insert(&L4Candidate { rule: Arc::clone(&rule), tag });
        }
        self.l4_rules.insert(Arc::from(rule.ir.id.as_str()), L4RuleEntry { rule, attachments });
    }

    pub(super) fn take_l4_rule(&mut self, id: &str) -> Option<L4RuleEntry> {
        let entry = self.l4_rules.remove(id)?;
        let listeners = all_listeners(&entry.rule.ir.listeners, &entry.attachments);
        self.lists.release(entry.rule.policies, listeners);
        for listener in all_listeners(&entry.rule.ir.listeners, &entry.attachments) {
            if let Some(table) = self.l4.get_mut(listener) {
                Arc::make_mut(table).remove(&entry.rule.ir);
            }
        }
        Some(entry)
    }

    fn named(&self, attachments: &[String]) -> Box<[Arc<ir::Attachment>]> {
        attachments.iter().filter_map(|id| self.attachments.get(id.as_str()).cloned()).collect()
    }
}

fn all_listeners<'a>(own: &'a [String], attachments: &'a [Arc<ir::Attachment>]) -> impl Iterator<Item = &'a str> {
    own.iter().chain(attachments.iter().flat_map(|it| &it.listeners)).map(String::as_str)
}

fn hostnames_of(rule: &ir::HttpRule) -> impl Iterator<Item = &str> {
    let any = rule.hostnames.is_empty().then_some("");
    any.into_iter().chain(rule.hostnames.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use crate::samples::{apply, ask, listener, merged, question, rule, site};
    use crate::table::{State, Table};
    use serde_json::{Value, json};

    const PORTS: [u16; 3] = [80, 81, 82];

    fn attachment(id: &str, listeners: Value) -> Value {
        json!({"id": id, "gateway": "a/g", "listeners": listeners})
    }

    /// Listeners of requests and of connections on three ports, with a rule each at the first, and one by an attachment.
    fn state() -> State {
        let of = |port: u16| listener(&format!("l{port}"), port, json!({}));
        let flows = |port: u16| listener(&format!("t{port}"), port + 1000, json!({"protocol": "TCP"}));
        let listeners: Vec<Value> = PORTS.iter().flat_map(|&port| [of(port), flows(port)]).collect();
        let at = json!({"listeners": ["l80"], "attachments": ["at"]});
        let carried = json!({"id": "t", "route": "t", "index": 0, "backends": [{"backend": "b", "weight": 1}]});
        let carried = merged(carried, json!({"listeners": ["t80"], "attachments": ["at"]}));
        let change = site(
            json!([rule("r", at)]),
            json!({"listeners": listeners, "l4_rules": [carried], "attachments": [attachment("at", json!(["l81", "t81"]))]}),
        );
        let mut state = State::default();
        apply(&mut state, change).unwrap();
        state
    }

    /// On which of the ports there is a rule, for requests and for connections.
    fn attached(table: &Table) -> (Vec<u16>, Vec<u16>) {
        let takes = |port: &u16| ask(table, json!({"bind_port": port})).reason == "forwarded";
        let carries = |port: &u16| {
            let connection = json!({"transport": "tcp", "bind_port": port + 1000});
            question(connection).decide(table).reason == "forwarded"
        };
        (PORTS.iter().copied().filter(takes).collect(), PORTS.iter().copied().filter(carries).collect())
    }

    #[test]
    fn rules_are_where_they_and_their_attachments_say() {
        let of_rule = |at: Value| json!({"upsert": {"http_rules": [rule("r", at)]}});
        for (change, requests, connections) in [
            (json!({}), &[80, 81][..], &[80, 81][..]),
            // Nobody sends the rules again.
            (
                json!({"upsert": {"attachments": [attachment("at", json!(["l82", "t81", "t82"]))]}}),
                &[80, 82],
                &[80, 81, 82],
            ),
            (json!({"upsert": {"attachments": [attachment("at", json!([]))]}}), &[80], &[80]),
            (of_rule(json!({"listeners": ["l82"]})), &[82], &[80, 81]),
            (of_rule(json!({"listeners": [], "attachments": ["at"]})), &[81], &[80, 81]),
            (json!({"remove": {"http_rules": ["r"]}}), &[], &[80, 81]),
            (json!({"remove": {"l4_rules": ["t"]}}), &[80, 81], &[]),
        ] {
            let table = apply(&mut state(), change.clone()).unwrap();
            assert_eq!(attached(&table), (requests.to_vec(), connections.to_vec()), "{change}");
        }
    }

    /// By each of its hostnames and matches, of which none is left when it goes or has others.
    #[test]
    fn every_place_of_a_rule_is_found_again() {
        let places = json!({"hostnames": ["a.test", "*.b.test"], "matches": [
            {"path": {"type": "Exact", "value": "/a"}}, {"path": {"type": "PathPrefix", "value": "/b"}},
            {"path": {"type": "RegularExpression", "value": "/c+"}}, {"path": {"type": "GrpcMethod", "service": "d"}},
        ]});
        let mut state = State::default();
        let table = apply(&mut state, site(json!([rule("r", places)]), json!({}))).unwrap();
        let all = ["/a", "/b", "/cc", "/d/m"];
        let found = |table: &Table| -> usize {
            let asked = ["a.test", "x.b.test"]
                .into_iter()
                .flat_map(|host| all.map(|path| json!({"authority": host, "target": path})));
            asked.filter(|asked| ask(table, asked.clone()).rule.is_some()).count()
        };
        assert_eq!((found(&table), table.rule_uids().count()), (8, 8));
        let moved = json!({"hostnames": ["a.test"], "matches": [{"path": {"type": "Exact", "value": "/a"}}]});
        let table = apply(&mut state, json!({"upsert": {"http_rules": [rule("r", moved)]}})).unwrap();
        assert_eq!((found(&table), table.rule_uids().count()), (1, 1));
        let table = apply(&mut state, json!({"remove": {"http_rules": ["r"]}})).unwrap();
        assert_eq!((found(&table), table.rule_uids().count()), (0, 0));
    }

    /// Policies that a rule names hold wherever it is, also where an attachment has moved it to.
    #[test]
    fn policies_move_with_their_rules() {
        let denies = json!({"type": "access_authorization", "id": "AccessPolicy/a/p/authorization"});
        let mut state = state();
        let at = json!({"listeners": [], "attachments": ["at"], "policies": [denies["id"]]});
        let reasons = |table: &Table| PORTS.map(|port| ask(table, json!({"bind_port": port})).reason);
        let table =
            apply(&mut state, json!({"upsert": {"http_rules": [rule("r", at)], "policies": [denies]}})).unwrap();
        assert_eq!(reasons(&table), ["no_route", "forbidden", "no_route"]);
        let moved = json!({"upsert": {"attachments": [attachment("at", json!(["l82"]))]}});
        assert_eq!(reasons(&apply(&mut state, moved).unwrap()), ["no_route", "no_route", "forbidden"]);
    }

    /// Lists of rules that are asked where a request comes from are told so.
    #[test]
    fn listeners_know_whether_a_match_asks_where_a_request_comes_from() {
        for (name, expected) in [("x-forwarded-for", true), ("x-a", false)] {
            let headers = json!([{"name": name, "value": "1"}]);
            let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}, "headers": headers}]);
            let change = site(json!([rule("r", json!({"matches": matches}))]), json!({}));
            let table = apply(&mut State::default(), change).unwrap();
            let asks = table.sockets().flat_map(|socket| socket.listeners()).any(|it| it.hosts.asks_forwarded());
            assert_eq!(asks, expected, "{name}");
        }
    }
}
