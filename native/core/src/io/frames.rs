//! Where the frames of HTTP/2 begin in a stream of bytes (RFC 9113 section 4.1).

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

const FRAME_HEAD: usize = 9;

/// Follows the frames of one direction.
#[derive(Debug)]
pub struct FrameHeads {
    /// Bytes until the next frame head.
    skip: usize,
    head: [u8; FRAME_HEAD],
    filled: usize,
}

impl FrameHeads {
    /// `preface`: bytes before the first frame.
    pub fn new(preface: usize) -> Self {
        Self { skip: preface, head: [0; FRAME_HEAD], filled: 0 }
    }

    /// Look at bytes as they come; `each` is told the type of each frame. False: it had enough.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8) -> bool) -> bool {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return true;
            }
            let taken = (FRAME_HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < FRAME_HEAD {
                return true;
            }
            self.filled = 0;
            let [high, middle, low, kind, ..] = self.head;
            self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if !each(kind) {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTINUATION, DATA, FrameHeads, HEADERS, WINDOW_UPDATE};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[length[1], length[2], length[3], kind, 0, 0, 0, 0, 1], payload].concat()
    }

    /// However the bytes are cut, and whatever stands before the first frame.
    #[test]
    fn each_frame_is_told_once() {
        // Payloads that look like heads, and one of more than 64 KiB.
        let expected = [HEADERS, CONTINUATION, DATA, DATA, WINDOW_UPDATE, 0xfe];
        let large = vec![9; 70_000];
        let payloads: [&[u8]; 6] = [&[0; 40], b"", &large, &[1], &[0, 0, 4, 8], &[0; 9]];
        let frames: Vec<u8> = expected.iter().zip(payloads).flat_map(|(kind, payload)| frame(*kind, payload)).collect();
        for preface in [0, 24] {
            let bytes = [&vec![b'P'; preface][..], &frames].concat();
            for size in [1, 2, 5, 9, 10, 4096, bytes.len()] {
                let mut heads = FrameHeads::new(preface);
                let mut found = Vec::new();
                for piece in bytes.chunks(size) {
                    assert!(heads.feed(piece, |kind| {
                        found.push(kind);
                        true
                    }));
                }
                assert_eq!(found, expected, "{preface} {size}");
            }
        }
    }

    #[test]
    fn who_has_enough_is_told_no_more() {
        let bytes = [frame(DATA, b"1"), frame(HEADERS, b"2"), frame(DATA, b"3")].concat();
        let mut found = Vec::new();
        let went_on = FrameHeads::new(0).feed(&bytes, |kind| {
            found.push(kind);
            kind != HEADERS
        });
        assert_eq!((went_on, found), (false, vec![DATA, HEADERS]));
    }
}
