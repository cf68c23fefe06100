//! How many connections are open where there is a limit of them: at a listener, of all workers together.

use ahash::AHashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by the place that has a limit. One without is not here, so nobody else pays for it.
#[derive(Debug, Default)]
pub struct OpenConnections(Mutex<AHashMap<Arc<str>, u32>>);

/// A connection that is open, for as long as this lives.
#[derive(Debug)]
pub struct Opened {
    all: Arc<OpenConnections>,
    place: Arc<str>,
}

impl OpenConnections {
    /// Count a connection in; `None`: there are as many as there may be.
    pub fn open(self: &Arc<Self>, place: &str, most: u32) -> Option<Opened> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = counts.get_key_value(place).map(|(place, count)| (Arc::clone(place), *count));
        let (place, count) = found.unwrap_or_else(|| (Arc::from(place), 0));
        if count >= most {
            return None;
        }
        counts.insert(Arc::clone(&place), count + 1);
        Some(Opened { all: Arc::clone(self), place })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.place) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OpenConnections;
    use std::sync::Arc;

    #[test]
    fn as_many_as_there_may_be() {
        let all = Arc::new(OpenConnections::default());
        let mut here: Vec<_> = (0..3).map(|_| all.open("here", 3)).collect();
        assert!(here.iter().all(Option::is_some) && all.open("here", 3).is_none());
        assert!(all.open("there", 1).is_some());
        here.pop();
        assert!(all.open("here", 3).is_some());
        // What is empty takes no memory.
        drop(here);
        assert!(all.0.lock().unwrap().is_empty());
    }
}
