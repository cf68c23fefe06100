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

#[cfg(test)]
mod tests {
    use crate::resolve::Message;
    use crate::samples::{ask, listener, pairs, rule, table};
    use serde_json::{Value, json};

    #[test]
    fn shares_of_the_weights_are_each_their_own_answer() {
        let weighted = json!([
            {"backend": "b", "weight": 1}, {"weight": 1}, {"backend": "b", "weight": 0}, {"backend": "none", "weight": 2},
        ]);
        let backends = json!([{"id": "b"}, {"id": "none"}]);
        let table = table(json!([rule("r", json!({"backends": weighted}))]), json!({"backends": backends}));
        for (entropy, status, reason, backend, endpoints) in [
            (0, 0, "forwarded", 0, &["e"][..]),
            (1, 500, "backend_invalid", 1, &[]),
            (2, 503, "no_endpoint", 3, &[]),
            (3, 503, "no_endpoint", 3, &[]),
            (4, 0, "forwarded", 0, &["e"]),
        ] {
            let decision = ask(&table, json!({"entropy": entropy}));
            assert_eq!((decision.status, decision.reason), (status, reason), "{entropy}");
            assert_eq!(decision.backend, Some(backend), "{entropy}");
            assert_eq!(decision.endpoints, endpoints, "{entropy}");
        }
        for backends in [json!([]), json!([{"backend": "b", "weight": 0}])] {
            let table = self::table(json!([rule("r", json!({"backends": backends}))]), json!({}));
            let decision = ask(&table, json!({"entropy": 3}));
            assert_eq!((decision.status, decision.reason, decision.backend), (500, "no_backend", None), "{backends}");
        }
    }

    /// Of a rule and of its backendRef, with these of the listener, for `/a/b?c=d`.
    fn sent(of_rule: Value, of_backend: Value, of_listener: Value, headers: Value) -> Message {
        let rule = rule(
            "r",
            json!({"filters": of_rule, "matches": [{"path": {"type": "PathPrefix", "value": "/a"}}],
                "backends": [{"backend": "b", "weight": 1, "filters": of_backend}],
                "session": {"carrier": {"type": "Cookie", "name": "s", "path": "/"}}}),
        );
        let table = table(json!([rule]), json!({"listeners": [listener("l", 80, json!({"filters": of_listener}))]}));
        ask(&table, json!({"target": "/a/b?c=d", "headers": headers})).request.unwrap()
    }

    /// The later one of two counts: of the rule, then of the backendRef.
    #[test]
    fn what_filters_make_of_the_target_and_the_authority() {
        let prefix = |value: &str| json!({"type": "rewrite", "path": {"type": "ReplacePrefixMatch", "value": value}});
        let host = |name: &str| json!({"type": "rewrite", "hostname": name});
        let set = |name: &str| json!({"type": "request_headers", "set": [{"name": "Host", "value": name}]});
        for (of_rule, of_backend, authority, target) in [
            (json!([]), json!([]), "a.test", "/a/b?c=d"),
            (json!([prefix("/x")]), json!([]), "a.test", "/x/b?c=d"),
            // The prefix is that of the path which was matched.
            (json!([prefix("/long/x")]), json!([prefix("/y")]), "a.test", "/y/b?c=d"),
            (json!([host("r.test")]), json!([]), "r.test", "/a/b?c=d"),
            (json!([host("r.test")]), json!([host("b.test")]), "b.test", "/a/b?c=d"),
            (json!([host("r.test"), set("s.test")]), json!([prefix("/y")]), "s.test", "/y/b?c=d"),
        ] {
            let sent = sent(of_rule.clone(), of_backend.clone(), json!([]), json!([]));
            assert_eq!((&*sent.authority, &*sent.target), (authority, target), "{of_rule} {of_backend}");
            assert_eq!(sent.headers, [], "{of_rule} {of_backend}");
        }
    }

    /// What a client says of where it comes from is gone, and its session; what a filter says there is not.
    #[test]
    fn fields_that_are_forwarded() {
        let set = |name: &str, value: &str| json!({"type": "request_headers", "set": [{"name": name, "value": value}]});
        let headers = json!([
            ["X-Forwarded-For", "6.6.6.6"],
            ["x_real_ip", "6.6.6.6"],
            ["forwarded", "for=6.6.6.6"],
            ["x-a", "1"],
            ["cookie", "s=1; t=2"],
            ["x-a", "2"],
            ["x-b", "1"],
        ]);
        let sent = sent(
            json!([set("x-b", "rule"), set("x-c", "rule")]),
            json!([set("x-c", "backend")]),
            json!([set("x-forwarded-proto", "https")]),
            headers,
        );
        let expected = [
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-forwarded-proto", "https"),
            ("cookie", "t=2"),
            ("x-b", "rule"),
            ("x-c", "backend"),
        ];
        assert_eq!(sent.headers, pairs(&expected));
    }

    /// A path that a pattern has made too long or none is not sent on.
    #[test]
    fn a_rewrite_that_makes_no_path_is_refused() {
        let filters = json!([{"type": "rewrite", "substitution": {"pattern": "/", "replacement": "/abcdefgh"}}]);
        let table = table(json!([rule("r", json!({"filters": filters}))]), json!({}));
        let decision = ask(&table, json!({"target": "/a/b"}));
        assert_eq!(decision.request.unwrap().target, "/abcdefgha/abcdefghb");
        let decision = ask(&table, json!({"target": "/x".repeat(32_000)}));
        assert_eq!((decision.status, decision.reason, decision.backend), (400, "bad_request", Some(0)));
    }

    #[test]
    fn mirrors_get_their_part() {
        let mirror = |backend: &str, part: u32| {
            json!({"type": "mirror", "backend": backend,
            "percentage": {"numerator": part, "denominator": 4}})
        };
        let filters = json!([mirror("m", 4), mirror("n", 0), mirror("o", 1)]);
        let backends = json!([{"id": "b"}, {"id": "m"}, {"id": "n"}, {"id": "o"}]);
        let of_backend = json!([{"backend": "b", "weight": 1, "filters": [mirror("m", 4)]}]);
        let rules = json!([rule("r", json!({"filters": filters, "backends": of_backend}))]);
        let table = table(rules, json!({"backends": backends}));
        let copies: Vec<String> = (0..4).flat_map(|turn| ask(&table, json!({"entropy": 7 * turn})).mirrors).collect();
        let of = |name: &str| copies.iter().filter(|copy| *copy == name).count();
        assert_eq!([of("m"), of("n"), of("o")], [8, 0, 1]);
    }

    /// Of the rule, of the backendRef, then of the listener; without a sample there is nothing to show.
    #[test]
    fn what_becomes_of_the_response() {
        let set = |value: &str| json!([{"type": "response_headers", "set": [{"name": "x-by", "value": value}]}]);
        for (of_rule, of_backend, of_listener, by) in [
            (set("r"), json!([]), json!([]), "r"),
            (set("r"), set("b"), json!([]), "b"),
            (set("r"), set("b"), set("l"), "l"),
            (json!([]), json!([]), json!([]), "backend"),
        ] {
            let backends = json!([{"backend": "b", "weight": 1, "filters": of_backend}]);
            let rules = json!([rule("r", json!({"filters": of_rule, "backends": backends}))]);
            let table = table(rules, json!({"listeners": [listener("l", 80, json!({"filters": of_listener}))]}));
            let response = json!({"status": 201, "headers": [["x-by", "backend"]]});
            let shown = ask(&table, json!({"response": response})).response.unwrap();
            assert_eq!((shown.status, shown.headers), (201, pairs(&[("x-by", by)])));
            assert_eq!(ask(&table, json!({})).response, None);
        }
    }
}
