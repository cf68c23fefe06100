//! Responses that the gateway makes itself: errors, redirects, CORS preflights.

use super::body::{BodyError, Piece};
use super::grpc;
use super::grpc::End;
use super::reply::{Reply, ReplySink};
use super::response_filters::ResponseEdits;
use crate::error::ErrorCode;
use crate::io::watchdog::Watchdog;
use crate::policy::Denial;
use codec::{Field, Framing};
use route::policy::AnswerField;
use smallvec::SmallVec;
use std::time::Duration;
use tokio::time::Instant;

/// A whole response of our own. Statuses and sentences of errors: `error.rs`.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Set for errors; names them in the body, the log and the metrics.
    pub code: Option<ErrorCode>,
    pub fields: SmallVec<[AnswerField; 6]>,
    /// The answer is a gRPC status and nothing else (`Trailers-Only`).
    pub grpc: Option<End>,
    /// In place of the line that says the error.
    pub body: Option<Vec<u8>>,
}

impl Answer {
    pub fn error(code: ErrorCode) -> Self {
        Self { status: code.status(), code: Some(code), fields: SmallVec::new(), grpc: None, body: None }
    }

    /// An error in the protocol that the client speaks.
    pub fn failure(end: End, grpc: bool) -> Self {
        let Some(_) = end.status().filter(|_| grpc) else {
            return Self::error(end.code);
        };
        Self { status: 200, code: Some(end.code), fields: SmallVec::new(), grpc: Some(end), body: None }
    }

    /// What a policy refuses, in the protocol that the client speaks.
    pub fn denial(denial: Denial, grpc: bool) -> Self {
        let answer = Self::failure(End { code: denial.code, reset: None }, grpc);
        let status = denial.status.filter(|_| answer.grpc.is_none()).unwrap_or(answer.status);
        let mut fields: SmallVec<[AnswerField; 6]> = denial.fields.into();
        if answer.grpc.is_some() {
            // What a service says of a body of its own, which is not sent.
            fields.retain(|(name, _)| !name.starts_with("content-"));
        }
        Self { status, fields, body: denial.body, ..answer }
    }

    pub fn with_status(status: u16) -> Self {
        Self { status, code: None, fields: SmallVec::new(), grpc: None, body: None }
    }

    /// Send head and body; `edits`: what the rule's filters do to its responses. An error's body is one line of text for
    /// people: code and meaning, nothing about backends; unless it has another one, whose type is among its fields.
    ///
    /// # Errors
    /// The client cannot be reached.
    async fn send<Sink: ReplySink>(
        &self,
        client: &mut Sink,
        head_request: bool,
        edits: &ResponseEdits<'_>,
    ) -> Result<(), BodyError> {
        let line = self.code.filter(|_| self.grpc.is_none() && self.body.is_none());
        let line = line.map(|code| format!("{}: {}\n", code.name(), code.meaning()).into_bytes());
        let body = self.body.as_ref().filter(|_| self.grpc.is_none()).or(line.as_ref());
        let status = self.grpc.and_then(|end| end.status().map(|status| (status.to_string(), end.message())));
        let mut fields: SmallVec<[Field<'_>; 8]> = SmallVec::new();
        if line.is_some() {
            fields.push(Field { name: b"content-type", value: b"text/plain; charset=utf-8" });
        }
        if let Some((status, message)) = &status {
            fields.push(Field { name: b"content-type", value: grpc::CONTENT_TYPE });
            fields.push(Field { name: grpc::STATUS.as_bytes(), value: status.as_bytes() });
            fields.push(Field { name: grpc::MESSAGE.as_bytes(), value: message.as_bytes() });
        }
        fields.extend(self.fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
        if self.code.is_some() {
            client.own_error();
        }
        let length = body.map_or(0, Vec::len) as u64;
        let framing = if length == 0 || head_request { Framing::Empty } else { Framing::Length(length) };
        edits.with(self.status, &fields, |fields| {
            client.head(&Reply {
                status: self.status,
                reason: b"",
                fields,
                framing,
                announced_length: (length > 0).then_some(length),
            })
        })?;
        if let (Some(body), false) = (body, head_request) {
            client.write(Piece::Borrowed(body)).await?;
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

#[cfg(test)]
mod tests {
    use super::{Answer, End, ErrorCode, ResponseEdits};
    use crate::io::watchdog::Watchdog;
    use crate::message::body::{BodyError, BodySink, Piece};
    use crate::message::reply::{Reply, ReplySink};
    use codec::Field;
    use http::HeaderMap;
    use std::fmt::Write;
    use std::future::pending;
    use std::time::Duration;

    /// What a client got: a line for the status and for each field, then the body.
    #[derive(Default)]
    struct Notes {
        text: String,
        ended: bool,
        deaf: bool,
    }

    impl BodySink for Notes {
        async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
            self.text += std::str::from_utf8(piece.as_slice()).unwrap();
            Ok(())
        }

        async fn flush(&mut self) -> Result<(), BodyError> {
            Ok(())
        }

        async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
            assert!(trailers.is_none());
            if self.deaf {
                pending::<()>().await;
            }
            self.ended = true;
            Ok(())
        }
    }

    impl ReplySink for Notes {
        fn informational(&mut self, _: u16, _: &[Field<'_>]) -> Result<(), BodyError> {
            Err(BodyError::Truncated)
        }

        fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
            let (framing, announced) = (reply.framing, reply.announced_length);
            writeln!(self.text, "{} {framing:?} {announced:?}", reply.status).unwrap();
            for field in reply.fields {
                writeln!(self.text, "{}: {}", field.name.escape_ascii(), field.value.escape_ascii()).unwrap();
            }
            Ok(())
        }

        fn switching(&mut self, _: &[Field<'_>], _: &[u8]) -> Result<(), BodyError> {
            Err(BodyError::Truncated)
        }

        fn head_sent(&self) -> bool {
            !self.text.is_empty()
        }

        fn body_bytes(&self) -> u64 {
            0
        }
    }

    async fn given(answer: Answer, head_request: bool) -> String {
        let mut notes = Notes::default();
        let edits = ResponseEdits::default();
        let limit = Duration::from_secs(1);
        answer.give(&mut Watchdog::default(), limit, &mut notes, head_request, &edits).await.unwrap();
        assert!(notes.ended);
        notes.text
    }

    /// A line of text for people, nothing about backends; to HEAD only its length.
    #[tokio::test]
    async fn errors() {
        let body = format!("no_route: {}\n", ErrorCode::NoRoute.meaning());
        let (length, kind) = (body.len(), "content-type: text/plain; charset=utf-8\n");
        let whole = format!("404 Length({length}) Some({length})\n{kind}{body}");
        assert_eq!(given(Answer::error(ErrorCode::NoRoute), false).await, whole);
        let head = format!("404 Empty Some({length})\n{kind}");
        assert_eq!(given(Answer::error(ErrorCode::NoRoute), true).await, head);
    }

    /// gRPC has its status in the head, and a status of HTTP only where a client has to see it.
    #[tokio::test]
    async fn errors_of_grpc() {
        let end = End { code: ErrorCode::NoRoute, reset: None };
        let text = given(Answer::failure(end, true), false).await;
        let status = end.status().unwrap();
        assert!(text.starts_with("200 Empty None\ncontent-type: application/grpc\n"), "{text}");
        assert!(text.contains(&format!("grpc-status: {status}\ngrpc-message: ")), "{text}");
        let misdirected = End { code: ErrorCode::Misdirected, reset: None };
        assert!(given(Answer::failure(misdirected, true), false).await.starts_with("421 "));
        assert!(given(Answer::failure(end, false), false).await.starts_with("404 "));
    }

    #[tokio::test]
    async fn redirects() {
        let mut answer = Answer::with_status(302);
        answer.fields.push(("location".into(), b"https://a.test/".to_vec()));
        assert_eq!(given(answer, false).await, "302 Empty None\nlocation: https://a.test/\n");
    }

    #[tokio::test]
    async fn bodies_of_their_own() {
        let own = || Answer { body: Some(b"soon".to_vec()), ..Answer::with_status(503) };
        assert_eq!(given(own(), false).await, "503 Length(4) Some(4)\nsoon");
        assert_eq!(given(own(), true).await, "503 Empty Some(4)\n");
        let refused = Answer { body: Some(b"no".to_vec()), ..Answer::error(ErrorCode::NoRoute) };
        assert_eq!(given(refused, false).await, "404 Length(2) Some(2)\nno");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_take_it_is_gone() {
        let mut notes = Notes { deaf: true, ..Notes::default() };
        let started = tokio::time::Instant::now();
        let edits = ResponseEdits::default();
        let limit = Duration::from_secs(7);
        let given = Answer::with_status(204).give(&mut Watchdog::default(), limit, &mut notes, false, &edits).await;
        assert_eq!(given, Err(End { code: ErrorCode::ClientGone, reset: None }));
        assert_eq!(started.elapsed(), limit);
    }
}
