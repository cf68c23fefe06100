//! Whom no credentials are asked of (ingress-nginx: `satisfy: any`).

use crate::expression::{Expression, Wanted};
use crate::ir::AccessExempt;
use crate::policy::networks::Networks;
use crate::policy::{Facts, inputs};

#[derive(Debug)]
pub struct Exempt {
    clients: Option<Networks>,
    methods: Vec<String>,
    when: Option<Expression>,
}

impl Exempt {
    /// # Errors
    /// A block or an expression that is none; one that asks for nothing would exempt everybody.
    pub fn compile(ir: &AccessExempt) -> Result<Self, String> {
        if ir.clients.is_empty() && ir.methods.is_empty() && ir.when.is_empty() {
            return Err("nothing says who is exempt".to_owned());
        }
        let when = (!ir.when.is_empty()).then(|| Expression::compile(&ir.when, Wanted::Condition)).transpose();
        Ok(Self {
            clients: (!ir.clients.is_empty())
                .then(|| Networks::compile(ir.clients.iter().map(String::as_str)))
                .transpose()?,
            methods: ir.methods.clone(),
            when: when.map_err(|error| error.to_string())?,
        })
    }

    /// Whether it asks what header fields say.
    pub fn asks_fields(&self) -> bool {
        self.when.as_ref().is_some_and(Expression::asks_fields)
    }

    /// A client of whom nobody knows the address is in no block, and a condition that fails does not hold.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.clients.as_ref().is_none_or(|clients| facts.address.is_some_and(|address| clients.contains(address)))
            && (self.methods.is_empty() || self.methods.iter().any(|method| method == facts.method))
            && self.when.as_ref().is_none_or(|when| when.holds(&inputs(facts, None)).unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::Exempt;
    use crate::ir::AccessExempt;
    use crate::policy::Facts;
    use crate::policy::access::samples::{FACTS, strings};

    #[test]
    fn who_is_exempt() {
        let of = |clients: &[&str], methods: &[&str], when: &str| AccessExempt {
            id: String::new(),
            overrides: false,
            off: false,
            invalid: false,
            clients: strings(clients),
            methods: strings(methods),
            when: when.to_owned(),
        };
        let facts = Facts { address: "10.1.2.3".parse().ok(), ..FACTS };
        for (ir, holds) in [
            (of(&["10.0.0.0/8"], &[], ""), true),
            (of(&["10.0.0.0/8"], &["GET"], ""), false),
            (of(&[], &["POST"], ""), true),
            (of(&[], &[], "request.path == '/'"), true),
            (of(&[], &[], "identity.claims.none == 1"), false),
        ] {
            assert_eq!(Exempt::compile(&ir).unwrap().holds(&facts), holds, "{ir:?}");
        }
        assert!(!Exempt::compile(&of(&["0.0.0.0/0"], &[], "")).unwrap().holds(&FACTS));
        assert!(Exempt::compile(&of(&[], &[], "")).is_err());
    }
}
