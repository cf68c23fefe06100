//! The body of a request of which somebody was given the beginning, or of which all was collected: it is kept, and goes to the
//! backend first.

use crate::error::ErrorCode;
use crate::message::body::{BodyError, BodySource, Piece, Watch, while_there};
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

impl<'s, Source: BodySource> BodySource for Preceded<'s, Source> {
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

    fn watch(&self) -> impl Watch + use<'s, Source> {
        self.rest.watch()
    }
}

#[cfg(test)]
mod tests {
    use super::{Collected, Preceded};
    use crate::error::ErrorCode;
    use crate::message::body::{BodyError, BodySource};
    use crate::message::scripted::{Body, Source, Told};
    use crate::worker::Room;
    use std::future::poll_fn;
    use std::sync::Arc;

    /// All that is read of a body that may have so many octets.
    async fn collected(room: &Arc<Room>, body: Body, most: usize) -> Result<(Collected, Source), BodyError> {
        let (mut collected, mut source, mut told) = (Collected::new(room), Source::new(body), Told::default());
        while collected.read(most, false, &mut source, &mut told).await? {}
        assert!(told.lines.is_empty());
        Ok((collected, source))
    }

    /// The rest of a body.
    async fn rest(source: &mut impl BodySource) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(piece) = source.next().await.unwrap() {
            bytes.extend_from_slice(piece.as_slice());
        }
        bytes
    }

    /// Up to its last octet; one that is too long by one is not read to its end, and nobody is given a part of it.
    #[tokio::test]
    async fn a_body_up_to_its_limit() {
        const BODY: Body = Body::Pieces(&[b"he", b"llo", b"!"]);
        let room = Room::new(100);
        for (body, most, length, left) in [
            (Body::None, 0, Ok(0), ""),
            (Body::Whole(b"hello!"), 6, Ok(6), ""),
            (BODY, 7, Ok(6), ""),
            (BODY, 6, Ok(6), ""),
            (BODY, 5, Err(ErrorCode::BodyTooLarge), ""),
            (BODY, 4, Err(ErrorCode::BodyTooLarge), "!"),
            (BODY, 1, Err(ErrorCode::BodyTooLarge), "llo!"),
        ] {
            let (collected, mut source) = collected(&room, body, most).await.unwrap();
            assert_eq!(collected.length(most), length, "{body:?} {most}");
            assert_eq!(rest(&mut source).await, left.as_bytes(), "{body:?} {most}");
            let given = collected.given(most.max(1)).map(|bytes| bytes.len() as u64);
            assert_eq!(given, length, "{body:?} {most}");
            assert_eq!(collected.given(0), Ok(Vec::new()), "who takes nothing is given nothing");
        }
        assert!(matches!(self::collected(&room, Body::Broken, 9).await, Err(BodyError::Truncated)));
    }

    /// All requests together have so much; what one has comes back when its body has gone on.
    #[tokio::test]
    async fn a_body_without_room() {
        let room = Room::new(5);
        let (first, _) = collected(&room, Body::Whole(b"abc"), 9).await.unwrap();
        let (second, mut source) = collected(&room, Body::Pieces(&[b"de", b"f", b"g"]), 9).await.unwrap();
        assert_eq!(second.length(9), Err(ErrorCode::BuffersFull));
        assert_eq!((second.given(9), second.given(0)), (Err(ErrorCode::BuffersFull), Err(ErrorCode::BuffersFull)));
        assert_eq!(rest(&mut source).await, b"g", "it is not read on");
        drop(second);
        let beginning = first.into_beginning().unwrap();
        assert_eq!(beginning.bytes, "abc");
        let is_full = async || collected(&room, Body::Whole(b"abc"), 9).await.unwrap().0.length(9).is_err();
        assert!(is_full().await);
        drop(beginning);
        assert!(!is_full().await);
        assert!(Collected::new(&room).into_beginning().is_none());
    }

    /// A client that waits to be asked is asked once, and only for what is not there.
    #[tokio::test]
    async fn who_is_told_to_go_on() {
        let room = Room::new(100);
        for (body, expects, expected) in [
            (Body::Pieces(&[b"a", b"b"]), true, &["interim 100"][..]),
            (Body::Pieces(&[b"", b"b"]), true, &["interim 100"]),
            (Body::Pieces(&[b"a", b"b"]), false, &[]),
            (Body::Whole(b"a"), true, &[]),
            (Body::None, true, &[]),
        ] {
            let (mut collected, mut source, mut told) = (Collected::new(&room), Source::new(body), Told::default());
            while collected.read(9, expects, &mut source, &mut told).await.unwrap() {}
            assert_eq!(told.lines, expected, "{body:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_not_waited_for() {
        let (mut collected, mut source) = (Collected::new(&Room::new(100)), Source::new(Body::Endless(b"a")));
        let mut told = Told { gone: true, ..Told::default() };
        assert!(collected.read(9, false, &mut source, &mut told).await.unwrap());
        let waited = collected.read(9, false, &mut source, &mut told).await;
        assert!(matches!(waited, Err(BodyError::Truncated)));
    }

    /// Whatever came, what was late is refused.
    #[tokio::test]
    async fn what_does_not_come_is_refused() {
        let (mut collected, mut source) = collected(&Room::new(100), Body::Whole(b"a"), 9).await.unwrap();
        collected.refuse(ErrorCode::RequestBodyTimeout);
        assert_eq!(collected.length(9), Err(ErrorCode::RequestBodyTimeout));
        assert!(!collected.read(9, false, &mut source, &mut Told::default()).await.unwrap());
    }

    #[tokio::test]
    async fn what_was_read_goes_first() {
        for (first, body, expected) in [
            (Some("ab"), Body::Pieces(&[b"c", b"d"]), "abcd"),
            (Some("ab"), Body::None, "ab"),
            (None, Body::Pieces(&[b"c"]), "c"),
        ] {
            let mut source = Source::new(body);
            let mut preceded = Preceded { first: first.map(Into::into), rest: &mut source };
            assert_eq!(preceded.is_finished(), first.is_none() && body == Body::None);
            assert_eq!(rest(&mut preceded).await, expected.as_bytes());
            assert!(preceded.is_finished());
        }
        let mut source = Source::new(Body::Left);
        let mut preceded = Preceded { first: Some("ab".into()), rest: &mut source };
        assert!(preceded.is_whole());
        let gone = poll_fn(|context| preceded.poll_gone(context)).await;
        assert!(matches!(gone, BodyError::Truncated));
    }
}
