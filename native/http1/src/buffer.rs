//! The read buffer of one connection: filled at the end, consumed at the start.

use crate::spare;
use std::io;

/// First allocation: a head with ordinary cookies and a small body fit.
const INITIAL: usize = 8 * 1024;

/// Bytes read and not yet consumed. Never holds more than the limit given to [`Buffer::space`].
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The last read left no space: more was there than fitted.
    filled_up: bool,
}

impl Buffer {
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, filled_up: false }
    }

    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Give the memory to the next buffer of this thread; an idle connection then costs none.
    pub fn release(&mut self) {
        if self.is_empty() && !self.bytes.is_empty() {
            spare::give_filled(std::mem::take(&mut self.bytes));
            self.filled_up = false;
        }
    }

    /// Where the next bytes go; never empty. Tell [`Buffer::filled_by`] how many came.
    ///
    /// # Errors
    /// `OutOfMemory` when `limit` bytes are waiting unconsumed.
    pub fn space(&mut self, limit: usize) -> io::Result<&mut [u8]> {
        self.make_room(limit)?;
        Ok(&mut self.bytes[self.end..])
    }

    /// So many bytes were put into [`Buffer::space`].
    pub fn filled_by(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
        self.filled_up = self.end == self.bytes.len();
    }

    /// At least a quarter of the buffer is free afterwards, so that reads stay large. It grows with what comes: a transfer
    /// that fills it up is read in larger pieces, as far as `limit` allows.
    fn make_room(&mut self, limit: usize) -> io::Result<()> {
        if self.bytes.is_empty() {
            self.bytes = spare::take_filled(INITIAL);
        }
        let size = self.bytes.len();
        if std::mem::take(&mut self.filled_up) && self.is_empty() && size < limit {
            self.release();
            self.bytes = spare::take_filled((size * 2).min(limit));
            return Ok(());
        }
        if size - self.end > size / 4 {
            return Ok(());
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if size - self.end > size / 4 {
                return Ok(());
            }
        }
        let wanted = (size * 2).clamp(INITIAL, limit.max(INITIAL));
        if wanted <= size && self.end == size {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the buffer is full"));
        }
        self.bytes.resize(wanted.max(size), 0);
        Ok(())
    }
}

/// The next connection of this thread needs one too.
impl Drop for Buffer {
    fn drop(&mut self) {
        spare::give_filled(std::mem::take(&mut self.bytes));
    }
}
