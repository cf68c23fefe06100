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
    let batch = gateway.client.worker.traces.take(Instant::now(), true);
    let found = batch.map_or_else(Vec::new, |(to, batch)| {
        gateway.client.worker.traces.done(&to, None, Instant::now());
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
            assert_eq!(spans[0].events[0].1["sluicegate.policy"], "external of AccessPolicy/a/p");
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
