//! Paths of one hostname: Exact, then gRPC methods, then `RegularExpression`, then `PathPrefix` from the longest to the
//! shortest.
//!
//! Lookup cost: one hash per segment boundary of the path, whatever the number of routes.

use super::candidate::{Bucket, Candidate, first, insert_bucket, remove_bucket};
use super::compile::PathExpression;
use super::grpc::MethodTable;
use super::method_pattern::MethodPattern;
use super::pattern::Pattern;
use super::{Found, RequestHead, Rule};
use crate::ir::PathMatch;
use ahash::AHashMap;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
pub struct PathTable {
    exact: AHashMap<Arc<str>, Bucket>,
    methods: MethodTable,
    /// By pattern length, then as in a bucket.
    regexes: Arc<[(Pattern, Candidate)]>,
    prefixes: AHashMap<Arc<str>, Bucket>,
    /// No longer prefix exists, so longer parts of a path need not be looked up. Only grows until the table is rebuilt.
    longest_prefix: usize,
}

impl PathTable {
    pub fn find<'t>(&'t self, head: &RequestHead<'_>) -> Option<Found<'t>> {
        if !self.exact.is_empty()
            && let Some(bucket) = self.exact.get(head.path)
            && let Some(candidate) = first(bucket, head)
        {
            return Some(candidate.found(None));
        }
        if !self.methods.is_empty()
            && let Some(candidate) = self.methods.find(head)
        {
            return Some(candidate.found(None));
        }
        for (expression, candidate) in &*self.regexes {
            if expression.holds(head.path.as_bytes()) && candidate.predicates.hold(head) {
                return Some(candidate.found(None));
            }
        }
        self.find_prefix(head)
    }

    /// `/a/b/c` tries `/a/b/c`, `/a/b`, `/a`, `/`.
    fn find_prefix<'t>(&'t self, head: &RequestHead<'_>) -> Option<Found<'t>> {
        let path = head.path;
        let mut end = path.len();
        while end > 0 {
            if end <= self.longest_prefix
                && let Some(bucket) = self.prefixes.get(&path[..end])
                && let Some(candidate) = first(bucket, head)
            {
                return Some(candidate.found(Some(end)));
            }
            end = memchr::memrchr(b'/', &path.as_bytes()[..end])?;
        }
        let candidate = first(self.prefixes.get("/")?, head)?;
        Some(candidate.found(Some(1)))
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        let buckets = self.exact.values().chain(self.prefixes.values()).flat_map(|bucket| bucket.iter());
        let expressions = self.regexes.iter().map(|(_, candidate)| candidate);
        buckets.chain(self.methods.candidates()).chain(expressions).map(|candidate| &candidate.rule)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.methods.is_empty() && self.prefixes.is_empty() && self.regexes.is_empty()
    }

    pub(super) fn insert(&mut self, candidate: Candidate, expression: &PathExpression) {
        let rule = Arc::clone(&candidate.rule);
        match &rule.ir.matches[candidate.match_index as usize].path {
            PathMatch::Exact { value } => insert_bucket(&mut self.exact, &Arc::from(value.as_str()), candidate),
            PathMatch::PathPrefix { value } => {
                self.longest_prefix = self.longest_prefix.max(value.len());
                insert_bucket(&mut self.prefixes, &Arc::from(value.as_str()), candidate);
            }
            PathMatch::RegularExpression { .. } => {
                if let PathExpression::Path(expression) = expression {
                    let at = self.regexes.partition_point(|(_, other)| other.rank() <= candidate.rank());
                    let mut regexes = self.regexes.to_vec();
                    regexes.insert(at, (expression.clone(), candidate));
                    self.regexes = regexes.into();
                }
            }
            PathMatch::GrpcMethod { service, method, .. } => {
                let expression = match expression {
                    PathExpression::Method(expression) => Some(expression),
                    PathExpression::None | PathExpression::Path(_) => None,
                };
                self.methods.insert(candidate, MethodPattern::new(service.as_deref(), method.as_deref()), expression);
            }
        }
    }

    /// Take out what a rule put in; `paths` are the ones of its matches.
    pub(super) fn remove<'p>(&mut self, rule: &str, paths: impl Iterator<Item = &'p PathMatch>) {
        for path in paths {
            match path {
                PathMatch::Exact { value } => remove_bucket(&mut self.exact, value, rule),
                PathMatch::PathPrefix { value } => remove_bucket(&mut self.prefixes, value, rule),
                PathMatch::RegularExpression { .. } => {
                    self.regexes = self.regexes.iter().filter(|(_, other)| !other.is_of(rule)).cloned().collect();
                }
                PathMatch::GrpcMethod { kind, service, method } => {
                    self.methods.remove(rule, *kind, MethodPattern::new(service.as_deref(), method.as_deref()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::samples::{apply, fields, head, rule, site};
    use crate::table::{State, Table};
    use serde_json::{Value, json};

    fn at(id: &str, index: u32, path: Value) -> Value {
        rule(id, json!({"index": index, "matches": [{"path": path}]}))
    }

    fn path(kind: &str, value: &str) -> Value {
        json!({"type": kind, "value": value})
    }

    fn found(table: &Table, asked: &str) -> Option<(String, Option<usize>)> {
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next()?;
        listener.hosts.find(&head(asked, &[])).map(|found| (found.rule.ir.id.clone(), found.prefix_length))
    }

    /// Exact, then methods, then expressions, then the longest prefix that ends where a segment does; in whatever order rules
    /// come, and what they are when some go.
    #[test]
    fn which_match_takes_a_path() {
        let rules = [
            at("root", 0, path("PathPrefix", "/")),
            at("a", 1, path("PathPrefix", "/a")),
            at("a/b", 2, path("PathPrefix", "/a/b")),
            at("exact", 3, path("Exact", "/a/b/c")),
            at("expression", 4, path("RegularExpression", "/a/b/[c-d]")),
            at("longer", 5, path("RegularExpression", "/a/b/[c-d]{1,1}")),
            at("method", 6, json!({"type": "GrpcMethod", "service": "s", "method": "m"})),
            at("of-method", 7, path("RegularExpression", "/s/.*")),
        ];
        let some = |id: &str, length| Some((id.to_owned(), length));
        for turn in 0..rules.len() {
            let mut state = State::default();
            let order: Vec<&Value> = rules[turn..].iter().chain(&rules[..turn]).collect();
            let table = apply(&mut state, site(json!(order), json!({}))).unwrap();
            for (asked, expected) in [
                ("/a/b/c", some("exact", None)),
                ("/a/b/d", some("longer", None)),
                ("/a/b/d/", some("a/b", Some(4))),
                ("/a/b", some("a/b", Some(4))),
                ("/a/bc", some("a", Some(2))),
                ("/a/", some("a", Some(2))),
                ("/a", some("a", Some(2))),
                ("/ab", some("root", Some(1))),
                ("/", some("root", Some(1))),
                ("/s/m", some("method", None)),
                ("/s/n", some("of-method", None)),
                // `OPTIONS *` asks for no path.
                ("*", None),
            ] {
                assert_eq!(found(&table, asked), expected, "{asked} after {turn}");
            }
            let gone = ["exact", "longer", "a/b", "method", "root"];
            let table = apply(&mut state, json!({"remove": {"http_rules": gone}})).unwrap();
            for (asked, expected) in [
                ("/a/b/c", some("expression", None)),
                ("/a/b", some("a", Some(2))),
                ("/s/m", some("of-method", None)),
                ("/x", None),
            ] {
                assert_eq!(found(&table, asked), expected, "{asked} after {turn}");
            }
            let rest = ["a", "expression", "of-method"];
            let table = apply(&mut state, json!({"remove": {"http_rules": rest}})).unwrap();
            assert_eq!(table.rule_uids().count(), 0, "after {turn}");
        }
    }

    /// A shorter prefix takes what the conditions of a longer one do not.
    #[test]
    fn what_one_bucket_leaves_goes_to_the_next() {
        let with = |id: &str, kind: &str, value: &str| {
            let headers = json!([{"name": "x", "value": id}]);
            rule(id, json!({"matches": [{"path": path(kind, value), "headers": headers}]}))
        };
        let rules = json!([
            with("exact", "Exact", "/a/b"),
            with("expression", "RegularExpression", "/a/."),
            with("long", "PathPrefix", "/a/b"),
            with("short", "PathPrefix", "/a"),
            with("root", "PathPrefix", "/"),
        ]);
        let table = apply(&mut State::default(), site(rules, json!({}))).unwrap();
        let listener = table.sockets().flat_map(|socket| socket.listeners()).next().unwrap();
        for id in ["exact", "expression", "long", "short", "root"] {
            let sent = fields(&[("x", id)]);
            let found = listener.hosts.find(&head("/a/b", &sent)).map(|found| &*found.rule.ir.id);
            assert_eq!(found, Some(id));
        }
        assert!(listener.hosts.find(&head("/a/b", &[])).is_none());
    }
}
