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
