//! Where the frames of HTTP/2 begin in a stream of bytes (RFC 9113 section 4.1).

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

const FRAME_HEAD: usize = 9;

/// All of a `RST_STREAM` (RFC 9113 section 6.4).
const WHOLE_RESET: usize = FRAME_HEAD + 4;

/// What stands at the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHead {
    pub kind: u8,
    pub stream: u32,
    pub flags: u8,
    /// The error code of a `RST_STREAM`.
    pub reset: Option<u32>,
}

/// Follows the frames of one direction.
#[derive(Debug)]
pub struct FrameHeads {
    /// Bytes until the next frame head.
    skip: usize,
    head: [u8; WHOLE_RESET],
    filled: usize,
    /// Bytes of the head that are looked at.
    wanted: usize,
}

impl FrameHeads {
    /// `preface`: bytes before the first frame.
    pub fn new(preface: usize) -> Self {
        Self { skip: preface, head: [0; WHOLE_RESET], filled: 0, wanted: FRAME_HEAD }
    }

    /// Whether more of the last frame that was told of is to come.
    pub fn is_inside(&self) -> bool {
        self.skip > 0
    }

    /// Look at bytes as they come; `each` is told of each frame. False: it had enough.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(FrameHead) -> bool) -> bool {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return true;
            }
            let taken = (self.wanted - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < self.wanted {
                return true;
            }
            let [high, middle, low, kind, flags, stream @ .., a, b, c, d] = self.head;
            let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if kind == RST_STREAM && length == WHOLE_RESET - FRAME_HEAD && self.wanted == FRAME_HEAD {
                self.wanted = WHOLE_RESET;
                continue;
            }
            let reset = (self.wanted == WHOLE_RESET).then(|| u32::from_be_bytes([a, b, c, d]));
            self.skip = length - (self.wanted - FRAME_HEAD);
            (self.filled, self.wanted) = (0, FRAME_HEAD);
            // The first bit says nothing.
            let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
            if !each(FrameHead { kind, stream, flags, reset }) {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTINUATION, DATA, FrameHead, FrameHeads, HEADERS, RST_STREAM, WINDOW_UPDATE};

    fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let stream = stream.to_be_bytes();
        // Flags of any kind.
        [&[length[1], length[2], length[3], kind, kind], &stream[..], payload].concat()
    }

    /// However the bytes are cut, and whatever stands before the first frame.
    #[test]
    fn each_frame_is_told_once() {
        // Payloads that look like heads, one of more than 64 KiB, and resets that are none.
        let large = vec![9; 70_000];
        let sent: [(u8, u32, &[u8], Option<u32>); 10] = [
            (HEADERS, 1, &[0; 40], None),
            (CONTINUATION, 1, b"", None),
            (DATA, 3, &large, None),
            (RST_STREAM, 3, &[0, 0, 1, 8], Some(0x108)),
            (DATA, 0x7fff_ffff, &[1], None),
            (RST_STREAM, 5, b"", None),
            (RST_STREAM, 5, &[0, 0, 0, 1, 0], None),
            (RST_STREAM, 1 << 31 | 7, &[0; 4], Some(0)),
            (WINDOW_UPDATE, 0, &[0, 0, 4, 8], None),
            (0xfe, 9, &[0; 9], None),
        ];
        let frames: Vec<u8> =
            sent.iter().flat_map(|&(kind, stream, payload, _)| frame(kind, stream, payload)).collect();
        let expected =
            sent.map(|(kind, stream, _, reset)| FrameHead { kind, stream: stream & 0x7fff_ffff, flags: kind, reset });
        for preface in [0, 24] {
            let bytes = [&vec![b'P'; preface][..], &frames].concat();
            for size in [1, 2, 5, 9, 10, 13, 4096, bytes.len()] {
                let mut heads = FrameHeads::new(preface);
                let mut found = Vec::new();
                for piece in bytes.chunks(size) {
                    assert!(heads.feed(piece, |head| {
                        found.push(head);
                        true
                    }));
                }
                assert_eq!(found, expected, "{preface} {size}");
            }
        }
    }

    #[test]
    fn who_has_enough_is_told_no_more() {
        let bytes = [frame(DATA, 1, b"1"), frame(HEADERS, 1, b"2"), frame(DATA, 1, b"3")].concat();
        let mut found = Vec::new();
        let went_on = FrameHeads::new(0).feed(&bytes, |head| {
            found.push(head.kind);
            head.kind != HEADERS
        });
        assert_eq!((went_on, found), (false, vec![DATA, HEADERS]));
    }
}
