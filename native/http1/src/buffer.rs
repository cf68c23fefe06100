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
    /// Up to here [`Buffer::space`] gave: a piece of another buffer may be larger than this one may be.
    given: usize,
    /// The last read left no space: more was there than fitted.
    filled_up: bool,
}

impl Buffer {
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0, given: 0, filled_up: false }
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
        self.given = self.make_room(limit)?;
        Ok(&mut self.bytes[self.end..self.given])
    }

    /// So many bytes were put into [`Buffer::space`].
    pub fn filled_by(&mut self, count: usize) {
        self.end = (self.end + count).min(self.given);
        self.filled_up = self.end == self.given;
    }

    /// At least a quarter of the buffer is free afterwards, so that reads stay large. It grows with what comes: a transfer
    /// that fills it up is read in larger pieces, as far as `limit` allows. Returns where the free part ends.
    fn make_room(&mut self, limit: usize) -> io::Result<usize> {
        if self.bytes.is_empty() {
            self.bytes = spare::take_filled(INITIAL);
        }
        let size = self.bytes.len().min(limit);
        if std::mem::take(&mut self.filled_up) && self.is_empty() && size < limit {
            self.release();
            self.bytes = spare::take_filled((size * 2).min(limit));
            return Ok(self.bytes.len().min(limit));
        }
        if self.end + size / 4 < size {
            return Ok(size);
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end + size / 4 < size {
                return Ok(size);
            }
        }
        if self.end >= limit {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the buffer is full"));
        }
        let wanted = (size * 2).min(limit);
        if wanted > self.bytes.len() {
            self.bytes.resize(wanted, 0);
        }
        Ok(self.bytes.len().min(limit))
    }
}

/// The next connection of this thread needs one too.
impl Drop for Buffer {
    fn drop(&mut self) {
        spare::give_filled(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4 * INITIAL;

    /// As much of the bytes as there is space for, as a read would; how much that was.
    fn read(buffer: &mut Buffer, bytes: &[u8], limit: usize) -> usize {
        let space = buffer.space(limit).unwrap();
        let count = space.len().min(bytes.len());
        space[..count].copy_from_slice(&bytes[..count]);
        buffer.filled_by(count);
        count
    }

    /// Whatever comes at once and whatever is taken of it, every byte comes out once, in its order.
    #[test]
    fn bytes_come_out_as_they_went_in() {
        let sent: Vec<u8> = (0..=250).cycle().take(40_000).collect();
        for (at_once, taken) in [(1000, 7), (1000, 1000), (5000, 4999), (INITIAL, INITIAL - 1), (LIMIT, 3000)] {
            let (mut buffer, mut went, mut out) = (Buffer::new(), 0, Vec::new());
            while out.len() < sent.len() {
                if buffer.len() + at_once < LIMIT / 2 || buffer.is_empty() {
                    let next = &sent[went..sent.len().min(went + at_once)];
                    went += read(&mut buffer, next, LIMIT);
                }
                let count = taken.min(buffer.len());
                out.extend_from_slice(&buffer.filled()[..count]);
                buffer.consume(count);
                assert_eq!((buffer.len(), buffer.is_empty()), (went - out.len(), went == out.len()));
                assert_eq!(buffer.filled().len(), buffer.len());
            }
            assert!(out == sent, "{at_once} {taken}");
        }
    }

    /// A peer that sends on and on without ending what it has begun is stopped at the limit.
    #[test]
    fn what_waits_is_bounded() {
        let mut buffer = Buffer::new();
        let mut most = 0;
        let error = loop {
            match buffer.space(LIMIT) {
                Ok(space) => {
                    assert!(!space.is_empty());
                    let count = space.len();
                    buffer.filled_by(count);
                    most += count;
                    assert!(buffer.len() == most && most <= LIMIT);
                }
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), buffer.len()), (io::ErrorKind::OutOfMemory, LIMIT));
        // What was taken of it makes room again.
        buffer.consume(1);
        assert_eq!(buffer.space(LIMIT).unwrap().len(), 1);
        // Nobody counts bytes that do not fit.
        buffer.filled_by(100);
        assert_eq!(buffer.len(), LIMIT);
    }

    /// A spare piece may be larger than what is allowed, and the limit another one than before.
    #[test]
    fn what_waits_is_bounded_whatever_there_is_room_for() {
        for (kept, limit) in [(8 * INITIAL, 2 * INITIAL), (2 * INITIAL, INITIAL), (INITIAL, 100), (INITIAL, INITIAL)] {
            spare::give_filled(vec![0; kept]);
            let mut buffer = Buffer::new();
            for taken in [limit, 1, limit / 2] {
                while let Ok(space) = buffer.space(limit) {
                    let count = space.len().div_ceil(2);
                    buffer.filled_by(count);
                    assert!(count > 0 && buffer.len() <= limit, "{} of {limit}", buffer.len());
                }
                assert_eq!(buffer.len(), limit, "{kept}");
                // Nobody counts what there was no space for.
                buffer.filled_by(1);
                assert_eq!(buffer.len(), limit, "{kept}");
                buffer.consume(taken);
            }
            assert!(buffer.space(buffer.len()).is_err());
            let left = buffer.len();
            assert!(buffer.space(left - 1).is_err() && buffer.len() == left, "what came before stays");
            assert_eq!(buffer.space(left + 1).unwrap().len(), 1);
        }
    }

    /// What fills up all that may be given is no reason for a larger piece.
    #[test]
    fn reads_do_not_grow_beyond_the_limit() {
        spare::give_filled(vec![0; 8 * INITIAL]);
        let mut buffer = Buffer::new();
        for _ in 0..3 {
            assert_eq!(read(&mut buffer, &vec![0; 4 * INITIAL], 2 * INITIAL), 2 * INITIAL);
            buffer.consume(2 * INITIAL);
        }
    }

    /// A transfer that fills up what there is gets more at a time; one that does not gets what it had.
    #[test]
    fn reads_grow_with_what_comes() {
        let bytes = vec![0; LIMIT];
        let mut buffer = Buffer::new();
        let mut sizes = Vec::new();
        for _ in 0..4 {
            let count = read(&mut buffer, &bytes, LIMIT);
            sizes.push(count);
            buffer.consume(count);
        }
        assert_eq!(sizes, [INITIAL, 2 * INITIAL, LIMIT, LIMIT]);
        let mut buffer = Buffer::new();
        for _ in 0..4 {
            let space = buffer.space(LIMIT).unwrap().len();
            buffer.filled_by(space - 1);
            buffer.consume(space - 1);
            assert_eq!(buffer.space(LIMIT).unwrap().len(), space);
        }
        // Reads are large too where something is left over: a quarter is free at least.
        read(&mut buffer, &bytes[..INITIAL], LIMIT);
        buffer.consume(1);
        let space = buffer.space(LIMIT).unwrap().len();
        assert!(space >= (space + buffer.len()) / 4, "{space} beside {}", buffer.len());
    }

    /// An idle connection has no memory; one with something unread keeps it.
    #[test]
    fn memory_is_given_back_when_nothing_waits() {
        let mut buffer = Buffer::new();
        read(&mut buffer, b"ab", LIMIT);
        buffer.consume(1);
        buffer.release();
        assert_eq!(buffer.filled(), b"b");
        buffer.consume(1);
        let address = buffer.bytes.as_ptr();
        buffer.release();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert!(buffer.is_empty());
        // The next one of this thread has it, also from one that is dropped.
        for _ in 0..2 {
            let mut next = Buffer::new();
            read(&mut next, b"c", LIMIT);
            assert_eq!((next.bytes.as_ptr(), next.filled()), (address, &b"c"[..]));
        }
    }
}
