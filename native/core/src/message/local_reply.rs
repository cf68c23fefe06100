//! Responses that the gateway makes itself: errors, redirects, CORS preflights.

use super::body::{BodyError, Piece};
use super::grpc;
use super::grpc::End;
use super::reply::{Reply, ReplySink};
use super::response_filters::ResponseEdits;
use crate::error::ErrorCode;
use crate::io::watchdog::Watchdog;
use codec::{Field, Framing};
use smallvec::SmallVec;
use std::time::Duration;
use tokio::time::Instant;

/// One field of an answer.
pub type AnswerField = (&'static str, Vec<u8>);

/// A whole response of our own. Statuses and sentences of errors: `error.rs`.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Set for errors; names them in the body, the log and the metrics.
    pub code: Option<ErrorCode>,
    pub fields: SmallVec<[AnswerField; 6]>,
    /// The answer is a gRPC status and nothing else (`Trailers-Only`).
    pub grpc: Option<End>,
}

impl Answer {
    pub fn error(code: ErrorCode) -> Self {
        Self { status: code.status(), code: Some(code), fields: SmallVec::new(), grpc: None }
    }

    /// An error in the protocol that the client speaks.
    pub fn failure(end: End, grpc: bool) -> Self {
        let Some(_) = end.status().filter(|_| grpc) else {
            return Self::error(end.code);
        };
        Self { status: 200, code: Some(end.code), fields: SmallVec::new(), grpc: Some(end) }
    }

    pub fn with_status(status: u16) -> Self {
        Self { status, code: None, fields: SmallVec::new(), grpc: None }
    }

    /// Send head and body; `edits`: what the rule's filters do to its responses. An error's body is one line of text for
    /// people: code and meaning, nothing about backends.
    ///
    /// # Errors
    /// The client cannot be reached.
    async fn send<Sink: ReplySink>(
        &self,
        client: &mut Sink,
        head_request: bool,
        edits: &ResponseEdits<'_>,
    ) -> Result<(), BodyError> {
        let body = self.code.filter(|_| self.grpc.is_none());
        let body = body.map(|code| format!("{}: {}\n", code.name(), code.meaning()));
        let status = self.grpc.and_then(|end| end.status().map(|status| (status.to_string(), end.message())));
        let mut fields: SmallVec<[Field<'_>; 8]> = SmallVec::new();
        if body.is_some() {
            fields.push(Field { name: b"content-type", value: b"text/plain; charset=utf-8" });
        }
        if let Some((status, message)) = &status {
            fields.push(Field { name: b"content-type", value: grpc::CONTENT_TYPE });
            fields.push(Field { name: grpc::STATUS.as_bytes(), value: status.as_bytes() });
            fields.push(Field { name: grpc::MESSAGE.as_bytes(), value: message.as_bytes() });
        }
        fields.extend(self.fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
        let length = body.as_ref().map_or(0, String::len) as u64;
        let framing = if length == 0 || head_request { Framing::Empty } else { Framing::Length(length) };
        edits.with(&fields, |fields| {
            client.head(&Reply {
                status: self.status,
                reason: b"",
                fields,
                framing,
                announced_length: (length > 0).then_some(length),
            })
        })?;
        if let (Some(body), false) = (&body, head_request) {
            client.write(Piece::Borrowed(body.as_bytes())).await?;
        }
        client.finish(None).await
    }

    /// Send it to a client that takes it within `limit`.
    ///
    /// # Errors
    /// The client is gone, or was too slow.
    pub async fn give<Sink: ReplySink>(
        &self,
        watchdog: &mut Watchdog,
        limit: Duration,
        client: &mut Sink,
        head_request: bool,
        edits: &ResponseEdits<'_>,
    ) -> Result<(), End> {
        match watchdog.until(Instant::now() + limit, self.send(client, head_request, edits)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End { code: ErrorCode::ClientGone, reset: None }),
        }
    }
}
