//! Backends that take no connections, told when that begins, and counted from then on.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Between two lines on the same endpoint.
const AGAIN: Duration = Duration::from_secs(60);

/// Endpoints that are remembered; stops a cluster that is gone from filling the memory.
const MAX_REMEMBERED: usize = 1_024;

/// What was told of endpoints, all workers together. Only requests that failed come here.
#[derive(Debug, Default)]
pub struct Unreachable {
    told: Mutex<HashMap<SocketAddr, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// Failures since.
    more: u64,
}

impl Unreachable {
    /// How many failures were not told, where this one is to be told; `None`: it is only counted.
    pub fn note(&self, endpoint: SocketAddr, now: Instant) -> Option<u64> {
        let mut told = self.told.lock().ok()?;
        if let Some(known) = told.get_mut(&endpoint) {
            if now.duration_since(known.at) < AGAIN {
                known.more += 1;
                return None;
            }
            known.at = now;
            return Some(std::mem::take(&mut known.more));
        }
        if told.len() >= MAX_REMEMBERED {
            told.retain(|_, known| now.duration_since(known.at) < AGAIN);
        }
        if told.len() >= MAX_REMEMBERED {
            return None;
        }
        told.insert(endpoint, Told { at: now, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, MAX_REMEMBERED, Unreachable};
    use std::time::{Duration, Instant};

    #[test]
    fn the_first_failure_is_told_and_the_others_are_counted() {
        let (unreachable, begun) = (Unreachable::default(), Instant::now());
        let first = "127.0.0.1:1".parse().unwrap();
        let told: Vec<_> = (0..4).map(|second| unreachable.note(first, begun + Duration::from_secs(second))).collect();
        assert_eq!(told, [Some(0), None, None, None]);
        assert_eq!(unreachable.note("127.0.0.1:2".parse().unwrap(), begun), Some(0));
        assert_eq!(unreachable.note(first, begun + AGAIN), Some(3));
        assert_eq!(unreachable.note(first, begun + AGAIN * 2), Some(0));
    }

    #[test]
    fn no_more_are_remembered_than_there_is_room_for() {
        let (unreachable, begun) = (Unreachable::default(), Instant::now());
        let told = (1..3_000).filter(|port| unreachable.note(([127, 0, 0, 1], *port).into(), begun).is_some());
        assert_eq!(told.count(), MAX_REMEMBERED);
        assert_eq!(unreachable.note(([127, 0, 0, 2], 1).into(), begun + AGAIN), Some(0));
    }
}
