//! What a `GRPCMethodMatch` asks of a path: a service, a method, both, or expressions of them.

use super::pattern::Pattern;
use crate::ir::ValueMatchKind;

/// `/<service>/<method>` as a match asks for it; an empty part holds for any.
#[derive(Debug, Clone, Copy)]
pub(super) struct MethodPattern<'p> {
    pub service: &'p str,
    pub method: &'p str,
}

impl<'p> MethodPattern<'p> {
    /// The API takes an empty part for an absent one.
    pub fn new(service: Option<&'p str>, method: Option<&'p str>) -> Self {
        Self { service: service.unwrap_or_default(), method: method.unwrap_or_default() }
    }

    /// Rank: larger comes first. Octets, which are characters for everything that a path can carry.
    pub fn lengths(self) -> (usize, usize) {
        (self.service.len(), self.method.len())
    }

    /// Without parts there is nothing that an expression could say.
    pub fn is_expression(self, kind: ValueMatchKind) -> bool {
        kind == ValueMatchKind::RegularExpression && self.lengths() != (0, 0)
    }

    /// The part of a path that has to be equal: see [`MethodTable::find`](super::grpc::MethodTable::find).
    pub fn key(self) -> String {
        match (self.service, self.method) {
            ("", "") => "/".to_owned(),
            ("", method) => format!("/{method}"),
            (service, method) => format!("/{service}/{method}"),
        }
    }
}

/// Patterns over service and method, each anchored; `None` holds for any.
#[derive(Debug, Clone)]
pub(super) struct MethodExpression {
    pub service: Option<Pattern>,
    pub method: Option<Pattern>,
    pub lengths: (usize, usize),
}

impl MethodExpression {
    pub fn holds(&self, service: &str, method: &str) -> bool {
        let holds = |expression: &Option<Pattern>, part: &str| {
            expression.as_ref().is_none_or(|expression| expression.holds(part.as_bytes()))
        };
        holds(&self.service, service) && holds(&self.method, method)
    }
}
