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

#[cfg(test)]
mod tests {
    use super::{MethodExpression, MethodPattern};
    use crate::ir::ValueMatchKind::{Exact, RegularExpression};
    use crate::table::pattern::Patterns;

    /// An empty part is an absent one: it holds for any, and no expression can say otherwise.
    #[test]
    fn parts_of_a_method() {
        for (service, method, lengths, key) in [
            (None, None, (0, 0), "/"),
            (Some(""), Some(""), (0, 0), "/"),
            (Some("a.B"), None, (3, 0), "/a.B/"),
            (None, Some("Get"), (0, 3), "/Get"),
            (Some("a.B"), Some("Get"), (3, 3), "/a.B/Get"),
        ] {
            let pattern = MethodPattern::new(service, method);
            assert_eq!((pattern.lengths(), &*pattern.key()), (lengths, key));
            assert!(!pattern.is_expression(Exact), "{key}");
            assert_eq!(pattern.is_expression(RegularExpression), lengths != (0, 0), "{key}");
        }
    }

    /// Each part is compared whole.
    #[test]
    fn expressions_of_a_method() {
        let mut patterns = Patterns::default();
        let mut part = |text: Option<&str>| text.map(|text| patterns.get(text).unwrap());
        for (service, method, asked, expected) in [
            (None, None, ("a", "b"), true),
            (Some("a.*"), None, ("abc", "x"), true),
            (Some("a.*"), None, ("xabc", "x"), false),
            (None, Some("G.t"), ("x", "Get"), true),
            (None, Some("G.t"), ("x", "Gets"), false),
            (Some("a"), Some("b"), ("a", "b"), true),
            (Some("a"), Some("b"), ("a", "a"), false),
            (Some("a"), Some("b"), ("b", "b"), false),
        ] {
            let expression = MethodExpression { service: part(service), method: part(method), lengths: (0, 0) };
            assert_eq!(expression.holds(asked.0, asked.1), expected, "{service:?} {method:?} {asked:?}");
        }
    }
}
