//! The budgets of one limit, common to all workers of the process: a figure of 64 bits for each key.
//!
//! - A key whose budget is whole needs no place, so room is made as keys come: no timer sweeps.
//! - There are as many places as the limit says, and as the process has in all (a flood of invented keys). A key that finds
//!   none shares the budget of its shard with all others that found none, and starts from there once it has a place: nobody
//!   gets more by filling the table.

use super::gcra::{Exceeded, Rate, Standing};
use super::key::Key;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

/// Shards of a large table: workers rarely wait for each other.
const SHARDS: usize = 64;

/// Keys for which a shard of its own is worth it.
const LEAST_OF_SHARD: usize = 512;

/// A shard looks for places no more often than each so many nanoseconds: a look costs all of its keys.
const LOOK_PAUSE: u64 = 50_000_000;

/// Keys of all limits of a process, about 48 MiB.
const MOST_OF_PROCESS: usize = 1 << 20;

/// The places of a process, by those that are taken.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<AtomicUsize>);

impl Places {
    pub fn taken(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(super) fn take(&self) -> bool {
        let free = self.0.fetch_add(1, Relaxed) < MOST_OF_PROCESS;
        if !free {
            self.give_back(1);
        }
        free
    }

    pub(super) fn give_back(&self, count: usize) {
        self.0.fetch_sub(count, Relaxed);
    }
}

/// Figures by key.
#[derive(Debug)]
pub struct Table {
    shards: Box<[Shard]>,
    /// Keys that a shard may have.
    most: usize,
    places: Places,
}

#[derive(Debug, Default)]
struct Shard {
    keys: RwLock<Keys>,
    /// Of the keys that found no place.
    shared: AtomicU64,
}

#[derive(Debug, Default)]
struct Keys {
    figures: HashMap<Key, AtomicU64, BuildHasherDefault<DigestHasher>>,
    /// When places may be looked for again.
    next_look: u64,
}

impl Table {
    /// Of at most about so many keys.
    pub fn new(most: usize, places: Places) -> Self {
        let shards = (most / LEAST_OF_SHARD).clamp(1, SHARDS).next_power_of_two();
        let most = most.div_ceil(shards).max(1);
        Self { shards: (0..shards).map(|_| Shard::default()).collect(), most, places }
    }

    /// How a key stands, at no cost to it.
    pub fn look(&self, rate: Rate, key: Key, now: u64, cost: u32) -> Result<Standing, Exceeded> {
        let shard = self.shard(key);
        let keys = shard.keys.read().unwrap_or_else(PoisonError::into_inner);
        let figure = keys.figures.get(&key).unwrap_or(&shard.shared).load(Relaxed);
        rate.take(figure, now, cost).map(|after| rate.standing(after, now))
    }

    /// Take from the budget of a key; how it stands then.
    pub fn take(&self, rate: Rate, key: Key, now: u64, cost: u32) -> Result<Standing, Exceeded> {
        let shard = self.shard(key);
        if let Some(figure) = shard.keys.read().unwrap_or_else(PoisonError::into_inner).figures.get(&key) {
            return take(figure, rate, now, cost);
        }
        let mut keys = shard.keys.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(figure) = keys.figures.get(&key) {
            return take(figure, rate, now, cost);
        }
        if !self.has_place(&mut keys, now) {
            drop(keys);
            return take(&shard.shared, rate, now, cost);
        }
        // It may have shared until now.
        let figure = rate.take(shard.shared.load(Relaxed), now, cost).inspect_err(|_| self.places.give_back(1))?;
        keys.figures.insert(key, AtomicU64::new(figure));
        Ok(rate.standing(figure, now))
    }

    /// Give a key back what was taken of its budget. One that had no place gets nothing back: what it shared is not its own.
    pub fn give_back(&self, key: Key, debt: u64) {
        if let Some(figure) = self.shard(key).keys.read().unwrap_or_else(PoisonError::into_inner).figures.get(&key) {
            give_back(figure, debt);
        }
    }

    /// Take one of the process's places, if this shard may have another key.
    fn has_place(&self, keys: &mut Keys, now: u64) -> bool {
        let grows = keys.figures.len() == keys.figures.capacity();
        if (grows || keys.figures.len() >= self.most) && now >= keys.next_look {
            let before = keys.figures.len();
            keys.figures.retain(|_, figure| *figure.get_mut() > now);
            self.places.give_back(before - keys.figures.len());
            if keys.figures.capacity() > LEAST_OF_SHARD.max(4 * keys.figures.len()) {
                keys.figures.shrink_to_fit();
            }
            keys.next_look = now.saturating_add(LOOK_PAUSE);
        }
        keys.figures.len() < self.most && self.places.take()
    }

    /// Keys that have a place, those among them whose budget is whole again.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.keys.read().unwrap().figures.len()).sum()
    }

    fn shard(&self, key: Key) -> &Shard {
        // The map takes the low bits.
        &self.shards[usize::try_from(key.bits() >> 48).unwrap_or_default() & (self.shards.len() - 1)]
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        for shard in &mut self.shards {
            self.places.give_back(shard.keys.get_mut().unwrap_or_else(PoisonError::into_inner).figures.len());
        }
    }
}

/// Take from one figure, whoever else does at the same time.
pub fn take(figure: &AtomicU64, rate: Rate, now: u64, cost: u32) -> Result<Standing, Exceeded> {
    let mut found = figure.load(Relaxed);
    loop {
        let after = rate.take(found, now, cost)?;
        match figure.compare_exchange_weak(found, after, Relaxed, Relaxed) {
            Ok(_) => return Ok(rate.standing(after, now)),
            Err(other) => found = other,
        }
    }
}

/// Take a debt off a figure.
pub fn give_back(figure: &AtomicU64, debt: u64) {
    let _ = figure.fetch_update(Relaxed, Relaxed, |found| Some(found.saturating_sub(debt)));
}

/// Keys are digests already.
#[derive(Debug, Default)]
pub(super) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    /// Called for each half.
    fn write_u64(&mut self, half: u64) {
        self.0 = self.0.rotate_left(32) ^ half;
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::KeySecret;
    use super::{Key, LOOK_PAUSE, MOST_OF_PROCESS, Places, Rate, Relaxed, Table};
    use std::num::NonZeroU32;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests: u32, burst: u32) -> Rate {
        let [requests, burst] = [requests, burst].map(|number| NonZeroU32::new(number).unwrap());
        Rate::new(requests, Duration::from_secs(1), burst, NonZeroU32::MIN)
    }

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
    fn each_key_has_a_budget() {
        let table = Table::new(10_000, Places::default());
        let rate = rate(1, 2);
        for key in keys(1_000) {
            let passed = (0..5).filter(|_| table.take(rate, key, 0, 1).is_ok()).count();
            assert_eq!((passed, table.look(rate, key, 0, 1).is_ok()), (2, false));
            assert!(table.look(rate, key, SECOND, 1).is_ok());
        }
        assert_eq!(table.len(), 1_000);
    }

    /// Looking takes nothing.
    #[test]
    fn a_look_is_free() {
        let table = Table::new(10, Places::default());
        let key = keys(1)[0];
        for _ in 0..10 {
            assert_eq!(table.look(rate(1, 3), key, 0, 1).unwrap().left, 2);
        }
        assert_eq!(table.len(), 0);
        assert_eq!(table.take(rate(1, 3), key, 0, 1).unwrap().left, 2);
        assert_eq!(table.look(rate(1, 3), key, 0, 1).unwrap().left, 1);
    }

    /// A flood of invented keys: the table stays as large as it may be, what finds no place shares one budget, and whoever
    /// had a place keeps it.
    #[test]
    fn a_full_table_shares_and_never_opens() {
        let table = Table::new(100, Places::default());
        let rate = rate(1, 1);
        let all = keys(10_100);
        let (own, flood) = all.split_at(100);
        assert!(own.iter().all(|key| table.take(rate, *key, 0, 1).is_ok()));
        let late = SECOND - LOOK_PAUSE;
        assert_eq!(flood.iter().filter(|key| table.take(rate, **key, late, 1).is_ok()).count(), 1);
        assert!(own.iter().all(|key| table.take(rate, *key, late, 1).is_err()));
        assert_eq!((table.len(), table.places.taken()), (100, 100));
        // There is room, but whoever shared is not let off the debt.
        assert!(table.take(rate, flood[0], SECOND + LOOK_PAUSE, 1).is_err());
        assert_eq!((table.len(), table.places.taken()), (0, 0));
        assert!(flood[..100].iter().all(|key| table.take(rate, *key, 2 * SECOND, 1).is_ok()));
        assert_eq!((table.len(), table.places.taken()), (100, 100));
    }

    /// Clients that come and go do not let a table grow.
    #[test]
    fn room_is_made_as_keys_come() {
        let table = Table::new(65_536, Places::default());
        let all = keys(200_000);
        for (place, key) in all.iter().enumerate() {
            // A hundred each second, of which none is remembered for longer than a second.
            assert!(table.take(rate(1, 1), *key, place as u64 * SECOND / 100, 1).is_ok());
        }
        assert!(table.len() < 4_000, "{}", table.len());
        drop(table);
    }

    #[test]
    fn a_process_has_so_many_places() {
        let places = Places::default();
        places.0.store(MOST_OF_PROCESS - 1, Relaxed);
        let table = Table::new(10, places.clone());
        let all = keys(3);
        assert!(table.take(rate(1, 1), all[0], 0, 1).is_ok());
        assert!(table.take(rate(1, 1), all[1], 0, 1).is_ok() && table.take(rate(1, 1), all[2], 0, 1).is_err());
        assert_eq!((table.len(), places.taken()), (1, MOST_OF_PROCESS));
        drop(table);
        assert_eq!(places.taken(), MOST_OF_PROCESS - 1);
    }

    /// Whatever the threads do, and however many keys they bring: of each key no more than its burst and what came back, and
    /// of the keys that find no place no more than one budget for each shard.
    #[test]
    fn threads_share_budgets() {
        for (most, key_count) in [(10_000, 50), (8, 400)] {
            let (table, all) = (Table::new(most, Places::default()), keys(key_count));
            let passed: Vec<AtomicUsize> = all.iter().map(|_| AtomicUsize::new(0)).collect();
            std::thread::scope(|scope| {
                for thread in 0..4 {
                    let (table, all, passed) = (&table, &all, &passed);
                    scope.spawn(move || {
                        for round in 0..500_u64 {
                            // Threads are not at the same moment, nor is one always behind.
                            let now = SECOND + round * 1_000_000 + (thread * 7_919 * round) % 3_000_000;
                            for (key, count) in all.iter().zip(passed) {
                                if table.take(rate(10, 5), *key, now, 1).is_ok() {
                                    count.fetch_add(1, Relaxed);
                                }
                            }
                        }
                    });
                }
            });
            let most_of_key = 5 + 5 + 1;
            let passed: Vec<usize> = passed.iter().map(|count| count.load(Relaxed)).collect();
            assert!(passed.iter().all(|count| *count <= most_of_key), "{passed:?}");
            if most == 8 {
                assert!(passed.iter().sum::<usize>() <= 9 * most_of_key, "{passed:?}");
            } else {
                assert!(passed.iter().all(|count| *count >= 9), "{passed:?}");
            }
        }
    }
}
