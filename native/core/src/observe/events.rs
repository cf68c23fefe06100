//! Things that happened in the engine and that an operator should read: a bounded queue which Python drains.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events that wait to be read; further ones are counted and dropped.
const CAPACITY: usize = 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Stable, `snake_case`.
    pub code: &'static str,
    pub message: String,
    /// What is in this state now, of the states that it can be in: the last one told of it is the one that holds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
}

#[derive(Debug, Default)]
pub struct Events {
    queue: Mutex<VecDeque<Event>>,
    dropped: AtomicU64,
}

impl Events {
    pub fn push(&self, code: &'static str, message: String) {
        self.push_state(code, String::new(), message);
    }

    /// The same of something that comes and goes.
    pub fn push_state(&self, code: &'static str, about: String, message: String) {
        let Ok(mut queue) = self.queue.lock() else {
            return;
        };
        if queue.len() < CAPACITY {
            queue.push_back(Event { code, message, about });
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Take up to `max` events, oldest first.
    pub fn take(&self, max: usize) -> Vec<Event> {
        let Ok(mut queue) = self.queue.lock() else {
            return Vec::new();
        };
        let count = queue.len().min(max);
        queue.drain(..count).collect()
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
