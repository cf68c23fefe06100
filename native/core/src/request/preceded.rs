//! The body of a request of which somebody was given the beginning: it is kept, and goes to the backend first.

use crate::error::ErrorCode;
use crate::message::body::{BodyError, BodySource, Piece, while_there};
use crate::message::reply::ReplySink;
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll};

/// What was read of a body before it was known whether the request goes on.
#[derive(Debug, Default)]
pub struct Collected {
    bytes: Vec<u8>,
    /// Nothing comes behind it.
    is_whole: bool,
    refused: Option<ErrorCode>,
}

impl Collected {
    /// Read a body that may have so many octets. One that has more is not read on, and is refused.
    ///
    /// # Errors
    /// The client went away, or broke its request.
    pub async fn read<Source: BodySource, Sink: ReplySink>(
        &mut self,
        most: usize,
        expects_continue: bool,
        source: &mut Source,
        reply: &mut Sink,
    ) -> Result<(), BodyError> {
        if expects_continue && self.bytes.is_empty() && !source.is_whole() {
            reply.informational(100, &[])?;
            reply.flush().await?;
        }
        while !self.is_whole && self.bytes.len() <= most {
            match while_there(reply, source.next()).await?? {
                Some(piece) => self.bytes.extend_from_slice(piece.as_slice()),
                None => self.is_whole = true,
            }
        }
        Ok(())
    }

    /// The rest did not come.
    pub fn refuse(&mut self, code: ErrorCode) {
        self.refused = Some(code);
    }

    /// What somebody is given who takes so many octets.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn given(&self, most: usize) -> Result<Vec<u8>, ErrorCode> {
        match self.refused {
            Some(code) => Err(code),
            None if most == 0 => Ok(Vec::new()),
            None if self.bytes.len() > most => Err(ErrorCode::BodyTooLarge),
            None => Ok(self.bytes.clone()),
        }
    }

    /// What goes to the backend first; `None`: nothing was read.
    pub fn into_bytes(self) -> Option<Bytes> {
        (!self.bytes.is_empty()).then(|| self.bytes.into())
    }
}

/// A body with what was read of it in front.
#[derive(Debug)]
pub struct Preceded<'s, Source> {
    pub first: Option<Bytes>,
    pub rest: &'s mut Source,
}

impl<Source: BodySource> BodySource for Preceded<'_, Source> {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(Piece::Shared(first)));
        }
        self.rest.next().await
    }

    fn is_finished(&self) -> bool {
        self.first.is_none() && self.rest.is_finished()
    }

    fn is_whole(&self) -> bool {
        self.rest.is_whole()
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.rest.take_trailers()
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        self.rest.poll_gone(context)
    }
}
