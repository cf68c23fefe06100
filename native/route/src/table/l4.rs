//! L4 routes of one listener: by server name, then by age.
//!
//! TLS routes have hostnames; TCP and UDP routes stand under the empty one, which takes what no name takes. A bucket holds
//! the rules of one hostname in the order of the specification; the first one takes the connection.

use super::Tag;
use super::compile::{RuleBackend, uid_of};
use super::filter::FilterParts;
use super::host::most_specific;
use super::join::ListNumber;
use super::state::Slots;
use crate::ir;
use ahash::AHashMap;
use std::sync::Arc;

/// One rule of a `TLSRoute`, `TCPRoute` or `UDPRoute`, compiled.
#[derive(Debug)]
pub struct L4Rule {
    pub ir: Arc<ir::L4Rule>,
    /// As that of [`Rule`](super::Rule).
    pub uid: u64,
    /// As that of [`Rule`](super::Rule).
    pub policies: ListNumber,
    pub backends: Vec<RuleBackend>,
    pub total_weight: u64,
}

impl L4Rule {
    pub(super) fn compile(ir: ir::L4Rule, policies: ListNumber, slots: &mut Slots) -> Self {
        let (backends, total_weight) = RuleBackend::compile(&ir.backends, slots, &mut FilterParts::default());
        Self { uid: uid_of(&ir.id), policies, ir: Arc::new(ir), backends, total_weight }
    }

    /// The slots of the backends that get anything.
    pub fn weighted_slots(&self) -> impl Iterator<Item = u32> {
        let before = std::iter::once(0).chain(self.backends.iter().map(|backend| backend.cumulative));
        let weighted = self.backends.iter().zip(before).filter(|(backend, before)| backend.cumulative > *before);
        weighted.filter_map(|(backend, _)| backend.slot)
    }
}

/// A rule as it stands at one listener.
#[derive(Debug, Clone)]
pub struct L4Candidate {
    pub rule: Arc<L4Rule>,
    pub tag: Tag,
}

impl L4Candidate {
    /// Smaller comes first: the older route, then by name, then the first of its rules.
    fn rank(&self) -> (i64, &str, u32) {
        (self.rule.ir.created, &self.rule.ir.route, self.rule.ir.index)
    }
}

/// The L4 rules attached to one listener.
#[derive(Debug, Clone, Default)]
pub struct L4Table {
    /// Keys: a hostname, `*.suffix`, or empty for rules without hostnames. No bucket is empty.
    hosts: AHashMap<Box<str>, Arc<[L4Candidate]>>,
}

impl L4Table {
    /// The exact hostname, else the longest wildcard, else the rules without hostname. `name` empty: none was sent.
    pub fn find(&self, name: &str) -> Option<&L4Candidate> {
        most_specific(&self.hosts, name).or_else(|| self.hosts.get(""))?.first()
    }

    /// Every attached rule, once for each of its hostnames.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<L4Rule>> {
        self.hosts.values().flat_map(|bucket| bucket.iter().map(|candidate| &candidate.rule))
    }

    pub(super) fn insert(&mut self, candidate: &L4Candidate) {
        for hostname in hostnames_of(&candidate.rule.ir) {
            let before = self.hosts.remove(hostname).unwrap_or_default();
            let at = before.partition_point(|other| other.rank() <= candidate.rank());
            let (first, rest) = before.split_at(at);
            let bucket = first.iter().chain([candidate]).chain(rest).cloned().collect();
            self.hosts.insert(hostname.into(), bucket);
        }
    }

    pub(super) fn remove(&mut self, rule: &ir::L4Rule) {
        for hostname in hostnames_of(rule) {
            let Some(before) = self.hosts.remove(hostname) else {
                continue;
            };
            let left: Arc<[L4Candidate]> = before.iter().filter(|other| other.rule.ir.id != rule.id).cloned().collect();
            if !left.is_empty() {
                self.hosts.insert(hostname.into(), left);
            }
        }
    }
}

fn hostnames_of(rule: &ir::L4Rule) -> impl Iterator<Item = &str> {
    let any = rule.hostnames.is_empty().then_some("");
    any.into_iter().chain(rule.hostnames.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::{L4Candidate, L4Rule, L4Table, Slots};
    use crate::ir;
    use std::sync::Arc;

    fn rule(id: &str, created: i64, index: u32, hostnames: &[&str]) -> L4Candidate {
        let ir = ir::L4Rule {
            id: format!("{id}/{index}"),
            route: id.to_owned(),
            name: String::new(),
            created,
            index,
            listeners: Vec::new(),
            attachments: Vec::new(),
            hostnames: hostnames.iter().map(|&name| name.to_owned()).collect(),
            backends: Vec::new(),
            policies: Vec::new(),
        };
        L4Candidate { rule: Arc::new(L4Rule::compile(ir, 0, &mut Slots::default())), tag: Arc::new(()) }
    }

    fn found(table: &L4Table, name: &str) -> Option<String> {
        table.find(name).map(|candidate| candidate.rule.ir.id.clone())
    }

    #[test]
    fn the_most_specific_hostname_and_then_the_oldest_rule_takes_a_connection() {
        let rules = [
            rule("TLSRoute/a/young", 9, 0, &["a.example.com"]),
            rule("TLSRoute/a/old", 5, 1, &["a.example.com", "*.org"]),
            rule("TLSRoute/a/old", 5, 0, &["a.example.com"]),
            rule("TLSRoute/a/wide", 1, 0, &["*.com"]),
            rule("TLSRoute/a/narrow", 2, 0, &["*.example.com"]),
            rule("TCPRoute/b/any", 3, 0, &[]),
            rule("TCPRoute/a/any", 3, 0, &[]),
        ];
        let expected = [
            ("a.example.com", Some("TLSRoute/a/old/0")),
            ("b.example.com", Some("TLSRoute/a/narrow/0")),
            ("c.b.example.com", Some("TLSRoute/a/narrow/0")),
            ("example.com", Some("TLSRoute/a/wide/0")),
            ("a.b.org", Some("TLSRoute/a/old/1")),
            ("org", Some("TCPRoute/a/any/0")),
            ("com", Some("TCPRoute/a/any/0")),
            ("", Some("TCPRoute/a/any/0")),
        ];
        // In whatever order they come.
        for turn in 0..rules.len() {
            let mut table = L4Table::default();
            for candidate in rules[turn..].iter().chain(&rules[..turn]) {
                table.insert(candidate);
            }
            for (name, id) in expected {
                assert_eq!(found(&table, name).as_deref(), id, "{name} after {turn}");
            }
            table.remove(&rules[6].rule.ir);
            assert_eq!(found(&table, "").as_deref(), Some("TCPRoute/b/any/0"));
            table.remove(&rules[2].rule.ir);
            assert_eq!(found(&table, "a.example.com").as_deref(), Some("TLSRoute/a/old/1"));
            for candidate in &rules {
                table.remove(&candidate.rule.ir);
            }
            assert!(table.hosts.is_empty());
            assert_eq!(found(&table, "a.example.com"), None);
        }
    }
}
