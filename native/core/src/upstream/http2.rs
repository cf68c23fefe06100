//! HTTP/2 connections to backends: shared by the requests of one worker, driven by a task of their own.

use super::Limits;
use super::connect_error::{ConnectError, ConnectStage};
use super::load::Slot;
use super::stream::UpstreamStream;
use crate::io::frames::FrameHeads;
use crate::io::liveness::{Asking, Heard, Peer};
use bytes::Bytes;
use codec::{FIELD_OVERHEAD, MAX_FIELDS};
use h2::client::SendRequest;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::num::NonZeroU32;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Bytes that a backend may send ahead on one stream: enough for a fast one. A stream whose client does not read holds
/// as many, and no more.
const STREAM_WINDOW: u32 = 256 * 1024;

/// Streams that one connection carries at once, whatever the backend allows; further ones go to another connection.
const MAX_STREAMS: u32 = 128;

/// Room for every stream's window, so that streams that stand still never take what the others need. Also the memory
/// that they can hold on one connection: 32 MiB.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;

/// What windows do not count: `h2` books the overhead of DATA frames below 256 bytes here until they are read, and ends
/// the connection where this is used up. One stream of small messages that stands still holds up to 6 MiB of it.
const SMALL_FRAME_BUDGET: usize = 64 * 1024 * 1024;

/// Uploads stood still for so long: further requests go to another connection. A backend may have spent the window of this
/// one on bodies that it does not read.
const CLOGGED_AFTER: Duration = Duration::from_secs(1);

/// Bytes that one stream may queue for a backend that does not read.
const MAX_SEND_BUFFER: usize = 256 * 1024;

/// Octets by which the head of a response may be over its limit and is still told from one that is malformed: `h2` resets what is
/// larger, and says no more than that.
const TOLD_OVER: usize = 64 * 1024;

/// What `h2` says of a backend's limit of streams before its SETTINGS have come; no SETTINGS can say it.
const UNSETTLED: usize = usize::MAX - 1;

/// One connection; clones share it.
#[derive(Debug, Clone)]
pub struct Http2Handle {
    pub sender: SendRequest<Bytes>,
    closed: Rc<Cell<bool>>,
    active: Rc<Cell<usize>>,
    /// Requests that it may still carry, where a policy counts them.
    left: Option<Rc<Cell<u32>>>,
    last_used: Rc<Cell<Instant>>,
    settled: Rc<Settled>,
    uploads: Rc<Uploads>,
    peer: Rc<Peer>,
}

/// Whether the bodies of a connection's requests move.
#[derive(Debug)]
pub struct Uploads {
    waiting: Cell<usize>,
    /// When one of them moved last, or the first one began to wait.
    moved: Cell<Instant>,
}

impl Uploads {
    fn new() -> Self {
        Self { waiting: Cell::new(0), moved: Cell::new(Instant::now()) }
    }

    /// One waits for window for as long as the guard lives.
    pub fn wait(self: &Rc<Self>) -> WaitingUpload {
        if self.waiting.get() == 0 {
            self.moved.set(Instant::now());
        }
        self.waiting.set(self.waiting.get() + 1);
        WaitingUpload(Rc::clone(self))
    }

    fn are_clogged(&self) -> bool {
        self.waiting.get() > 0 && self.moved.get().elapsed() >= CLOGGED_AFTER
    }
}

#[derive(Debug)]
pub struct WaitingUpload(Rc<Uploads>);

impl Drop for WaitingUpload {
    fn drop(&mut self) {
        self.0.moved.set(Instant::now());
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}

/// Whether the backend's SETTINGS have come, or never will.
#[derive(Debug, Default)]
struct Settled {
    known: Cell<bool>,
    waiters: Notify,
}

impl Settled {
    fn tell(&self) {
        self.known.set(true);
        self.waiters.notify_waiters();
    }
}

/// One stream under way.
#[derive(Debug)]
pub struct ActiveStream(Rc<Cell<usize>>);

impl Drop for ActiveStream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Http2Handle {
    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Stop giving the connection out; requests under way go on.
    pub fn retire(&self) {
        self.closed.set(true);
    }

    /// One stream before the backend has said how many it takes: more might wait for that one to end.
    pub(super) fn has_room(&self) -> bool {
        let limit = if self.is_settled() { self.sender.current_max_send_streams() } else { 1 };
        self.active.get() < limit.min(MAX_STREAMS as usize) && !self.uploads.are_clogged() && !self.peer.is_late()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.known.get()
    }

    pub fn uploads(&self) -> Rc<Uploads> {
        Rc::clone(&self.uploads)
    }

    pub(super) async fn settle(&self) {
        if !self.is_settled() {
            self.settled.waiters.notified().await;
        }
    }

    /// Count a stream for as long as the guard lives.
    pub fn begin(&self) -> ActiveStream {
        self.last_used.set(Instant::now());
        self.active.set(self.active.get() + 1);
        if let Some(left) = &self.left {
            left.set(left.get().saturating_sub(1));
            if left.get() == 0 {
                self.retire();
            }
        }
        ActiveStream(Rc::clone(&self.active))
    }

    /// For how long nothing has used it; `None`: something does.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        (self.active.get() == 0).then(|| now.duration_since(self.last_used.get()))
    }
}

/// Speak the preface and leave the connection to a task of its own.
pub(super) async fn start(
    stream: UpstreamStream,
    limits: Limits,
    slot: Option<Slot>,
    max_requests: Option<NonZeroU32>,
) -> Result<Http2Handle, ConnectError> {
    let peer = Rc::new(Peer::default());
    let stream = Heard::new(stream, Rc::clone(&peer), Some(FrameHeads::new(0)));
    let header_list = limits.head_bytes + FIELD_OVERHEAD * MAX_FIELDS + TOLD_OVER;
    let (sender, mut connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(SMALL_FRAME_BUDGET)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_header_list_size(u32::try_from(header_list).unwrap_or(u32::MAX))
        .initial_max_send_streams(UNSETTLED)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(|error| ConnectError::new(ConnectStage::Http2, &error))?;
    let handle = Http2Handle {
        sender,
        closed: Rc::default(),
        active: Rc::default(),
        left: max_requests.map(|most| Rc::new(Cell::new(most.get()))),
        last_used: Rc::new(Cell::new(Instant::now())),
        settled: Rc::default(),
        uploads: Rc::new(Uploads::new()),
        peer,
    };
    let asking = limits.pings.zip(connection.ping_pong()).map(|(pings, ping_pong)| {
        let active = Rc::clone(&handle.active);
        Asking::start(Rc::clone(&handle.peer), ping_pong, pings, move || active.get() > 0)
    });
    let (closed, settled) = (Rc::clone(&handle.closed), Rc::clone(&handle.settled));
    tokio::task::spawn_local(async move {
        let mut connection = pin!(connection);
        // Its end is all we need to know: the streams learn the reason themselves.
        let _ = poll_fn(|context| {
            let polled = connection.as_mut().poll(context);
            if !settled.known.get() && connection.max_concurrent_send_streams() != UNSETTLED {
                settled.tell();
            }
            polled
        })
        .await;
        drop((asking, slot));
        closed.set(true);
        settled.tell();
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::{CLOGGED_AFTER, Uploads};
    use std::rc::Rc;
    use std::time::Instant;

    /// Only what waits can be clogged, and no longer than until something moves.
    #[test]
    fn uploads_that_stand_still() {
        let uploads = Rc::new(Uploads::new());
        let long_ago = Instant::now().checked_sub(CLOGGED_AFTER).unwrap();
        uploads.moved.set(long_ago);
        assert!(!uploads.are_clogged());
        // The first one begins to wait now.
        let first = uploads.wait();
        assert!(!uploads.are_clogged());
        uploads.moved.set(long_ago);
        assert!(uploads.are_clogged());
        // Another one that waits is no movement; one that has its window is.
        let second = uploads.wait();
        assert!(uploads.are_clogged());
        drop(second);
        assert!(!uploads.are_clogged());
        uploads.moved.set(long_ago);
        drop(first);
        assert_eq!(uploads.waiting.get(), 0);
    }
}
