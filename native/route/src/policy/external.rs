//! A service that is asked about requests, as far as what it is told is compiled.

use super::rate_limit::inputs;
use super::{Facts, Identity};
use crate::expression::{Expression, Wanted};
use crate::ir::ExternalService;
use crate::table::made_value;
use codec::without_blanks;
use std::sync::Arc;

/// Whom to ask, and what it is told in any case.
#[derive(Debug)]
pub struct External {
    pub service: Arc<ExternalService>,
    /// Of those fields that it is given in any case, in their order; `None`: the value is written.
    expressions: Vec<Option<Expression>>,
}

impl External {
    /// # Errors
    /// An expression that cannot be used.
    pub fn compile(service: &Arc<ExternalService>) -> Result<Self, String> {
        let expressions = service.set_headers.iter().map(|field| {
            let compiled = field.expression.as_ref().map(|text| Expression::compile(text, Wanted::Text));
            compiled.transpose().map_err(|error| format!("set_headers, {}: {error}", field.name))
        });
        Ok(Self { expressions: expressions.collect::<Result<_, _>>()?, service: Arc::clone(service) })
    }

    /// Whether it asks what header fields say.
    pub fn asks_fields(&self) -> bool {
        self.expressions.iter().flatten().any(Expression::asks_fields)
    }

    /// The fields that the service is given in any case; `None` in place of a value: there is none of that name.
    pub fn set_fields(&self, facts: &Facts<'_>, identity: Option<&Identity>) -> Vec<(&str, Option<Vec<u8>>)> {
        if self.expressions.is_empty() {
            return Vec::new();
        }
        let inputs = inputs(facts, identity);
        let fields = self.service.set_headers.iter().zip(&self.expressions);
        let made = fields.map(|(field, expression)| {
            let value = match expression {
                Some(expression) => made_value(expression, &inputs),
                None => Some(without_blanks(&field.value).as_bytes().to_vec()),
            };
            (field.name.as_str(), value)
        });
        made.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::External;
    use crate::ir::ExternalService;
    use crate::policy::access::samples::{FACTS, fields};
    use crate::policy::{Facts, Identity, Proof};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn external(set_headers: Value) -> Result<External, String> {
        let ir = json!({"backend": "b", "protocol": "http", "timeout_ms": 1, "set_headers": set_headers});
        External::compile(&Arc::new(serde_json::from_value::<ExternalService>(ir).unwrap()))
    }

    /// In the order written; where there is no value the service still gets nothing that the request has under the name.
    #[test]
    fn what_a_service_is_told_in_any_case() {
        let external = external(json!([
            {"name": "x-site", "value": " shop "},
            {"name": "x-path", "expression": "request.path"},
            {"name": "x-user", "expression": "identity.user"},
            {"name": "x-none", "expression": "request.headers['x-none'][0]"},
        ]))
        .unwrap();
        let ann = Identity::of(Proof::Basic, "ann");
        for (identity, user) in [(Some(&ann), Some("ann")), (None, None)] {
            let set = external.set_fields(&Facts { path: "/a", ..FACTS }, identity);
            let set: Vec<_> = set.iter().map(|(name, value)| (*name, value.as_deref())).collect();
            let text = |text: &'static str| Some(text.as_bytes());
            let expected = [
                ("x-site", text("shop")),
                ("x-path", text("/a")),
                ("x-user", user.map(str::as_bytes)),
                ("x-none", None),
            ];
            assert_eq!(set, expected, "{identity:?}");
        }
    }

    #[test]
    fn a_service_that_is_told_nothing() {
        let external = external(json!([])).unwrap();
        assert!(external.set_fields(&FACTS, None).is_empty() && !external.asks_fields());
    }

    /// Then the fields are made as the backend is told them.
    #[test]
    fn whether_fields_are_asked() {
        let sent = fields(&[("x-a", "6.6.6.6")]);
        let told = fields(&[("x-a", "192.0.2.1")]);
        for (expression, asks) in [("request.headers['x-a'][0]", true), ("request.path", false)] {
            let external = external(json!([{"name": "a", "value": "1"}, {"name": "b", "expression": expression}]));
            assert_eq!(external.unwrap().asks_fields(), asks, "{expression}");
        }
        let external = external(json!([{"name": "b", "expression": "request.headers['x-a'][0]"}])).unwrap();
        let set = external.set_fields(&Facts { fields: &sent, told: Some(&told), ..FACTS }, None);
        assert_eq!(set, [("b", Some(b"192.0.2.1".to_vec()))]);
    }

    #[test]
    fn an_expression_that_is_none_is_told_with_its_field() {
        let error = external(json!([{"name": "x-a", "value": "1"}, {"name": "x-b", "expression": "1 +"}])).unwrap_err();
        assert!(error.starts_with("set_headers, x-b: "), "{error}");
    }
}
