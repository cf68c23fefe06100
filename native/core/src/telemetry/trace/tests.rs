//! Traces as their receivers see them.

use super::{
    Ended, Ids, MAX_MOMENTS, MAX_QUESTIONS, MAX_TRIES, Percentage, Seen, Trace, TryEnded, host_and_port, path_of,
};
use crate::telemetry::samples::{Received, collector, spans};
use codec::Field;
use route::table::{Formats, Traces};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

const PARENT: Field<'static> =
    Field { name: b"traceparent", value: b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" };

fn seen<'s>(method: &'s str, target: &'s [u8], fields: &'s [Field<'s>]) -> Seen<'s> {
    Seen {
        started: Instant::now(),
        method,
        target,
        authority: b"shop.test:8080",
        scheme: "http",
        port: 80,
        version: "1.1",
        fields,
        client: "203.0.113.9",
        peer: ("192.0.2.1", 4711),
    }
}

fn ended(status: u16, error: Option<&'static str>) -> Ended<'static> {
    Ended {
        at: Instant::now(),
        status,
        error,
        path: Some("/shop"),
        route: Some("HTTPRoute/a/r"),
        listener: Some("Gateway/a/g/http"),
        grpc_status: None,
    }
}

fn url() -> String {
    "http://shop.test/shop".to_owned()
}

fn endpoint(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 8080).into()
}

fn traced(more: &Value, seen: &Seen<'_>, then: impl FnOnce(&mut Trace, &Ids), ended: &Ended<'_>) -> Vec<Received> {
    let ids = Ids::default();
    let mut trace = Trace::begin(&collector(more), &ids, seen, Traces::default());
    then(&mut trace, &ids);
    let (octets, count) = trace.end(ended).unwrap();
    let found = spans(&octets);
    assert_eq!(found.len() as u64, count);
    assert!(trace.end(ended).is_none(), "nothing is told twice");
    found
}

#[test]
fn a_request_and_its_tries() {
    let user_agent = Field { name: b"User-Agent", value: b"curl/8" };
    let fields = [PARENT, Field { name: b"tracestate", value: b"v=1" }, user_agent];
    let tries = |trace: &mut Trace, ids: &Ids| {
        for (last, how) in [
            (1, TryEnded { status: 0, error: Some("upstream_connect") }),
            (2, TryEnded { status: 503, error: None }),
            (3, TryEnded { status: 200, error: None }),
        ] {
            trace.begin_try(ids, endpoint(last), Instant::now(), url).unwrap();
            trace.end_try(Instant::now(), how);
        }
    };
    let all = traced(&json!({}), &seen("GET", b"/shop/1?card=4711", &fields), tries, &ended(200, None));
    let [server, tries @ ..] = &all[..] else { panic!("{all:?}") };
    assert_eq!((server.kind, server.name.as_str(), server.state.as_str()), (2, "GET /shop", "v=1"));
    assert_eq!(server.parent, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
    assert!(!server.failed && !server.attributes.contains_key("error.type"));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/shop/1"),
        ("http.route", "/shop"),
        ("http.response.status_code", "200"),
        ("server.address", "shop.test"),
        ("server.port", "8080"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("client.address", "203.0.113.9"),
        ("network.peer.address", "192.0.2.1"),
        ("network.peer.port", "4711"),
        ("sluicegate.route", "HTTPRoute/a/r"),
        ("sluicegate.listener", "Gateway/a/g/http"),
    ] {
        assert_eq!(server.attribute(key), value, "{key}");
    }
    // What stands in a query is nobody else's business.
    assert!(!format!("{all:?}").contains("4711?") && !format!("{all:?}").contains("card"));
    let outline: Vec<_> = tries
        .iter()
        .map(|it| {
            assert_eq!((it.kind, it.name.as_str(), &it.parent, &it.trace), (3, "GET", &server.span, &server.trace));
            let of = |key| it.attribute(key);
            (
                of("server.address"),
                of("http.request.resend_count"),
                of("http.response.status_code"),
                of("error.type"),
                it.failed,
            )
        })
        .collect();
    assert_eq!(
        outline,
        [
            ("10.0.0.1", "", "", "upstream_connect", true),
            ("10.0.0.2", "1", "503", "503", true),
            ("10.0.0.3", "2", "200", "", false),
        ]
    );
    assert!(tries.iter().all(|it| it.attribute("url.full") == url()));
    let mut spans: Vec<_> = all.iter().map(|it| &it.span).collect();
    spans.dedup();
    assert_eq!(spans.len(), 4);
}

/// Clients make no names: of methods, of spans, of attributes.
#[test]
fn what_clients_have_no_say_in() {
    let long = "x".repeat(100_000);
    let agent = Field { name: b"user-agent", value: long.as_bytes() };
    let fields = [agent];
    let path = format!("/{long}");
    let all = traced(&json!({}), &seen("BREW", path.as_bytes(), &fields), |_, _| {}, &ended(404, None));
    assert_eq!(all[0].name, "HTTP /shop");
    assert_eq!(all[0].attribute("http.request.method"), "_OTHER");
    assert_eq!(all[0].attribute("http.request.method_original"), "BREW");
    assert!(all[0].attribute("url.path").len() <= 1024 && all[0].attribute("user_agent.original").len() <= 1024);
    assert!(!all[0].failed, "a client's error is none of a server's span");
    let small = traced(
        &json!({}),
        &seen("get", b"*", &[]),
        |_, _| {},
        &Ended { path: None, ..ended(400, Some("bad_request")) },
    );
    assert_eq!((small[0].name.as_str(), small[0].attribute("http.request.method_original")), ("HTTP", "get"));
    assert_eq!(small[0].attribute("sluicegate.error"), "bad_request");
}

#[test]
fn what_is_an_error() {
    for (status, error, expected) in [
        (200, None, ""),
        (404, Some("no_route"), ""),
        (500, None, "500"),
        (503, Some("upstream_connect"), "upstream_connect"),
        (499, Some("client_gone"), "client_gone"),
    ] {
        let all = traced(&json!({}), &seen("GET", b"/", &[]), |_, _| {}, &ended(status, error));
        assert_eq!((all[0].attribute("error.type"), all[0].failed), (expected, !expected.is_empty()), "{status}");
    }
}

/// A request that was cancelled ends its try with it.
#[test]
fn a_try_without_an_end_ends_with_its_request() {
    let begin =
        |trace: &mut Trace, ids: &Ids| assert!(trace.begin_try(ids, endpoint(1), Instant::now(), url).is_some());
    let all = traced(&json!({}), &seen("GET", b"/", &[]), begin, &ended(499, Some("client_gone")));
    assert_eq!((all[1].attribute("error.type"), all[1].failed), ("client_gone", true));
}

#[test]
fn the_attributes_of_a_policy() {
    let attribute = |name: &str, source: Value| json!({"name": name, "source": source});
    let more = json!({"span_name": "edge", "attributes": [
        attribute("tenant", json!({"type": "header", "name": "x-tenant"})),
        attribute("absent", json!({"type": "header", "name": "x-absent"})),
        attribute("env", json!({"type": "literal", "value": "prod"})),
        attribute("status", json!({"type": "attribute", "key": "http.response.status_code"})),
        attribute("nothing", json!({"type": "attribute", "key": "no.such.key"})),
        attribute("path", json!({"type": "attribute", "key": "url.path"})),
        attribute("url.scheme", json!({"type": "literal", "value": "ours"})),
    ]});
    let fields = [Field { name: b"X-Tenant", value: b"a" }, Field { name: b"x-tenant", value: b"b\xff" }];
    let begin = |trace: &mut Trace, ids: &Ids| {
        trace.begin_try(ids, endpoint(1), Instant::now(), url);
        trace.end_try(Instant::now(), TryEnded { status: 502, error: None });
    };
    let all = traced(&more, &seen("GET", b"/a", &fields), begin, &ended(500, None));
    assert_eq!(all[0].name, "edge");
    for (span, status) in all.iter().zip(["500", "502"]) {
        for (key, value) in [
            ("tenant", "a, b\u{fffd}"),
            ("absent", ""),
            ("env", "prod"),
            ("status", status),
            ("nothing", ""),
            ("path", "/a"),
            ("url.scheme", "ours"),
        ] {
            assert_eq!(span.attribute(key), value, "{key}");
        }
    }
}

/// What has no place is counted, and changes nothing else.
#[test]
fn much_of_everything() {
    let much = |trace: &mut Trace, ids: &Ids| {
        for at in 0..MAX_TRIES + 3 {
            assert_eq!(trace.begin_try(ids, endpoint(1), Instant::now(), url).is_some(), at < MAX_TRIES);
            trace.end_try(Instant::now(), TryEnded { status: if at < MAX_TRIES { 503 } else { 200 }, error: None });
        }
        for _ in 0..MAX_MOMENTS + 5 {
            trace.moment("policy.passed", || "jwt of AccessPolicy/a/p".to_owned(), None);
        }
    };
    let all = traced(&json!({}), &seen("GET", b"/", &[]), much, &ended(200, None));
    assert_eq!((all.len(), all[0].events.len()), (1 + MAX_TRIES, MAX_MOMENTS));
    assert_eq!(all[0].attribute("sluicegate.untold_tries"), "3");
    assert!(all[1..].iter().all(|it| it.attribute("http.response.status_code") == "503"));
    assert_eq!(all[0].events[0].1["sluicegate.policy"], "jwt of AccessPolicy/a/p");
}

/// Who is not sampled has a context all the same.
#[test]
fn what_is_not_sampled_is_not_recorded() {
    let (ids, nobody) = (Ids::default(), json!({"sampling": {"numerator": 0, "denominator": 1}}));
    let fields = [PARENT];
    let mut trace = Trace::begin(&collector(&nobody), &ids, &seen("GET", b"/", &fields), Traces::default());
    assert!(!trace.is_recorded() && trace.context.to_fields()[0].value.ends_with(b"-00"));
    assert_eq!(&trace.context.trace.hex(), b"4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(trace.begin_try(&ids, endpoint(1), Instant::now(), url), None);
    trace.moment("policy.passed", || panic!("nobody asks"), None);
    assert!(trace.end(&ended(200, None)).is_none());
}

#[test]
fn times_go_forward() {
    let started = Instant::now();
    let seen = Seen { started, ..seen("GET", b"/", &[]) };
    let mut trace = Trace::begin(&collector(&json!({})), &Ids::default(), &seen, Traces::default());
    let early = Ended { at: started.checked_sub(Duration::from_secs(1)).unwrap(), ..ended(200, None) };
    assert_eq!(spans(&trace.end(&early).unwrap().0).len(), 1);
}

#[test]
fn parts_of_heads() {
    for (target, path) in [
        (&b"/a?b"[..], &b"/a"[..]),
        (b"http://a.test/b/c?d=/", b"/b/c"),
        (b"http://a.test", b"/"),
        (b"http://a.test?b", b"/"),
        (b"*", b"*"),
        (b"/a://b", b"/a://b"),
    ] {
        assert_eq!(path_of(target), path, "{}", target.escape_ascii());
    }
    for (authority, host, port) in [
        (&b"a.test"[..], "a.test", None),
        (b"a.test:81", "a.test", Some(81)),
        (b"[2001:db8::1]", "[2001:db8::1]", None),
        (b"[2001:db8::1]:81", "[2001:db8::1]", Some(81)),
        (b"a.test:x", "a.test", None),
        (b"", "", None),
    ] {
        assert_eq!(host_and_port(authority), (host.into(), port));
    }
}

/// A share of a rule changes what was drawn, once, and nothing once somebody else was told.
#[test]
fn the_share_of_a_rule() {
    let share = |numerator| Percentage { numerator, denominator: 100 };
    let seen = seen("GET", b"/", &[]);
    let begin = |more: &Value, sampling| {
        let traces = Traces { sampling, ..Traces::default() };
        Trace::begin(&collector(more), &Ids::default(), &seen, traces)
    };
    let none = json!({"sampling": {"numerator": 0, "denominator": 1}});
    // Its listener's stands in place of the policy's.
    assert!(begin(&none, Some(share(100))).is_recorded() && !begin(&json!({}), Some(share(0))).is_recorded());
    let mut more = begin(&none, None);
    assert!(more.sample(share(100)) && more.context.sampled);
    more.record(&seen);
    assert!(!more.sample(share(100)) && !more.sample(share(0)), "once is enough");
    assert_eq!(spans(&more.end(&ended(200, None)).unwrap().0).len(), 1);
    let mut less = begin(&json!({}), None);
    assert!(!less.sample(share(0)) && !less.context.sampled && !less.is_recorded());
    let mut told = begin(&json!({}), None);
    told.begin_question(&Ids::default(), || "external of AccessPolicy/a/p".to_owned());
    assert!(!told.sample(share(0)) && told.context.sampled && told.is_recorded());
    let mut told = begin(&none, None);
    told.begin_question(&Ids::default(), String::new);
    assert!(!told.sample(share(100)) && !told.context.sampled);
}

/// Of a client that is believed alone somebody else is told that it debugs.
#[test]
fn who_debugs() {
    let field = Field { name: b"b3", value: b"d" };
    let parent =
        json!({"sampling": {"numerator": 0, "denominator": 1}, "parent_sampling": {"numerator": 1, "denominator": 1}});
    let ids = Ids::default();
    let traces = Traces { formats: Formats { b3: true, b3_multi: false }, ..Traces::default() };
    for (policy, sampled, debug) in [(json!({}), true, false), (parent, true, true)] {
        let trace = Trace::begin(&collector(&policy), &ids, &seen("GET", b"/", &[field]), traces);
        assert_eq!((trace.context.sampled, trace.context.debug), (sampled, debug), "{policy}");
        let said = trace.context.to_fields();
        let last = String::from_utf8(said[1].value.clone()).unwrap();
        assert_eq!((said[1].name, last.ends_with("-d")), ("b3", debug));
        assert_eq!(trace.context.parent, None, "it says nothing but that");
    }
}

/// What is asked about a request has a span of its own, as a try has; what nobody was asked has none.
#[test]
fn questions_have_spans() {
    let ids = Ids::default();
    let ask = |trace: &mut Trace, how: Option<(TryEnded, Option<u32>)>| {
        let question = trace.begin_question(&ids, || "external of AccessPolicy/a/p".to_owned());
        question.begin("POST", || "http://auth.test/check".to_owned());
        question.asks(endpoint(9));
        if let Some((how, grpc)) = how {
            question.end(how, grpc);
        }
        String::from_utf8(question.fields()[0].value.clone()).unwrap()
    };
    let mut told = Vec::new();
    let all = traced(
        &json!({}),
        &seen("GET", b"/", &[PARENT]),
        |trace, _| {
            let said = |status, error| TryEnded { status, error };
            told.push(ask(trace, Some((said(200, None), Some(0)))));
            told.push(ask(trace, Some((said(200, None), Some(7)))));
            told.push(ask(trace, Some((said(403, None), None))));
            told.push(ask(trace, Some((said(0, Some("auth_unavailable")), None))));
            told.push(ask(trace, None));
            // Nobody was asked.
            trace.begin_question(&ids, String::new);
        },
        &ended(499, Some("client_gone")),
    );
    let [server, questions @ ..] = &all[..] else { panic!("{all:?}") };
    let outline: Vec<_> = questions
        .iter()
        .map(|it| (it.attribute("http.response.status_code"), it.attribute("error.type"), it.failed))
        .collect();
    let expected = [
        ("200", "", false),
        ("200", "7", true),
        ("403", "403", true),
        ("", "auth_unavailable", true),
        ("", "client_gone", true),
    ];
    assert_eq!(outline, expected);
    assert_eq!(questions[1].attribute("rpc.grpc.status_code"), "7");
    for (question, told) in questions.iter().zip(&told) {
        assert_eq!((question.kind, question.name.as_str(), &question.parent), (3, "POST", &server.span));
        let span = question.span.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(told, &format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01"));
        for (key, value) in [
            ("http.request.method", "POST"),
            ("url.full", "http://auth.test/check"),
            ("server.address", "10.0.0.9"),
            ("sluicegate.policy", "external of AccessPolicy/a/p"),
        ] {
            assert_eq!(question.attribute(key), value, "{key}");
        }
    }
}

/// More questions than have a span tell the request's.
#[test]
fn questions_have_an_end() {
    let ids = Ids::default();
    let mut last = String::new();
    let all = traced(
        &json!({}),
        &seen("GET", b"/", &[]),
        |trace, _| {
            for _ in 0..MAX_QUESTIONS + 3 {
                let question = trace.begin_question(&ids, String::new);
                question.begin("BREW", String::new);
                last = String::from_utf8(question.fields()[0].value[36..52].to_vec()).unwrap();
            }
            assert_eq!(last.as_bytes(), trace.context.span.hex());
        },
        &ended(200, None),
    );
    assert_eq!(all.len(), 1 + MAX_QUESTIONS);
    assert_eq!((all[1].name.as_str(), all[1].attribute("http.request.method_original")), ("HTTP", "BREW"));
}
