//! Identity providers that answer as their script has it.

use super::{ask_provider, fetch};
use crate::dispatch::scripted::{Backend, CLOSE, LIMIT};
use crate::policy::PublishedSet;
use crate::worker::{Generation, Worker};
use route::ir::RemoteKeys;
use serde_json::{Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::LocalSet;
use tokio::time::Instant;

/// RFC 8037, appendix A.2.
const KEYS: &str =
    r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A worker with the backend of a provider, whose policies these are.
fn worker(address: SocketAddr, policies: &[Value]) -> Rc<Worker> {
    let worker = Worker::alone(Generation::default()).unwrap();
    let ids: Vec<&Value> = policies.iter().map(|policy| &policy["id"]).collect();
    let endpoint = json!({"id": "e", "backend": "b", "address": address.ip(), "port": address.port()});
    let backends = json!([{"id": "b", "policies": ids}]);
    worker.apply(&json!({"policies": policies, "backends": backends, "endpoints": [endpoint]})).unwrap();
    worker
}

fn set(hostname: &str) -> PublishedSet {
    let source = RemoteKeys {
        backend: "b".to_owned(),
        path: "/keys?v=1".to_owned(),
        hostname: hostname.to_owned(),
        service: "login.auth.svc".to_owned(),
        refresh_ms: 300_000,
    };
    PublishedSet::new(source, None, Arc::default())
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn told(worker: &Worker, slot: u32) -> Result<String, String> {
    let found = ask_provider(worker, &worker.generation(), &set(""), slot).await;
    found.map(|text| String::from_utf8(text).unwrap())
}

/// Only a 200 is a set; where a redirect leads is somebody else.
#[test]
fn what_a_provider_says() {
    let largest = "k".repeat(jwt::MAX_SET_BYTES);
    let too_large = format!("its answer has more than {} bytes", jwt::MAX_SET_BYTES);
    for (said, expected) in [
        (answer(200, KEYS), Ok(KEYS)),
        (answer(200, ""), Ok("")),
        (answer(200, &largest), Ok(largest.as_str())),
        (answer(200, &format!("{largest}k")), Err(too_large.as_str())),
        (answer(204, ""), Err("it answers 204")),
        (answer(302, KEYS), Err("it answers 302, and redirects are not followed")),
        (answer(404, KEYS), Err("it answers 404")),
        (CLOSE.to_owned(), Err("the identity provider gave no answer: it closed the connection")),
    ] {
        run(async {
            let provider = Backend::start([said]).await;
            let found = told(&worker(provider.address, &[]), 0).await;
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        });
    }
}

/// A question names no client, and the host that the policy says.
#[test]
fn what_a_provider_is_asked() {
    for (hostname, host) in [("", "login.auth.svc"), ("login.test", "login.test")] {
        run(async {
            let provider = Backend::start([answer(200, KEYS)]).await;
            // It wants to be told who connects: no client does.
            let policy = json!({"type": "backend_policy", "id": "p", "proxy_protocol": "v1"});
            let worker = worker(provider.address, &[policy]);
            ask_provider(&worker, &worker.generation(), &set(hostname), 0).await.unwrap();
            let expected = format!(
                "PROXY UNKNOWN\r\nGET /keys?v=1 HTTP/1.1\r\nhost: {host}\r\n\
                accept: application/jwk-set+json, application/json\r\nuser-agent: sluicegate\r\n\r\n"
            );
            assert_eq!(provider.asked(), [expected]);
        });
    }
}

/// Nobody is asked who cannot be asked as the policies of the Service want it.
#[test]
fn providers_that_cannot_be_asked() {
    run(async {
        let provider = Backend::start([answer(200, KEYS)]).await;
        let policy = |more: Value| {
            let mut policy = json!({"type": "backend_policy", "id": "p"});
            policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            policy
        };
        for (policies, slot, why) in [
            (&[][..], 1, "the Service is not there"),
            (&[policy(json!({"invalid": true}))], 0, "a policy of the Service cannot be honoured"),
            (
                &[policy(json!({"limits": {"requests": 0, "pending": 0}}))],
                0,
                "the identity provider has as many requests under way as its BackendPolicy allows",
            ),
        ] {
            assert_eq!(told(&worker(provider.address, policies), slot).await, Err(why.to_owned()));
        }
        assert_eq!(provider.asked().len(), 0);
    });
}

/// The operator hears of the first failure in a row, and of its end; meanwhile what was fetched before verifies.
#[test]
fn what_the_operator_hears() {
    run(async {
        let script = [CLOSE; 3].map(str::to_owned).into_iter().chain([answer(200, KEYS)]);
        let script = script.chain([answer(200, KEYS), answer(500, ""), answer(200, "{}"), answer(200, KEYS)]);
        let beside = KEYS.replace("[{", r#"[{"kid": "old", "kty": "oct"}, {"#);
        let script = script.chain([answer(200, &beside), answer(200, &beside)]);
        let provider = Backend::start(script).await;
        let (worker, set) = (worker(provider.address, &[]), set(""));
        let mut heard = Vec::new();
        for has_keys in [false, true, true, true, true, true, true, true] {
            fetch(&worker, &worker.generation(), &set, 0).await;
            assert_eq!(set.keys(Instant::now()).is_some(), has_keys);
            let events = worker.shared.events.take(10);
            let lines = events.into_iter().map(|event| format!("{} {}", event.code, event.message));
            heard.push(lines.collect::<Vec<_>>().join("; "));
        }
        let away = "keys_unavailable b/keys?v=1: the identity provider gave no answer: it closed the connection; until it answers nobody is \
            let in by its tokens";
        let back = "keys_fetched b/keys?v=1: the identity provider answers again; 1 keys verify";
        let failed = "keys_unavailable b/keys?v=1: it answers 500; the keys of before verify on, for a day";
        let skipped = "keys_skipped b/keys?v=1: keys[0] (kid \"old\") is a shared secret, which whoever verifies could sign \
            with; 1 keys verify";
        assert_eq!(heard, [away, back, "", failed, "", back, skipped, ""]);
    });
}
