//! Memory that idle connections do not need, kept for those that are busy: each thread has a little of it.
//!
//! Between two requests a connection has no buffers. Without spare ones each request would ask the allocator for its own, and
//! zero them.

use std::cell::RefCell;

/// Pieces of each kind that a thread keeps; what is given beyond that is freed.
const PIECES: usize = 64;

/// Larger pieces are freed: few requests need one. With [`PIECES`] at most 8 MiB of a thread.
const MAX_SIZE: usize = 64 * 1024;

thread_local! {
    /// Whose bytes are all there, zero or not.
    static FILLED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// Which are empty.
    static EMPTY: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// `size` bytes or more, with anything in them.
pub(crate) fn take_filled(size: usize) -> Vec<u8> {
    let spare = FILLED.with_borrow_mut(|pieces| {
        let place = pieces.iter().rposition(|piece| piece.len() >= size)?;
        Some(pieces.swap_remove(place))
    });
    spare.unwrap_or_else(|| vec![0; size])
}

/// What [`take_filled`] gave.
pub(crate) fn give_filled(piece: Vec<u8>) {
    give(&FILLED, piece);
}

/// An empty vector, with memory where there is some.
pub fn take() -> Vec<u8> {
    EMPTY.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// What is no longer needed of it.
pub fn give_back(mut piece: Vec<u8>) {
    piece.clear();
    give(&EMPTY, piece);
}

fn give(pieces: &'static std::thread::LocalKey<RefCell<Vec<Vec<u8>>>>, piece: Vec<u8>) {
    if piece.capacity() > 0 && piece.capacity() <= MAX_SIZE {
        pieces.with_borrow_mut(|pieces| {
            if pieces.len() < PIECES {
                pieces.push(piece);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_bounded() {
        let piece = take_filled(100);
        let address = piece.as_ptr();
        give_filled(piece);
        let other = take_filled(101);
        assert_ne!(other.as_ptr(), address);
        let again = take_filled(50);
        assert_eq!((again.as_ptr(), again.len()), (address, 100));
        for size in (0..2 * PIECES).map(|at| if at % 2 == 0 { MAX_SIZE } else { MAX_SIZE + 1 }) {
            give_filled(vec![0; size]);
            give_back(Vec::with_capacity(size));
        }
        assert!(
            FILLED.with_borrow(|pieces| pieces.len() <= PIECES && pieces.iter().all(|piece| piece.len() <= MAX_SIZE))
        );
        give_back(b"secret".to_vec());
        assert!((0..=PIECES).all(|_| take().is_empty()));
        assert_eq!(take().capacity(), 0);
    }
}
