//! A client whose request is written down beforehand, and that writes down what it is answered.

use super::body::{BodyError, BodySink, BodySource, Piece};
use super::grpc::End;
use super::reply::{Reply, ReplySink};
use codec::Field;
use http::HeaderMap;
use std::future::pending;
use std::task::{Context, Poll};

/// A request's body: some bytes, and what comes behind them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Body {
    None,
    /// Stands in memory.
    Whole(&'static [u8]),
    /// Comes piece by piece, and ends.
    Pieces(&'static [&'static [u8]]),
    /// More of it never comes.
    Endless(&'static [u8]),
    /// It breaks off.
    Broken,
    /// There is none, and the client leaves.
    Left,
}

#[derive(Debug)]
pub struct Source {
    body: Body,
    /// How often it was asked.
    asked: usize,
}

impl Source {
    pub fn new(body: Body) -> Self {
        Self { body, asked: 0 }
    }
}

impl BodySource for Source {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        let before = self.asked;
        self.asked += 1;
        match self.body {
            Body::Whole(bytes) | Body::Endless(bytes) if before == 0 => Ok(Some(Piece::Borrowed(bytes))),
            Body::Pieces(pieces) => Ok(pieces.get(before).map(|bytes| Piece::Borrowed(bytes))),
            Body::Endless(_) => pending().await,
            Body::Broken => Err(BodyError::Truncated),
            _ => Ok(None),
        }
    }

    fn is_finished(&self) -> bool {
        match self.body {
            Body::None | Body::Left => true,
            Body::Whole(_) => self.asked > 0,
            Body::Pieces(pieces) => self.asked > pieces.len(),
            Body::Endless(_) | Body::Broken => false,
        }
    }

    fn is_whole(&self) -> bool {
        matches!(self.body, Body::None | Body::Left | Body::Whole(_))
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        if self.body == Body::Left { Poll::Ready(BodyError::Truncated) } else { Poll::Pending }
    }
}

/// A client that writes down what it is given.
#[derive(Debug, Default)]
pub struct Told {
    pub lines: Vec<String>,
    /// It has left.
    pub gone: bool,
}

impl Told {
    fn say(&mut self, what: impl Into<String>) {
        self.lines.push(what.into());
    }
}

fn names(fields: &[Field<'_>]) -> String {
    let each = fields.iter().map(|field| format!(" {}={}", field.name.escape_ascii(), field.value.escape_ascii()));
    each.collect::<Vec<_>>().concat()
}

impl BodySink for Told {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        self.say(format!("body {}", piece.as_slice().escape_ascii()));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        let trailers = trailers.unwrap_or_default();
        let fields = trailers.iter().map(|(name, value)| Field { name: name.as_ref(), value: value.as_bytes() });
        let fields: Vec<_> = fields.collect();
        self.say(format!("end{}", names(&fields)));
        Ok(())
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<BodyError> {
        if self.gone { Poll::Ready(BodyError::Truncated) } else { Poll::Pending }
    }
}

impl ReplySink for Told {
    fn informational(&mut self, status: u16, fields: &[Field<'_>]) -> Result<(), BodyError> {
        self.say(format!("interim {status}{}", names(fields)));
        Ok(())
    }

    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
        self.say(format!("head {} {:?}{}", reply.status, reply.framing, names(reply.fields)));
        Ok(())
    }

    fn switching(&mut self, fields: &[Field<'_>], protocol: &[u8]) -> Result<(), BodyError> {
        self.say(format!("switch {}{}", protocol.escape_ascii(), names(fields)));
        Ok(())
    }

    fn head_sent(&self) -> bool {
        self.lines.iter().any(|line| line.starts_with("head "))
    }

    fn body_bytes(&self) -> u64 {
        0
    }

    fn end_connection(&mut self) {
        self.say("last");
    }

    fn break_off(&mut self, end: End) {
        self.say(format!("broken {}", end.code.name()));
    }
}
