//! Answers of `decide`: what the gateway writes, and what filters make of it and of a backend's.

use super::contract::{Decision, Headers, Reply};
use super::{CorsFields, set_cors};
use crate::policy::{AnswerField, Denial};
use crate::response_rewrite::rewritten_fields;
use crate::table::{EditedFields, Filters, MadeValue};
use codec::Field;

/// Edits with what their expressions came to.
pub(super) type Edits<'e> = (&'e Filters, &'e [MadeValue]);

/// How a policy refuses.
pub(super) fn denied(denial: Denial) -> Decision {
    let Denial { reason, status, fields } = denial;
    let mut decision = Decision::respond(status.unwrap_or(reason.status()), reason.name());
    if let Some(response) = &mut decision.response {
        response.headers = owned_answer(&fields);
    }
    decision
}

/// What a backend says of where it is, as its clients see it.
pub(super) fn located(sample: &Reply, both: &[&Filters; 2]) -> Reply {
    let sent: Vec<Field<'_>> = fields_of(&sample.headers).collect();
    let rewrites = both.iter().filter_map(|filters| filters.response_rewrite.as_ref());
    let rewritten = rewritten_fields(rewrites, &sent);
    let mut fields: EditedFields<'_> = sent.iter().copied().collect();
    for (at, value) in &rewritten {
        fields[*at].value = value;
    }
    Reply { status: sample.status, headers: owned(&fields) }
}

/// Edits in their order: of the rule, of the backendRef, of the listener.
pub(super) fn edited_response(sample: &Reply, all: &[Edits<'_>], cors: Option<CorsFields>) -> Reply {
    let mut fields: EditedFields<'_> = fields_of(&sample.headers).collect();
    for (filters, made) in all {
        filters.response.iter().for_each(|edits| edits.apply(&mut fields, made));
    }
    set_cors(&mut fields, cors.as_deref().unwrap_or_default());
    Reply { status: sample.status, headers: owned(&fields) }
}

pub(super) fn fields_of(headers: &Headers) -> impl Iterator<Item = Field<'_>> {
    headers.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
}

pub(super) fn owned(fields: &[Field<'_>]) -> Headers {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|field| (text(field.name), text(field.value))).collect()
}

pub(super) fn owned_answer(fields: &[AnswerField]) -> Headers {
    fields.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value).into_owned())).collect()
}
