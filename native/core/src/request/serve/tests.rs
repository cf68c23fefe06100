//! The life cycle of a request: what its client is told, what its backend is asked, and how it ends.

mod gateway;
mod traced;

use super::{LONGEST_COLLECTION, LONGEST_WAIT};
use crate::dispatch::scripted::{CLOSE, OK, UNAVAILABLE};
use crate::error::ErrorCode;
use crate::message::scripted::{Body, Source, Told};
use crate::policy::{Gate, Outcome, Step};
use gateway::{Dripping, Gateway, run};
use route::policy::BodyLimit;
use serde_json::json;
use std::time::Duration;

fn collecting(octets: u64) -> Vec<Step> {
    vec![Step::Buffer(BodyLimit::new(octets).unwrap())]
}

/// A gate that lets everybody through.
fn open(outcome: Outcome) -> Vec<Step> {
    let gate = Gate::new(outcome);
    gate.passes.add_permits(9);
    vec![Step::Gate(gate)]
}

const CHUNKED: &str = "POST /app, transfer-encoding: chunked";

/// Whole answers, whoever gives them; a client that sends nonsense, or wants a tunnel that there is not, is not heard again.
#[test]
fn how_a_request_is_answered() {
    for (head, says, end, told, asked) in [
        ("GET /app", OK, "complete", "head 200, end", 1),
        ("GET /app", UNAVAILABLE, "complete", "head 503, end", 1),
        ("GET /app", CLOSE, "complete", "head 502, body upstream_reset, end", 1),
        ("GET /none", OK, "complete", "head 404, body no_route, end", 0),
        ("HEAD /none", OK, "complete", "head 404, end", 0),
        ("GET /empty", OK, "complete", "head 503, body no_endpoint, end", 0),
        ("GET /gone", OK, "complete", "head 410, body gone, end", 0),
        ("GET /a/../..", OK, "refused", "last, head 400, body bad_request, end", 0),
        ("CONNECT a.test:80", OK, "refused", "last, head 405, body method_not_allowed, end", 0),
    ] {
        run(false, async {
            let gateway = Gateway::says(&[says], &[], Vec::new()).await;
            let done = gateway.serve(head, Body::None).await;
            assert_eq!(done.said(), (end, told), "{head}");
            assert_eq!(gateway.app.asked().len(), asked, "{head}");
        });
    }
}

/// Octets of a body that nobody reads would be taken for the next request.
#[test]
fn what_is_not_read_ends_the_connection() {
    for (head, body, told) in [
        ("POST /gone, content-length: 3", Body::Whole(b"all"), "head 410, body gone, end"),
        ("POST /gone, content-length: 9", Body::Endless(b"some"), "last, head 410, body gone, end"),
        ("POST /gone, content-length: 9, expect: 100-continue", Body::Whole(b"all"), "last, head 410, body gone, end"),
    ] {
        run(true, async {
            let done = Gateway::waits(Vec::new(), &json!({})).await.serve(head, body).await;
            assert_eq!(done.said(), ("complete", told), "{head}");
        });
    }
}

/// What cannot be made whole is broken off.
#[test]
fn what_is_not_whole() {
    run(false, async {
        let part = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nhi";
        let done = Gateway::says(&[part], &[], Vec::new()).await.serve("GET /app", Body::None).await;
        assert!(done.end.starts_with("broken upstream_"), "{}", done.end);
        assert_eq!(done.told, format!("head 200, body hi, {}", done.end));
    });
}

/// Who is gone costs no backend a request, not even over a connection that is there.
#[test]
fn who_is_gone_is_not_asked_for() {
    run(false, async {
        let gateway = Gateway::says(&[OK, OK, OK], &[], Vec::new()).await;
        assert_eq!(gateway.serve("GET /app", Body::None).await.end, "complete");
        let gone = Told { gone: true, ..Told::default() };
        let done = gateway.serve_to(gone, "GET /app", Source::new(Body::None)).await;
        assert_eq!(done.said(), ("broken client_gone", "broken client_gone"));
        // By the time that another one is through, it would have been heard of that.
        gateway.serve("HEAD /app", Body::None).await;
        let asked = gateway.app.asked();
        let methods: Vec<_> = asked.iter().filter_map(|request| request.split(' ').next()).collect();
        assert_eq!(methods, ["GET", "HEAD"]);
    });
}

#[test]
fn a_tunnel_is_the_end_of_a_request() {
    run(false, async {
        let switch = "HTTP/1.1 101 Switch\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n";
        let gateway = Gateway::says(&[switch], &[], Vec::new()).await;
        let done = gateway.serve("GET /app, connection: upgrade, upgrade: other", Body::None).await;
        assert_eq!(done.said(), ("tunnelled", "switch other, tunnel"));
    });
}

/// What stands in for an error does so for those of the gateway and of the backend.
#[test]
fn pages_stand_in_for_errors() {
    for (path, says, told) in [
        ("/paged/empty", OK, "head 503, body sorry, end"),
        ("/paged", UNAVAILABLE, "head 503, body sorry, end"),
        ("/paged", OK, "head 200, end"),
        ("/empty", OK, "head 503, body no_endpoint, end"),
    ] {
        run(false, async {
            let gateway = Gateway::says(&[says], &[], Vec::new()).await;
            let done = gateway.serve(&format!("GET {path}"), Body::None).await;
            assert_eq!(done.said(), ("complete", told), "{path}");
        });
    }
}

/// Nothing goes to a backend before it may.
#[test]
fn a_request_waits_for_its_policies() {
    for (outcome, told, asked) in
        [(Outcome::Pass, "head 200, end", 1), (Outcome::deny(ErrorCode::Forbidden), "head 403, body forbidden, end", 0)]
    {
        run(false, async {
            let gateway = Gateway::says(&[OK], &[], open(outcome)).await;
            let done = gateway.serve("GET /app", Body::None).await;
            assert_eq!((done.said(), gateway.app.asked().len()), (("complete", told), asked));
        });
    }
}

/// As long as the rule gives it, and no longer than anybody may be kept.
#[test]
fn how_long_a_wait_may_take() {
    let seconds = Duration::from_secs;
    for (timeouts, lasts) in [
        (json!({"request_ms": 2_000}), seconds(2)),
        (json!({}), LONGEST_WAIT),
        (json!({"request_ms": 600_000}), LONGEST_WAIT),
    ] {
        run(true, async {
            let gateway = Gateway::waits(vec![Step::Gate(Gate::new(Outcome::Pass))], &timeouts).await;
            let done = gateway.serve("GET /app", Body::None).await;
            assert_eq!(done.said(), ("complete", "head 504, body request_timeout, end"), "{timeouts}");
            assert!((lasts..lasts + seconds(1)).contains(&done.lasted), "{timeouts}: {:?}", done.lasted);
            assert_eq!(gateway.app.asked().len(), 0);
        });
    }
}

/// Whichever side of it says so.
#[test]
fn who_leaves_is_not_waited_for() {
    for (gone, body) in [(true, Body::None), (false, Body::Left)] {
        run(true, async {
            let gateway = Gateway::waits(vec![Step::Gate(Gate::new(Outcome::Pass))], &json!({})).await;
            let told = Told { gone, ..Told::default() };
            let done = gateway.serve_to(told, "GET /app", Source::new(body)).await;
            assert_eq!(done.said(), ("broken client_gone", "broken client_gone"), "{gone}");
            assert_eq!(done.lasted, Duration::ZERO, "{gone}");
        });
    }
}

/// A body that is collected goes on whole and with its length; one that is too large goes nowhere.
#[test]
fn bodies_that_are_collected() {
    const BODY: Body = Body::Pieces(&[b"he", b"llo"]);
    let expecting = format!("{CHUNKED}, expect: 100-continue");
    for (head, body, octets, end, told, asked) in [
        (CHUNKED, BODY, 5, "complete", "head 200, end", 1),
        (CHUNKED, BODY, 4, "complete", "last, head 413, body body_too_large, end", 0),
        (&expecting, BODY, 5, "complete", "interim 100, head 200, end", 1),
        (CHUNKED, Body::Broken, 5, "broken client_gone", "broken client_gone", 0),
    ] {
        run(false, async {
            let gateway = Gateway::says(&[OK], &[], collecting(octets)).await;
            let done = gateway.serve(head, body).await;
            assert_eq!(done.said(), (end, told), "{head} {body:?} {octets}");
            let heard = gateway.app.asked();
            assert_eq!(heard.len(), asked, "{head} {body:?} {octets}");
            for request in heard {
                assert!(
                    request.contains("\r\ncontent-length: 5\r\n") && request.ends_with("\r\n\r\nhello"),
                    "{request}"
                );
                assert!(!request.contains("transfer-encoding") && !request.contains("expect"), "{request}");
            }
        });
    }
}

/// Each part of a body has the limit of any body; all of it that of the rule, and an hour at most.
#[test]
fn how_long_a_collection_may_take() {
    let (slow, late) = ("last, head 408, body request_body_timeout, end", "last, head 504, body request_timeout, end");
    run(true, async {
        let gateway = Gateway::waits(collecting(1_000_000), &json!({})).await;
        let limit = gateway.client.worker.settings().request_body_timeout();
        let done = gateway.serve(CHUNKED, Body::Endless(b"some")).await;
        assert_eq!((done.told.as_str(), done.lasted.as_secs()), (slow, limit.as_secs()));
        let done = gateway.serve_to(Told::default(), CHUNKED, Dripping).await;
        assert_eq!((done.told.as_str(), done.lasted.as_secs()), (late, LONGEST_COLLECTION.as_secs()));
        let gateway = Gateway::waits(collecting(1_000_000), &json!({"request_ms": 5_000})).await;
        for done in [
            gateway.serve(CHUNKED, Body::Endless(b"some")).await,
            gateway.serve_to(Told::default(), CHUNKED, Dripping).await,
        ] {
            assert_eq!((done.told.as_str(), done.lasted.as_secs()), (late, 5));
        }
    });
}

/// Who is asked is given the beginning of a body, or no part of it; the backend gets all of it.
#[test]
fn somebody_is_asked_first() {
    let no = "HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno";
    let large = "last, head 413, body body_too_large, end";
    for (body, says, told, asked) in [
        (Body::Pieces(&[b"he", b"llo"]), OK, "head 200, end", [1, 1]),
        (Body::Pieces(&[b"he", b"llo"]), no, "last, head 403, body no, end", [1, 0]),
        (Body::Pieces(&[b"he", b"llo", b"!"]), OK, large, [0, 0]),
    ] {
        run(false, async {
            let gateway = Gateway::says(&[OK], &[says], Vec::new()).await;
            let done = gateway.serve("POST /asked, content-length: 5", body).await;
            assert_eq!(done.said(), ("complete", told), "{body:?} {says}");
            let heard = [gateway.auth.asked(), gateway.app.asked()];
            assert_eq!(heard.each_ref().map(Vec::len), asked, "{body:?} {says}");
            assert!(heard.iter().flatten().all(|request| request.ends_with("\r\n\r\nhello")), "{heard:?}");
        });
    }
}

#[test]
fn a_rehearsal_says_whether_there_is_somebody() {
    run(false, async {
        let gateway = Gateway::says(&[OK], &[], Vec::new()).await;
        for (path, is_there) in [("/app", true), ("/empty", false), ("/gone", false), ("/none", false)] {
            assert_eq!(gateway.rehearse(path), is_there, "{path}");
        }
        assert_eq!(gateway.app.asked().len(), 0);
    });
}
