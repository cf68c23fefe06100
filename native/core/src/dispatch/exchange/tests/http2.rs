//! As over HTTP/1.1, where a backend speaks HTTP/2.

use super::{MAX_HEAD, connected, run};
use crate::dispatch::exchange::{ExchangeError, Exchanged, Terms, over_http2};
use crate::dispatch::outbound::Outbound;
use crate::dispatch::scripted::outbound;
use crate::io::watchdog::Progress;
use crate::message::body::BodyError;
use crate::message::response_filters::ResponseEdits;
use crate::message::scripted::{Body, Source, Told};
use crate::upstream::{Connection, Http2Handle};
use bytes::Bytes;
use codec::{MAX_FIELDS, WireError};
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::task::spawn_local;

/// A backend of HTTP/2 that gives `answer` with `body` to one request; extended CONNECT, where it takes that.
async fn http2_backend(end: TcpStream, tunnels: bool, answer: Response<()>, body: &'static [u8]) -> Request<()> {
    let mut builder = h2::server::Builder::new();
    if tunnels {
        builder.enable_connect_protocol();
    }
    let mut connection = builder.handshake::<_, Bytes>(end).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let mut stream = respond.send_response(answer, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::from_static(body), true).unwrap();
    }
    spawn_local(async move { while connection.accept().await.is_some() {} });
    Request::from_parts(request.into_parts().0, ())
}

/// What the backend was asked where it was, what became of that, and what the client was told.
type Http2Done = (Option<Request<()>>, Result<(Exchanged, bool), ExchangeError>, String);

fn http2(outbound: &Outbound, body: Body, tunnels: bool, answer: Response<()>, content: &'static [u8]) -> Http2Done {
    run(|worker| async move {
        let (Connection::Http2(handle), end) = connected(&worker, true).await else { panic!("HTTP/2") };
        let backend = spawn_local(http2_backend(end, tunnels, answer, content));
        let handle: &Http2Handle = &handle;
        worker.upstreams.settle(handle).await.unwrap();
        let (mut source, mut told, progress) = (Source::new(body), Told::default(), Progress::default());
        let edits = &ResponseEdits::default();
        let terms = Terms {
            outbound,
            edits,
            retry_codes: &[503],
            retry_until: None,
            session: None,
            progress: &progress,
            max_head_bytes: MAX_HEAD,
            max_head_fields: MAX_FIELDS,
        };
        let result = over_http2(handle, terms, &mut source, &mut (), &mut told).await;
        let asked = if backend.is_finished() { Some(backend.await.unwrap()) } else { None };
        (asked, result.map(|(done, tunnel)| (done, tunnel.is_some())), told.lines.join(", "))
    })
}

fn response(status: u16, fields: &[(&'static str, &'static str)]) -> Response<()> {
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap()
}

#[test]
fn responses_over_http2() {
    let plain = outbound(Body::None, false);
    for (status, fields, content, wanted) in [
        (200, &[("content-length", "2"), ("x", "1")][..], &b"hi"[..], "head 200 Length(2) x=1, body hi, end"),
        (200, &[], b"hi", "head 200 Chunked, body hi, end"),
        (404, &[], b"", "head 404 Empty, end"),
        (304, &[("content-length", "9")], b"", "head 304 Empty, end"),
    ] {
        let (asked, result, told) = http2(&plain, Body::None, false, response(status, fields), content);
        let (Exchanged { status: given, reusable, switched }, tunnel) = result.unwrap();
        assert_eq!((given, reusable, switched, tunnel, told.as_str()), (status, false, false, false, wanted));
        assert_eq!(asked.unwrap().uri(), "http://a.test/");
    }
    let (_, result, told) = http2(&plain, Body::None, false, response(503, &[]), b"");
    assert!(matches!(result, Err(ExchangeError::RetryStatus(503))), "{result:?}");
    assert_eq!(told, "");
    // A head over the limit is told from one that is malformed.
    let large = Response::builder().header("x", "y".repeat(MAX_HEAD)).body(()).unwrap();
    let (_, result, told) = http2(&plain, Body::None, false, large, b"");
    let said = matches!(result, Err(ExchangeError::Upstream { error: BodyError::Wire(WireError::HeadTooLarge), .. }));
    assert!(said && told.is_empty(), "{result:?}");
    // An answer before the request is through.
    let body = Body::Endless(b"some");
    let (_, result, told) = http2(&outbound(body, false), body, false, response(413, &[]), b"");
    assert_eq!((result.unwrap().0.status, told.as_str()), (413, "last, head 413 Empty, end"));
}

#[test]
fn tunnels_over_http2() {
    let asks = outbound(Body::None, true);
    let (asked, result, told) = http2(&asks, Body::None, true, response(200, &[("sec-websocket-accept", "x")]), b"");
    let (Exchanged { status, switched, .. }, tunnel) = result.unwrap();
    assert_eq!((status, switched, tunnel), (101, true, true));
    // The answer to the client's key (RFC 6455 section 1.3) is ours: the backend has not seen that.
    assert_eq!(told, "switch websocket sec-websocket-accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let asked = asked.unwrap();
    assert_eq!((asked.method(), asked.headers().get("sec-websocket-key")), (&http::Method::CONNECT, None));
    // A client that asked by CONNECT itself has no key.
    let connect = Outbound { connect: true, ..outbound(Body::None, true) };
    let (_, result, told) = http2(&connect, Body::None, true, response(200, &[]), b"");
    assert_eq!((result.unwrap().1, told.as_str()), (true, "switch websocket"));
    // Who declines, and who cannot.
    let (_, result, told) = http2(&asks, Body::None, true, response(403, &[]), b"");
    assert_eq!((result.unwrap().1, told.as_str()), (false, "head 403 Empty, end"));
    let (asked, result, told) = http2(&asks, Body::None, false, response(200, &[]), b"");
    assert!(matches!(result, Err(ExchangeError::NotSwitched(None))), "{result:?}");
    assert!(asked.is_none() && told.is_empty());
}
