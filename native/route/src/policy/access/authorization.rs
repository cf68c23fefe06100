//! Which requests of whom are allowed: ordered rules, of which the first that holds decides.
//!
//! What nobody knows never allows and always denies: an address of which nobody can say whose it is, an expression that fails.
//! Of a header field that comes several times, or is a list, each value, each element and the joined one deny; all values have
//! to allow (CVE-2026-26308). Spellings that some backend takes for the same deny too: of methods, of names of fields, of hosts.

#[cfg(test)]
mod tests;

use super::claims::named_claim;
use super::credentials::named;
use crate::expression::{Expression, Inputs, Wanted};
use crate::ir::{AccessAuthorization, AccessRule, NamedValues};
use crate::policy::networks::Networks;
use crate::policy::{ConnectionFacts, Facts, Identity, Level, Passage, Reason, Verdict, inputs, same_field};
use crate::table::authority::{self, Authority};
use serde_json::Value;

/// Elements of a header field that a rule which denies looks at. A field of more is denied: nobody keeps a worker busy.
const MAX_ELEMENTS: usize = 1_000;

#[derive(Debug)]
pub struct Authorization {
    rules: Vec<Rule>,
    default_allow: bool,
}

#[derive(Debug)]
struct Rule {
    deny: bool,
    clients: Option<Networks>,
    methods: Vec<String>,
    headers: Vec<HeaderValues>,
    users: Vec<String>,
    claims: Vec<NamedValues>,
    scopes: Vec<String>,
    when: Option<Expression>,
}

/// A header field, and values of it in their order.
#[derive(Debug)]
struct HeaderValues {
    name: String,
    values: Vec<String>,
}

impl HeaderValues {
    fn compile(ir: &NamedValues) -> Self {
        let mut values = ir.values.clone();
        values.sort_unstable();
        Self { name: ir.name.clone(), values }
    }

    fn has(&self, value: &[u8]) -> bool {
        self.values.binary_search_by(|it| it.as_bytes().cmp(value)).is_ok()
    }
}

impl Authorization {
    /// # Errors
    /// Which rule is none, and why.
    pub fn compile(ir: &AccessAuthorization) -> Result<Self, String> {
        let rules = ir.rules.iter().enumerate();
        let rules = rules.map(|(place, rule)| Rule::compile(rule).map_err(|error| format!("rules[{place}]: {error}")));
        Ok(Self { rules: rules.collect::<Result<_, String>>()?, default_allow: ir.default_allow })
    }

    /// `believed`: whether these rules take the word of who proved the identity. Where they do not it can only do harm: denied is
    /// what would be with it or without, and allowed what would be with it and without.
    pub fn judge(&self, facts: &Facts<'_>, identity: Option<&Identity>, believed: bool) -> Verdict {
        let known = inputs(facts, identity);
        let unknown = (!believed && identity.is_some()).then(|| inputs(facts, None));
        let first = self.rules.iter().find(|rule| {
            let holds = rule.holds(facts, identity, &known);
            let holds_without = |inputs: &Inputs<'_>| rule.holds(facts, None, inputs);
            match &unknown {
                None => holds,
                Some(unknown) if rule.deny => holds || holds_without(unknown),
                Some(unknown) => holds && holds_without(unknown),
            }
        });
        self.verdict(first)
    }

    /// As [`Self::judge`], where somebody would have to look at credentials with these places: whose word is not taken changes
    /// nothing about what is refused without it.
    pub fn judge_undecided(
        &self,
        facts: &Facts<'_>,
        passage: &Passage<'_>,
        level: Level,
        undecided: &[Option<usize>],
    ) -> Verdict {
        if undecided.iter().any(|place| level.believes(*place)) {
            return Verdict::Ask;
        }
        let identity = passage.identity.as_deref().filter(|_| level.believes(passage.proved_by));
        match self.judge(facts, identity, true) {
            Verdict::Pass if identity.is_none() => Verdict::Ask,
            verdict => verdict,
        }
    }

    /// Whether a connection may come. Rules that ask for more than its address and who its certificate is of hold for none;
    /// before that is known nobody is refused for it.
    ///
    /// `level`: of the policy; whose word it does not take can only do harm.
    pub fn admits(&self, level: Level, facts: &ConnectionFacts<'_>) -> bool {
        let rules = || self.rules.iter().filter(|rule| rule.is_of_connections());
        if facts.certificate.is_none() && rules().any(|rule| !rule.users.is_empty()) {
            return true;
        }
        let admits = |user: Option<&str>| {
            let first = rules().find(|rule| rule.is_from(facts.address) && rule.is_user(user));
            self.verdict(first) == Verdict::Pass
        };
        let is_believed = facts.user.is_none_or(|(_, proved_by)| level.believes(proved_by));
        admits(facts.user.map(|(user, _)| user)) && (is_believed || admits(None))
    }

    fn verdict(&self, first: Option<&Rule>) -> Verdict {
        if first.map_or(self.default_allow, |rule| !rule.deny) {
            Verdict::Pass
        } else {
            Verdict::Deny(Reason::Forbidden.into())
        }
    }

    /// Whether some rule asks what header fields say.
    pub fn asks_fields(&self) -> bool {
        let asks = |rule: &Rule| !rule.headers.is_empty() || rule.when.as_ref().is_some_and(Expression::asks_fields);
        self.rules.iter().any(asks)
    }

    /// Whether some rule asks who sent a request.
    pub fn asks_identity(&self) -> bool {
        self.rules.iter().any(|rule| {
            !rule.users.is_empty()
                || !rule.claims.is_empty()
                || !rule.scopes.is_empty()
                || rule.when.as_ref().is_some_and(Expression::asks_identity)
        })
    }
}

impl Rule {
    fn compile(ir: &AccessRule) -> Result<Self, String> {
        let when = (!ir.when.is_empty()).then(|| Expression::compile(&ir.when, Wanted::Condition)).transpose();
        Ok(Self {
            deny: ir.deny,
            clients: (!ir.clients.is_empty())
                .then(|| Networks::compile(ir.clients.iter().map(String::as_str)))
                .transpose()?,
            methods: ir.methods.clone(),
            headers: ir.headers.iter().map(HeaderValues::compile).collect(),
            users: ir.users.clone(),
            claims: ir.claims.clone(),
            scopes: ir.scopes.clone(),
            when: when.map_err(|error| format!("when: {error}"))?,
        })
    }

    /// Cheap things first.
    fn holds(&self, facts: &Facts<'_>, identity: Option<&Identity>, inputs: &Inputs<'_>) -> bool {
        self.is_from(facts.address)
            && (self.methods.is_empty() || self.methods.iter().any(|method| self.is_method(method, facts.method)))
            && self.is_user(identity.map(|it| it.user.as_str()))
            && self.scopes.iter().all(|scope| identity.is_some_and(|it| it.scopes.contains(scope)))
            && self.claims.iter().all(|claim| identity.is_some_and(|it| has_claim(it, claim)))
            && self.headers.iter().all(|header| self.has_header(facts, header))
            && self.when.as_ref().is_none_or(|when| when.holds(inputs).unwrap_or(self.deny))
    }

    fn is_from(&self, address: Option<std::net::IpAddr>) -> bool {
        self.clients.as_ref().is_none_or(|clients| address.map_or(self.deny, |address| clients.contains(address)))
    }

    fn is_user(&self, user: Option<&str>) -> bool {
        self.users.is_empty() || user.is_some_and(|user| !user.is_empty() && self.users.iter().any(|it| it == user))
    }

    /// Some backends take `delete` for DELETE.
    fn is_method(&self, written: &str, asked: &str) -> bool {
        if self.deny { written.eq_ignore_ascii_case(asked) } else { written == asked }
    }

    fn has_header(&self, facts: &Facts<'_>, header: &HeaderValues) -> bool {
        if header.name.eq_ignore_ascii_case("host") {
            return header.values.iter().any(|written| self.is_host(written, facts));
        }
        if self.deny {
            let same = facts.told().iter().filter(|field| same_field(field.name, header.name.as_bytes()));
            let values: Vec<&[u8]> = same.map(|field| field.value.trim_ascii()).collect();
            let elements = values.iter().flat_map(|value| value.split(|it| *it == b',')).enumerate();
            let mut elements = elements.map(|(at, element)| at >= MAX_ELEMENTS || header.has(element.trim_ascii()));
            !values.is_empty()
                && (values.iter().any(|value| header.has(value))
                    || elements.any(|denied| denied)
                    || (values.len() > 1
                        && [&b", "[..], b","].into_iter().any(|between| header.has(&values.join(between)))))
        } else {
            let mut values = named(facts.told(), &header.name).peekable();
            values.peek().is_some() && values.all(|value| header.has(value))
        }
    }

    /// Whether a host is the one that is asked for, whatever its case. One without a port stands for any to deny, and for the
    /// usual one of the scheme to allow.
    fn is_host(&self, written: &str, facts: &Facts<'_>) -> bool {
        let usual = if facts.scheme == "https" { 443 } else { 80 };
        let Some(Authority { host, port }) = authority::parse(written.as_bytes()) else { return false };
        let asked = authority::parse(facts.authority).and_then(|asked| asked.port).unwrap_or(usual);
        host == facts.host && port.map_or(self.deny || asked == usual, |port| port == asked)
    }

    fn is_of_connections(&self) -> bool {
        self.methods.is_empty()
            && self.headers.is_empty()
            && self.claims.is_empty()
            && self.scopes.is_empty()
            && self.when.is_none()
    }
}

/// Whether a claim has one of some values: itself, or an element of a list.
fn has_claim(identity: &Identity, claim: &NamedValues) -> bool {
    let found = named_claim(&identity.claims, &claim.name);
    let is_listed = |value: &Value| match value {
        Value::String(text) => claim.values.contains(text),
        Value::Bool(_) | Value::Number(_) => claim.values.contains(&value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    match found {
        Some(Value::Array(all)) => all.iter().any(is_listed),
        Some(value) => is_listed(value),
        None => false,
    }
}
