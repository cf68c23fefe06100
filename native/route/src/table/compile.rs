//! One `HTTPRoute` or `GRPCRoute` rule, compiled: everything that does not depend on the request or on today's endpoints.

use super::filter::{FilterParts, Filters, compile_parts};
use super::join::ListNumber;
use super::method_pattern::{MethodExpression, MethodPattern};
use super::pattern::{Pattern, Patterns};
use super::predicate::Predicates;
use super::state::Slots;
use crate::ir;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// One of a rule's backends.
#[derive(Debug)]
pub struct RuleBackend {
    /// `None`: the reference is invalid, its share of the requests gets 500.
    pub slot: Option<u32>,
    /// Weights up to and with this one.
    pub cumulative: u64,
    pub filters: Filters,
}

/// Retries of a rule (GEP-1731).
#[derive(Debug, Clone)]
pub struct Retry {
    pub codes: Vec<u16>,
    pub attempts: u32,
    pub backoff: Duration,
}

/// Time limits of a rule; `None`: none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeouts {
    pub request: Option<Duration>,
    pub backend_request: Option<Duration>,
}

#[derive(Debug)]
pub struct Rule {
    pub ir: Arc<ir::HttpRule>,
    /// The same for all versions of one rule: names what outlives a table.
    pub uid: u64,
    /// The list of policies that it names.
    pub policies: ListNumber,
    pub filters: Filters,
    pub backends: Vec<RuleBackend>,
    pub total_weight: u64,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
}

/// The expressions of a rule, compiled.
#[derive(Debug)]
pub(super) struct Expressions {
    pub matches: Vec<CompiledMatch>,
    pub filters: FilterParts,
}

/// The parts of a rule's matches that the path tables want.
#[derive(Debug, Clone)]
pub(super) struct CompiledMatch {
    pub predicates: Arc<Predicates>,
    pub path: PathExpression,
}

/// The expressions of a `PathMatch`.
#[derive(Debug, Clone)]
pub(super) enum PathExpression {
    None,
    Path(Pattern),
    Method(MethodExpression),
}

impl Rule {
    /// Whether its filters have expressions, which may ask what header fields say.
    pub fn has_expressions(&self) -> bool {
        self.filters.has_expressions() || self.backends.iter().any(|backend| backend.filters.has_expressions())
    }

    pub(super) fn compile(ir: ir::HttpRule, policies: ListNumber, slots: &mut Slots, mut parts: FilterParts) -> Self {
        let filters = Filters::compile(&ir.filters, slots, &mut parts);
        let (backends, total_weight) = RuleBackend::compile(&ir.backends, slots, &mut parts);
        let limit = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        Self {
            uid: uid_of(&ir.id),
            policies,
            filters,
            backends,
            total_weight,
            timeouts: Timeouts {
                request: limit(ir.timeouts.request_ms),
                backend_request: limit(ir.timeouts.backend_request_ms),
            },
            retry: ir.retry.as_ref().map(|retry| Retry {
                codes: retry.codes.clone(),
                attempts: retry.attempts,
                backoff: Duration::from_millis(retry.backoff_ms),
            }),
            ir: Arc::new(ir),
        }
    }
}

/// A number for an id, the same in every table and every process.
pub(super) fn uid_of(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl RuleBackend {
    /// The backends of a rule, and the sum of their weights.
    pub(super) fn compile(
        backends: &[ir::WeightedBackend],
        slots: &mut Slots,
        parts: &mut FilterParts,
    ) -> (Vec<Self>, u64) {
        let mut cumulative = 0;
        let compiled = backends
            .iter()
            .map(|backend| {
                cumulative += u64::from(backend.weight);
                Self {
                    slot: backend.backend.as_ref().map(|id| slots.of(id)),
                    cumulative,
                    filters: Filters::compile(&backend.filters, slots, parts),
                }
            })
            .collect();
        (compiled, cumulative)
    }
}

/// The backend whose share of the weights `slot` falls into. `slot` is below the total.
pub fn backend_at(backends: &[RuleBackend], slot: u64) -> Option<(usize, &RuleBackend)> {
    match backends {
        [only] => Some((0, only)),
        backends => {
            let at = backends.partition_point(|backend| backend.cumulative <= slot);
            backends.get(at).map(|backend| (at, backend))
        }
    }
}

/// # Errors
/// Every expression of the rule that does not compile, with its place.
pub(super) fn compile_expressions(rule: &ir::HttpRule, patterns: &mut Patterns) -> Result<Expressions, String> {
    let filters = rule.filters.iter().chain(rule.backends.iter().flat_map(|backend| &backend.filters));
    Ok(Expressions { matches: compile_matches(rule, patterns)?, filters: compile_parts(filters)? })
}

fn compile_matches(rule: &ir::HttpRule, patterns: &mut Patterns) -> Result<Vec<CompiledMatch>, String> {
    rule.matches
        .iter()
        .enumerate()
        .map(|(index, matched)| {
            let at = |error: String| format!("matches[{index}]: {error}");
            let path = path_expression(&matched.path, patterns).map_err(at)?;
            Ok(CompiledMatch { predicates: Arc::new(Predicates::compile(matched, patterns).map_err(at)?), path })
        })
        .collect()
}

fn path_expression(path: &ir::PathMatch, patterns: &mut Patterns) -> Result<PathExpression, String> {
    Ok(match path {
        ir::PathMatch::Exact { .. } | ir::PathMatch::PathPrefix { .. } => PathExpression::None,
        ir::PathMatch::RegularExpression { value } => PathExpression::Path(patterns.get(value)?),
        ir::PathMatch::GrpcMethod { kind, service, method } => {
            let pattern = MethodPattern::new(service.as_deref(), method.as_deref());
            if !pattern.is_expression(*kind) {
                return Ok(PathExpression::None);
            }
            let mut part = |part: &str| (!part.is_empty()).then(|| patterns.get(part)).transpose();
            PathExpression::Method(MethodExpression {
                service: part(pattern.service)?,
                method: part(pattern.method)?,
                lengths: pattern.lengths(),
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{FilterParts, PathExpression, Rule, RuleBackend, backend_at, compile_expressions, uid_of};
    use crate::ir;
    use crate::samples::rule;
    use crate::table::pattern::Patterns;
    use crate::table::state::Slots;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn compiled(changes: Value, slots: &mut Slots) -> Rule {
        let ir: ir::HttpRule = serde_json::from_value(rule("r", changes)).unwrap();
        let parts = compile_expressions(&ir, &mut Patterns::default()).unwrap().filters;
        Rule::compile(ir, 7, slots, parts)
    }

    /// A rule in words a table does not have: nothing is no limit, and a rule is the same one in every table.
    #[test]
    fn what_a_rule_comes_to() {
        let retry = json!({"codes": [502], "attempts": 2, "backoff_ms": 30});
        for (changes, request, backend_request, attempts) in [
            (json!({}), None, None, None),
            (json!({"timeouts": {"request_ms": 5}, "retry": retry}), Some(5), None, Some(2)),
            (json!({"timeouts": {"request_ms": 0, "backend_request_ms": 6}}), None, Some(6), None),
        ] {
            let rule = compiled(changes.clone(), &mut Slots::default());
            let limits = [request, backend_request].map(|limit| limit.map(Duration::from_millis));
            assert_eq!([rule.timeouts.request, rule.timeouts.backend_request], limits, "{changes}");
            assert_eq!(rule.retry.as_ref().map(|retry| retry.attempts), attempts, "{changes}");
            assert_eq!((rule.uid, rule.policies), (uid_of("r"), 7));
            if let Some(retry) = rule.retry {
                assert_eq!((retry.codes, retry.backoff), (vec![502], Duration::from_millis(30)));
            }
        }
        assert_ne!(uid_of("r"), uid_of("s"));
    }

    /// A backend has one slot wherever it is named; of a reference that is invalid its share stays.
    #[test]
    fn backends_and_their_shares() {
        let mut slots = Slots::default();
        let backends: Vec<ir::WeightedBackend> = serde_json::from_value(json!([
            {"backend": "a", "weight": 2}, {"weight": 1}, {"backend": "b", "weight": 0}, {"backend": "a", "weight": 3},
            {"backend": "c", "weight": u32::MAX},
        ]))
        .unwrap();
        let (compiled, total) = RuleBackend::compile(&backends, &mut slots, &mut FilterParts::default());
        assert_eq!(total, 6 + u64::from(u32::MAX));
        assert_eq!(compiled[0].slot, compiled[3].slot);
        assert_eq!(
            compiled.iter().map(|backend| backend.slot.is_none()).collect::<Vec<_>>(),
            [false, true, false, false, false]
        );
        for (slot, expected) in
            [(0, Some(0)), (1, Some(0)), (2, Some(1)), (3, Some(3)), (5, Some(3)), (6, Some(4)), (total, None)]
        {
            assert_eq!(backend_at(&compiled, slot).map(|(at, _)| at), expected, "{slot}");
        }
        assert_eq!(backend_at(&compiled[..1], 0).map(|(at, _)| at), Some(0));
        assert!(backend_at(&[], 0).is_none());
    }

    /// Those of the rule come first, then those of its backends, each where it was written.
    #[test]
    fn expressions_find_their_filters() {
        let set = |value: &str| json!({"type": "request_headers", "set": [{"name": "x", "expression": format!("'{value}'")}]});
        let backend = |filters: Value| json!({"backend": "b", "weight": 1, "filters": filters});
        let text = |rule: &Rule| -> Vec<String> {
            let filters = std::iter::once(&rule.filters).chain(rule.backends.iter().map(|backend| &backend.filters));
            let values = filters.flat_map(|filters| filters.make(crate::expression::Inputs::default));
            values.map(|value| String::from_utf8(value.unwrap()).unwrap()).collect()
        };
        let all = json!({"filters": [set("a"), set("b")], "backends": [backend(json!([set("c")])), backend(json!([])), backend(json!([set("d")]))]});
        let rule = compiled(all, &mut Slots::default());
        assert_eq!(text(&rule), ["a", "b", "c", "d"]);
        assert!(rule.has_expressions());
        let of_backend = compiled(json!({"backends": [backend(json!([set("c")]))]}), &mut Slots::default());
        assert!(of_backend.has_expressions() && !of_backend.filters.has_expressions());
        assert!(!compiled(json!({}), &mut Slots::default()).has_expressions());
    }

    #[test]
    fn paths_that_are_expressions() {
        let grpc = |kind: &str, service: &str| json!({"type": "GrpcMethod", "kind": kind, "service": service});
        for (path, expected) in [
            (json!({"type": "Exact", "value": "("}), Ok("none")),
            (json!({"type": "PathPrefix", "value": "("}), Ok("none")),
            (json!({"type": "RegularExpression", "value": "/a.*"}), Ok("path")),
            (json!({"type": "RegularExpression", "value": "("}), Err("matches[1]: ")),
            (grpc("Exact", "("), Ok("none")),
            (grpc("RegularExpression", ""), Ok("none")),
            (grpc("RegularExpression", "a.*"), Ok("method")),
            (grpc("RegularExpression", "("), Err("matches[1]: ")),
        ] {
            let matches = json!([{"path": {"type": "Exact", "value": "/"}}, {"path": path}]);
            let ir: ir::HttpRule = serde_json::from_value(rule("r", json!({"matches": matches}))).unwrap();
            let found = compile_expressions(&ir, &mut Patterns::default()).map(|found| match found.matches[1].path {
                PathExpression::None => "none",
                PathExpression::Path(_) => "path",
                PathExpression::Method(_) => "method",
            });
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{path}"),
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{path}: {error}"),
                (found, expected) => panic!("{path}: {found:?} {expected:?}"),
            }
        }
    }
}
