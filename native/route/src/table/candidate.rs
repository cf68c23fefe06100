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

#[cfg(test)]
mod tests {
    use super::{Bucket, Candidate, first, insert_bucket, remove_bucket};
    use crate::samples::{fields, head, merged, rule};
    use crate::table::RequestHead;
    use crate::table::compile::{Rule, compile_expressions};
    use crate::table::pattern::Patterns;
    use crate::table::state::Slots;
    use ahash::AHashMap;
    use serde_json::{Value, json};
    use std::sync::Arc;

    /// Each match of a rule.
    fn candidates(id: &str, changes: Value) -> Vec<Candidate> {
        let ir: crate::ir::HttpRule = serde_json::from_value(rule(id, changes)).unwrap();
        let expressions = compile_expressions(&ir, &mut Patterns::default()).unwrap();
        let rule = Arc::new(Rule::compile(ir, 0, &mut Slots::default(), expressions.filters));
        let matches = (0..).zip(expressions.matches);
        matches
            .map(|(match_index, matched)| Candidate {
                rule: Arc::clone(&rule),
                match_index,
                predicates: matched.predicates,
                tag: Arc::new(()),
            })
            .collect()
    }

    fn one(id: &str, changes: Value, matched: Value) -> Candidate {
        let path = json!({"path": {"type": "PathPrefix", "value": "/"}});
        let changes = merged(changes, json!({"matches": [merged(path, matched)]}));
        candidates(id, changes).remove(0)
    }

    /// `HTTPRouteRule.matches`: each comes before all below it, by what the specification asks in that place.
    #[test]
    fn the_order_of_the_specification() {
        let named = |count: usize| {
            let all: Vec<Value> = (0..count).map(|it| json!({"name": format!("x-{it}"), "value": "1"})).collect();
            json!(all)
        };
        let expression = |value: &str| json!({"path": {"type": "RegularExpression", "value": value}});
        let grpc =
            |service: &str, method: &str| json!({"path": {"type": "GrpcMethod", "service": service, "method": method}});
        let rows = [
            one("long-pattern", json!({}), expression("/a.*long")),
            one("short-pattern", json!({}), merged(expression("/a.*"), json!({"method": "GET", "headers": named(3)}))),
            one("service", json!({}), grpc("abc", "")),
            one("short-service", json!({}), grpc("ab", "long")),
            one("short-method", json!({}), grpc("ab", "a")),
            one("method", json!({}), json!({"method": "GET"})),
            one("headers", json!({}), json!({"headers": named(2)})),
            one("header", json!({}), json!({"headers": named(1), "query": named(3)})),
            one("queries", json!({}), json!({"query": named(2)})),
            one("query", json!({"created": 9}), json!({"query": named(1)})),
            one("old", json!({"created": 1, "route": "z"}), json!({})),
            one("new", json!({"created": 2, "route": "a", "index": 1}), json!({})),
            one("later", json!({"created": 2, "route": "b", "index": 0}), json!({})),
            one("last", json!({"created": 2, "route": "b", "index": 1}), json!({})),
        ];
        for (at, higher) in rows.iter().enumerate() {
            for lower in &rows[at + 1..] {
                assert!(higher.rank() < lower.rank(), "{} before {}", higher.rule.ir.id, lower.rule.ir.id);
            }
        }
        let both = json!({"matches": [{"path": {"type": "Exact", "value": "/a"}}, {"path": {"type": "Exact", "value": "/a"}}]});
        let both = candidates("r", both);
        assert!(both[0].rank() < both[1].rank());
    }

    fn ids(bucket: Option<&Bucket>) -> Vec<String> {
        bucket.into_iter().flat_map(|bucket| bucket.iter()).map(|candidate| candidate.rule.ir.id.clone()).collect()
    }

    /// In whatever order they come; what is left of none is gone.
    #[test]
    fn a_bucket_is_always_in_order() {
        let rows = [
            one("a", json!({"created": 1}), json!({"headers": [{"name": "x-a", "value": "1"}]})),
            one("b", json!({"created": 2}), json!({})),
            one("c", json!({"created": 3}), json!({})),
        ];
        let path: Arc<str> = Arc::from("/");
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut buckets = AHashMap::new();
            for at in order {
                insert_bucket(&mut buckets, &path, rows[at].clone());
            }
            assert_eq!(ids(buckets.get("/")), ["a", "b", "c"], "{order:?}");
            let sent = fields(&[("x-a", "1")]);
            for (head, expected) in [(head("/", &sent), "a"), (head("/", &[]), "b")] {
                let found = first(&buckets["/"], &head).map(|found| found.rule.ir.id.clone());
                assert_eq!(found.as_deref(), Some(expected), "{order:?}");
            }
            remove_bucket(&mut buckets, "/", "b");
            remove_bucket(&mut buckets, "/other", "a");
            assert_eq!(ids(buckets.get("/")), ["a", "c"], "{order:?}");
            remove_bucket(&mut buckets, "/", "a");
            remove_bucket(&mut buckets, "/", "c");
            assert!(buckets.is_empty(), "{order:?}");
        }
    }

    #[test]
    fn what_is_found_names_its_match() {
        let path = |value: &str| json!({"path": {"type": "PathPrefix", "value": value}});
        let both = candidates("r", json!({"matches": [path("/a"), path("/b")]}));
        let found = both[1].found(Some(2));
        assert_eq!((&*found.rule.ir.id, found.match_index, found.prefix_length), ("r", 1, Some(2)));
        assert!(both[0].is_of("r") && !both[0].is_of("R"));
        assert!(first(&both, &RequestHead { method: "PUT", ..head("/", &[]) }).is_some());
    }
}
