//! Responses on an HTTP/1.1 connection.

use crate::message::body::{BodyError, BodySink, Piece};
use crate::message::date::with_date;
use crate::message::http1::Http1Sink;
use crate::message::reply::{Reply, ReplySink, has_date};
use crate::worker::Drain;
use codec::{Field, Framing, push_field, push_status_line};
use http::HeaderMap;
use std::cell::RefCell;
use tokio::io::AsyncWrite;

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
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
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

fn push_length(out: &mut Vec<u8>, length: u64) {
    push_field(out, b"content-length", itoa::Buffer::new().format(length).as_bytes());
}
