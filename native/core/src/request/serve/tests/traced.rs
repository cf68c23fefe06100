//! Requests to a listener that is traced: what their backends are told, and which spans are left.

use super::gateway::{Gateway, run};
use crate::dispatch::scripted::{CLOSE, OK, UNAVAILABLE};
use crate::message::scripted::Body;
use crate::telemetry::samples::{Received, policy, spans};
use serde_json::{Value, json};
use tokio::time::Instant;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SENT: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

/// What comes of a request: the `traceparent` of each one that came to the backend, and the spans.
async fn trace(gateway: &Gateway, head: &str) -> (Vec<String>, Vec<Received>) {
    let before = gateway.app.asked().len();
    gateway.serve(head, Body::None).await;
    let asked = gateway.app.asked();
    let parent = |asked: &String| {
        let mut all = asked.lines().filter_map(|line| line.strip_prefix("traceparent: "));
        let (only, other) = (all.next().unwrap_or_default().to_owned(), all.next());
        assert_eq!(other, None, "{asked}");
        only
    };
    let batch = gateway.client.worker.outboxes.take(Instant::now(), true);
    let found = batch.map_or_else(Vec::new, |(to, batch)| {
        gateway.client.worker.outboxes.done(&to, None, Instant::now());
        spans(&batch.octets)
    });
    (asked[before..].iter().map(parent).collect(), found)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn traced(more: &Value) -> Value {
    policy(more)
}

/// Each try is told its own span, so that whoever answers is the child of just that.
#[test]
fn tries_are_told_apart() {
    run(false, async {
        let gateway = Gateway::traced(&[UNAVAILABLE, CLOSE, OK], &[], traced(&json!({}))).await;
        let (told, spans) = trace(&gateway, &format!("GET /retried, {SENT}-01")).await;
        let [server, tries @ ..] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(
            (told.len(), hex(&server.trace), hex(&server.parent)),
            (3, TRACE.to_owned(), "00f067aa0ba902b7".to_owned())
        );
        let expected: Vec<_> = tries.iter().map(|it| format!("00-{TRACE}-{}-01", hex(&it.span))).collect();
        assert_eq!(told, expected);
        let statuses: Vec<_> = tries.iter().map(|it| it.attribute("http.response.status_code")).collect();
        assert_eq!((statuses, server.attribute("http.response.status_code")), (vec!["503", "", "200"], "200"));
        assert_eq!(tries[1].attribute("error.type"), "upstream_reset");
        assert_eq!(tries[1].attribute("url.full"), "http://a.test/retried");
        assert_eq!((server.name.as_str(), server.attribute("http.route")), ("GET /retried", "/retried"));
    });
}

/// A client's own word is taken for which trace it is, and for nothing else.
#[test]
fn contexts_that_go_on() {
    let nobody = json!({"sampling": {"numerator": 0, "denominator": 1}});
    let obeyed =
        json!({"sampling": {"numerator": 0, "denominator": 1}, "parent_sampling": {"numerator": 1, "denominator": 1}});
    let sampled = format!("GET /app, {SENT}-01, tracestate: v=1");
    let unsampled = format!("GET /app, {SENT}-00");
    for (policy, head, of_client, flag, recorded) in [
        (json!({}), "GET /app", false, "01", 2),
        (json!({}), &unsampled, true, "01", 2),
        (nobody.clone(), "GET /app", false, "00", 0),
        (nobody.clone(), &sampled, true, "00", 0),
        (obeyed.clone(), &sampled, true, "01", 2),
        (obeyed.clone(), &unsampled, true, "00", 0),
        (obeyed, "GET /app", false, "00", 0),
        // What is no context: a new trace.
        (nobody.clone(), &format!("{sampled}, {SENT}-01"), false, "00", 0),
        (nobody.clone(), "GET /app, traceparent: 00-0-0-01, tracestate: v=1", false, "00", 0),
    ] {
        run(false, async {
            let gateway = Gateway::traced(&[OK], &[], traced(&policy)).await;
            let (told, spans) = trace(&gateway, head).await;
            assert_eq!(
                (told[0].contains(TRACE), &told[0][53..], spans.len()),
                (of_client, flag, recorded),
                "{policy} {head}"
            );
            assert_eq!(told[0].len(), 55);
            let state = gateway.app.asked()[0].lines().any(|line| line == "tracestate: v=1");
            assert_eq!(state, of_client && head.contains("tracestate"), "{head}");
        });
    }
}

/// What is answered here is traced too, with its reason; what no rule takes has no route.
#[test]
fn answers_of_our_own() {
    run(false, async {
        let gateway = Gateway::traced(&[], &[], traced(&json!({}))).await;
        for (head, status, error, route) in [
            ("GET /none", "404", "no_route", ""),
            ("GET /gone", "410", "", "/gone"),
            ("GET /empty", "503", "no_endpoint", "/empty"),
        ] {
            let (_, spans) = trace(&gateway, head).await;
            assert_eq!(spans.len(), 1, "{head}");
            let of = |key| spans[0].attribute(key);
            assert_eq!(
                (of("http.response.status_code"), of("sluicegate.error"), of("http.route")),
                (status, error, route)
            );
        }
        // Nobody knows whose listener it would have been.
        let (_, spans) = trace(&gateway, "GET /a/../..").await;
        assert!(spans.is_empty());
    });
}

/// The steps of policies are events of the request.
#[test]
fn policies_are_events() {
    run(false, async {
        let no = "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n";
        let gateway = Gateway::traced(&[OK], &[OK, no], traced(&json!({}))).await;
        for (status, expected) in [
            ("200", vec!["policy.asked", "policy.answered", "policy.passed"]),
            ("403", vec!["policy.asked", "policy.refused"]),
        ] {
            let (_, spans) = trace(&gateway, "GET /asked").await;
            assert_eq!(spans[0].attribute("http.response.status_code"), status);
            let names: Vec<_> = spans[0].events.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, expected);
            assert!(
                spans[0].events.iter().all(|(_, said)| said["sluicegate.policy"] == "external of AccessPolicy/a/p")
            );
        }
    });
}

/// A filter has the last word about what a backend is told; spans are there all the same.
#[test]
fn a_filter_takes_the_context_out() {
    run(false, async {
        let gateway = Gateway::traced(&[OK], &[], traced(&json!({}))).await;
        let (told, spans) = trace(&gateway, "GET /edited").await;
        assert_eq!((told, spans.len()), (vec![String::new()], 2));
    });
}

/// Without a policy what clients say of traces goes on as it came, and nothing is recorded.
#[test]
fn nothing_is_traced_unasked() {
    run(false, async {
        let gateway = Gateway::says(&[OK, OK], &[], Vec::new()).await;
        let (told, spans) = trace(&gateway, &format!("GET /app, {SENT}-01")).await;
        assert_eq!((told, spans.len()), (vec![format!("00-{TRACE}-00f067aa0ba902b7-01")], 0));
        let off = traced(&json!({"collector": null}));
        let gateway = Gateway::traced(&[OK], &[], off).await;
        let (told, spans) = trace(&gateway, &format!("GET /app, {SENT}-01")).await;
        assert_eq!((told, spans.len()), (vec![format!("00-{TRACE}-00f067aa0ba902b7-01")], 0));
    });
}

/// A field of a head that was sent; empty: there is none, and never more than one.
fn field<'h>(head: &'h str, name: &str) -> &'h str {
    let named = |line: &&str| line.split_once(": ").is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut all = head.lines().filter(named);
    let only = all.next().and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value);
    assert_eq!(all.next(), None, "{head}");
    only
}

const B3: &str = "b3: 4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1-05e3ac9a4f6e3b90";
const SEVERAL: &str = "X-B3-TraceId: a3ce929d0e0e4736, X-B3-SpanId: 00f067aa0ba902b7, X-B3-Sampled: 1, \
    X-B3-ParentSpanId: 05e3ac9a4f6e3b90";

fn b3_to(listener: &Value) -> Value {
    json!({"type": "client_tracing", "id": "ClientPolicy/a/p/tracing", "propagation": listener})
}

/// The trace of a client that speaks B3 goes on; what it sent goes to nobody but as we write it.
#[test]
fn contexts_of_b3() {
    let nobody = json!({"sampling": {"numerator": 0, "denominator": 1}});
    let padded = "0000000000000000a3ce929d0e0e4736";
    for (head, trace_id) in [
        (format!("GET /app, {B3}"), TRACE),
        (format!("GET /app, {SEVERAL}"), padded),
        (format!("GET /app, {B3}, {SEVERAL}"), TRACE),
        (format!("GET /app, {B3}-more"), ""),
        (format!("GET /app, {SENT}-01, b3: 0"), TRACE),
        (format!("GET /app, traceparent: 00-0-0-01, {SEVERAL}"), ""),
    ] {
        run(false, async {
            let gateway = Gateway::traced_by(&[OK], &[], &[traced(&nobody), b3_to(&json!([]))]).await;
            let (told, spans) = trace(&gateway, &head).await;
            assert_eq!(told[0][3..35] == *trace_id, !trace_id.is_empty(), "{head} {told:?}");
            assert!(told[0].ends_with("-00") && spans.is_empty());
            let asked = gateway.app.asked()[0].to_ascii_lowercase();
            assert!(!asked.contains("\r\nb3") && !asked.contains("x-b3"), "{head}: {asked}");
        });
    }
}

/// Each form names the span of the try, and the same trace.
#[test]
fn what_is_told_by_b3() {
    for formats in [json!([]), json!(["B3"]), json!(["B3Multi"]), json!(["B3", "B3Multi"])] {
        run(false, async {
            let app = [UNAVAILABLE, OK];
            let gateway = Gateway::traced_by(&app, &[], &[traced(&json!({})), b3_to(&formats)]).await;
            let head = format!("GET /retried, {SENT}-00, b3: 0, {SEVERAL}");
            let (told, spans) = trace(&gateway, &head).await;
            assert_eq!((told.len(), spans.len()), (2, 3));
            for (asked, span) in gateway.app.asked().iter().zip(&spans[1..]) {
                let span = hex(&span.span);
                let has = |format: &str| formats.as_array().unwrap().contains(&json!(format));
                let (one, several) = (has("B3"), has("B3Multi"));
                let expected = |is: bool, value: String| if is { value } else { String::new() };
                assert_eq!(field(asked, "traceparent"), format!("00-{TRACE}-{span}-01"));
                assert_eq!(field(asked, "b3"), expected(one, format!("{TRACE}-{span}-1")));
                assert_eq!(field(asked, "x-b3-traceid"), expected(several, TRACE.to_owned()));
                assert_eq!(field(asked, "x-b3-spanid"), expected(several, span));
                assert_eq!(field(asked, "x-b3-sampled"), expected(several, "1".to_owned()));
                assert_eq!((field(asked, "x-b3-parentspanid"), field(asked, "x-b3-flags")), ("", ""));
            }
        });
    }
}

/// Without a policy of traces nothing is written, and what a client sent goes on.
#[test]
fn b3_where_nothing_is_traced() {
    run(false, async {
        let gateway = Gateway::traced_by(&[OK], &[], &[b3_to(&json!(["B3", "B3Multi"]))]).await;
        trace(&gateway, &format!("GET /app, {SEVERAL}")).await;
        let asked = &gateway.app.asked()[0];
        assert_eq!((field(asked, "x-b3-traceid"), field(asked, "b3")), ("a3ce929d0e0e4736", ""));
    });
}

/// A rule says of which of its requests there are spans, in place of its listener and of the policy.
#[test]
fn the_share_of_a_rule() {
    let nobody = json!({"sampling": {"numerator": 0, "denominator": 1}});
    let obeyed = json!({"parent_sampling": {"numerator": 1, "denominator": 1}});
    let of_listener = |numerator: u32| json!({"type": "filter_telemetry", "id": "l/telemetry", "sampling": {"numerator": numerator, "denominator": 1}});
    for (policy, listener, head, recorded) in [
        (json!({}), None, "GET /never", false),
        (nobody.clone(), None, "GET /always", true),
        (nobody.clone(), Some(1), "GET /app", true),
        (nobody.clone(), Some(1), "GET /none", true),
        (nobody.clone(), Some(1), "GET /never", false),
        (json!({}), Some(0), "GET /always", true),
        (json!({}), Some(0), "GET /app", false),
        (json!({}), Some(0), "GET /none", false),
        // Who is believed is obeyed all the same.
        (obeyed.clone(), None, &format!("GET /never, {SENT}-01"), true),
        (obeyed.clone(), None, &format!("GET /always, {SENT}-00"), false),
        (obeyed, None, "GET /never", false),
        (json!({}), None, &format!("GET /never, {SENT}-01"), false),
    ] {
        run(false, async {
            let policies: Vec<_> = std::iter::once(traced(&policy)).chain(listener.map(of_listener)).collect();
            let gateway = Gateway::traced_by(&[OK], &[], &policies).await;
            let (told, spans) = trace(&gateway, head).await;
            assert_eq!(!spans.is_empty(), recorded, "{policy} {listener:?} {head}");
            if let Some(told) = told.first() {
                assert_eq!(told.ends_with("-01"), recorded, "{head}");
            }
        });
    }
}

/// Who is asked is told of the trace, as the parent of its own spans the question, and of nothing that the client said.
#[test]
fn who_is_asked_is_told() {
    run(false, async {
        let no = "HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n";
        let policies = [traced(&json!({})), b3_to(&json!(["B3"]))];
        let gateway = Gateway::traced_by(&[OK], &[OK, no], &policies).await;
        let head = format!("GET /asked, {SENT}-00, tracestate: v=1, b3: 0");
        let (told, spans) = trace(&gateway, &head).await;
        let [server, question, attempt] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((question.kind, question.name.as_str(), &question.parent), (3, "GET", &server.span));
        let asked = &gateway.auth.asked()[0];
        assert_eq!(field(asked, "traceparent"), format!("00-{TRACE}-{}-01", hex(&question.span)));
        assert_eq!(field(asked, "tracestate"), "v=1");
        assert_eq!(field(asked, "b3"), format!("{TRACE}-{}-1", hex(&question.span)));
        assert_eq!(told, [format!("00-{TRACE}-{}-01", hex(&attempt.span))]);
        for (key, value) in [
            ("http.response.status_code", "200"),
            ("sluicegate.policy", "external of AccessPolicy/a/p"),
            ("url.full", "http://a.test/asked"),
            ("error.type", ""),
        ] {
            assert_eq!(question.attribute(key), value, "{key}");
        }
        assert_eq!(question.attribute("server.port"), gateway.auth.address.port().to_string());
        let (_, spans) = trace(&gateway, "GET /asked").await;
        assert_eq!((spans.len(), spans[1].attribute("error.type"), spans[1].failed), (2, "403", true));
    });
}

/// One that is not recorded is told the span of the request; without traces nobody is told anything.
#[test]
fn who_is_asked_about_what_is_not_recorded() {
    run(false, async {
        let gateway = Gateway::traced(&[OK], &[OK], traced(&json!({}))).await;
        let (told, spans) = trace(&gateway, &format!("GET /never/asked, {SENT}-01")).await;
        let asked = field(&gateway.auth.asked()[0], "traceparent").to_owned();
        assert_eq!((spans.len(), &told), (0, &vec![asked.clone()]));
        assert!(asked.starts_with(&format!("00-{TRACE}-")) && asked.ends_with("-00"));
        let untraced = Gateway::says(&[OK], &[OK], Vec::new()).await;
        trace(&untraced, &format!("GET /asked, {SENT}-01")).await;
        assert_eq!(field(&untraced.auth.asked()[0], "traceparent"), "");
    });
}

/// Whoever answers with what it was asked by, or with anything else of a trace, changes nothing of what the backend is told.
#[test]
fn what_authorisers_answer_of_a_trace() {
    run(false, async {
        let yes = "HTTP/1.1 200 OK\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\
            X-B3-TraceId: a3ce929d0e0e4736\r\nx-user: ann\r\ncontent-length: 0\r\n\r\n";
        let gateway = Gateway::traced(&[OK], &[yes], traced(&json!({}))).await;
        let (told, spans) = trace(&gateway, &format!("GET /asked, {SENT}-01")).await;
        assert_eq!(told, [format!("00-{TRACE}-{}-01", hex(&spans[2].span))]);
        let asked = &gateway.app.asked()[0];
        assert_eq!((field(asked, "x-b3-traceid"), field(asked, "x-user")), ("", "ann"));
    });
}
