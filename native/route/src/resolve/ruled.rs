//! A request that has its rule: what its policies and edits may ask of it, and what the gateway answers itself.

use super::contract::{Decision, DecisionRequest};
use super::reply::{Edits, edited_response, owned};
use super::whence::Whence;
use super::{OwnAnswer, cors_response};
use crate::expression::Inputs;
use crate::policy::Passage;
use crate::table::{EditedFields, Filters, Found, Listener, MadeValues, RequestHead};
use codec::Field;

/// A request that has its rule; `sent_fields`: how many of the fields are the client's, the listener's filters set the others.
#[derive(Clone, Copy)]
pub(super) struct Ruled<'r> {
    pub request: &'r DecisionRequest,
    pub listener: &'r Listener,
    pub found: &'r Found<'r>,
    pub head: &'r RequestHead<'r>,
    pub sent_fields: usize,
    /// As of [`Routed::told`](super::Routed::told).
    pub told: Option<&'r [Field<'r>]>,
}

/// What expressions of edits came to: of the rule, and of the listener.
pub(super) struct Made {
    pub rule: MadeValues,
    pub listener: MadeValues,
}

impl<'r> Ruled<'r> {
    /// Its fields as a backend is told them; `list`: memory.
    pub fn told_by(&self, list: &'r mut Vec<u8>) -> EditedFields<'r> {
        let sent = &self.head.fields[..self.sent_fields];
        let origin = self.request.origin(self.listener, sent, self.head.authority, list);
        origin.tell(self.head.fields, self.sent_fields)
    }

    /// What edits write.
    pub fn made(&self, passage: &Passage<'_>) -> Made {
        let of = |filters: &Filters| filters.make(|| self.inputs(passage));
        Made { rule: of(&self.found.rule.filters), listener: self.listener.answers().map(of).unwrap_or_default() }
    }

    /// What expressions may ask of it.
    pub fn inputs<'i>(&'i self, passage: &'i Passage<'_>) -> Inputs<'i> {
        let identity = passage.identity.as_deref();
        Inputs {
            method: self.head.method,
            scheme: self.listener.ir.protocol.scheme(),
            host: self.head.host,
            path: self.head.path,
            query: self.head.query.unwrap_or_default(),
            authority: self.head.authority,
            fields: self.told.unwrap_or(self.head.fields),
            address: self.request.from.map(|address| address.to_canonical()),
            user: identity.map_or("", |identity| &identity.user),
            claims: identity.map(|identity| &*identity.claims),
            scopes: identity.map_or(&[], |identity| &identity.scopes),
            ..Inputs::default()
        }
    }
}

/// What a filter answers: a redirect with its own fields, or a `respond` with those that it has.
pub(super) fn answered(own: OwnAnswer, ruled: &Ruled<'_>) -> Decision {
    let mut decision = Decision::respond(own.status, own.reason).with_headers(own.fields);
    let respond = ruled.listener.respond(ruled.found.rule).filter(|_| own.body.is_some());
    if let (Some(respond), Some(response)) = (respond, &mut decision.response) {
        let mut fields = EditedFields::new();
        respond.fields.apply(&mut fields, &[]);
        response.headers = owned(&fields);
    }
    decision
}

/// An answer of the gateway has the rule's response filters, and its CORS fields; a preflight has those already. Of a rule that
/// is invalid only what the listener does is left.
pub(super) fn own_answer(mut decision: Decision, ruled: &Ruled<'_>, made: &Made) -> Decision {
    let rule = ruled.found.rule;
    if decision.outcome == "respond" {
        let of_rule = Some(&rule.filters).filter(|_| !rule.ir.invalid);
        let cors = of_rule.and_then(|filters| filters.cors.as_ref());
        let cors = cors.filter(|_| decision.reason != "cors_preflight").map(|cors| cors_response(cors, ruled.head));
        let of_rule = of_rule.map(|filters| (filters, &*made.rule));
        let all: Vec<Edits<'_>> =
            of_rule.into_iter().chain(ruled.listener.answers().map(|own| (own, &*made.listener))).collect();
        decision.response = decision.response.map(|answer| edited_response(&answer, &all, cors));
    }
    decision
}

#[cfg(test)]
mod tests {
    use crate::resolve::Decision;
    use crate::samples::{ask, listener, pairs, rule, table};
    use serde_json::{Value, json};

    fn headers(decision: Decision) -> Vec<(String, String)> {
        decision.response.map(|response| response.headers).unwrap_or_default()
    }

    fn set(name: &str, value: &str) -> Value {
        json!({"type": "response_headers", "set": [{"name": name, "value": value}]})
    }

    /// A rule that is asked by one expression; the client says that it is somebody else, somewhere else.
    #[test]
    fn what_expressions_may_ask() {
        let sent = json!([["x-forwarded-for", "6.6.6.6"], ["X-A", "1"]]);
        let question = json!({"method": "PUT", "authority": "A.test:80", "target": "/a?b=c", "from": "::ffff:192.0.2.1",
            "headers": sent});
        for (expression, expected) in [
            ("request.method", "PUT"),
            ("request.scheme", "http"),
            ("request.host", "a.test"),
            ("request.path", "/a"),
            ("request.query", "b=c"),
            ("request.headers['x-a']", "1"),
            ("request.headers['host']", "A.test:80"),
            ("request.headers['x-forwarded-for']", "192.0.2.1"),
            ("request.headers['x-forwarded-host']", "A.test:80"),
            ("client.address", "192.0.2.1"),
        ] {
            let filters = json!([
                {"type": "response_headers", "set": [{"name": "x-made", "expression": expression}]},
                {"type": "respond", "status": 200},
            ]);
            let table = table(json!([rule("r", json!({"filters": filters}))]), json!({}));
            assert_eq!(headers(ask(&table, question.clone())), pairs(&[("x-made", expected)]), "{expression}");
        }
    }

    /// Of whoever a policy found out about, and of nobody where none did.
    #[test]
    fn expressions_know_who_proved_who_they_are() {
        let policy = json!({"type": "access_certificate", "id": "AccessPolicy/a/p/certificate", "optional": true});
        let filters = json!([
            {"type": "response_headers", "set": [{"name": "x-user", "expression": "identity.user"}]},
            {"type": "respond", "status": 200},
        ]);
        let identity = json!({"proof": "certificate", "user": "ann"});
        for (policies, identity, expected) in [
            (json!([policy["id"]]), &identity, &[("x-user", "ann")][..]),
            (json!([policy["id"]]), &Value::Null, &[]),
            // Nobody asked for a proof.
            (json!([]), &identity, &[]),
        ] {
            let named = json!({"policies": policies, "filters": filters});
            let table = table(json!([rule("r", named)]), json!({"policies": [policy]}));
            let decision = ask(&table, json!({"identity": identity}));
            assert_eq!(headers(decision), pairs(expected), "{policies} {identity}");
        }
    }

    /// The listener has the last word; a rule that cannot be honoured has none.
    #[test]
    fn answers_of_the_gateway_are_edited_too() {
        let edge = json!([set("x-by", "listener")]);
        let own = set("x-by", "rule");
        let also = set("x-rule", "1");
        let redirect = json!({"type": "redirect", "status": 302, "path": {"type": "ReplaceFullPath", "value": "/b"}});
        let respond =
            json!({"type": "respond", "status": 200, "headers": [{"name": "x-page", "value": "1"}], "body": "a"});
        let location = ("location", "http://a.test/b");
        for (filters, invalid, status, expected) in [
            (json!([own, also, redirect]), false, 302, &[location, ("x-rule", "1"), ("x-by", "listener")][..]),
            (json!([own, also, respond]), false, 200, &[("x-page", "1"), ("x-rule", "1"), ("x-by", "listener")]),
            (json!([own, also]), true, 500, &[("x-by", "listener")]),
        ] {
            let rules = json!([rule("r", json!({"filters": filters, "invalid": invalid}))]);
            let table = table(rules, json!({"listeners": [listener("l", 80, json!({"filters": edge}))]}));
            let decision = ask(&table, json!({}));
            assert_eq!(decision.status, status, "{filters}");
            assert_eq!(headers(decision), pairs(expected), "{filters}");
        }
    }

    /// Browsers do not show pages an error without them; a preflight has its own.
    #[test]
    fn answers_of_the_gateway_have_the_fields_of_cors_once() {
        let cors = json!({"type": "cors", "allow_origins": ["https://a.test"], "allow_methods": ["PUT"], "max_age": 5});
        let rules = json!([rule("r", json!({"filters": [cors], "backends": []}))]);
        let table = table(rules, json!({}));
        let asked = json!([["origin", "https://a.test"], ["access-control-request-method", "PUT"]]);
        let allowed = ("access-control-allow-origin", "https://a.test");
        for (method, reason, expected) in [
            ("GET", "no_backend", &[allowed, ("vary", "Origin")][..]),
            (
                "OPTIONS",
                "cors_preflight",
                &[
                    allowed,
                    ("access-control-allow-methods", "PUT"),
                    ("access-control-max-age", "5"),
                    ("vary", "Origin"),
                ],
            ),
        ] {
            let decision = ask(&table, json!({"method": method, "headers": asked}));
            assert_eq!(decision.reason, reason);
            assert_eq!(headers(decision), pairs(expected), "{method}");
        }
    }
}
