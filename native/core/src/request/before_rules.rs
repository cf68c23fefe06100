//! A request to a listener that asks somebody before a rule is looked for (GEP-5224), so that matches see what was said. It is
//! asked once: what was said goes with the head from then on, however often the request is decided on behind other waits.

use super::consult::Part;
use super::plan::{Failed, Place, Plan};
use super::routed::admit_routed;
use super::unrouted::{Consulted, consult_listener, unrouted};
use crate::error::ErrorCode;
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::record::Entry;
use crate::policy::{Chain, Outcome};
use crate::worker::Generation;
use route::policy::Mutation;
use route::resolve::Unrouted;
use route::table::{EditedFields, RequestHead};

/// Ask, then look for the rule; as [`admit`](super::admit::admit). A function of its own, so that others do not carry it.
///
/// # Errors
/// There is no other way.
#[cold]
#[inline(never)]
pub fn before_rules<'g>(
    client: &Client,
    generation: &'g Generation,
    inbound: &Inbound<'_>,
    found: &Unrouted<'g, '_>,
    place: Place<'g>,
    buffer: Vec<u8>,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, Box<Failed<'g>>> {
    let Unrouted { listener, head, sent_fields } = *found;
    record.listener(listener, inbound);
    // Never a request without its policies.
    let joined = listener.asks_before_rules().ok_or(ErrorCode::PolicyInvalid)?;
    let chain = joined.kept.get::<Chain>().ok_or(ErrorCode::PolicyInvalid)?;
    let owned = chain.owned_before().ok_or(ErrorCode::PolicyInvalid)?;
    let said;
    let (mutation, place, buffer) = match inbound.mutation {
        Some(known) => (known, place, buffer),
        None => match consult_listener(client, inbound, found, (chain, Part::BeforeRules), place, buffer, record)? {
            Consulted::Wait(waiting) => return Ok(Plan::Wait(waiting)),
            Consulted::Admitted(mut passage, buffer) => {
                said = Mutation::of(&mut passage);
                (&said, Place { step: 0, outcome: Outcome::Pass, passage }, buffer)
            }
        },
    };
    let inbound = inbound.mutated(mutation);
    let mut fields = EditedFields::new();
    let sent_fields = mutation.apply(owned, (head.fields, sent_fields), &mut fields);
    let taken_out = mutation.matched(owned, head.taken_out);
    let query = mutation.query(head.query);
    let head = RequestHead { query: query.as_deref(), fields: &fields, taken_out: &taken_out, ..head };
    let found = Unrouted { listener, head, sent_fields };
    match found.find(client) {
        Some(routed) => admit_routed(client, generation, &inbound, routed, place, buffer, record),
        None => unrouted(client, &inbound, &found, place, buffer, record),
    }
}
