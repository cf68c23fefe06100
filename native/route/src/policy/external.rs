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
