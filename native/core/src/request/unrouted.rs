//! A request that no rule takes. What its listener asks is asked all the same (GEP-5224), so that 404 tells nobody more than
//! they may know, and who looks for paths is counted.

use super::ask::Whence;
use super::consult::{consult, facts, note};
use super::plan::{Failed, Place, Plan, Waiting};
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::head::{Inbound, OwnedHead};
use crate::message::pages::Pages;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::policy::{Admission, Chain, Denial};
use route::policy::Passage;
use route::resolve::Unrouted;
use route::table::{EditedFields, Listener, MadeValues, RequestHead};
use std::sync::Arc;

/// 404, unless what holds for its listener refuses it or has to ask. `buffer` is memory for a head.
///
/// # Errors
/// There is no other way.
pub fn unrouted<'g>(
    client: &Client,
    inbound: &Inbound<'_>,
    unrouted: &Unrouted<'g, '_>,
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, Box<Failed<'g>>> {
    let listener = unrouted.listener;
    record.listener(listener);
    let no_route = |chain, passage| failed(ErrorCode::NoRoute.into(), listener, chain, passage, inbound);
    let Some(joined) = listener.policies_without_rule() else {
        return Err(no_route(None, Passage::default()));
    };
    // Never a request without its policies.
    let chain = joined.kept.get::<Chain>().ok_or(ErrorCode::PolicyInvalid)?;
    note(chain, inbound, record);
    let proxies = chain.trusted_proxies();
    let (mut kept, mut list) = (EditedFields::new(), Vec::new());
    let owned = chain.without_owned(unrouted.head.fields, unrouted.sent_fields, &mut kept);
    let (fields, sent) = match owned {
        Some(sent) => (&*kept, sent),
        None => (unrouted.head.fields, unrouted.sent_fields),
    };
    let judged = owned.and_then(|_| chain.owned()?.judged(unrouted.head.fields, fields));
    let head = RequestHead { fields, ..unrouted.head };
    let believed = client.is_believed(proxies);
    let told =
        if chain.asks_fields() { Some(client.told(fields, sent, believed, head.authority, &mut list)) } else { None };
    let mut facts = facts(client, inbound, listener, None, &head, told.as_deref(), chain);
    if let Some(judged) = &judged {
        facts.fields = judged;
    }
    let (admission, passage) = consult(chain, place, &facts, record);
    match admission {
        Admission::Admitted => Err(no_route(Some(chain), passage)),
        Admission::Denied(mut denial) => {
            if let Some(detail) = denial.detail.take() {
                record.detail(|| detail);
            }
            Err(failed(denial, listener, Some(chain), passage, inbound))
        }
        Admission::Asked { answer, next } => {
            let whence = Whence {
                listener,
                ends: client.ends(head.fields, proxies),
                believed: proxies.map(|_| client.is_believed(proxies)),
            };
            let (head, limit) = (OwnedHead::of(inbound), chain.request_timeout(None));
            Ok(Plan::Wait(Box::new(Waiting { answer, whence, head, next, passage, limit, buffer })))
        }
    }
}

/// What the listener does to such an answer. Of what has no rule nothing is known that an expression could ask.
fn failed<'g>(
    denial: Denial,
    listener: &'g Arc<Listener>,
    chain: Option<&'g Chain>,
    passage: Passage<'_>,
    inbound: &Inbound<'_>,
) -> Box<Failed<'g>> {
    let edits = ResponseEdits::default().at(listener, |_| MadeValues::new());
    let pages = chain.and_then(|chain| Pages::of(chain.error_pages()?, listener, None, inbound, chain.secret_pairs()));
    Box::new(Failed { denial, edits: edits.appending(passage.respond, passage.respond_to_success).paged(pages) })
}
