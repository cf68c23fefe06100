//! Response heads on their way to a client, whatever speaks on either side.

use super::body::{BodyError, BodySink};
use super::date::with_date;
use super::grpc::{self, End};
use super::http1_io::Http1Sink;
use super::http2_io::{self, Http2Sink};
use crate::error::ErrorCode;
use crate::runtime::Drain;
use bytes::Bytes;
use codec::{Field, Framing, push_field, push_status_line};
use h2::server::SendResponse;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use std::cell::RefCell;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// A response head. `fields` has no framing and no hop-by-hop fields.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'b> {
    pub status: u16,
    pub reason: &'b [u8],
    pub fields: &'b [Field<'b>],
    pub framing: Framing,
    /// The length that a HEAD or 304 response tells of a body that does not follow.
    pub announced_length: Option<u64>,
}

/// Where the response of one exchange goes: a head, perhaps after informational ones, then a body.
pub trait ReplySink: BodySink {
    /// 1xx, to be followed by another head. Dropped where the client cannot take it.
    fn informational(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), BodyError>;

    /// The final head. Not flushed.
    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError>;

    /// 101: what follows on this stream is `protocol`, not HTTP.
    fn switching(&mut self, fields: &[Field<'_>], protocol: &[u8]) -> Result<(), BodyError>;

    /// The final head was given: an error can no longer become a status code.
    fn head_sent(&self) -> bool;

    /// Body bytes given so far.
    fn body_bytes(&self) -> u64;

    /// What follows on the client's connection cannot be trusted: this response is the last one on it. Over HTTP/2 only
    /// the stream is at stake.
    fn end_connection(&mut self) {}
}

/// How the response ends on an HTTP/1.1 connection, decided per request.
#[derive(Debug, Clone, Copy)]
pub struct Http1Terms {
    pub minor: u8,
    pub head_request: bool,
    /// Say `Connection: close` and mean it.
    pub close: bool,
}

/// Answers one HTTP/1.1 request.
#[derive(Debug)]
pub struct Http1Reply<'c, S> {
    sink: Http1Sink<'c, S>,
    drain: &'c Drain,
    pub terms: Http1Terms,
    head_sent: bool,
    body_bytes: u64,
}

impl<'c, S: AsyncWrite + Unpin> Http1Reply<'c, S> {
    pub fn new(stream: &'c RefCell<S>, out: &'c mut Vec<u8>, drain: &'c Drain, terms: Http1Terms) -> Self {
        Self { sink: Http1Sink::new(stream, out, Framing::Empty), drain, terms, head_sent: false, body_bytes: 0 }
    }

    /// Nothing but the end of the connection tells the client where the body ends.
    pub fn ends_with_connection(&self) -> bool {
        self.sink.framing() == Framing::UntilClose
    }
}

impl<S: AsyncWrite + Unpin> BodySink for Http1Reply<'_, S> {
    async fn write(&mut self, piece: super::body::Piece<'_>) -> Result<(), BodyError> {
        self.body_bytes += piece.as_slice().len() as u64;
        self.sink.write(piece).await
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        self.sink.flush().await
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        self.sink.finish(trailers).await
    }
}

impl<S: AsyncWrite + Unpin> ReplySink for Http1Reply<'_, S> {
    fn end_connection(&mut self) {
        self.terms.close = true;
    }

    fn informational(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), BodyError> {
        if self.terms.minor == 1 {
            push_status_line(self.sink.out, status, b"");
            push_fields(self.sink.out, fields);
            self.sink.out.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    fn switching(&mut self, fields: &[Field<'_>], protocol: &[u8]) -> Result<(), BodyError> {
        self.head_sent = true;
        let out = &mut *self.sink.out;
        push_status_line(out, 101, b"");
        push_fields(out, fields);
        push_field(out, b"connection", b"upgrade");
        push_field(out, b"upgrade", protocol);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
        self.head_sent = true;
        // A drain may have begun since the request came.
        self.terms.close |= self.drain.is_draining();
        let out = &mut *self.sink.out;
        push_status_line(out, reply.status, reply.reason);
        push_fields(out, reply.fields);
        if !has_date(reply.fields) {
            with_date(|date| push_field(out, b"date", date));
        }
        let mut framing = reply.framing;
        match framing {
            Framing::Length(length) => push_length(out, length),
            Framing::Chunked | Framing::UntilClose if self.terms.minor == 1 => {
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
                framing = Framing::Chunked;
            }
            Framing::Chunked | Framing::UntilClose => {
                // HTTP/1.0 knows no chunks: the end of the connection ends the body.
                framing = Framing::UntilClose;
                self.terms.close = true;
            }
            Framing::Empty => match reply.announced_length {
                Some(length) if self.terms.head_request || reply.status == 304 => push_length(out, length),
                _ if self.terms.head_request || reply.status == 304 || reply.status == 204 => {}
                _ => push_length(out, 0),
            },
        }
        if self.terms.close {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.terms.minor == 0 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.sink.set_framing(framing);
        Ok(())
    }

    fn head_sent(&self) -> bool {
        self.head_sent
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

fn push_fields(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    for field in fields {
        push_field(out, field.name, field.value);
    }
}

/// A response that has none when it is passed on gets one (RFC 9110 section 6.6.1).
fn has_date(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|field| field.name.len() == 4 && field.name.eq_ignore_ascii_case(b"date"))
}

fn push_length(out: &mut Vec<u8>, length: u64) {
    push_field(out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
}

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

    /// `grpc-status` of the response, once it has come.
    pub fn grpc_status(&self) -> Option<u32> {
        self.grpc_status
    }

    /// This response will not be whole. gRPC says so in trailers, which every client understands better than a reset; what
    /// is half a message then is for the client to see.
    pub fn break_off(&mut self, end: End) {
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
    pub fn into_sink(mut self) -> Result<Option<Http2Sink>, BodyError> {
        self.send_head(false)?;
        Ok(self.sink)
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
    async fn write(&mut self, piece: super::body::Piece<'_>) -> Result<(), BodyError> {
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
            None => self.respond.poll_reset(context).map(http2_io::gone),
        }
    }
}

impl ReplySink for Http2Reply {
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
