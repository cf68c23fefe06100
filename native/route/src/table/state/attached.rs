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
            let tag = tags.of_route(listener, &rule.ir.route);
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
