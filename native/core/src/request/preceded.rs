//! The body of a request of which somebody was given the beginning, or of which all was collected: it is kept, and goes to the
//! backend first.

use crate::error::ErrorCode;
use crate::message::body::{BodyError, BodySource, Piece, while_there};
use crate::message::reply::ReplySink;
use crate::worker::{Room, Taken};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What was read of a body before it was known whether the request goes on.
#[derive(Debug)]
pub struct Collected {
    bytes: Vec<u8>,
    /// Nothing comes behind it.
    is_whole: bool,
    refused: Option<ErrorCode>,
    /// The client was told to go on.
    is_asked_for: bool,
    taken: Taken,
}

/// What goes to the backend first, and the memory that it takes.
#[derive(Debug)]
pub struct Beginning {
    pub bytes: Bytes,
    _taken: Taken,
}

impl Collected {
    pub fn new(room: &Arc<Room>) -> Self {
        Self { bytes: Vec::new(), is_whole: false, refused: None, is_asked_for: false, taken: room.enter() }
    }

    /// Read some more of a body that may have so many octets. One that has more, or finds no room, is not read on, and is
    /// refused. Returns whether there is more to read.
    ///
    /// # Errors
    /// The client went away, or broke its request.
    pub async fn read<Source: BodySource, Sink: ReplySink>(
        &mut self,
        most: usize,
        expects_continue: bool,
        source: &mut Source,
        reply: &mut Sink,
    ) -> Result<bool, BodyError> {
        if self.is_whole || self.bytes.len() > most || self.refused.is_some() {
            return Ok(false);
        }
        if expects_continue && !self.is_asked_for && self.bytes.is_empty() && !source.is_whole() {
            self.is_asked_for = true;
            reply.informational(100, &[])?;
            reply.flush().await?;
        }
        match while_there(reply, source.next()).await?? {
            None => self.is_whole = true,
            Some(piece) if self.taken.take(piece.as_slice().len()) => self.bytes.extend_from_slice(piece.as_slice()),
            Some(_) => self.refused = Some(ErrorCode::BuffersFull),
        }
        Ok(true)
    }

    /// The rest did not come.
    pub fn refuse(&mut self, code: ErrorCode) {
        self.refused = Some(code);
    }

    /// The length of a body that may have so many octets and is whole.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn length(&self, most: usize) -> Result<u64, ErrorCode> {
        match self.refused {
            Some(code) => Err(code),
            None if self.bytes.len() > most => Err(ErrorCode::BodyTooLarge),
            None => Ok(self.bytes.len() as u64),
        }
    }

    /// What somebody is given who takes so many octets.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn given(&self, most: usize) -> Result<Vec<u8>, ErrorCode> {
        match self.refused {
            None if most == 0 => Ok(Vec::new()),
            _ => self.length(most).map(|_| self.bytes.clone()),
        }
    }

    /// What goes to the backend first; `None`: nothing was read.
    pub fn into_beginning(self) -> Option<Box<Beginning>> {
        (!self.bytes.is_empty()).then(|| Box::new(Beginning { bytes: self.bytes.into(), _taken: self.taken }))
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
