//! A request that has its rule: run the chain of its policies, select its backend. No I/O.

use super::ask::Whence;
use super::consult::{Part, consult, facts, note};
use super::plan::{Failed, Place, Plan, Waiting};
use super::select::{Passed, select, values};
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::head::{Inbound, OwnedHead};
use crate::message::local_reply::Answer;
use crate::message::pages::Pages;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::policy::{Admission, Chain};
use crate::worker::Generation;
use route::policy::Passage;
use route::resolve::{Action, CorsFields, Routed, cors_response};
use route::table::{EditedFields, Filters, RequestHead};

/// What becomes of a request that has its rule.
#[expect(
    clippy::inline_always,
    reason = "nearly all requests come here from one place, and a call would move all of this"
)]
#[inline(always)]
pub fn admit_routed<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    routed: Routed<'g, '_>,
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, Box<Failed<'g>>> {
    let mut kept = EditedFields::new();
    let rule = routed.found.rule;
    record.listener(routed.listener, inbound);
    record.rule(&routed.found, inbound);
    let filters = &rule.filters;
    let chain = match routed.listener.policies_of(rule) {
        None => generation.chain.as_deref(),
        Some(joined) => match joined.kept.get::<Chain>() {
            Some(chain) => Some(chain),
            // Never a request without its policies.
            None => return Err(ErrorCode::PolicyInvalid.into()),
        },
    };
    record.mask(chain.map_or(&[], Chain::secret_pairs));
    if let Some(chain) = chain {
        note(chain, inbound, record);
    }
    // A preflight asks for what the browser may ask: it is no use of what policies guard, and carries no credentials.
    let own = match routed.action() {
        Action::Invalid => {
            let mut list = Vec::new();
            let (told, proxies) = (told_of(client, &routed, chain, &mut list), chain.and_then(Chain::trusted_proxies));
            let routed = Routed { told: told.as_deref(), ..routed };
            let edits = ResponseEdits::default()
                .at(routed.listener, |own| own.make(|| values(client, inbound, &routed, proxies, None)));
            return Err(Box::new(Failed { denial: ErrorCode::RuleInvalid.into(), edits }));
        }
        Action::Preflight(fields) => {
            let mut list = Vec::new();
            let (told, proxies) = (told_of(client, &routed, chain, &mut list), chain.and_then(Chain::trusted_proxies));
            let routed = Routed { told: told.as_deref(), ..routed };
            let mut answer = Answer::with_status(204);
            answer.fields.extend(fields.into_iter().map(|(name, value)| (name.into(), value.into_bytes())));
            let make = |filters: &Filters| filters.make(|| values(client, inbound, &routed, proxies, None));
            let edits = ResponseEdits::of_rule(filters, make(filters), Vec::new()).at(routed.listener, make);
            return Ok(Plan::answer(answer, edits));
        }
        Action::Answer(own) => Some(own),
        Action::Forward => None,
    };
    let all = routed.head.fields;
    let owned = chain.and_then(|chain| chain.owned_behind().left(all, routed.sent_fields, &mut kept));
    let judged = if owned.is_some() { chain.and_then(|chain| chain.owned_behind().judged(all, &kept)) } else { None };
    // What policies change of it is a copy: nearly every request goes on as it is.
    let without_owned;
    let routed = match owned {
        None => &routed,
        Some(sent_fields) => {
            let head = RequestHead { fields: &kept, ..routed.head };
            without_owned = Routed { head, sent_fields, ..routed };
            &without_owned
        }
    };
    let mut list = Vec::new();
    let told = told_of(client, routed, chain, &mut list);
    let with_told;
    let routed = match told.as_deref() {
        None => routed,
        Some(told) => {
            with_told = Routed { told: Some(told), ..*routed };
            &with_told
        }
    };
    // Where nothing asks it is the one that came along, so that no other one is made.
    let passage;
    if let Some(chain) = chain {
        let proxies = chain.trusted_proxies();
        let mut facts = facts(client, inbound, routed.listener, Some(&**rule), &routed.head, routed.told, chain);
        if let Some(judged) = &judged {
            facts.fields = judged;
        }
        let (admission, found) = consult(chain, Part::Behind, place, &facts, record);
        match admission {
            Admission::Admitted => passage = found,
            Admission::Denied(mut denial) => {
                if let Some(detail) = denial.detail.take() {
                    record.detail(|| detail);
                }
                let edits = edits_of(client, inbound, routed, Some(chain), found);
                return Err(Box::new(Failed { denial, edits }));
            }
            Admission::Asked { answer, next } => {
                let (head, limit) = (OwnedHead::of(inbound), chain.request_timeout(rule.timeouts.request));
                let whence = Whence {
                    listener: routed.listener,
                    ends: client.ends(routed.head.fields, proxies),
                    believed: proxies.map(|_| client.is_believed(proxies)),
                };
                let waiting = Waiting { answer, whence, head, next, passage: found, limit, buffer };
                return Ok(Plan::Wait(Box::new(waiting)));
            }
        }
    } else {
        passage = place.passage;
    }
    if let Some(own) = own {
        let mut answer = Answer::with_status(own.status);
        answer.fields.extend(own.fields.into_iter().map(|(name, value)| (name.into(), value.into_bytes())));
        answer.body = own.body.map(|body| body.as_bytes().to_vec());
        let respond = routed.listener.respond(rule);
        let edits = edits_of(client, inbound, routed, chain, passage).paged(None).of_own_answer(respond);
        return Ok(Plan::answer(answer, edits));
    }
    let pages = chain.and_then(|chain| pages_of(chain, inbound, routed));
    let mut passed = Passed { passage, chain, pages };
    select(client, generation, inbound, routed, &mut passed, buffer, record).map(Plan::Forward).map_err(|code| {
        let pages = passed.pages.take();
        let edits = edits_of(client, inbound, routed, chain, passed.passage).paged(pages);
        Box::new(Failed { denial: code.into(), edits })
    })
}

/// The CORS fields of an answer that a rule gives itself.
fn cors_of(routed: &Routed<'_, '_>) -> CorsFields {
    let cors = routed.found.rule.filters.cors.as_ref();
    cors.map_or_else(Vec::new, |cors| cors_response(cors, &routed.head))
}

/// What happens to an answer that a rule gives itself.
fn edits_of<'g>(
    client: &Client,
    inbound: &Inbound<'_>,
    routed: &Routed<'g, '_>,
    chain: Option<&'g Chain>,
    passage: Passage<'_>,
) -> ResponseEdits<'g> {
    let filters = &routed.found.rule.filters;
    let proxies = chain.and_then(Chain::trusted_proxies);
    let make =
        |filters: &Filters| filters.make(|| values(client, inbound, routed, proxies, passage.identity.as_deref()));
    let edits = ResponseEdits::of_rule(filters, make(filters), cors_of(routed)).at(routed.listener, make);
    let pages = chain.and_then(|chain| pages_of(chain, inbound, routed));
    edits.appending(passage.respond, passage.respond_to_success).paged(pages)
}

/// What stands in for errors of a request.
fn pages_of<'g>(chain: &'g Chain, inbound: &Inbound<'_>, routed: &Routed<'g, '_>) -> Option<Box<Pages<'g>>> {
    Pages::of(chain.error_pages()?, routed.listener, Some(routed.found.rule), inbound, chain.secret_pairs())
}

/// A request's fields as its backend is told them, where somebody asks what they say; `list`: memory.
fn told_of<'f>(
    client: &'f Client,
    routed: &Routed<'_, 'f>,
    chain: Option<&Chain>,
    list: &'f mut Vec<u8>,
) -> Option<EditedFields<'f>> {
    let has_expressions =
        routed.found.rule.has_expressions() || routed.listener.answers().is_some_and(Filters::has_expressions);
    if !has_expressions && !chain.is_some_and(Chain::asks_fields) {
        return None;
    }
    let believed = client.is_believed(chain.and_then(Chain::trusted_proxies));
    Some(client.told(routed.head.fields, routed.sent_fields, believed, routed.head.authority, list))
}
