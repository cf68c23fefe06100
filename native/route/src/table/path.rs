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
