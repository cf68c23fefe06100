//! Control-frame floods (PING, SETTINGS, PRIORITY, `RST_STREAM` of streams that have ended, `WINDOW_UPDATE`, frames of unknown
//! types): `h2` answers or skips each of them without a limit, so a client could keep a worker busy for a few bytes each.
//! This counts the frames as they are read and ends the connection of a client that sends many of them for nothing.

use super::head_block::HeadBlock;
use super::unheard::Unheard;
use crate::io::around::{Around, stream};
use crate::io::frames::{CONTINUATION, DATA, FrameHead, FrameHeads, HEADERS, WINDOW_UPDATE};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Control frames that a client may send at once. Stops floods; keep-alive pings and window probes stay far below.
const BURST: u32 = 1_000;

/// Control frames for each HEADERS or DATA frame: probes and priorities that go with real work.
const PER_WORK_FRAME: u32 = 4;

/// Bytes written to the client for each `WINDOW_UPDATE` that then needs no other reason. Clients send up to two for a DATA
/// frame, whose head alone has nine.
const WRITTEN_PER_UPDATE: u64 = 4;

/// Control frames a second that are fine for ever.
const PER_SECOND: u32 = 20;

/// Follows the frames of one direction.
#[derive(Debug)]
struct FrameMeter {
    frames: FrameHeads,
    count: Count,
}

#[derive(Debug)]
struct Count {
    budget: u32,
    refilled: Option<Instant>,
    /// Bytes written that no `WINDOW_UPDATE` has answered yet.
    unanswered: u64,
}

impl FrameMeter {
    /// `preface`: bytes before the first frame.
    fn new(preface: usize) -> Self {
        Self { frames: FrameHeads::new(preface), count: Count { budget: BURST, refilled: None, unanswered: 0 } }
    }

    /// Look at bytes as they come; `seen` is told of each frame. False: enough.
    fn feed(&mut self, bytes: &[u8], mut seen: impl FnMut(FrameHead)) -> bool {
        let Self { frames, count } = self;
        frames.feed(bytes, |head| {
            seen(head);
            count.frame(head.kind)
        })
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = written {
            let unanswered = &mut self.count.unanswered;
            *unanswered = unanswered.saturating_add(*count as u64);
        }
    }
}

impl Count {
    fn frame(&mut self, kind: u8) -> bool {
        match kind {
            DATA | HEADERS => self.budget = (self.budget + PER_WORK_FRAME).min(BURST),
            // `h2` has a limit of its own.
            CONTINUATION => {}
            WINDOW_UPDATE if self.unanswered >= WRITTEN_PER_UPDATE => self.unanswered -= WRITTEN_PER_UPDATE,
            _ if self.budget > 0 => self.budget -= 1,
            _ => return self.refill(),
        }
        true
    }

    #[cold]
    fn refill(&mut self) -> bool {
        let now = Instant::now();
        let Some(before) = self.refilled.replace(now) else {
            // The first time that the burst is used up: from here on time counts.
            self.budget = PER_SECOND;
            return true;
        };
        let earned = (now - before).as_secs().saturating_mul(u64::from(PER_SECOND));
        self.budget = u32::try_from(earned).unwrap_or(BURST).min(BURST);
        self.budget > 0
    }
}

/// A client's stream whose frames are counted, and looked at for streams that are unheard and heads that do not end.
#[derive(Debug)]
pub struct Metered<S> {
    stream: S,
    meter: FrameMeter,
    written: FrameHeads,
    unheard: Rc<Unheard>,
    block: Rc<HeadBlock>,
}

impl<S> Metered<S> {
    /// `preface`: bytes before the first frame.
    pub fn new(stream: S, preface: usize, unheard: Rc<Unheard>, block: Rc<HeadBlock>) -> Self {
        Self { stream, meter: FrameMeter::new(preface), written: FrameHeads::new(0), unheard, block }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>, slices: &[IoSlice<'_>]) {
        self.meter.wrote(written);
        let Poll::Ready(Ok(count)) = written else { return };
        let (mut left, unheard) = (*count, &self.unheard);
        for slice in slices {
            let taken = &slice[..slice.len().min(left)];
            left -= taken.len();
            self.written.feed(taken, |head| {
                unheard.wrote(head);
                true
            });
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Around for Metered<S> {
    type Inside = S;

    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut S>) -> R) -> R {
        then(Pin::new(&mut self.stream))
    }

    fn pass_read(&mut self, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = space.filled().len();
        let Self { stream, meter, unheard, block, .. } = self;
        let read = Pin::new(stream).poll_read(context, space);
        match read {
            Poll::Pending => block.awaited(),
            Poll::Ready(Ok(())) => {
                let seen = |head| {
                    unheard.read(head);
                    block.frame(head);
                };
                if !meter.feed(&space.filled()[before..], seen) {
                    return Poll::Ready(Err(io::Error::other("too many control frames")));
                }
                block.looked(meter.frames.is_inside());
            }
            Poll::Ready(Err(_)) => {}
        }
        read
    }

    fn pass_write(
        &mut self,
        offered: &[IoSlice<'_>],
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.stream));
        self.wrote(&written, offered);
        written
    }
}

stream!([S] Metered<S>);

#[cfg(test)]
mod tests {
    use super::{BURST, FrameMeter, PER_SECOND};
    use crate::io::frames::{DATA, HEADERS, WINDOW_UPDATE};
    use std::task::Poll;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 1];
        frame.extend(std::iter::repeat_n(0, usize::from(length)));
        frame
    }

    /// Whole, byte by byte, and after a preface: the same count.
    #[test]
    fn floods_are_seen_however_the_bytes_come() {
        for (preface, step) in [(0, usize::MAX), (0, 1), (24, 7), (24, 1)] {
            let mut bytes = vec![b'P'; preface];
            for _ in 0..=BURST + PER_SECOND {
                bytes.extend(frame(6, 8));
            }
            let mut meter = FrameMeter::new(preface);
            assert!(meter.feed(&bytes, |_| ()), "the burst and a second's worth are fine");
            let flood: Vec<u8> = frame(6, 8).repeat(2);
            assert!(!flood.chunks(step.min(flood.len())).all(|chunk| meter.feed(chunk, |_| ())), "{preface} {step}");
        }
    }

    /// Two for each DATA frame that a client gets, however small, and however late; none for nothing.
    #[test]
    fn window_updates_answer_what_was_written() {
        let mut meter = FrameMeter::new(0);
        let update = frame(WINDOW_UPDATE, 4);
        for _ in 0..BURST * 4 {
            meter.wrote(&Poll::Ready(Ok(10)));
        }
        assert!((0..BURST * 8).all(|_| meter.feed(&update, |_| ())));
        assert!(!(0..BURST * 4).all(|_| meter.feed(&update, |_| ())));
    }

    /// A stream may be opened, get a window of its own, and be reset.
    #[test]
    fn streams_may_be_reset() {
        let mut meter = FrameMeter::new(0);
        let stream = [frame(HEADERS, 20), frame(WINDOW_UPDATE, 4), frame(3, 4)].concat();
        assert!((0..BURST * 4).all(|_| meter.feed(&stream, |_| ())));
        assert!(!(0..BURST * 2).all(|_| meter.feed(&frame(3, 4), |_| ())));
    }

    #[test]
    fn work_earns_control_frames() {
        let mut meter = FrameMeter::new(0);
        for _ in 0..BURST * 4 {
            assert!(meter.feed(&frame(6, 8), |_| ()));
            assert!(meter.feed(&frame(DATA, 200), |_| ()));
        }
    }
}
