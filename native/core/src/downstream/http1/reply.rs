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

#[cfg(test)]
mod tests {
    use super::{Http1Reply, Http1Terms};
    use crate::message::body::{BodySink, Piece};
    use crate::message::reply::{Reply, ReplySink};
    use crate::worker::Drain;
    use codec::{Field, Framing};
    use std::cell::RefCell;
    use tokio::io::{AsyncReadExt, duplex};

    const FIELDS: [Field<'_>; 2] = [Field { name: b"x", value: b"1" }, Field { name: b"date", value: b"then" }];

    fn terms(minor: u8, head_request: bool) -> Http1Terms {
        Http1Terms { minor, head_request, close: false }
    }

    /// What a client gets of a response with the body "body", without the fields that are in each.
    async fn given(terms: Http1Terms, status: u16, framing: Framing, announced_length: Option<u64>) -> String {
        let (near, mut far) = duplex(4096);
        let (stream, mut out, drain) = (RefCell::new(near), Vec::new(), Drain::default());
        let mut reply = Http1Reply::new(&stream, &mut out, &drain, terms);
        let head = Reply { status, reason: b"", fields: &FIELDS, framing, announced_length };
        reply.head(&head).unwrap();
        assert!(reply.head_sent());
        if !framing.is_empty() {
            reply.write(Piece::Borrowed(b"body")).await.unwrap();
            assert_eq!(reply.body_bytes(), 4);
        }
        reply.finish(None).await.unwrap();
        drop(stream);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        let (line, rest) = text.split_once("\r\n").unwrap();
        let rest = rest.strip_prefix("x: 1\r\ndate: then\r\n").unwrap();
        format!("{} {rest}", &line[9..12]).replace("\r\n", "|")
    }

    /// RFC 9112 section 6.3, RFC 9110 section 8.6.
    #[tokio::test]
    async fn how_a_body_is_framed() {
        let (one, zero) = (terms(1, false), terms(0, false));
        for (terms, status, framing, announced, expected) in [
            (one, 200, Framing::Length(4), None, "200 content-length: 4||body"),
            (one, 200, Framing::Chunked, None, "200 transfer-encoding: chunked||4|body|0||"),
            (one, 200, Framing::UntilClose, None, "200 transfer-encoding: chunked||4|body|0||"),
            (one, 200, Framing::Empty, None, "200 content-length: 0||"),
            (one, 204, Framing::Empty, Some(0), "204 |"),
            (one, 304, Framing::Empty, Some(9), "304 content-length: 9||"),
            (one, 304, Framing::Empty, None, "304 |"),
            (terms(1, true), 200, Framing::Empty, Some(9), "200 content-length: 9||"),
            (terms(1, true), 200, Framing::Empty, None, "200 |"),
            (zero, 200, Framing::Length(4), None, "200 content-length: 4|connection: keep-alive||body"),
            (zero, 200, Framing::Chunked, None, "200 connection: close||body"),
            (zero, 200, Framing::UntilClose, None, "200 connection: close||body"),
            (
                Http1Terms { close: true, ..one },
                200,
                Framing::Length(4),
                None,
                "200 content-length: 4|connection: close||body",
            ),
        ] {
            assert_eq!(given(terms, status, framing, announced).await, expected, "{terms:?} {status} {framing:?}");
        }
    }

    /// A client of HTTP/1.0 knows neither 1xx nor a body that ends otherwise than by the connection.
    #[tokio::test]
    async fn what_http_1_0_does_not_know() {
        for (minor, expected) in [(1, "HTTP/1.1 103 Early Hints\r\nx: 1\r\ndate: then\r\n\r\n"), (0, "")] {
            let (near, mut far) = duplex(4096);
            let (stream, mut out, drain) = (RefCell::new(near), Vec::new(), Drain::default());
            let mut reply = Http1Reply::new(&stream, &mut out, &drain, terms(minor, false));
            reply.informational(103, &FIELDS).unwrap();
            reply.flush().await.unwrap();
            assert!(!reply.head_sent() && !reply.ends_with_connection());
            let head =
                Reply { status: 200, reason: b"", fields: &[], framing: Framing::Chunked, announced_length: None };
            reply.head(&head).unwrap();
            assert_eq!(reply.ends_with_connection(), minor == 0);
            drop(stream);
            let mut text = String::new();
            far.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, expected);
        }
    }

    /// One that began after the request came is told with the response.
    #[tokio::test]
    async fn a_drain_closes() {
        let (near, _far) = duplex(4096);
        let (stream, mut out, drain) = (RefCell::new(near), Vec::new(), Drain::default());
        let mut reply = Http1Reply::new(&stream, &mut out, &drain, terms(1, false));
        drain.start();
        let head = Reply { status: 200, reason: b"", fields: &[], framing: Framing::Empty, announced_length: None };
        reply.head(&head).unwrap();
        assert!(reply.terms.close);
        assert!(out.ends_with(b"connection: close\r\n\r\n"));
    }
}
