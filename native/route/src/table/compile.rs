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
