//! Streams that `h2` ends before anybody here has heard of them: their head is malformed (RFC 9113 section 8.1.1), has a target
//! that the `http` crate takes for none, or is larger than the limit. Each is counted and leaves a line all the same: that it was
//! opened is seen in what is read, how it ended in what is written.

use crate::error::ErrorCode;
use crate::io::frames::{FrameHead, HEADERS};
use crate::message::client::Client;
use crate::message::head::HttpVersion;
use crate::message::record::{Entry, Refused};
use h2::Reason;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Streams that are opened and neither taken nor ended yet; of more the oldest are forgotten. Stops heads that come faster than
/// they are looked at from taking memory.
const MOST: usize = 1024;

/// The streams of one connection that nobody has taken.
#[derive(Debug)]
pub struct Unheard {
    client: Rc<Client>,
    opened: RefCell<Opened>,
}

impl Unheard {
    pub fn new(client: Rc<Client>) -> Self {
        Self { client, opened: RefCell::default() }
    }

    /// A frame of the client's.
    pub fn read(&self, head: FrameHead) {
        self.opened.borrow_mut().read(head);
    }

    /// `h2` gives the stream to us.
    pub fn taken(&self, stream: u32) {
        self.opened.borrow_mut().forget(stream);
    }

    /// The connection ends because the head of a stream does not.
    pub fn late(&self, stream: u32) {
        // Trailers are of a stream that has a line of its own.
        if self.opened.borrow_mut().forget(stream) {
            self.refuse(
                ErrorCode::RequestHeadTimeout,
                "the head of the stream did not end in time: the connection ends",
            );
        }
    }

    /// A frame for the client.
    pub fn wrote(&self, head: FrameHead) {
        let Some(code) = self.opened.borrow_mut().wrote(head) else { return };
        let detail = match code {
            ErrorCode::HeadersTooLarge => "the head is larger than max_head_bytes",
            _ => "the head is malformed, or its target has an octet that HTTP/2 has no place for: the stream is reset",
        };
        self.refuse(code, detail);
    }

    fn refuse(&self, code: ErrorCode, detail: &str) {
        let protocol = HttpVersion::Http2.as_str();
        Entry::refused(&self.client, code, &Refused { protocol, detail: detail.to_owned(), ..Refused::default() });
    }
}

#[derive(Debug, Default)]
struct Opened {
    last: u32,
    waiting: VecDeque<u32>,
}

impl Opened {
    fn read(&mut self, head: FrameHead) {
        // Those of a stream that is there already are trailers.
        if head.kind != HEADERS || head.stream <= self.last {
            return;
        }
        self.last = head.stream;
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back(head.stream);
    }

    /// Whether nobody had taken it.
    fn forget(&mut self, stream: u32) -> bool {
        let place = self.waiting.iter().position(|waiting| *waiting == stream);
        place.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// Why a stream has ended that nobody has taken; `None`: it has not, or was refused for want of room.
    fn wrote(&mut self, head: FrameHead) -> Option<ErrorCode> {
        let answered = head.kind == HEADERS;
        if !(answered || head.reset.is_some()) || !self.forget(head.stream) {
            return None;
        }
        match head.reset.map(Reason::from) {
            None => Some(ErrorCode::HeadersTooLarge),
            Some(Reason::PROTOCOL_ERROR) => Some(ErrorCode::BadRequest),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Opened};
    use crate::error::ErrorCode;
    use crate::io::frames::{DATA, FrameHead, HEADERS, RST_STREAM};
    use h2::Reason;

    fn head(kind: u8, stream: u32) -> FrameHead {
        FrameHead { kind, stream, flags: 0, reset: None }
    }

    fn reset(stream: u32, reason: Reason) -> FrameHead {
        FrameHead { reset: Some(reason.into()), ..head(RST_STREAM, stream) }
    }

    /// Only what nobody took, and only once.
    #[test]
    fn who_ended_without_being_heard() {
        let mut opened = Opened::default();
        for stream in [1, 3, 5, 7, 9] {
            opened.read(head(HEADERS, stream));
            opened.read(head(DATA, stream));
        }
        assert!(opened.forget(1) && opened.forget(7));
        // The trailers of one that was taken.
        opened.read(head(HEADERS, 7));
        for (wrote, said) in [
            (head(HEADERS, 1), None),
            (reset(1, Reason::PROTOCOL_ERROR), None),
            (head(HEADERS, 7), None),
            (head(DATA, 3), None),
            (reset(3, Reason::PROTOCOL_ERROR), Some(ErrorCode::BadRequest)),
            (head(HEADERS, 5), Some(ErrorCode::HeadersTooLarge)),
            (reset(5, Reason::PROTOCOL_ERROR), None),
            (reset(9, Reason::REFUSED_STREAM), None),
            (reset(9, Reason::PROTOCOL_ERROR), None),
        ] {
            assert_eq!(opened.wrote(wrote), said, "{wrote:?}");
        }
        assert!(opened.waiting.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut opened = Opened::default();
        (1..=2 * MOST).for_each(|number| opened.read(head(HEADERS, u32::try_from(number).unwrap())));
        assert_eq!(opened.waiting.len(), MOST);
        assert!(!opened.forget(1) && opened.forget(u32::try_from(2 * MOST).unwrap()));
    }
}
