//! Responses on a stream of HTTP/2.

use crate::error::ErrorCode;
use crate::message::body::{BodyError, BodySink, Piece};
use crate::message::date::with_date;
use crate::message::grpc::{self, End};
use crate::message::http2::{self, Http2Sink};
use crate::message::reply::{Reply, ReplySink, has_date};
use bytes::Bytes;
use codec::{Field, Framing};
use h2::server::SendResponse;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use std::task::{Context, Poll};

/// Answers one HTTP/2 request.
#[derive(Debug)]
pub struct Http2Reply {
    respond: SendResponse<Bytes>,
    sink: Option<Http2Sink>,
    head: Option<Response<()>>,
    head_sent: bool,
    body_bytes: u64,
    /// The response is gRPC.
    grpc: bool,
    grpc_status: Option<u32>,
}

impl Http2Reply {
    pub fn new(respond: SendResponse<Bytes>) -> Self {
        Self { respond, sink: None, head: None, head_sent: false, body_bytes: 0, grpc: false, grpc_status: None }
    }

    fn note_status(&mut self, fields: &HeaderMap) {
        if let Some(status) = fields.get(grpc::STATUS) {
            self.grpc_status = grpc::parse_status(status.as_bytes());
        }
    }

    fn reset(&mut self, reason: h2::Reason) {
        match &mut self.sink {
            Some(sink) => sink.reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    /// The body's sink; sends the head first where it is still held back.
    pub fn sink(&mut self) -> Result<Option<&mut Http2Sink>, BodyError> {
        self.send_head(false)?;
        Ok(self.sink.as_mut())
    }

    /// The head waits until it is known whether a body follows, so that an empty response is one frame.
    fn send_head(&mut self, end: bool) -> Result<(), BodyError> {
        if let Some(head) = self.head.take() {
            self.sink = Some(Http2Sink::new(self.respond.send_response(head, end)?));
        }
        Ok(())
    }
}

impl BodySink for Http2Reply {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        self.body_bytes += piece.as_slice().len() as u64;
        self.send_head(false)?;
        match &mut self.sink {
            Some(sink) => sink.write(piece).await,
            None => Err(BodyError::Truncated),
        }
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        self.send_head(false)?;
        match &mut self.sink {
            Some(sink) => sink.flush().await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        if let Some(trailers) = trailers.as_ref().filter(|_| self.grpc) {
            self.note_status(trailers);
        }
        if self.head.is_some() && trailers.is_none() {
            return self.send_head(true);
        }
        self.send_head(false)?;
        match &mut self.sink {
            Some(sink) => sink.finish(trailers).await,
            None => Err(BodyError::Truncated),
        }
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        match &mut self.sink {
            Some(sink) => sink.poll_gone(context),
            None => self.respond.poll_reset(context).map(http2::gone),
        }
    }
}

impl ReplySink for Http2Reply {
    /// This response will not be whole. gRPC says so in trailers, which every client understands better than a reset; what
    /// is half a message then is for the client to see.
    fn break_off(&mut self, end: End) {
        if self.grpc
            && end.code != ErrorCode::ClientGone
            && let Some(trailers) = end.trailers()
            && self.send_head(false).is_ok()
            && let Some(sink) = &mut self.sink
            && sink.break_off(trailers).is_ok()
        {
            self.grpc_status = end.status();
            return;
        }
        self.reset(end.reason());
    }

    /// `grpc-status` of the response, once it has come.
    fn grpc_status(&self) -> Option<u32> {
        self.grpc_status
    }

    fn informational(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), BodyError> {
        Ok(self.respond.send_informational(response(status, fields)?)?)
    }

    /// Extended CONNECT (RFC 8441 section 5): a 2xx opens the tunnel.
    fn switching(&mut self, fields: &[Field<'_>], _: &[u8]) -> Result<(), BodyError> {
        self.head_sent = true;
        self.head = Some(response(200, fields)?);
        Ok(())
    }

    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
        self.head_sent = true;
        let mut head = response(reply.status, reply.fields)?;
        if !has_date(reply.fields)
            && let Ok(date) = with_date(HeaderValue::from_bytes)
        {
            head.headers_mut().insert(http::header::DATE, date);
        }
        let length = match reply.framing {
            Framing::Length(length) => Some(length),
            // RFC 9110 section 8.6: none goes with it.
            _ if reply.status == 204 => None,
            _ => reply.announced_length,
        };
        if let Some(length) = length {
            head.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let content_type = head.headers().get(http::header::CONTENT_TYPE);
        self.grpc = content_type.is_some_and(|value| grpc::is_content_type(value.as_bytes()));
        if self.grpc {
            self.note_status(head.headers());
        }
        self.head = Some(head);
        Ok(())
    }

    fn head_sent(&self) -> bool {
        self.head_sent
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

fn response(status: u16, fields: &[Field<'_>]) -> Result<Response<()>, BodyError> {
    const BAD: BodyError = BodyError::Wire(codec::WireError::Malformed("a response head that HTTP/2 cannot carry"));
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| BAD)?;
    response.headers_mut().reserve(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name).map_err(|_| BAD)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| BAD)?;
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::Http2Reply;
    use crate::error::ErrorCode;
    use crate::message::body::{BodySink, Piece};
    use crate::message::grpc::End;
    use crate::message::reply::{Reply, ReplySink};
    use codec::{Field, Framing};
    use http::{HeaderMap, Request, Response};
    use tokio::io::duplex;
    use tokio::sync::Notify;
    use tokio::task::{LocalSet, spawn_local};

    /// What a client gets: the head, the body, and the trailers or the code of the reset.
    type Got = (Response<()>, Vec<u8>, Result<Option<HeaderMap>, Option<h2::Reason>>);

    /// Answer one request by `answer`, which is told when the client has the head.
    async fn got(answer: impl AsyncFnOnce(&mut Http2Reply, &Notify)) -> Got {
        let seen = Notify::new();
        let (near, far) = duplex(64 * 1024);
        let local = LocalSet::new();
        let client = Box::pin(async {
            let (mut sender, connection) = h2::client::handshake(far).await.unwrap();
            spawn_local(connection);
            let request = Request::get("http://a.test/").body(()).unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            let (parts, mut body) = response.await.unwrap().into_parts();
            seen.notify_one();
            let mut bytes = Vec::new();
            let end = loop {
                match body.data().await {
                    Some(Ok(data)) => bytes.extend_from_slice(&data),
                    Some(Err(error)) => break Err(error.reason()),
                    None => break body.trailers().await.map_err(|error| error.reason()),
                }
            };
            (Response::from_parts(parts, ()), bytes, end)
        });
        let server = Box::pin(async {
            let mut connection = h2::server::handshake(near).await.unwrap();
            let (_, respond) = connection.accept().await.unwrap().unwrap();
            spawn_local(async move { while connection.accept().await.is_some() {} });
            let mut reply = Http2Reply::new(respond);
            answer(&mut reply, &seen).await;
            // The stream lives until the client has it all.
            reply
        });
        local.run_until(async { tokio::join!(client, server).0 }).await
    }

    fn head<'b>(status: u16, framing: Framing, announced_length: Option<u64>, fields: &'b [Field<'b>]) -> Reply<'b> {
        Reply { status, reason: b"", fields, framing, announced_length }
    }

    /// RFC 9110 section 8.6; a response without a body is one frame.
    #[tokio::test]
    async fn how_long_a_body_is() {
        for (status, framing, announced, length) in [
            (200, Framing::Length(4), None, Some("4")),
            (200, Framing::Chunked, None, None),
            (304, Framing::Empty, Some(9), Some("9")),
            (204, Framing::Empty, Some(0), None),
            (404, Framing::Empty, None, None),
        ] {
            let (response, body, end) = got(async |reply, _| {
                reply.head(&head(status, framing, announced, &[])).unwrap();
                assert!(reply.head_sent());
                if !framing.is_empty() {
                    reply.write(Piece::Borrowed(b"body")).await.unwrap();
                }
                reply.finish(None).await.unwrap();
            })
            .await;
            assert_eq!(response.status().as_u16(), status);
            let given = response.headers().get("content-length").map(|value| value.to_str().unwrap());
            assert_eq!(given, length, "{status} {framing:?}");
            // One that has no date gets one.
            assert_eq!(response.headers().get_all("date").iter().count(), 1);
            assert_eq!((&body[..], end), (if framing.is_empty() { &b""[..] } else { b"body" }, Ok(None)));
        }
    }

    /// A body that breaks off ends in a reset; that of a call of gRPC in trailers, unless it is the client that left.
    #[tokio::test]
    async fn how_a_response_breaks_off() {
        let grpc = [Field { name: b"content-type", value: b"application/grpc" }];
        for (fields, code, wanted, status) in [
            (&[][..], ErrorCode::UpstreamReset, Err(Some(h2::Reason::INTERNAL_ERROR)), None),
            (&[], ErrorCode::ClientGone, Err(Some(h2::Reason::CANCEL)), None),
            (&grpc, ErrorCode::UpstreamReset, Ok(()), Some(14)),
            (&grpc, ErrorCode::ClientGone, Err(Some(h2::Reason::CANCEL)), None),
        ] {
            let (_, _, end) = got(async |reply, seen| {
                reply.head(&head(200, Framing::Chunked, None, fields)).unwrap();
                reply.write(Piece::Borrowed(b"half")).await.unwrap();
                reply.flush().await.unwrap();
                seen.notified().await;
                reply.break_off(End { code, reset: None });
                assert_eq!(reply.grpc_status(), status);
            })
            .await;
            let told = end.map(|trailers| trailers.unwrap_or_default().get("grpc-status").cloned());
            let status = status.map(http::HeaderValue::from);
            assert_eq!(told, wanted.map(|()| status), "{code:?}");
        }
    }

    /// The status of a call is that of its trailers, or of a head that is all there is.
    #[tokio::test]
    async fn the_status_of_a_call() {
        let fields =
            [Field { name: b"content-type", value: b"application/grpc" }, Field { name: b"grpc-status", value: b"5" }];
        let (response, _, _) = got(async |reply, _| {
            reply.head(&head(200, Framing::Empty, None, &fields)).unwrap();
            reply.finish(None).await.unwrap();
            assert_eq!(reply.grpc_status(), Some(5));
        })
        .await;
        assert_eq!(response.headers().get("grpc-status").map(http::HeaderValue::as_bytes), Some(&b"5"[..]));
        let (_, _, end) = got(async |reply, _| {
            reply.head(&head(200, Framing::Chunked, None, &fields[..1])).unwrap();
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "7".parse().unwrap())]);
            reply.finish(Some(trailers)).await.unwrap();
            assert_eq!(reply.grpc_status(), Some(7));
        })
        .await;
        assert_eq!(end.unwrap().unwrap().get("grpc-status").map(http::HeaderValue::as_bytes), Some(&b"7"[..]));
    }
}
