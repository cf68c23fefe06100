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
