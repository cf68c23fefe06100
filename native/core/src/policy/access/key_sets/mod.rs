//! Keys that identity providers publish (JWK Sets behind a URL): which there are, shared by all policies that name the same.
//! Who fetches them is `dispatch/fetch_keys.rs`; no request ever waits for that.

mod file;
mod set;
mod state;

pub use set::{Due, News, PublishedSet};
pub use state::KeySetState;

use crate::observe::counter::header;
use crate::observe::events::Events;
use ahash::AHashMap;
use route::ir::RemoteKeys;
use set::Fetched;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Sets of one process. Stops policies without end from making as many providers be asked.
const MAX_SETS: usize = 1024;

/// The file is written again where nothing changed, so that a restart knows how old its keys are.
const WRITE_PAUSE: Duration = Duration::from_secs(600);

/// All sets of a process.
#[derive(Debug, Default)]
pub struct KeySets {
    sets: Mutex<Sets>,
    /// Where they are kept for the next start; `None`: nowhere.
    path: Option<PathBuf>,
    /// Something may have to be fetched earlier than it was thought.
    changed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Sets {
    by_source: AHashMap<RemoteKeys, Arc<PublishedSet>>,
    /// Of an earlier process, until a policy asks for them.
    kept: AHashMap<RemoteKeys, Arc<Fetched>>,
    written: Option<Instant>,
}

impl KeySets {
    /// Those that an earlier process has kept in a directory.
    pub fn open(directory: Option<&Path>, events: &Events) -> Self {
        let Some(path) = directory.map(file::path_in) else { return Self::default() };
        let kept = file::read(&path).unwrap_or_else(|why| {
            events.push(
                "keys_ignored",
                format!("{}: {why}; keys of identity providers are fetched anew", path.display()),
            );
            AHashMap::new()
        });
        Self { sets: Mutex::new(Sets { kept, ..Sets::default() }), path: Some(path), changed: Arc::default() }
    }

    /// The set behind a source. `None`: there are as many as may be.
    pub fn of(&self, source: &RemoteKeys) -> Option<Arc<PublishedSet>> {
        let mut sets = self.sets();
        if let Some(set) = sets.by_source.get(source) {
            return Some(Arc::clone(set));
        }
        if sets.by_source.len() >= MAX_SETS {
            return None;
        }
        let kept = sets.kept.remove(source);
        let set = Arc::new(PublishedSet::new(source.clone(), kept, Arc::clone(&self.changed)));
        sets.by_source.insert(source.clone(), Arc::clone(&set));
        Some(set)
    }

    /// Let go of those that no policy names any more.
    pub fn sweep(&self) {
        self.sets().by_source.retain(|_, set| Arc::strong_count(set) > 1);
    }

    pub fn is_empty(&self) -> bool {
        self.sets().by_source.is_empty()
    }

    /// Have who fetches look again.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Until somebody says [`Self::wake`].
    pub async fn woken(&self) {
        self.changed.notified().await;
    }

    /// What is to be written now that a set was fetched, and where; `None`: nothing is. Writing blocks for the disk.
    pub fn to_keep(&self, is_new: bool) -> Option<impl FnOnce() -> std::io::Result<()> + Send + use<>> {
        let path = self.path.clone()?;
        let mut sets = self.sets();
        let now = Instant::now();
        if !is_new && sets.written.is_some_and(|written| now < written + WRITE_PAUSE) {
            return None;
        }
        sets.written = Some(now);
        let fetched = sets.by_source.iter().filter_map(|(source, set)| Some((source.clone(), set.fetched()?)));
        let kept = sets.kept.iter().map(|(source, fetched)| (source.clone(), Arc::clone(fetched)));
        let all: Vec<_> = fetched.chain(kept).collect();
        Some(move || file::write(&path, &all))
    }

    /// How the sets are, in the order of their names.
    pub fn states(&self) -> Vec<KeySetState> {
        let now = Instant::now();
        let mut all: Vec<_> = self.sets().by_source.values().map(|set| set.state(now)).collect();
        all.sort_by(|one, other| one.source.cmp(&other.source));
        all
    }

    /// Write how the sets are, for Prometheus. Names come from the configuration, so the number of series does too.
    pub fn render(&self, text: &mut String) {
        let sets = self.sets();
        let mut all: Vec<_> = sets.by_source.values().map(|set| (set.name(), set)).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        header(
            text,
            "provider_key_fetches_total",
            "counter",
            "Times that an identity provider was asked for its keys.",
        );
        for (name, set) in &all {
            for (outcome, count) in set.counts() {
                let _ = writeln!(
                    text,
                    "sluicegate_provider_key_fetches_total{{source=\"{name}\",outcome=\"{outcome}\"}} {count}"
                );
            }
        }
        header(text, "provider_keys", "gauge", "Keys of an identity provider that verify now.");
        let now = Instant::now();
        for (name, set) in &all {
            let keys = set.keys(now).map_or(0, |keys| keys.len());
            let _ = writeln!(text, "sluicegate_provider_keys{{source=\"{name}\"}} {keys}");
        }
    }

    fn sets(&self) -> MutexGuard<'_, Sets> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock before 1970 believes nothing.
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{KeySets, MAX_SETS};
    use crate::observe::events::Events;
    use route::ir::RemoteKeys;

    fn source(number: usize) -> RemoteKeys {
        RemoteKeys {
            backend: "Service/auth/login/443".to_owned(),
            path: format!("/keys/{number}"),
            hostname: String::new(),
            service: "login.auth.svc".to_owned(),
            refresh_ms: 300_000,
        }
    }

    #[test]
    fn sets_are_shared_bounded_and_go_with_their_policies() {
        let sets = KeySets::open(None, &Events::default());
        let first = sets.of(&source(0)).unwrap();
        assert!(std::sync::Arc::ptr_eq(&first, &sets.of(&source(0)).unwrap()));
        let all: Vec<_> = (1..MAX_SETS).map(|number| sets.of(&source(number)).unwrap()).collect();
        assert!(sets.of(&source(MAX_SETS)).is_none());
        drop(all);
        sets.sweep();
        assert!(sets.of(&source(MAX_SETS)).is_some() && !sets.is_empty());
        drop(first);
        sets.sweep();
        assert!(sets.is_empty());
    }
}
