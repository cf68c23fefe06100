//! The limits of a `RateLimitPolicy`, compiled. What was counted before decides, so here nothing is judged but whether a
//! policy can be honoured.

use super::Facts;
use crate::expression::{Budget, Expression, Inputs, Wanted};
use crate::ir::{self, RateLimitKey};
use std::num::NonZeroU32;

/// One limit.
#[derive(Debug)]
pub struct RateLimit {
    pub ir: ir::RateLimit,
    when: Option<Expression>,
    cost: Cost,
    /// Asked for each request, so found out once.
    asks_identity: bool,
    /// Of the key, in the order of its parts that are expressions.
    pub expressions: Vec<Expression>,
}

#[derive(Debug)]
enum Cost {
    Fixed(u32),
    Asked(Expression),
}

/// What an expression of a limit came to for a request, where that is nothing that the limit can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpressionFault {
    /// `when` failed: the request is counted.
    When,
    /// A part of the key failed: it is that of requests that have none.
    Key,
    /// `cost` failed, or is no integer: it is 1.
    Cost,
    /// It is less than nothing: it is 1, so that no client gets around a limit by what it sends.
    NegativeCost,
    /// It is more than may ever come at once: the request is refused, and nothing is taken.
    CostAboveBurst,
}

impl ExpressionFault {
    pub const ALL: [Self; 5] = [Self::When, Self::Key, Self::Cost, Self::NegativeCost, Self::CostAboveBurst];

    /// In metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::When => "when_failed",
            Self::Key => "key_failed",
            Self::Cost => "cost_failed",
            Self::NegativeCost => "cost_negative",
            Self::CostAboveBurst => "cost_above_burst",
        }
    }
}

impl RateLimit {
    /// # Errors
    /// What is wrong with it.
    pub fn compile(ir: &ir::RateLimit) -> Result<Self, String> {
        let compiled = |text: &str, wanted| Expression::compile(text, wanted).map_err(|error| error.to_string());
        let expressions = ir.key.iter().filter_map(|key| match key {
            RateLimitKey::Cel { expression } => Some(compiled(expression, Wanted::Key)),
            _ => None,
        });
        let cost = ir.cost.as_deref().unwrap_or("1");
        let limit = Self {
            expressions: expressions.collect::<Result<_, _>>()?,
            when: ir.when.as_deref().map(|text| compiled(text, Wanted::Condition)).transpose()?,
            cost: match cost.parse::<NonZeroU32>() {
                Ok(number) => Cost::Fixed(number.get()),
                Err(_) => Cost::Asked(compiled(cost, Wanted::Number)?),
            },
            asks_identity: false,
            ir: ir.clone(),
        };
        Ok(Self { asks_identity: limit.names_identity(), ..limit })
    }

    /// It goes by who authenticated, so it holds behind authentication; others hold before it.
    pub fn asks_identity(&self) -> bool {
        self.asks_identity
    }

    fn names_identity(&self) -> bool {
        self.ir.key.iter().any(|key| matches!(key, RateLimitKey::User | RateLimitKey::Claim { .. }))
            || self.all_expressions().any(Expression::asks_identity)
    }

    /// Whether it asks what header fields say.
    pub fn asks_fields(&self) -> bool {
        self.ir.key.iter().any(|key| matches!(key, RateLimitKey::Header { .. }))
            || self.all_expressions().any(Expression::asks_fields)
    }

    fn all_expressions(&self) -> impl Iterator<Item = &Expression> {
        let cost = match &self.cost {
            Cost::Fixed(_) => None,
            Cost::Asked(expression) => Some(expression),
        };
        self.expressions.iter().chain(&self.when).chain(cost)
    }

    /// It can be told of what is not HTTP.
    pub fn holds_for_connections(&self) -> bool {
        self.when.is_none()
            && matches!(self.cost, Cost::Fixed(_))
            && self.ir.key.iter().all(|key| matches!(key, RateLimitKey::Client | RateLimitKey::Host))
    }

    /// What its expressions may come to that it cannot use.
    pub fn may_be(&self, unusable: ExpressionFault) -> bool {
        match unusable {
            ExpressionFault::When => self.when.is_some(),
            ExpressionFault::Key => !self.expressions.is_empty(),
            ExpressionFault::Cost | ExpressionFault::NegativeCost | ExpressionFault::CostAboveBurst => {
                matches!(self.cost, Cost::Asked(_))
            }
        }
    }

    /// Whether it looks at a request; where that cannot be said it does, and `told` is told.
    pub fn counts(&self, inputs: &Inputs<'_>, told: impl FnOnce(ExpressionFault)) -> bool {
        self.when.as_ref().is_none_or(|when| {
            when.holds(inputs).unwrap_or_else(|_| {
                told(ExpressionFault::When);
                true
            })
        })
    }

    /// What a request takes; `told` is told where that is nothing that can be taken.
    pub fn cost(&self, inputs: &Inputs<'_>, told: impl FnOnce(ExpressionFault)) -> u32 {
        let expression = match &self.cost {
            Cost::Fixed(cost) => return *cost,
            Cost::Asked(expression) => expression,
        };
        match expression.number(inputs).map(|cost| (cost < 0, u32::try_from(cost).unwrap_or(u32::MAX))) {
            Err(_) => {
                told(ExpressionFault::Cost);
                1
            }
            Ok((true, _)) => {
                told(ExpressionFault::NegativeCost);
                1
            }
            Ok((false, cost)) => {
                if cost > self.ir.burst.get() {
                    told(ExpressionFault::CostAboveBurst);
                }
                cost
            }
        }
    }
}

/// What expressions may ask of a request, and of who sent it.
pub fn inputs<'f>(facts: &Facts<'f>, identity: Option<&'f super::Identity>) -> Inputs<'f> {
    Inputs {
        method: facts.method,
        scheme: facts.scheme,
        host: facts.host,
        path: facts.path,
        query: facts.query.unwrap_or_default(),
        authority: facts.authority,
        fields: facts.told(),
        address: facts.address,
        user: identity.map_or("", |identity| &identity.user),
        claims: identity.map(|identity| &*identity.claims),
        scopes: identity.map_or(&[], |identity| &identity.scopes),
        budget: Budget::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{ExpressionFault, RateLimit};
    use crate::expression::Inputs;
    use serde_json::json;

    fn limit(rest: &str) -> Result<RateLimit, String> {
        let text = format!(r#"{{"name": "a", "requests": 1, "per_milliseconds": 1000, "burst": 20{rest}}}"#);
        RateLimit::compile(&serde_json::from_str(&text).expect("a limit"))
    }

    #[test]
    fn expressions() {
        let claims = json!({"half": 0.5});
        let claims = claims.as_object();
        let inputs = Inputs { method: "POST", query: "12", claims, ..Inputs::default() };
        for (rest, counts, cost, unusable) in [
            ("", true, 1, None),
            (r#", "cost": "7""#, true, 7, None),
            (r#", "cost": "request.method == 'POST' ? 5 : 1""#, true, 5, None),
            (r#", "cost": "int(request.query)""#, true, 12, None),
            (r#", "cost": "size(request.path)""#, true, 0, None),
            // What comes to nothing, or to less, is counted once.
            (r#", "cost": "int(request.path)""#, true, 1, Some(ExpressionFault::Cost)),
            (r#", "cost": "int(identity.claims.weight)""#, true, 1, Some(ExpressionFault::Cost)),
            (r#", "cost": "identity.claims.half""#, true, 1, Some(ExpressionFault::Cost)),
            (r#", "cost": "int(1e300 * 1e300 - 1e300 * 1e300)""#, true, 1, Some(ExpressionFault::Cost)),
            (r#", "cost": "-3""#, true, 1, Some(ExpressionFault::NegativeCost)),
            (r#", "cost": "5 - int(request.query)""#, true, 1, Some(ExpressionFault::NegativeCost)),
            (r#", "cost": "int(request.query) + 8""#, true, 20, None),
            // Never less than what is asked for, so that it cannot pass.
            (r#", "cost": "int(request.query) + 9""#, true, 21, Some(ExpressionFault::CostAboveBurst)),
            (r#", "cost": "99999999999""#, true, u32::MAX, Some(ExpressionFault::CostAboveBurst)),
            (r#", "when": "request.method == 'GET'""#, false, 1, None),
            (r#", "when": "request.headers['x'][0] == '1'""#, true, 1, Some(ExpressionFault::When)),
        ] {
            let limit = limit(rest).expect(rest);
            let mut told = Vec::new();
            let counts_it = limit.counts(&inputs, |unusable| told.push(unusable));
            let found = limit.cost(&inputs, |unusable| told.push(unusable));
            assert_eq!((counts_it, found), (counts, cost), "{rest}");
            assert_eq!(told, Vec::from_iter(unusable), "{rest}");
            assert!(told.iter().all(|unusable| limit.may_be(*unusable)), "{rest}");
        }
        assert!(ExpressionFault::ALL.iter().all(|unusable| !limit("").expect("a limit").may_be(*unusable)));
        assert!(limit(r#", "when": "request.method""#).is_err());
        assert!(limit(r#", "cost": "'a'""#).is_err());
        assert!(limit(r#", "key": [{"type": "cel", "expression": "(("}]"#).is_err());
    }

    #[test]
    fn when_they_hold() {
        for (rest, identity, connections) in [
            ("", false, true),
            (r#", "key": [{"type": "client"}, {"type": "host"}]"#, false, true),
            (r#", "key": [{"type": "header", "name": "x"}]"#, false, false),
            (r#", "key": [{"type": "user"}]"#, true, false),
            (r#", "key": [{"type": "claim", "name": "a"}]"#, true, false),
            (r#", "key": [{"type": "cel", "expression": "request.path"}]"#, false, false),
            (r#", "key": [{"type": "cel", "expression": "identity.user"}]"#, true, false),
            (r#", "when": "identity.user == 'ann'""#, true, false),
            (r#", "cost": "size(identity.scopes)""#, true, false),
            (r#", "when": "request.path == '/a'""#, false, false),
        ] {
            let limit = limit(rest).expect(rest);
            assert_eq!((limit.asks_identity(), limit.holds_for_connections()), (identity, connections), "{rest}");
        }
    }
}
