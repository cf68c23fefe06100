//! Memory for bodies that are collected, of which all requests together have so much.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What is left.
#[derive(Debug)]
pub struct Room {
    taken: AtomicUsize,
    limit: usize,
}

/// What one request has of it, for as long as it lives.
#[derive(Debug)]
pub struct Taken {
    room: Arc<Room>,
    octets: usize,
}

impl Room {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), limit })
    }

    /// A place in it, without anything yet.
    pub fn enter(self: &Arc<Self>) -> Taken {
        Taken { room: Arc::clone(self), octets: 0 }
    }
}

impl Taken {
    /// Take so much more; whether there is as much.
    #[must_use]
    pub fn take(&mut self, octets: usize) -> bool {
        let Room { taken, limit } = &*self.room;
        let more = |now: usize| now.checked_add(octets).filter(|after| after <= limit);
        let is_there = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if is_there {
            self.octets += octets;
        }
        is_there
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn what_is_taken_comes_back() {
        let room = Room::new(10);
        let (mut one, mut two) = (room.enter(), room.enter());
        assert!(one.take(6) && two.take(4) && !one.take(1) && two.take(0));
        drop(one);
        assert!(two.take(6) && !two.take(usize::MAX));
        drop(two);
        assert!(room.enter().take(10));
    }
}
