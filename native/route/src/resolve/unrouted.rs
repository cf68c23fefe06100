//! A request that no rule takes: what its listener asks is asked all the same, so that 404 tells nobody more than they may know.

use super::contract::{Decision, DecisionRequest};
use super::reply::{Edits, denied, edited_response, owned_answer};
use super::sample::facts;
use super::whence::Whence;
use super::{Request, Unrouted};
use crate::policy::{self, AnswerField, OwnedFields, Passage, Said};
use crate::table::{EditedFields, Joined, RequestHead};
use codec::Framing;

/// Decide on it: what a policy of its listener answers, else 404.
pub(super) fn decide_unrouted(
    request: &DecisionRequest,
    asked: (&Request<'_>, Framing),
    unrouted: &Unrouted<'_, '_>,
) -> Decision {
    let listener = unrouted.listener;
    let (mut respond, mut said) = (Vec::new(), Vec::new());
    let mut decision = Decision::respond(404, "no_route");
    if let Some(joined) = listener.policies_without_rule() {
        let denial;
        (said, denial, respond) = ask(request, asked, unrouted, joined);
        decision = denial.map_or(decision, denied);
    }
    // Of what has no rule nothing is known that an expression could ask.
    let edits: Vec<Edits<'_>> = listener.answers().map(|own| (own, &[][..])).into_iter().collect();
    decision.response = decision.response.map(|answer| edited_response(&answer, &edits, None));
    let decision = decision.with_appended(owned_answer(&respond));
    Decision { listener: Some(listener.id().to_owned()), policies: said, ..decision }
}

/// Ask the policies of a listener, but for those that act on what goes to a backend; and what the answer has besides.
fn ask(
    request: &DecisionRequest,
    asked: (&Request<'_>, Framing),
    unrouted: &Unrouted<'_, '_>,
    joined: &Joined,
) -> (Vec<Said>, Option<policy::Denial>, Vec<AnswerField>) {
    let Unrouted { listener, head, sent_fields } = unrouted;
    let (policies, levels): (Vec<_>, Vec<_>) = joined
        .policies
        .iter()
        .zip(&joined.levels)
        .filter(|(policy, _)| !policy.needs_rule())
        .map(|(policy, level)| (policy.clone(), *level))
        .unzip();
    let owned = OwnedFields::of(&policies);
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
