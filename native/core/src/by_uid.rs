//! What outlives a generation of the table, kept by uid: of an endpoint, or of a rule.
//!
//! Belongs to one worker. What the table no longer has is let go by sweeps, which each owner does in its own way; until then
//! there are at most as many as a limit says, which stops names that come and go faster than sweeps do.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// State by uid.
#[derive(Debug)]
pub struct ByUid<State> {
    kept: RefCell<HashMap<u64, State, BuildHasherDefault<UidHasher>>>,
    most: usize,
}

impl<State> ByUid<State> {
    /// At most `most` are kept.
    pub fn new(most: usize) -> Self {
        Self { kept: RefCell::default(), most }
    }

    /// Look at the state of `uid`, made where there is none yet. Beyond the limit any other one makes room.
    pub fn with<Out>(&self, uid: u64, make: impl FnOnce() -> State, look: impl FnOnce(&State) -> Out) -> Out {
        if let Some(state) = self.kept.borrow().get(&uid) {
            return look(state);
        }
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= self.most
            && let Some(any) = kept.keys().next().copied()
        {
            kept.remove(&any);
        }
        look(kept.entry(uid).or_insert_with(make))
    }

    /// Let go of all that is not to be kept.
    pub fn retain(&self, mut keep: impl FnMut(u64, &State) -> bool) {
        let mut kept = self.kept.borrow_mut();
        kept.retain(|uid, state| keep(*uid, state));
        if kept.len() < kept.capacity() / 4 {
            kept.shrink_to_fit();
        }
    }

    pub fn len(&self) -> usize {
        self.kept.borrow().len()
    }

    /// The sum of a figure of each.
    pub fn sum(&self, of: impl Fn(&State) -> usize) -> usize {
        self.kept.borrow().values().map(of).sum()
    }
}

/// Uids are counted, or digests already, and no client chooses them: one multiplication spreads them well enough.
#[derive(Debug, Default)]
struct UidHasher(u64);

impl Hasher for UidHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((self.0 << 8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, uid: u64) {
        // The map takes its place from the low bits and a tag from the high ones.
        self.0 = uid.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::ByUid;
    use std::cell::Cell;

    #[test]
    fn state_stays_until_it_is_swept_and_there_is_never_too_much() {
        let by_uid = ByUid::new(100);
        let count = |uid| by_uid.with(uid, || Cell::new(0), |state: &Cell<u32>| state.replace(state.get() + 1));
        for uid in 0..100 {
            assert_eq!((count(uid), count(uid)), (0, 1));
        }
        by_uid.retain(|uid, state| uid % 2 == 0 && state.get() == 2);
        assert_eq!((by_uid.len(), count(0), count(1)), (50, 2, 0));
        for uid in 0..10_000 {
            count(uid << 32);
            assert!(by_uid.len() <= 100);
        }
        assert_eq!(by_uid.sum(|_| 1), 100);
    }
}
