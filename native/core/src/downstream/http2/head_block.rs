//! Heads that do not end (slow HEADERS and CONTINUATION frames, CVE-2024-27316 and its slower kin): from the first octet of a
//! head to its last no other frame may come (RFC 9113 section 4.3), so all streams of the connection wait for a client that
//! does not go on. `h2` waits for ever; this says since when, and the connection ends at the limit.
//!
//! Trailers are such a block too, and so is what a connection begins with: the preface ends with a SETTINGS frame (section 3.4).

use crate::io::frames::{CONTINUATION, FrameHead, HEADERS, SETTINGS};
use std::cell::Cell;
use std::time::Duration;
use tokio::time::Instant;

/// RFC 9113 sections 6.2 and 6.10.
const END_HEADERS: u8 = 0x4;

/// The block of one connection that has begun and not ended.
#[derive(Debug)]
pub struct HeadBlock {
    /// Its stream; 0: what the connection begins with. `None`: there is no block.
    stream: Cell<Option<u32>>,
    /// It ends with the frame that is being read.
    ends: Cell<bool>,
    since: Cell<Option<Instant>>,
    /// The client is waited for; else nobody asks for what it may have sent.
    awaited: Cell<bool>,
}

impl HeadBlock {
    pub fn new(opened: Instant) -> Self {
        Self {
            stream: Cell::new(Some(0)),
            ends: Cell::new(false),
            since: Cell::new(Some(opened)),
            awaited: Cell::new(false),
        }
    }

    /// A frame of the client's begins.
    pub fn frame(&self, head: FrameHead) {
        let ends = head.flags & END_HEADERS != 0;
        match (head.kind, self.stream.get()) {
            // Whatever else it begins with `h2` refuses; a block that is not SETTINGS has its time until then, as any has.
            (SETTINGS, Some(0)) if !self.ends.get() => self.ends.set(true),
            (_, Some(0)) if !self.ends.get() => {}
            (CONTINUATION, Some(_)) => self.ends.set(ends),
            (HEADERS, _) => {
                self.since.set(None);
                self.stream.set(Some(head.stream));
                self.ends.set(ends);
            }
            // The block has ended, or `h2` ends the connection.
            _ => self.close(),
        }
    }

    /// All that came was looked at. `inside`: more of the last frame is to come.
    pub fn looked(&self, inside: bool) {
        self.awaited.set(false);
        if self.ends.get() && !inside {
            self.close();
        } else if self.stream.get().is_some() && self.since.get().is_none() {
            // Heads that come whole cost no look at the clock.
            self.since.set(Some(Instant::now()));
        }
    }

    /// There is nothing to read.
    pub fn awaited(&self) {
        self.awaited.set(true);
    }

    /// When there is enough of the block that is open.
    pub fn ends(&self, limit: Duration) -> Option<Instant> {
        self.since.get().map(|since| since + limit)
    }

    /// The stream whose block is open for longer than that. Time in which the client was not heard does not count: it begins anew.
    pub fn is_late(&self, limit: Duration, now: Instant) -> Option<u32> {
        if self.ends(limit).is_none_or(|ends| now < ends) {
            return None;
        }
        if !self.awaited.get() {
            self.since.set(Some(now));
            return None;
        }
        self.stream.get()
    }

    fn close(&self) {
        self.stream.set(None);
        self.since.set(None);
        self.ends.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::{END_HEADERS, HeadBlock};
    use crate::io::frames::{CONTINUATION, DATA, FrameHead, HEADERS, SETTINGS};
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    const LIMIT: Duration = Duration::from_secs(10);

    fn frame(kind: u8, stream: u32, flags: u8) -> FrameHead {
        FrameHead { kind, stream, flags, reset: None }
    }

    /// What is late after frames with a second between them, of which the last one is not there whole, or is.
    async fn late(frames: &[FrameHead], inside: bool) -> Option<u32> {
        let block = HeadBlock::new(Instant::now());
        block.frame(frame(SETTINGS, 0, 0));
        block.looked(false);
        for (place, frame) in frames.iter().enumerate() {
            advance(Duration::from_secs(1)).await;
            block.frame(*frame);
            block.looked(inside && place + 1 == frames.len());
            block.awaited();
        }
        // The first of them began a second after the connection.
        let seconds = u64::try_from(frames.len()).unwrap() - 1;
        advance(LIMIT.checked_sub(Duration::from_millis(seconds * 1000 + 1)).unwrap()).await;
        assert_eq!(block.is_late(LIMIT, Instant::now()), None);
        advance(Duration::from_millis(1)).await;
        block.is_late(LIMIT, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn which_heads_are_late() {
        let (whole, more) = (frame(HEADERS, 1, END_HEADERS), frame(HEADERS, 1, 0));
        let (going_on, end) = (frame(CONTINUATION, 1, 0), frame(CONTINUATION, 1, END_HEADERS));
        for (frames, inside, expected) in [
            (&[whole][..], false, None),
            (&[whole], true, Some(1)),
            (&[more], false, Some(1)),
            (&[more, going_on, going_on], false, Some(1)),
            (&[more, going_on, end], true, Some(1)),
            (&[more, going_on, end], false, None),
            (&[more, end, frame(DATA, 1, 0)], true, None),
        ] {
            assert_eq!(late(frames, inside).await, expected, "{frames:?} {inside}");
        }
    }

    /// A connection that begins with something else than SETTINGS has no more time than one that says nothing.
    #[tokio::test(start_paused = true)]
    async fn what_begins_otherwise_is_late() {
        for first in [frame(HEADERS, 1, 0), frame(HEADERS, 1, END_HEADERS), frame(DATA, 1, 0)] {
            let block = HeadBlock::new(Instant::now());
            for frame in [first, frame(CONTINUATION, 1, 0)] {
                block.frame(frame);
                block.looked(false);
                block.awaited();
            }
            advance(LIMIT).await;
            assert_eq!(block.is_late(LIMIT, Instant::now()), Some(0), "{first:?}");
        }
    }

    /// Each head has the whole time, however many came before it.
    #[tokio::test(start_paused = true)]
    async fn each_head_has_its_own_time() {
        let block = HeadBlock::new(Instant::now());
        block.frame(frame(SETTINGS, 0, 0));
        block.looked(false);
        for stream in [1, 3, 5] {
            block.frame(frame(HEADERS, stream, 0));
            block.looked(false);
            advance(LIMIT / 2).await;
            block.frame(frame(CONTINUATION, stream, END_HEADERS));
            block.looked(false);
        }
        block.frame(frame(HEADERS, 7, 0));
        block.looked(false);
        block.awaited();
        assert_eq!(block.ends(LIMIT), Some(Instant::now() + LIMIT));
    }

    /// A connection that is opened and says no more than the first part of its preface.
    #[tokio::test(start_paused = true)]
    async fn the_beginning_of_a_connection() {
        let block = HeadBlock::new(Instant::now());
        block.awaited();
        assert_eq!(block.is_late(LIMIT, Instant::now() + LIMIT), Some(0));
        block.frame(frame(SETTINGS, 0, 0));
        block.looked(true);
        block.awaited();
        assert_eq!(block.is_late(LIMIT, Instant::now() + LIMIT), Some(0));
        block.looked(false);
        assert_eq!(block.ends(LIMIT), None);
        // Together with a head.
        let block = HeadBlock::new(Instant::now());
        advance(LIMIT / 2).await;
        block.frame(frame(SETTINGS, 0, 0));
        block.frame(frame(HEADERS, 1, 0));
        block.looked(false);
        assert_eq!(block.ends(LIMIT), Some(Instant::now() + LIMIT));
    }

    /// What the client may have sent is not read while it takes nothing itself.
    #[tokio::test(start_paused = true)]
    async fn who_is_not_heard_is_not_late() {
        let block = HeadBlock::new(Instant::now());
        advance(LIMIT).await;
        assert_eq!(block.is_late(LIMIT, Instant::now()), None);
        assert_eq!(block.ends(LIMIT), Some(Instant::now() + LIMIT));
    }
}
