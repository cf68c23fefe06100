//! Memory that idle connections do not need, kept for those that are busy: each thread has a little of it.
//!
//! Between two requests a connection has no buffers. Without spare ones each request would ask the allocator for its own, and
//! zero them.

use std::cell::RefCell;
use std::thread::LocalKey;

/// Bytes of each kind that a thread keeps, 8 MiB in all: enough for some hundred requests at once. What is given beyond that
/// is freed.
const KEPT: usize = 4 * 1024 * 1024;

/// Pieces of each kind: small ones count too.
const PIECES: usize = 2048;

/// Larger pieces are freed: few requests need one.
const MAX_SIZE: usize = 64 * 1024;

/// Pieces that are looked at for one that is large enough.
const LOOKED_AT: usize = 16;

/// What an empty piece has room for: a head with ordinary cookies mostly fits, and none grows from nothing.
const ROOM: usize = 1024;

/// Pieces of one kind.
#[derive(Debug)]
struct Pieces {
    kept: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pieces {
    const fn new() -> RefCell<Self> {
        RefCell::new(Self { kept: Vec::new(), bytes: 0 })
    }

    /// One of the newest for which `fits` holds.
    fn take(&mut self, fits: impl Fn(&Vec<u8>) -> bool) -> Option<Vec<u8>> {
        let oldest = self.kept.len().saturating_sub(LOOKED_AT);
        let place = self.kept[oldest..].iter().rposition(fits)?;
        let piece = self.kept.swap_remove(oldest + place);
        self.bytes -= piece.capacity();
        Some(piece)
    }

    fn give(&mut self, piece: Vec<u8>) {
        let size = piece.capacity();
        if size > 0 && size <= MAX_SIZE && self.bytes + size <= KEPT && self.kept.len() < PIECES {
            self.bytes += size;
            self.kept.push(piece);
        }
    }
}

thread_local! {
    /// Whose bytes are all there, zero or not.
    static FILLED: RefCell<Pieces> = const { Pieces::new() };
    /// Which are empty.
    static EMPTY: RefCell<Pieces> = const { Pieces::new() };
}

/// `size` bytes or more, with anything in them.
pub(crate) fn take_filled(size: usize) -> Vec<u8> {
    let spare = FILLED.with_borrow_mut(|pieces| pieces.take(|piece| piece.len() >= size));
    spare.unwrap_or_else(|| vec![0; size])
}

/// What [`take_filled`] gave.
pub(crate) fn give_filled(piece: Vec<u8>) {
    give(&FILLED, piece);
}

/// An empty vector with some memory.
pub fn take() -> Vec<u8> {
    EMPTY.with_borrow_mut(|pieces| pieces.take(|_| true)).unwrap_or_else(|| Vec::with_capacity(ROOM))
}

/// What is no longer needed of it.
pub fn give_back(mut piece: Vec<u8>) {
    piece.clear();
    give(&EMPTY, piece);
}

/// A thread that ends keeps nothing.
fn give(pieces: &'static LocalKey<RefCell<Pieces>>, piece: Vec<u8>) {
    let _ = pieces.try_with(|pieces| pieces.borrow_mut().give(piece));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pieces: &'static LocalKey<RefCell<Pieces>>) -> (usize, usize) {
        pieces.with_borrow(|pieces| {
            assert_eq!(pieces.bytes, pieces.kept.iter().map(Vec::capacity).sum::<usize>());
            assert!(pieces.kept.iter().all(|piece| (1..=MAX_SIZE).contains(&piece.capacity())));
            (pieces.kept.len(), pieces.bytes)
        })
    }

    #[test]
    fn memory_is_used_again() {
        let piece = take_filled(100);
        let address = piece.as_ptr();
        give_filled(piece);
        let other = take_filled(101);
        assert_ne!(other.as_ptr(), address);
        let again = take_filled(50);
        assert_eq!((again.as_ptr(), again.len()), (address, 100));
        give_back(b"secret".to_vec());
        assert!(take().is_empty());
        assert!(take().capacity() >= ROOM);
    }

    /// Whether pieces are large or small.
    #[test]
    fn what_is_kept_is_bounded() {
        for size in [1, MAX_SIZE, MAX_SIZE + 1] {
            for _ in 0..=PIECES {
                give_filled(vec![0; size]);
                give_back(Vec::with_capacity(size));
            }
            for pieces in [&FILLED, &EMPTY] {
                let (count, bytes) = kept(pieces);
                assert!(count <= PIECES && bytes <= KEPT, "{size}");
            }
        }
    }

    /// What is too small for who asks stays for the next one.
    #[test]
    fn small_pieces_are_passed_over() {
        (0..2 * LOOKED_AT).for_each(|_| give_filled(vec![0; 10]));
        give_filled(vec![0; 1000]);
        (0..LOOKED_AT - 1).for_each(|_| give_filled(vec![0; 10]));
        assert_eq!(take_filled(1000).len(), 1000);
        assert_eq!(kept(&FILLED), (3 * LOOKED_AT - 1, 10 * (3 * LOOKED_AT - 1)));
    }
}
