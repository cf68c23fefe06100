//! A place for a response that may be an error in whose place something else is given: errors are held back, everything else
//! goes on at once.

use super::body::{BodyError, BodySink, Piece};
use super::grpc::End;
use super::reply::{Reply, ReplySink};
use codec::{Field, Framing};
use http::HeaderMap;
use route::policy::ErrorPages;
use std::task::{Context, Poll};

/// Octets of the body of an error that is held back. One that has more is something to read, and goes on as it is. Bounds the
/// memory that an error takes.
const MAX_HELD: usize = 64 * 1024;

/// An error that was held back.
#[derive(Debug)]
pub struct Original {
    pub status: u16,
    /// The gateway gave it.
    pub own: bool,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    reason: Vec<u8>,
    framing: Framing,
    announced_length: Option<u64>,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Original {
    fn of(reply: &Reply<'_>, own: bool) -> Self {
        Self {
            status: reply.status,
            own,
            fields: reply.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect(),
            reason: reply.reason.to_vec(),
            framing: reply.framing,
            announced_length: reply.announced_length,
            body: Vec::new(),
            trailers: None,
        }
    }

    fn begin<Sink: ReplySink>(&self, sink: &mut Sink) -> Result<(), BodyError> {
        let fields: Vec<Field<'_>> = self.fields.iter().map(|(name, value)| Field { name, value }).collect();
        sink.head(&Reply {
            status: self.status,
            reason: &self.reason,
            fields: &fields,
            framing: self.framing,
            announced_length: self.announced_length,
        })
    }

    /// Give what there is of it. `whole`: it is all of it.
    ///
    /// # Errors
    /// The client cannot be reached.
    pub async fn give<Sink: ReplySink>(self, sink: &mut Sink, whole: bool) -> Result<(), BodyError> {
        self.begin(sink)?;
        if !self.body.is_empty() {
            sink.write(Piece::Borrowed(&self.body)).await?;
        }
        if whole { sink.finish(self.trailers).await } else { sink.flush().await }
    }
}

/// A client's place for a response, with errors held back.
#[derive(Debug)]
pub struct Held<'s, Sink> {
    sink: &'s mut Sink,
    pages: &'s ErrorPages,
    is_own: bool,
    original: Option<Original>,
}

impl<'s, Sink: ReplySink> Held<'s, Sink> {
    pub fn new(sink: &'s mut Sink, pages: &'s ErrorPages) -> Self {
        Self { sink, pages, is_own: false, original: None }
    }

    /// The error that was held back, if there was one.
    pub fn into_original(self) -> Option<Original> {
        self.original
    }
}

impl<Sink: ReplySink> BodySink for Held<'_, Sink> {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        match &mut self.original {
            None => self.sink.write(piece).await,
            Some(original) if original.body.len() + piece.as_slice().len() <= MAX_HELD => {
                original.body.extend_from_slice(piece.as_slice());
                Ok(())
            }
            Some(_) => {
                if let Some(original) = self.original.take() {
                    original.give(self.sink, false).await?;
                }
                self.sink.write(piece).await
            }
        }
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        if self.original.is_some() { Ok(()) } else { self.sink.flush().await }
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        match &mut self.original {
            None => self.sink.finish(trailers).await,
            Some(original) => {
                original.trailers = trailers;
                Ok(())
            }
        }
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        self.sink.poll_gone(context)
    }
}

impl<Sink: ReplySink> ReplySink for Held<'_, Sink> {
    fn informational(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), BodyError> {
        self.sink.informational(status, fields)
    }

    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
        let fits = reply.announced_length.is_none_or(|length| length <= MAX_HELD as u64);
        if fits && self.pages.of(reply.status, self.is_own).is_some() {
            self.original = Some(Original::of(reply, self.is_own));
            return Ok(());
        }
        self.sink.head(reply)
    }

    fn switching(&mut self, fields: &[Field<'_>], protocol: &[u8]) -> Result<(), BodyError> {
        self.sink.switching(fields, protocol)
    }

    fn head_sent(&self) -> bool {
        self.original.is_some() || self.sink.head_sent()
    }

    fn body_bytes(&self) -> u64 {
        self.sink.body_bytes()
    }

    fn end_connection(&mut self) {
        self.sink.end_connection();
    }

    fn break_off(&mut self, end: End) {
        self.sink.break_off(end);
    }

    fn grpc_status(&self) -> Option<u32> {
        self.sink.grpc_status()
    }

    fn own_error(&mut self) {
        self.is_own = true;
    }
}

#[cfg(test)]
mod tests {
    use super::{Held, MAX_HELD};
    use crate::message::body::{BodySink, Piece};
    use crate::message::reply::{Reply, ReplySink};
    use crate::message::scripted::Told;
    use codec::{Field, Framing};
    use http::HeaderMap;
    use http::header::{ETAG, HeaderValue};
    use route::policy::ErrorPages;
    use serde_json::json;

    /// Pages for all errors of the gateway, and for 503 of backends.
    fn pages() -> ErrorPages {
        let page = |first: u16, last: u16, of: &str| {
            let content = json!({"type": "body", "content_type": "text/plain", "body": "page"});
            json!({"statuses": [{"first": first, "last": last}], "of": of, "content": content})
        };
        let ir = json!({"id": "a", "pages": [page(400, 599, "gateway"), page(503, 503, "backend")]});
        ErrorPages::compile(&serde_json::from_value(ir).unwrap())
    }

    fn reply(status: u16, announced_length: Option<u64>) -> Reply<'static> {
        let fields = &[Field { name: b"x", value: b"1" }];
        Reply { status, reason: b"", fields, framing: Framing::Chunked, announced_length }
    }

    /// An error that has a page is told nobody, and is still there as it was; everything else goes on at once.
    #[tokio::test]
    async fn errors_are_held_back_and_nothing_else() {
        let pages = pages();
        let trailers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("t"))]);
        for (status, own, announced, is_held) in [
            (200, false, None, false),
            (503, false, None, true),
            (503, false, Some(MAX_HELD as u64), true),
            // Something to read.
            (503, false, Some(MAX_HELD as u64 + 1), false),
            (500, false, None, false),
            (404, true, None, true),
            (399, true, None, false),
        ] {
            let mut told = Told::default();
            let mut held = Held::new(&mut told, &pages);
            if own {
                held.own_error();
            }
            held.informational(103, &[]).unwrap();
            held.head(&reply(status, announced)).unwrap();
            assert!(held.head_sent());
            held.write(Piece::Borrowed(b"so")).await.unwrap();
            held.flush().await.unwrap();
            held.finish(Some(trailers.clone())).await.unwrap();
            let original = held.into_original();
            assert_eq!(original.is_some(), is_held, "{status} {own} {announced:?}");
            if let Some(original) = original {
                assert_eq!((original.status, original.own), (status, own));
                assert_eq!(told.lines, ["interim 103"]);
                original.give(&mut told, true).await.unwrap();
            }
            let lines = ["interim 103", &format!("head {status} Chunked x=1"), "body so", "end etag=t"];
            assert_eq!(told.lines, lines, "{status} {own} {announced:?}");
        }
    }

    /// An error that grows too long goes on as it is: all of it, in order, and once.
    #[tokio::test]
    async fn what_is_too_long_is_held_back_no_longer() {
        let pages = pages();
        for (more, is_held) in [(0, true), (1, false)] {
            let mut told = Told::default();
            let mut held = Held::new(&mut told, &pages);
            held.head(&reply(503, None)).unwrap();
            held.write(Piece::Borrowed(&vec![b'a'; MAX_HELD - 1])).await.unwrap();
            held.write(Piece::Borrowed(b"b")).await.unwrap();
            held.write(Piece::Borrowed(&b"c"[..more])).await.unwrap();
            held.finish(None).await.unwrap();
            assert_eq!(held.into_original().is_some(), is_held);
            if is_held {
                assert!(told.lines.is_empty());
            } else {
                let first = format!("body {}b", "a".repeat(MAX_HELD - 1));
                assert_eq!(told.lines, ["head 503 Chunked x=1", &first, "body c", "end"]);
            }
        }
    }

    /// What broke off is not given as a whole.
    #[tokio::test]
    async fn half_an_error_has_no_end() {
        let (pages, mut told) = (pages(), Told::default());
        let mut held = Held::new(&mut told, &pages);
        held.head(&reply(503, None)).unwrap();
        held.write(Piece::Borrowed(b"ha")).await.unwrap();
        held.into_original().unwrap().give(&mut told, false).await.unwrap();
        assert_eq!(told.lines, ["head 503 Chunked x=1", "body ha"]);
    }
}
