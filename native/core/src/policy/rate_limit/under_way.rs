//! How much each key has under way at once, common to all workers of the process.
//!
//! - What is counted is given back when its [`Slot`] is dropped: it is held by whatever ends with the request or the flow,
//!   however that ends.
//! - A key with nothing under way needs no place. One that finds none (a flood of invented keys) shares what its shard may have
//!   with all others that found none.

use super::key::Key;
use super::table::{DigestHasher, Places};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shards of a large table: workers rarely wait for each other.
const SHARDS: usize = 64;

/// Keys for which a shard of its own is worth it.
const LEAST_OF_SHARD: usize = 512;

/// Counts by key.
#[derive(Debug)]
pub struct UnderWay {
    shards: Box<[Mutex<Shard>]>,
    /// Keys that a shard may have.
    most: usize,
    places: Places,
}

#[derive(Debug, Default)]
struct Shard {
    counts: HashMap<Key, u32, BuildHasherDefault<DigestHasher>>,
    /// Of the keys that found no place.
    shared: u32,
}

/// One of what is under way, for as long as it lives.
#[derive(Debug)]
pub struct Slot {
    table: Arc<UnderWay>,
    key: Key,
    /// It found no place of its own.
    shares: bool,
}

impl UnderWay {
    /// Of at most about so many keys.
    pub fn new(most: usize, places: Places) -> Self {
        let shards = (most / LEAST_OF_SHARD).clamp(1, SHARDS).next_power_of_two();
        let most = most.div_ceil(shards).max(1);
        Self { shards: (0..shards).map(|_| Mutex::default()).collect(), most, places }
    }

    /// Whether a key may have one more, of `most`.
    pub fn has_room(&self, key: Key, most: u32) -> bool {
        let shard = self.shard(key);
        shard.counts.get(&key).map_or(shard.shared < most || shard.counts.len() < self.most, |count| *count < most)
    }

    /// Count one more. `None`: there are `most` already.
    pub fn enter(self: &Arc<Self>, key: Key, most: u32) -> Option<Slot> {
        let mut shard = self.shard(key);
        let Shard { counts, shared } = &mut *shard;
        let is_full = counts.len() >= self.most;
        let shares = match counts.entry(key) {
            Entry::Occupied(mut entry) => {
                let count = entry.get_mut();
                if *count >= most {
                    return None;
                }
                *count += 1;
                false
            }
            Entry::Vacant(_) if is_full || !self.places.take() => {
                if *shared >= most {
                    return None;
                }
                *shared += 1;
                true
            }
            Entry::Vacant(entry) => {
                entry.insert(1);
                false
            }
        };
        Some(Slot { table: Arc::clone(self), key, shares })
    }

    fn shard(&self, key: Key) -> MutexGuard<'_, Shard> {
        // The map takes the low bits.
        let place = usize::try_from(key.bits() >> 48).unwrap_or_default() & (self.shards.len() - 1);
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut shard = self.table.shard(self.key);
        if self.shares {
            shard.shared -= 1;
            return;
        }
        if let Entry::Occupied(mut entry) = shard.counts.entry(self.key) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
                self.table.places.give_back(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::KeySecret;
    use super::{Key, Places, Slot, UnderWay};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    fn keys(count: u64) -> Vec<Key> {
        let secret = KeySecret::default();
        let key = |number| {
            let mut hasher = secret.begin();
            hasher.number(number);
            hasher.finish()
        };
        (0..count).map(key).collect()
    }

    #[test]
    fn each_key_may_have_so_many_and_gives_them_back() {
        let (table, places) = (Arc::new(UnderWay::new(10_000, Places::default())), Places::default());
        assert_eq!(places.taken(), 0);
        for key in keys(100) {
            let held: Vec<Slot> = std::iter::repeat_with(|| table.enter(key, 3)).map_while(|slot| slot).collect();
            assert_eq!((held.len(), table.has_room(key, 3), table.has_room(key, 4)), (3, false, true));
            drop(held);
            assert!(table.has_room(key, 1));
        }
        assert_eq!(table.places.taken(), 0);
    }

    /// A flood of keys: the table stays as large as it may be, and what finds no place shares.
    #[test]
    fn a_full_table_shares_and_never_opens() {
        let table = Arc::new(UnderWay::new(100, Places::default()));
        let all = keys(1_100);
        let (own, flood) = all.split_at(100);
        let held: Vec<_> = own.iter().map(|key| table.enter(*key, 2).expect("room")).collect();
        let sharing: Vec<_> = flood.iter().filter_map(|key| table.enter(*key, 2)).collect();
        assert_eq!((sharing.len(), table.places.taken()), (2, 100));
        assert!(!table.has_room(flood[9], 2) && table.has_room(own[0], 2));
        drop(sharing);
        assert!(table.has_room(flood[9], 2));
        drop(held);
        assert_eq!(table.places.taken(), 0);
        assert_eq!(flood.iter().filter_map(|key| table.enter(*key, 2)).count(), 1_000);
    }

    #[test]
    fn threads_never_have_more() {
        let table = Arc::new(UnderWay::new(10, Places::default()));
        let (key, now) = (keys(1)[0], AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if let Some(slot) = table.enter(key, 2) {
                            assert!(now.fetch_add(1, SeqCst) < 2);
                            now.fetch_sub(1, SeqCst);
                            drop(slot);
                        }
                    }
                });
            }
        });
        assert_eq!(table.places.taken(), 0);
    }
}
