//! The decision on a request that has its rule: its policies, then what the rule does.

use super::contract::{Decision, DecisionRequest};
use super::forward::forward;
use super::reply::{denied, owned_answer};
use super::ruled::{Made, Ruled, answered, own_answer};
use super::sample::facts;
use super::{Action, Request, Routed};
use crate::policy::{self, Passage, Said};
use crate::table::{EditedFields, Filters, Listener, RequestHead, Table};
use codec::Framing;

/// Decide on a request that has its rule. `policies`: what was said before that was looked for.
pub(super) fn decide_routed(
    table: &Table,
    request: &DecisionRequest,
    asked: (&Request<'_>, Framing),
    routed: &Routed<'_, '_>,
    mut policies: Vec<Said>,
) -> Decision {
    let action = routed.action();
    let Routed { listener, found, head, sent_fields, .. } = *routed;
    let mut passage = Passage::default();
    let as_sent = Ruled { request, listener, found: &found, head: &head, sent_fields, told: None };
    let asks_fields = found.rule.has_expressions()
        || listener.answers().is_some_and(Filters::has_expressions)
        || listener.policies_of(found.rule).is_some_and(|joined| joined.policies.iter().any(|it| it.asks_fields()));
    let mut list = Vec::new();
    let told = if asks_fields { Some(as_sent.told_by(&mut list)) } else { None };
    let as_sent = Ruled { told: told.as_deref(), ..as_sent };
    // What edits write into an answer of the gateway.
    let made: Made;
    let decision = match action {
        Action::Invalid => {
            made = as_sent.made(&passage);
            Decision::respond(500, "rule_invalid")
        }
        Action::Preflight(fields) => {
            made = as_sent.made(&passage);
            Decision::respond(204, "cors_preflight").with_headers(fields)
        }
        action @ (Action::Answer(_) | Action::Forward) => match listener.policies_of(found.rule) {
            None => {
                made = as_sent.made(&passage);
                act(table, &as_sent, action, &passage)
            }
            Some(joined) => {
                let owned = joined.owned_behind();
                let all = head.fields;
                let (sent, set) = all.split_at(sent_fields);
                let mut fields: EditedFields<'_> = sent.iter().filter(|field| !owned.takes(field)).copied().collect();
                let sent_fields = fields.len();
                fields.extend(set.iter().filter(|field| !owned.has(field.name)).copied());
                let head = RequestHead { fields: &fields, ..head };
                let ruled = Ruled { head: &head, sent_fields, ..as_sent };
                let mut list = Vec::new();
                let told = if asks_fields { Some(ruled.told_by(&mut list)) } else { None };
                let ruled = Ruled { told: told.as_deref(), ..ruled };
                let judged = owned.judged(all, &fields);
                let seen = RequestHead { fields: judged.as_deref().unwrap_or(&fields), ..head };
                let facts = facts(request, asked, listener, Some(&**found.rule), &seen, ruled.told);
                let (behind, levels) = (&joined.policies[joined.preceding..], &joined.levels[joined.preceding..]);
                let (said, denial) = policy::judge_all(behind, levels, &facts, &mut passage);
                policies.extend(said);
                made = ruled.made(&passage);
                match denial {
                    Some(denial) => denied(denial),
                    None => act(table, &ruled, action, &passage),
                }
            }
        },
    };
    let decision = at(listener, own_answer(decision, &as_sent, &made)).with_appended(owned_answer(&passage.respond));
    Decision { rule: Some(found.rule.ir.id.clone()), match_index: Some(found.match_index), policies, ..decision }
}

pub(super) fn at(listener: &Listener, decision: Decision) -> Decision {
    Decision { listener: Some(listener.id().to_owned()), ..decision }
}

/// What a request comes to that its policies let pass.
fn act(table: &Table, ruled: &Ruled<'_>, action: Action, passage: &Passage<'_>) -> Decision {
    match action {
        Action::Answer(own) => answered(own, ruled),
        _ => forward(table, ruled, passage),
    }
}
