//! What stands between a request and one mirror of it: pieces of the body, bounded in bytes.
//!
//! Both ends live in one thread. The giver never loses a piece without being told, the taker never takes half a body for
//! a whole one.

use crate::message::body::{BodyError, BodySource, Piece};
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Bytes that wait for the mirrors of one worker, all together; a queue that is not empty then counts as full. Stops many
/// slow mirrors from taking the memory.
const MAX_WAITING: usize = 64 * 1024 * 1024;

/// Pieces below this size are joined: each would take many times the memory that it shows.
const SMALL: usize = 4 * 1024;

/// ... up to this size.
const JOINED: usize = 64 * 1024;

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    More,
    /// The body is whole.
    Nothing,
    /// The body broke off.
    Never,
    /// The mirror was given up.
    GivenUp,
}

#[derive(Debug)]
struct Queue {
    worker: Rc<Worker>,
    pieces: VecDeque<Bytes>,
    /// Small pieces behind those, in one.
    small: BytesMut,
    bytes: usize,
    rest: Rest,
    giver: Option<Waker>,
    taker: Option<Waker>,
    /// The task of the mirror has ended.
    abandoned: bool,
}

impl Queue {
    fn change_waiting(&mut self, more: usize, less: usize) {
        self.bytes = self.bytes + more - less;
        let all = &self.worker.mirror_bytes;
        all.set(all.get() + more - less);
    }

    fn push(&mut self, piece: Bytes) {
        if piece.len() < SMALL {
            self.small.extend_from_slice(&piece);
            if self.small.len() < JOINED {
                return;
            }
            self.pieces.push_back(self.small.split().freeze());
        } else {
            if !self.small.is_empty() {
                self.pieces.push_back(self.small.split().freeze());
            }
            self.pieces.push_back(piece);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front();
        piece.or_else(|| (!self.small.is_empty()).then(|| self.small.split().freeze()))
    }

    fn end(&mut self, rest: Rest) {
        if self.rest == Rest::More {
            self.rest = rest;
            wake(&mut self.taker);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.change_waiting(0, self.bytes);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// A queue for one body. `empty`: there is none.
pub fn queue(worker: &Rc<Worker>, empty: bool) -> (Giver, Taker) {
    let queue = Rc::new(RefCell::new(Queue {
        worker: Rc::clone(worker),
        pieces: VecDeque::new(),
        small: BytesMut::new(),
        bytes: 0,
        rest: if empty { Rest::Nothing } else { Rest::More },
        giver: None,
        taker: None,
        abandoned: false,
    }));
    (Giver(Rc::clone(&queue)), Taker { queue, piece: Bytes::new(), finished: empty })
}

/// Where the request puts its copy. Dropped before `finish`: the body broke off.
#[derive(Debug)]
pub struct Giver(Rc<RefCell<Queue>>);

impl Giver {
    pub fn give(&self, piece: Bytes) {
        let mut queue = self.0.borrow_mut();
        queue.change_waiting(piece.len(), 0);
        queue.push(piece);
        wake(&mut queue.taker);
    }

    /// The body is whole.
    pub fn finish(&self) {
        self.0.borrow_mut().end(Rest::Nothing);
    }

    /// The mirror is too far behind.
    pub fn give_up(&self) {
        self.0.borrow_mut().end(Rest::GivenUp);
    }

    /// Nobody takes any more: the mirror has failed, and has been counted.
    pub fn is_abandoned(&self) -> bool {
        self.0.borrow().abandoned
    }

    /// More waits than a mirror may be behind.
    pub fn is_full(&self, limit: usize) -> bool {
        let queue = self.0.borrow();
        !queue.abandoned && queue.bytes > 0 && (queue.bytes > limit || queue.worker.mirror_bytes.get() > MAX_WAITING)
    }

    /// Resolves when it is not full.
    pub fn poll_room(&self, limit: usize, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_full(limit) {
            return Poll::Ready(());
        }
        self.0.borrow_mut().giver = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.borrow_mut().end(Rest::Never);
    }
}

/// The body as the mirror sends it.
#[derive(Debug)]
pub struct Taker {
    queue: Rc<RefCell<Queue>>,
    piece: Bytes,
    finished: bool,
}

impl Taker {
    /// Resolves when the giver gives nothing more, whatever still waits. True: the body is whole.
    pub fn given(&self) -> impl Future<Output = bool> + use<> {
        let queue = Rc::clone(&self.queue);
        poll_fn(move |context| {
            let mut queue = queue.borrow_mut();
            if queue.rest != Rest::More {
                return Poll::Ready(queue.rest == Rest::Nothing);
            }
            queue.taker = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// The request's body broke off: this copy cannot be whole.
    pub fn is_broken(&self) -> bool {
        self.queue.borrow().rest == Rest::Never
    }

    /// See [`Giver::give_up`].
    pub fn was_given_up(&self) -> bool {
        self.queue.borrow().rest == Rest::GivenUp
    }
}

impl BodySource for Taker {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        if self.finished {
            return Ok(None);
        }
        let queue = &self.queue;
        let piece = poll_fn(|context| {
            let mut queue = queue.borrow_mut();
            if matches!(queue.rest, Rest::Never | Rest::GivenUp) {
                return Poll::Ready(Err(BodyError::Truncated));
            }
            if let Some(piece) = queue.pop() {
                queue.change_waiting(0, piece.len());
                wake(&mut queue.giver);
                return Poll::Ready(Ok(Some(piece)));
            }
            if queue.rest == Rest::Nothing {
                return Poll::Ready(Ok(None));
            }
            queue.taker = Some(context.waker().clone());
            Poll::Pending
        })
        .await?;
        let Some(piece) = piece else {
            self.finished = true;
            return Ok(None);
        };
        self.piece = piece;
        Ok(Some(Piece::Borrowed(&self.piece)))
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let mut queue = self.queue.borrow_mut();
        queue.abandoned = true;
        let left = queue.bytes;
        queue.change_waiting(0, left);
        queue.pieces.clear();
        queue.small = BytesMut::new();
        wake(&mut queue.giver);
    }
}

#[cfg(test)]
mod tests {
    use super::{JOINED, MAX_WAITING, SMALL, queue};
    use crate::message::body::{BodyError, BodySource};
    use crate::worker::{Generation, Worker};
    use bytes::Bytes;
    use std::task::{Context, Waker};

    /// However a body is cut, it takes about the memory that is counted for it, and comes whole and in order.
    #[tokio::test]
    async fn small_pieces_are_joined() {
        let worker = Worker::alone(Generation::default()).unwrap();
        let (giver, mut taker) = queue(&worker, false);
        let body: Vec<u8> = (0..3 * JOINED).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (mut rest, mut size) = (&body[..], 1);
        while !rest.is_empty() {
            // Single bytes, and a large piece among them now and then.
            let (piece, after) = rest.split_at(size.min(rest.len()));
            giver.give(Bytes::copy_from_slice(piece));
            rest = after;
            size = if after.len() % 10_000 == 0 { SMALL } else { 1 };
        }
        assert!(giver.0.borrow().pieces.len() < 50, "{}", giver.0.borrow().pieces.len());
        assert_eq!(worker.mirror_bytes.get(), body.len());
        giver.finish();
        let mut taken = Vec::new();
        while let Some(piece) = taker.next().await.unwrap() {
            taken.extend_from_slice(piece.as_slice());
        }
        assert!(taken == body);
        assert_eq!(worker.mirror_bytes.get(), 0);
    }

    /// Bounded in bytes: those of its own, and those of all queues of the worker. What waits alone is never too much.
    #[test]
    fn when_a_queue_is_full() {
        let worker = Worker::alone(Generation::default()).unwrap();
        let (giver, taker) = queue(&worker, false);
        assert!(!giver.is_full(0));
        giver.give(Bytes::from_static(b"12345"));
        assert!(!giver.is_full(5) && giver.is_full(4));
        worker.mirror_bytes.set(MAX_WAITING);
        assert!(!giver.is_full(5));
        giver.give(Bytes::from_static(b"6"));
        assert!(giver.is_full(100));
        worker.mirror_bytes.set(6);
        // A mirror that has ended takes no memory, and nobody waits for it.
        drop(taker);
        assert_eq!(worker.mirror_bytes.get(), 0);
        let mut context = Context::from_waker(Waker::noop());
        assert!(giver.is_abandoned() && giver.poll_room(0, &mut context).is_ready());
    }

    /// The first end counts. One that is not in order takes back what still waits.
    #[tokio::test]
    async fn how_a_queue_ends() {
        let worker = Worker::alone(Generation::default()).unwrap();
        for (given_up, finished, dropped) in
            [(false, true, true), (true, true, true), (true, false, false), (false, false, true)]
        {
            let (giver, mut taker) = queue(&worker, false);
            giver.give(Bytes::from_static(b"a piece"));
            if given_up {
                giver.give_up();
            }
            if finished {
                giver.finish();
            }
            if dropped {
                drop(giver);
            }
            let whole = finished && !given_up;
            assert_eq!(taker.given().await, whole);
            let next = taker.next().await.map(|piece| piece.map(|piece| piece.as_slice().to_vec()));
            if whole {
                assert_eq!(next.unwrap(), Some(b"a piece".to_vec()));
                assert!(taker.next().await.unwrap().is_none() && taker.is_finished());
            } else {
                assert!(matches!(next, Err(BodyError::Truncated)), "{next:?}");
            }
            assert_eq!((taker.was_given_up(), taker.is_broken()), (given_up, !given_up && !finished));
            drop(taker);
            assert_eq!(worker.mirror_bytes.get(), 0);
        }
    }

    #[tokio::test]
    async fn a_body_that_is_empty_has_been_given() {
        let worker = Worker::alone(Generation::default()).unwrap();
        let (giver, mut taker) = queue(&worker, true);
        assert!(taker.given().await);
        assert!(taker.is_finished() && taker.next().await.unwrap().is_none());
        drop(giver);
        assert!(!taker.is_broken());
    }
}
