//! A request that goes to a backend: which one, and what is sent there.

use super::contract::{Decision, Message};
use super::reply::{Edits, edited_response, located, owned};
use super::ruled::Ruled;
use super::{NoPath, Picked, cors_response, edit_request, pick};
use crate::ir::Session;
use crate::policy::{Passage, Stripped};
use crate::session;
use crate::table::{EditedFields, Table};
use codec::{Field, is_forwarding_name};
use std::borrow::Cow;

/// Decide on a request that its policies let pass, and that no filter answers.
pub(super) fn forward(table: &Table, ruled: &Ruled<'_>, passage: &Passage<'_>) -> Decision {
    let Ruled { request, found, head, .. } = *ruled;
    let slot = if found.rule.total_weight == 0 { 0 } else { request.entropy % found.rule.total_weight };
    let (index, chosen, backend) = match pick(table, found, slot) {
        Picked::NoBackend => return Decision::respond(500, "no_backend"),
        Picked::Invalid(index) => {
            return Decision { backend: Some(index), ..Decision::respond(500, "backend_invalid") };
        }
        Picked::NoEndpoint(index) => {
            return Decision { backend: Some(index), ..Decision::respond(503, "no_endpoint") };
        }
        Picked::Backend(index, chosen, backend) => (index, chosen, backend),
    };
    let both = [&found.rule.filters, &chosen.filters];
    let mirrors = both.iter().flat_map(|filters| &filters.mirrors).enumerate();
    let mirrors = mirrors.filter(|(at, mirror)| {
        let denominator = u64::from(mirror.percentage.denominator.max(1));
        (request.entropy / 7 + *at as u64 * 13) % denominator < u64::from(mirror.percentage.numerator)
    });
    let session = backend.session(&found.rule.ir);
    let made = both.map(|filters| filters.make(|| ruled.inputs(passage)));
    let edits = [(both[0], &*made[0]), (both[1], &*made[1])];
    let mut passage = passage.clone();
    passage.chosen(index);
    let Ok(sent) = forwarded(ruled, &edits, &passage, session) else {
        return Decision { backend: Some(index), ..Decision::respond(400, "bad_request") };
    };
    Decision {
        outcome: "forward",
        status: 0,
        reason: "forwarded",
        backend: Some(index),
        endpoints: backend.endpoint_ids(),
        request: Some(sent),
        mirrors: mirrors.map(|(_, mirror)| mirror.backend.clone()).collect(),
        response: request.response.as_ref().map(|sample| {
            let cors = both.iter().find_map(|filters| filters.cors.as_ref()).map(|cors| cors_response(cors, head));
            let last = ruled.made(&passage).listener;
            let all: Vec<Edits<'_>> =
                edits.into_iter().chain(ruled.listener.answers().map(|own| (own, &*last))).collect();
            edited_response(&located(sample, &both), &all, cors)
        }),
        ..Decision::respond(0, "")
    }
}

/// What a client says of where it comes from is never sent on as it is.
fn forwarded(
    ruled: &Ruled<'_>,
    edits: &[Edits<'_>; 2],
    passage: &Passage<'_>,
    session: Option<&Session>,
) -> Result<Message, NoPath> {
    let Ruled { found, head, sent_fields, .. } = *ruled;
    let (sent, set) = head.fields.split_at(sent_fields);
    let kept = sent.iter().filter(|field| !is_forwarding_name(field.name));
    let mut removed = passage.removed.clone();
    if let Some(removal) = session.and_then(|session| session::removal(session, head.fields)) {
        removed.push(removal);
    }
    let stripped = Stripped::of(&removed, head.fields, head.query);
    let mut fields: EditedFields<'_> = kept.chain(set).copied().collect();
    let mut query = head.query;
    stripped.apply(&mut fields, &mut query);
    fields.extend(passage.forward.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
    let mut authority = String::from_utf8_lossy(head.authority);
    let mut path = Cow::Borrowed(head.path);
    for &(filters, made) in edits {
        let edited = edit_request(filters, made, &mut fields, head.path, found.prefix_length)?;
        if let Some(host) = edited.authority {
            authority = Cow::Borrowed(host);
        }
        if let Some(new_path) = edited.path {
            path = Cow::Owned(new_path);
        }
    }
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    Ok(Message { method: head.method.to_owned(), authority: authority.into_owned(), target, headers: owned(&fields) })
}
