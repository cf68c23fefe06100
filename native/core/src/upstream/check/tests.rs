//! Questions to endpoints that answer in all ways there are.

use super::Check;
use crate::settings::Settings;
use crate::upstream::tls::ClientTls;
use bytes::Bytes;
use http::Response;
use route::ir::{ActiveHealth, BackendPolicy, BackendProtocol, EndpointState, HealthQuestion, ProxyProtocol};
use route::table::{Backend, Endpoint};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn http(statuses: Vec<u16>) -> HealthQuestion {
    HealthQuestion::Http { path: "/healthz?deep".to_owned(), host: "shop.test".to_owned(), statuses }
}

fn check(question: HealthQuestion, address: SocketAddr, policy: BackendPolicy, protocol: BackendProtocol) -> Check {
    let active =
        ActiveHealth { question, interval_ms: 1000, timeout_ms: 500, unhealthy_after: 1, healthy_after: 1, port: 0 };
    let backend = Backend {
        id: "b".to_owned(),
        protocol,
        policies: Vec::new(),
        tls: None,
        policy: Some(Arc::new(BackendPolicy { active: Some(Arc::new(active)), ..policy })),
        traffic: None,
        seeds: Vec::new(),
        near: Vec::new(),
        datagrams: false,
        external: None,
        kept: None,
        ready: Vec::new(),
        draining: Vec::new(),
    };
    let endpoint = Endpoint { id: String::new(), address, uid: 1, state: EndpointState::Ready };
    Check::of(&backend, &endpoint, &ClientTls::default()).expect("a question")
}

async fn ask(question: HealthQuestion, address: SocketAddr) -> Result<(), String> {
    let check = check(question, address, BackendPolicy::default(), BackendProtocol::Http);
    check.ask(&Settings::default()).await
}

/// A server that takes one connection, reads until an empty line, and says this. What it read.
async fn says(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return heard;
            }
        }
        stream.write_all(answer).await.unwrap();
        heard
    });
    (address, served)
}

#[tokio::test]
async fn statuses_and_what_is_none() {
    let cases: [(&[u8], Vec<u16>, Result<(), &str>); 8] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", vec![], Ok(())),
        (b"HTTP/1.1 302 Found\r\n\r\n", vec![], Ok(())),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", vec![], Ok(())),
        (b"HTTP/1.1 418 Teapot\r\n\r\n", vec![418], Ok(())),
        (b"HTTP/1.1 200 OK\r\n\r\n", vec![204], Err("status 200")),
        (b"HTTP/1.1 503 Busy\r\n\r\n", vec![], Err("status 503")),
        (b"", vec![], Err("it closed the connection before an answer")),
        (b"SSH-2.0-server\r\n", vec![], Err("what it answers is not HTTP")),
    ];
    for (answer, statuses, expected) in cases {
        let (address, served) = says(answer).await;
        let found = ask(http(statuses), address).await;
        assert_eq!(found, expected.map_err(str::to_owned), "{}", String::from_utf8_lossy(answer));
        let heard = served.await.unwrap();
        assert!(
            heard.starts_with(b"GET /healthz?deep HTTP/1.1\r\nhost: shop.test\r\nuser-agent: sluicegate-health\r\n")
        );
    }
}

#[tokio::test]
async fn connections_that_cannot_be_made_or_say_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(ask(HealthQuestion::Tcp, address).await, Ok(()));
    // The system takes the connection, and nobody answers.
    assert_eq!(ask(http(Vec::new()), address).await, Err("no answer within 500 ms".to_owned()));
    drop(listener);
    assert!(ask(HealthQuestion::Tcp, address).await.is_err());
}

/// Where the policy wants the PROXY protocol the question has a header too, which speaks for nobody.
#[tokio::test]
async fn a_question_begins_as_connections_do() {
    let (address, served) = says(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let policy = BackendPolicy { proxy_protocol: Some(ProxyProtocol::V1), ..BackendPolicy::default() };
    let check = check(http(Vec::new()), address, policy, BackendProtocol::Http);
    assert_eq!(check.ask(&Settings::default()).await, Ok(()));
    assert!(served.await.unwrap().starts_with(b"PROXY UNKNOWN\r\nGET /healthz?deep "));
}

/// A server of HTTP/2 that answers one request with this status, message and trailer; the path and body that it got.
async fn says_http2(
    status: u16,
    message: &'static [u8],
    grpc_status: Option<&'static str>,
) -> (SocketAddr, tokio::task::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (mut request, mut respond) = connection.accept().await.unwrap().unwrap();
        let answering = async {
            let mut body = Vec::new();
            while let Some(piece) = request.body_mut().data().await {
                body.extend_from_slice(&piece.unwrap());
            }
            let response = Response::builder().status(status).body(()).unwrap();
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(message), grpc_status.is_none()).unwrap();
            if let Some(grpc_status) = grpc_status {
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", grpc_status.parse().unwrap());
                stream.send_trailers(trailers).unwrap();
            }
            (request.uri().to_string(), body)
        };
        let driven = async { while connection.accept().await.is_some() {} };
        let (answered, ()) = tokio::join!(answering, driven);
        answered
    });
    (address, served)
}

#[tokio::test]
async fn the_health_protocol_of_grpc() {
    let serving = b"\0\0\0\0\x02\x08\x01";
    let cases: [(u16, &[u8], Option<&str>, Result<(), &str>); 6] = [
        (200, serving, Some("0"), Ok(())),
        (200, b"\0\0\0\0\x02\x08\x02", Some("0"), Err("serving status 2")),
        (200, b"\0\0\0\0\0", Some("0"), Err("serving status 0")),
        (200, b"", Some("5"), Err("gRPC status 5")),
        (200, serving, None, Err("gRPC status missing")),
        (404, b"", None, Err("status 404")),
    ];
    for (status, message, grpc_status, expected) in cases {
        let (address, served) = says_http2(status, message, grpc_status).await;
        let found = ask(HealthQuestion::Grpc { service: "shop.Cart".to_owned() }, address).await;
        assert_eq!(found, expected.map_err(str::to_owned), "{status} {message:?} {grpc_status:?}");
        let (uri, body) = served.await.unwrap();
        assert!(uri.ends_with("/grpc.health.v1.Health/Check"), "{uri}");
        assert_eq!(body, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
    }
}

#[tokio::test]
async fn a_backend_that_speaks_http2_is_asked_over_it() {
    for (status, expected) in [(204, Ok(())), (500, Err("status 500".to_owned()))] {
        let (address, served) = says_http2(status, b"", None).await;
        let check = check(http(Vec::new()), address, BackendPolicy::default(), BackendProtocol::H2c);
        assert_eq!(check.ask(&Settings::default()).await, expected);
        assert!(served.await.unwrap().0.ends_with("shop.test/healthz?deep"));
    }
}
