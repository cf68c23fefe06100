//! Answers of backends on their way to clients: those of one round of a worker leave in one system call.
//!
//! A session reads its answers into the room here. The first one to do so asks for a turn behind all that is ready, so the
//! others have read theirs when everything is sent. Nothing waits for more to come.

use super::batch::{BATCH, Room, alike, together};
use super::datagram::{DatagramSocket, Senders, until_empty};
use super::session::Session;
use nix::sys::socket::MultiHeaders;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::Poll;
use tokio::time::Instant;

/// What the sessions of one worker share, whatever their listener.
#[derive(Debug, Default)]
pub struct Outbox(RefCell<Answers>);

#[derive(Debug)]
struct Answers {
    /// Each answer is in the place that is its own in `waiting`.
    room: Room,
    waiting: Vec<Answer>,
    headers: MultiHeaders<()>,
    senders: Senders,
}

#[derive(Debug)]
struct Answer {
    socket: Rc<DatagramSocket>,
    session: Rc<Session>,
    length: usize,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            room: Room::default(),
            waiting: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(BATCH, None),
            senders: Senders::default(),
        }
    }
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.0.borrow().waiting.is_empty()
    }

    /// Take answers of a session's endpoint, up to `most` and a batch. Whether there may be more.
    ///
    /// # Errors
    /// What the session's socket has been told.
    pub fn take(&self, socket: &Rc<DatagramSocket>, session: &Rc<Session>, most: usize) -> io::Result<bool> {
        let mut answers = self.0.borrow_mut();
        let mut taken = 0;
        while taken < most {
            let Answers { room, waiting, headers, .. } = &mut *answers;
            let before = waiting.len();
            let more = until_empty(&session.socket, || {
                room.take(before, session.socket.as_raw_fd(), headers, |message| {
                    let (socket, session) = (Rc::clone(socket), Rc::clone(session));
                    waiting.push(Answer { socket, session, length: message.bytes });
                })
            });
            taken += waiting.len() - before;
            if waiting.len() > before {
                session.last.set(Instant::now());
                session.answered.set(true);
            }
            if waiting.len() == BATCH {
                answers.flush();
            }
            if !more? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Once all that is ready now has had its turn, send what waits; at once if this future is dropped.
    pub async fn flush_after_others(&self) {
        let _flush = Flush(self);
        let mut waited = false;
        poll_fn(|context| {
            if waited {
                return Poll::Ready(());
            }
            waited = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

struct Flush<'o>(&'o Outbox);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().flush();
    }
}

impl Answers {
    fn flush(&mut self) {
        let Self { room, waiting, senders, .. } = self;
        let bytes = |place: usize| room.bytes(place, waiting[place].length);
        let mut left: SmallVec<[usize; BATCH]> = SmallVec::new();
        together(
            waiting,
            |a, b| Rc::ptr_eq(&a.session, &b.session),
            |group| {
                let sent = send_alike(waiting, group, bytes);
                left.extend_from_slice(&group[sent..]);
            },
        );
        let same = |a: &usize, b: &usize| {
            let (a, b) = (&waiting[*a], &waiting[*b]);
            Rc::ptr_eq(&a.socket, &b.socket) && a.session.client.asked_as(&b.session.client)
        };
        together(&left, same, |group| {
            let socket = &waiting[left[group[0]]].socket;
            let mut sent = 0;
            if group.len() > 1 {
                let datagrams = group.iter().map(|at| (bytes(left[*at]), waiting[left[*at]].session.client));
                sent = socket.send_together(senders, datagrams);
            }
            for (number, at) in group.iter().enumerate() {
                let Answer { session, length, .. } = &waiting[left[*at]];
                if number < sent || socket.send(bytes(left[*at]), &session.client).is_ok() {
                    session.entry.datagram_sent(*length);
                } else {
                    session.entry.dropped();
                }
            }
        });
        waiting.clear();
    }
}

/// Send the first answers of one session's that are of one length, as far as that goes. How many.
fn send_alike<'r>(waiting: &[Answer], group: &[usize], bytes: impl Fn(usize) -> &'r [u8]) -> usize {
    let Answer { socket, session, .. } = &waiting[group[0]];
    let mut sent = 0;
    while session.cuts_answers.get() {
        let count = alike(group[sent..].iter().map(|place| waiting[*place].length));
        if count == 1 {
            break;
        }
        let datagrams: SmallVec<[&[u8]; BATCH]> = group[sent..][..count].iter().map(|place| bytes(*place)).collect();
        if let Err(error) = socket.send_alike(&datagrams, &session.client) {
            session.cuts_answers.set(error.kind() == io::ErrorKind::WouldBlock);
            break;
        }
        datagrams.iter().for_each(|bytes| session.entry.datagram_sent(bytes.len()));
        sent += count;
    }
    sent
}
