//! Errors, and what a client gets in their place.

use super::{MAX_PAGE, give_or_page, run_or_page};
use crate::dispatch::retry::{Exchange, Forwarded};
use crate::dispatch::scripted::{Backend, CLOSE, LIMIT, SILENCE, endpoints, forward, outbound};
use crate::error::ErrorCode;
use crate::io::watchdog::Watchdog;
use crate::message::client::Client;
use crate::message::grpc::End;
use crate::message::head::Inbound;
use crate::message::local_reply::Answer;
use crate::message::pages::Pages;
use crate::message::record::Entry;
use crate::message::response_filters::ResponseEdits;
use crate::message::scripted::{Body, Source, Told};
use crate::worker::{Generation, Worker};
use codec::{Parsed, parse_request};
use route::ir::Transport;
use route::policy::ErrorPages;
use route::table::SocketKey;
use serde_json::{Value, json};
use std::future::Future;
use tokio::task::LocalSet;
use tokio::time::Instant;

const SOCKET: SocketKey = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test).await.unwrap() })
}

/// A page for every error; `more`: in place of what it says.
fn page(content: Value, more: Value) -> Value {
    let mut page = json!({"statuses": [{"first": 400, "last": 599}], "content": content});
    page.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    page
}

fn body(text: &str) -> Value {
    json!({"type": "body", "content_type": "text/html", "body": text})
}

fn service(timeout_ms: u64) -> Value {
    json!({"type": "service", "backend": "pages", "path": "/page", "timeout_ms": timeout_ms})
}

/// What becomes of a response.
enum Response {
    Own(Box<Answer>),
    /// What the backend says.
    Backend(String),
}

/// What the client is told, how it ended, and what the service for pages was asked.
struct Given {
    told: Vec<String>,
    end: Result<(), End>,
    asked: Vec<String>,
}

/// Give a response where this page stands in for errors; `says`: of the service for pages.
fn given(response: Response, page: &Value, says: &str) -> Given {
    run(async {
        let pages_of = Backend::start([says]).await;
        let worker = Worker::alone(Generation::default()).unwrap();
        let (address, port) = (pages_of.address.ip(), pages_of.address.port());
        let upsert = json!({
            "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
            "backends": [{"id": "pages"}],
            "endpoints": [{"id": "e", "backend": "pages", "address": address, "port": port}]});
        worker.apply(&upsert).unwrap();
        let client = Client::new(worker, ([192, 0, 2, 1], 1).into(), SOCKET, None);
        let generation = client.worker.generation();
        let listener = generation.table.socket(SOCKET).unwrap().listeners().next().unwrap();
        let ir = json!({"id": "p", "pages": [page]});
        let all = ErrorPages::compile(&serde_json::from_value(ir).unwrap());
        let (authority, told) = (b"a.test".to_vec(), vec![(b"x-original-uri".to_vec(), b"/".to_vec())]);
        let pages = Pages { all: &all, backends: &[0], listener, authority, told };
        let Ok(Parsed::Complete(head)) = parse_request(HEAD, 16) else { panic!("a head") };
        let mut record = Entry::begin(&client, &Inbound::from_http1(head));
        let (mut watchdog, mut sink) = (Watchdog::default(), Told::default());
        let end = match response {
            Response::Own(answer) => {
                let edits = ResponseEdits::default();
                let with = (&edits, &pages);
                give_or_page(&client, &generation, &answer, with, &mut watchdog, &mut sink, &mut record).await
            }
            Response::Backend(says) => {
                let backend = Backend::start([says]).await;
                let endpoints = endpoints(&[backend.address]);
                let (forward, mut scratch) = (forward(outbound(Body::None, false), &endpoints), Vec::new());
                let begun = Instant::now();
                let exchange =
                    Exchange { client: &client, forward: &forward, scratch: &mut scratch, begun, in_memory: 0 };
                let mut source = Source::new(Body::None);
                let run =
                    run_or_page(exchange, &generation, &pages, &mut watchdog, &mut source, &mut sink, &mut record);
                match run.await {
                    Forwarded::Complete => Ok(()),
                    Forwarded::Broken(end) => Err(end),
                    Forwarded::Switched(_) => panic!("nobody asked for that"),
                }
            }
        };
        Given { told: sink.lines, end, asked: pages_of.asked() }
    })
}

/// An error of the gateway with fields: of its body, and of the response.
fn own() -> Response {
    let mut answer = Answer::error(ErrorCode::NoRoute);
    answer.fields.push(("x-kept".into(), b"1".to_vec()));
    answer.fields.push(("ETag".into(), b"2".to_vec()));
    Response::Own(Box::new(answer))
}

/// The same error as it is without a page.
fn original() -> Vec<String> {
    let line = format!("no_route: {}\n", ErrorCode::NoRoute.meaning());
    let head = format!("head 404 Length({}) content-type=text/plain; charset=utf-8 x-kept=1 ETag=2", line.len());
    vec![head, format!("body {}", line.escape_default()), "end".to_owned()]
}

/// What describes a body goes with it; the rest of the response stays.
#[test]
fn pages_that_are_written_out() {
    for (more, status) in [(json!({}), 404), (json!({"status": 200}), 200)] {
        let given = given(own(), &page(body("<p>"), more), CLOSE);
        let head = format!("head {status} Length(3) x-kept=1 content-type=text/html");
        assert_eq!(given.told, [head.as_str(), "body <p>", "end"]);
        assert_eq!((given.end, given.asked.len()), (Ok(()), 0));
    }
    // A page for others.
    let given = given(own(), &page(body("<p>"), json!({"of": "backend"})), CLOSE);
    assert_eq!((given.told, given.end), (original(), Ok(())));
}

#[test]
fn pages_that_are_asked_for() {
    let says = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nx-page: 1\r\nX-Kept: 2\r\ndate: now\r\ncontent-length: 4\r\n\r\npage";
    let given = given(own(), &page(service(5000), json!({})), says);
    let fields = "content-type=text/html x-page=1 x-kept=2";
    assert_eq!(given.told, [format!("head 404 Length(4) {fields}").as_str(), "body page", "end"]);
    let [asked] = &given.asked[..] else { panic!("{:?}", given.asked) };
    assert!(asked.starts_with("GET /page HTTP/1.1\r\nhost: a.test\r\nx-code: 404\r\nx-original-uri: /\r\n"), "{asked}");
}

/// Who is away, slow or says too much leaves the error as it was.
#[test]
fn an_error_is_better_than_nothing() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", MAX_PAGE + 1, "x".repeat(MAX_PAGE + 1));
    for (content, says) in [(service(5000), CLOSE), (service(5000), &large), (service(50), SILENCE)] {
        let given = given(own(), &page(content, json!({})), says);
        assert_eq!((given.told, given.end), (original(), Ok(())));
        assert!(!given.asked.is_empty());
    }
}

/// An error that broke off is made good by a page; where there is none it is given as far as it came, and no further.
#[test]
fn errors_of_backends() {
    let whole = "HTTP/1.1 503 No\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\nno".to_owned();
    let half = "HTTP/1.1 503 No\r\nx-kept: 1\r\nconnection: close\r\ncontent-length: 5\r\n\r\nno".to_owned();
    let page_told = ["head 503 Length(3) x-kept=1 content-type=text/html", "body <p>", "end"];
    for said in [whole, half.clone()] {
        let given = given(Response::Backend(said), &page(body("<p>"), json!({})), CLOSE);
        assert_eq!((given.told, given.end), (page_told.map(str::to_owned).to_vec(), Ok(())));
    }
    let given = given(Response::Backend(half), &page(service(5000), json!({})), CLOSE);
    assert_eq!(given.told, ["head 503 Length(5) x-kept=1", "body no"]);
    assert_eq!(given.end.unwrap_err().code, ErrorCode::UpstreamReset);
    // What is no error is none of ours.
    let fine = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nno".to_owned();
    let given = self::given(Response::Backend(fine), &page(body("<p>"), json!({})), CLOSE);
    assert_eq!(given.told, ["head 200 Length(5)", "body no"]);
    assert_eq!(given.end.unwrap_err().code, ErrorCode::UpstreamReset);
}
