//! A request that no rule takes: what its listener asks is asked all the same, so that 404 tells nobody more than they may know.

use super::contract::{Decision, DecisionRequest};
use super::reply::{Edits, denied, edited_response, owned_answer};
use super::sample::facts;
use super::whence::Whence;
use super::{Request, Unrouted};
use crate::policy::{self, AnswerField, OwnedFields, Passage, Said};
use crate::table::{EditedFields, Joined, RequestHead};
use codec::Framing;

/// Decide on it: what a policy of its listener answers, else 404. `before`: what was said before rules were looked for.
pub(super) fn decide_unrouted(
    request: &DecisionRequest,
    asked: (&Request<'_>, Framing),
    unrouted: &Unrouted<'_, '_>,
    before: Vec<Said>,
) -> Decision {
    let (mut denial, mut respond, mut said) = (None, Vec::new(), before);
    if let Some(joined) = unrouted.listener.policies_without_rule() {
        let more;
        (more, denial, respond) = ask(request, asked, unrouted, joined, Part::Behind);
        said.extend(more);
    }
    answer(unrouted, denial, &respond, said)
}

/// Which policies of a listener are asked: those that act before a rule is looked for, or the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Before,
    Behind,
}

/// What a policy answers, else 404, as the listener edits it.
pub(super) fn answer(
    unrouted: &Unrouted<'_, '_>,
    denial: Option<policy::Denial>,
    respond: &[AnswerField],
    said: Vec<Said>,
) -> Decision {
    let listener = unrouted.listener;
    let mut decision = denial.map_or_else(|| Decision::respond(404, "no_route"), denied);
    // Of what has no rule nothing is known that an expression could ask.
    let edits: Vec<Edits<'_>> = listener.answers().map(|own| (own, &[][..])).into_iter().collect();
    decision.response = decision.response.map(|answer| edited_response(&answer, &edits, None));
    let decision = decision.with_appended(owned_answer(respond));
    Decision { listener: Some(listener.id().to_owned()), policies: said, ..decision }
}

/// Ask policies of a listener, but for those that act on what goes to a backend; and what the answer has besides.
pub(super) fn ask(
    request: &DecisionRequest,
    asked: (&Request<'_>, Framing),
    unrouted: &Unrouted<'_, '_>,
    joined: &Joined,
    part: Part,
) -> (Vec<Said>, Option<policy::Denial>, Vec<AnswerField>) {
    let Unrouted { listener, head, sent_fields } = unrouted;
    let (policies, levels): (Vec<_>, Vec<_>) = joined
        .policies
        .iter()
        .zip(&joined.levels)
        .enumerate()
        .filter(|(place, (policy, _))| (*place < joined.preceding) == (part == Part::Before) && !policy.needs_rule())
        .map(|(_, (policy, level))| (policy.clone(), *level))
        .unzip();
    let owned = match part {
        // Nobody is shown what a client says in place of any of them.
        Part::Before => OwnedFields::of(&joined.policies),
        Part::Behind => joined.owned_behind(),
    };
    let all = head.fields;
    let (sent, set) = all.split_at(*sent_fields);
    let mut fields: EditedFields<'_> = sent.iter().filter(|field| !owned.takes(field)).copied().collect();
    let sent_fields = fields.len();
    fields.extend(set.iter().filter(|field| !owned.has(field.name)).copied());
    let head = RequestHead { fields: &fields, ..*head };
    let mut list = Vec::new();
    let origin = request.origin(listener, &fields[..sent_fields], head.authority, &mut list);
    let told = origin.tell(&fields, sent_fields);
    let judged = owned.judged(all, &fields);
    let seen = RequestHead { fields: judged.as_deref().unwrap_or(&fields), ..head };
    let facts = facts(request, asked, listener, None, &seen, Some(&told));
    let mut passage = Passage::default();
    let (said, denial) = policy::judge_all(&policies, &levels, &facts, &mut passage);
    (said, denial, passage.respond)
}

#[cfg(test)]
mod tests {
    use crate::samples::{ask, listener, merged, pairs, rule, table};
    use serde_json::{Value, json};

    fn access(rules: Value) -> Value {
        json!({"type": "access_authorization", "id": "AccessPolicy/a/p/authorization", "rules": rules})
    }

    /// Whether there is a rule is nobody's business who may not ask at all.
    #[test]
    fn a_listener_is_asked_before_a_request_has_no_rule() {
        let fault = json!({"type": "filter_fault", "id": "HTTPFilter/a/f/fault",
            "abort": {"status": 500, "percentage": {"numerator": 1, "denominator": 1}}});
        let certificate = json!({"type": "access_certificate", "id": "AccessPolicy/a/p/certificate"});
        let set = json!([{"type": "request_headers", "set": [{"name": "x-edge", "value": "1"}]}]);
        let edge = json!([{"headers": [{"name": "x-edge", "values": ["1"]}]}]);
        let forwarded = json!([{"headers": [{"name": "x-forwarded-for", "values": ["192.0.2.1"]}]}]);
        for (policy, headers, status, reason, said) in [
            (None, json!([]), 404, "no_route", 0),
            (Some(access(json!([]))), json!([]), 403, "forbidden", 1),
            (Some(access(json!([{"clients": ["192.0.2.0/24"]}]))), json!([]), 404, "no_route", 1),
            (Some(access(json!([{"clients": ["192.0.3.0/24"]}]))), json!([]), 403, "forbidden", 1),
            (Some(certificate), json!([]), 401, "unauthenticated", 1),
            // What acts on what goes to a backend has nothing to act on.
            (Some(fault), json!([]), 404, "no_route", 0),
            // The listener's filters were there before; what a client says of where it comes from counts for nothing.
            (Some(access(edge)), json!([]), 404, "no_route", 1),
            (Some(access(forwarded.clone())), json!([]), 404, "no_route", 1),
            (Some(access(forwarded)), json!([["x-forwarded-for", "6.6.6.6"]]), 404, "no_route", 1),
        ] {
            let policies: Vec<Value> = policy.into_iter().collect();
            let named: Vec<&Value> = policies.iter().map(|policy| &policy["id"]).collect();
            let listener = listener("l", 80, json!({"policies": named, "filters": set}));
            let matches = json!([{"path": {"type": "Exact", "value": "/a"}}]);
            let rules = json!([rule("r", json!({"matches": matches}))]);
            let table = table(rules, json!({"listeners": [listener], "policies": policies}));
            let decision = ask(&table, json!({"from": "192.0.2.1", "headers": headers}));
            assert_eq!((decision.status, decision.reason), (status, reason), "{policies:?}");
            assert_eq!((decision.listener.as_deref(), decision.rule), (Some("l"), None), "{policies:?}");
            assert_eq!(decision.policies.len(), said, "{policies:?}");
        }
    }

    /// What a listener does to its answers it does to these; of an expression there is nothing to ask.
    #[test]
    fn the_answer_is_edited_as_all_of_its_listener() {
        let edits = json!({"type": "response_headers", "set": [
            {"name": "x-by", "value": "edge"}, {"name": "x-made", "expression": "request.path"},
        ]});
        let respond = json!({"type": "respond", "status": 200});
        for filters in [json!([edits]), json!([edits, respond])] {
            for (policy, reason) in [(json!({"default_allow": true}), "no_route"), (json!({}), "forbidden")] {
                let policy = merged(access(json!([])), policy);
                let listener = listener("l", 80, json!({"policies": [policy["id"]], "filters": filters}));
                let table = table(json!([]), json!({"listeners": [listener], "policies": [policy]}));
                let decision = ask(&table, json!({}));
                assert_eq!(decision.reason, reason, "{filters}");
                assert_eq!(decision.response.unwrap().headers, pairs(&[("x-by", "edge")]), "{filters}");
            }
        }
    }
}
