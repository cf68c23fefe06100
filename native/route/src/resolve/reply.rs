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

#[cfg(test)]
mod tests {
    use super::{denied, edited_response, fields_of, located, owned, owned_answer};
    use crate::policy::{Denial, Reason};
    use crate::resolve::Reply;
    use crate::samples::{lines, pairs};
    use crate::table::Filters;
    use codec::Field;
    use serde_json::json;

    #[test]
    fn a_refusal_has_the_status_of_its_reason_unless_it_says_another() {
        for (status, expected) in [(None, 403), (Some(418), 418)] {
            let fields = vec![("www-authenticate".into(), b"Basic".to_vec())];
            let decision = denied(Denial { reason: Reason::Forbidden, status, fields });
            assert_eq!((decision.outcome, decision.status, decision.reason), ("respond", expected, "forbidden"));
            let headers = pairs(&[("www-authenticate", "Basic")]);
            assert_eq!(decision.response, Some(Reply { status: expected, headers }));
        }
    }

    /// The first rewrite that fits, of the rule and then of the backendRef; other fields stay as they are.
    #[test]
    fn a_location_is_that_which_clients_see() {
        let rewrite = |prefix: &str, replacement: &str| {
            let location = json!([{"prefix": prefix, "replacement": replacement}]);
            Filters::of_one(json!({"type": "response_rewrite", "location": location}))
        };
        let (rule, backend, none) = (rewrite("http://b/", "/r/"), rewrite("http://b/", "/b/"), Filters::default());
        let headers = pairs(&[("x-from", "http://b/c"), ("Location", "http://b/c")]);
        let sample = Reply { status: 302, headers };
        for (both, expected) in
            [([&rule, &backend], "/r/c"), ([&none, &backend], "/b/c"), ([&none, &none], "http://b/c")]
        {
            let headers = pairs(&[("x-from", "http://b/c"), ("Location", expected)]);
            assert_eq!(located(&sample, &both), Reply { status: 302, headers }, "{expected}");
        }
    }

    /// Each edit sees what those before it left; the fields of CORS come last, whatever edits say of them.
    #[test]
    fn edits_act_in_their_order() {
        let edits = |value: &str| {
            let (set, add) = (json!([{"name": "x-set", "value": value}]), json!([{"name": "x-add", "value": value}]));
            Filters::of_one(
                json!({"type": "response_headers", "set": set, "add": add, "remove": [format!("x-{value}")]}),
            )
        };
        let (one, two) = (edits("one"), edits("two"));
        let origin = json!([{"name": "access-control-allow-origin", "value": "*"}]);
        let open = Filters::of_one(json!({"type": "response_headers", "set": origin}));
        let sample = Reply { status: 201, headers: pairs(&[("X-Two", "1"), ("x-set", "0"), ("x-a", "1")]) };
        let cors = vec![("access-control-allow-origin", "https://a.test".to_owned())];
        let reply = edited_response(&sample, &[(&one, &[]), (&two, &[]), (&open, &[])], Some(cors));
        let expected = [
            ("x-a", "1"),
            ("x-add", "one"),
            ("x-set", "two"),
            ("x-add", "two"),
            ("access-control-allow-origin", "https://a.test"),
        ];
        assert_eq!(reply, Reply { status: 201, headers: pairs(&expected) });
        assert_eq!(edited_response(&sample, &[], None), sample);
    }

    /// Whatever a backend or a policy writes can be shown.
    #[test]
    fn octets_become_text() {
        let broken = [Field { name: b"x-a", value: b"\xff1" }];
        let shown = pairs(&[("x-a", "\u{fffd}1")]);
        assert_eq!(owned(&broken), shown);
        assert_eq!(owned_answer(&[("x-a".into(), b"\xff1".to_vec())]), shown);
        let sent = pairs(&[("X-A", "1"), ("x-a", "2")]);
        assert_eq!(lines(&fields_of(&sent).collect::<Vec<_>>()), ["X-A: 1", "x-a: 2"]);
    }
}
