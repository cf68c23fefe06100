//! Matches of rules in the order in which they are tried, whatever table of paths or methods holds them.
//!
//! A bucket holds the candidates of one path in the order of the specification; the first whose predicates hold wins.

use super::method_pattern::MethodPattern;
use super::predicate::Predicates;
use super::{Found, RequestHead, Rule, Tag};
use crate::ir::PathMatch;
use ahash::AHashMap;
use std::cmp::Reverse;
use std::sync::Arc;

/// One match of one rule, ready to be tried.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub rule: Arc<Rule>,
    pub match_index: u32,
    pub(super) predicates: Arc<Predicates>,
    pub(super) tag: Tag,
}

/// Place of a candidate in its bucket: smaller comes first (`HTTPRouteRule.matches`, precedence).
pub(super) type Rank<'r> =
    (Reverse<(usize, usize)>, Reverse<bool>, Reverse<usize>, Reverse<usize>, i64, &'r str, u32, u32);

impl Candidate {
    pub(super) fn rank(&self) -> Rank<'_> {
        let matched = &self.rule.ir.matches[self.match_index as usize];
        let pattern = match &matched.path {
            PathMatch::RegularExpression { value } => (value.len(), 0),
            PathMatch::GrpcMethod { service, method, .. } => {
                MethodPattern::new(service.as_deref(), method.as_deref()).lengths()
            }
            // Within one bucket all values are the same.
            PathMatch::Exact { .. } | PathMatch::PathPrefix { .. } => (0, 0),
        };
        (
            Reverse(pattern),
            Reverse(!matched.method.is_empty()),
            Reverse(matched.headers.len()),
            Reverse(matched.query.len()),
            self.rule.ir.created,
            &self.rule.ir.route,
            self.rule.ir.index,
            self.match_index,
        )
    }

    pub(super) fn found(&self, prefix_length: Option<usize>) -> Found<'_> {
        Found { rule: &self.rule, match_index: self.match_index, prefix_length, tag: &self.tag }
    }

    /// The same match of the same rule, in whatever version.
    pub(super) fn is_of(&self, rule: &str) -> bool {
        self.rule.ir.id == rule
    }
}

/// Candidates of one path, in order.
pub(super) type Bucket = Arc<[Candidate]>;

pub(super) fn first<'b>(bucket: &'b [Candidate], head: &RequestHead<'_>) -> Option<&'b Candidate> {
    bucket.iter().find(|candidate| candidate.predicates.hold(head))
}

pub(super) fn insert_bucket(buckets: &mut AHashMap<Arc<str>, Bucket>, path: &Arc<str>, candidate: Candidate) {
    let Some(bucket) = buckets.get_mut(path) else {
        buckets.insert(Arc::clone(path), Arc::from([candidate]));
        return;
    };
    let at = bucket.partition_point(|other| other.rank() <= candidate.rank());
    *bucket = bucket[..at].iter().cloned().chain([candidate]).chain(bucket[at..].iter().cloned()).collect();
}

pub(super) fn remove_bucket(buckets: &mut AHashMap<Arc<str>, Bucket>, path: &str, rule: &str) {
    let Some(bucket) = buckets.get_mut(path) else {
        return;
    };
    if bucket.iter().all(|candidate| candidate.is_of(rule)) {
        buckets.remove(path);
    } else {
        *bucket = bucket.iter().filter(|candidate| !candidate.is_of(rule)).cloned().collect();
    }
}
