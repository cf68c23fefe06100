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

/// What tells one request from another costs at most as much as the largest burst.
const MAX_COST: i64 = 1_000_000;

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

    /// Whether it looks at a request; where that cannot be said it does.
    pub fn counts(&self, inputs: &Inputs<'_>) -> bool {
        self.when.as_ref().is_none_or(|when| when.holds(inputs).unwrap_or(true))
    }

    /// What a request takes; 1 where that cannot be said, and nothing less than nothing.
    pub fn cost(&self, inputs: &Inputs<'_>) -> u32 {
        match &self.cost {
            Cost::Fixed(cost) => *cost,
            Cost::Asked(expression) => {
                let cost = expression.number(inputs).unwrap_or(1).clamp(0, MAX_COST);
                u32::try_from(cost).unwrap_or(1)
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
    use super::RateLimit;
    use crate::expression::Inputs;

    fn limit(rest: &str) -> Result<RateLimit, String> {
        let text = format!(r#"{{"name": "a", "requests": 1, "per_milliseconds": 1000, "burst": 1{rest}}}"#);
        RateLimit::compile(&serde_json::from_str(&text).expect("a limit"))
    }

    #[test]
    fn expressions() {
        let inputs = Inputs { method: "POST", query: "12", ..Inputs::default() };
        for (rest, counts, cost) in [
            ("", true, 1),
            (r#", "cost": "7""#, true, 7),
            (r#", "cost": "request.method == 'POST' ? 5 : 1""#, true, 5),
            (r#", "cost": "int(request.query)""#, true, 12),
            // What comes to nothing is counted once, and nothing gives anything back.
            (r#", "cost": "int(request.path)""#, true, 1),
            (r#", "cost": "-3""#, true, 0),
            (r#", "cost": "99999999999""#, true, 1_000_000),
            (r#", "when": "request.method == 'GET'""#, false, 1),
            (r#", "when": "request.headers['x'][0] == '1'""#, true, 1),
        ] {
            let limit = limit(rest).expect(rest);
            assert_eq!((limit.counts(&inputs), limit.cost(&inputs)), (counts, cost), "{rest}");
        }
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
