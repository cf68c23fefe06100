//! One set of published keys: what is known of it, and when it is fetched.
//!
//! - The last good set is used while its provider is away, for [`MAX_AGE`] at most: a key that was withdrawn does not verify
//!   for ever because nobody could be asked. How old it is says a clock that nobody sets.
//! - A token that names a key which is not there has the set fetched early, but never sooner than [`EARLY_PAUSE`] after the
//!   last time, whatever tokens come.

use super::state::{KeySetState, shown};
use arc_swap::ArcSwapOption;
use jwt::KeySet;
use route::ir::RemoteKeys;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Keys that are older than this verify nothing.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Between fetches that tokens bring about. Stops who invents key ids from having the provider asked for each of them.
const EARLY_PAUSE: Duration = Duration::from_secs(10);

/// After a fetch that failed; twice as long after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// A fetch of which nothing was heard for so long has ended without a word. Longer than any takes.
const LOST: Duration = Duration::from_secs(30);

/// What was fetched.
#[derive(Debug)]
pub struct Fetched {
    pub keys: Arc<KeySet>,
    pub text: Vec<u8>,
    /// Since 1970: for the next process.
    pub at: Duration,
    /// Until then it verifies.
    pub until: Instant,
}

#[derive(Debug)]
pub struct PublishedSet {
    pub source: RemoteKeys,
    fetched: ArcSwapOption<Fetched>,
    plan: Mutex<Plan>,
    successes: AtomicU64,
    failures: AtomicU64,
    changed: Arc<Notify>,
}

/// When it is fetched.
#[derive(Debug)]
struct Plan {
    next: Instant,
    tried: Option<Instant>,
    under_way: bool,
    /// In a row.
    failures: u32,
    /// Why the last one of them failed.
    error: Option<String>,
}

/// Whether a set is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Whoever is told so fetches it, and says what came of it.
    Now,
    At(Instant),
    UnderWay,
}

/// What a fetch came to, for the operator.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// As before.
    None,
    /// Others than before: how many, and after how many failures in a row. `unusable`: what is wrong with those of them that
    /// are new and verify nothing; empty: nothing is, or it was said before.
    Keys { count: usize, failures: u32, unusable: String },
    /// The first failure in a row.
    Away(String),
}

impl PublishedSet {
    /// `kept`: what an earlier process has fetched.
    pub fn new(source: RemoteKeys, kept: Option<Arc<Fetched>>, changed: Arc<Notify>) -> Self {
        let plan = Plan { next: Instant::now(), tried: None, under_way: false, failures: 0, error: None };
        Self {
            source,
            fetched: ArcSwapOption::new(kept),
            plan: Mutex::new(plan),
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            changed,
        }
    }

    /// Who is asked, and for what; for people and for a label of Prometheus.
    pub fn name(&self) -> String {
        let RemoteKeys { backend, path, .. } = &self.source;
        format!("{backend}{}", path.replace('\\', "\\\\").replace('"', "\\\""))
    }

    /// How it is `now`.
    pub fn state(&self, now: Instant) -> KeySetState {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref();
        let keys = self.keys(now);
        let plan = self.plan();
        KeySetState {
            source: format!("{}{}", self.source.backend, self.source.path),
            keys: keys.as_ref().map_or(0, |keys| keys.len()),
            key_ids: keys.as_ref().map_or_else(Vec::new, |keys| shown(keys.ids())),
            skipped: keys.map_or_else(Vec::new, |keys| keys.skipped().iter().map(ToString::to_string).collect()),
            age_seconds: fetched.map(|fetched| (now + MAX_AGE).saturating_duration_since(fetched.until).as_secs()),
            failures: plan.failures,
            last_error: plan.error.clone(),
        }
    }

    /// The keys that verify `now`. `None`: there never were any, or they are too old.
    pub fn keys(&self, now: Instant) -> Option<Arc<KeySet>> {
        let fetched = self.fetched.load();
        let fetched = fetched.as_ref().filter(|fetched| now < fetched.until)?;
        Some(Arc::clone(&fetched.keys))
    }

    pub fn fetched(&self) -> Option<Arc<Fetched>> {
        self.fetched.load_full()
    }

    /// A token may have been signed with a key that is not there yet.
    pub fn want(&self) {
        let mut plan = self.plan();
        let early = plan.tried.map_or_else(Instant::now, |tried| tried + EARLY_PAUSE);
        if !plan.under_way && early < plan.next {
            plan.next = early;
            drop(plan);
            self.changed.notify_one();
        }
    }

    pub fn due(&self, now: Instant) -> Due {
        let mut plan = self.plan();
        // Who had begun may have met its end.
        let is_lost = plan.tried.is_some_and(|tried| now >= tried + LOST);
        if plan.under_way && !is_lost {
            return Due::UnderWay;
        }
        if plan.next > now {
            return Due::At(plan.next);
        }
        (plan.under_way, plan.tried) = (true, Some(now));
        Due::Now
    }

    /// What came of a fetch. `at`: since 1970; `noise`: for jitter, so that pods do not ask together.
    pub fn done(&self, found: Result<Vec<u8>, String>, now: Instant, at: Duration, noise: u32) -> News {
        let found = found.and_then(|text| match KeySet::read_published(&text) {
            Ok(keys) => Ok((keys, text)),
            Err(why) => Err(why.to_string()),
        });
        let mut plan = self.plan();
        plan.under_way = false;
        let failures = plan.failures;
        match found {
            Ok((keys, text)) => {
                self.successes.fetch_add(1, Relaxed);
                (plan.failures, plan.error) = (0, None);
                plan.next = now + part_of(Duration::from_millis(self.source.refresh_ms), noise);
                let before = self.fetched.load_full();
                // The same keys stay the very same: what was verified by them is still good.
                let same = before.filter(|before| before.text == text);
                let is_new = same.is_none();
                let keys = same.map_or_else(|| Arc::new(keys), |same| Arc::clone(&same.keys));
                let count = keys.len();
                let unusable = jwt::listed(keys.skipped().iter().filter(|key| is_new && key.is_fault()));
                self.fetched.store(Some(Arc::new(Fetched { keys, text, at, until: now + MAX_AGE })));
                if is_new || failures > 0 { News::Keys { count, failures, unusable } } else { News::None }
            }
            Err(why) => {
                self.failures.fetch_add(1, Relaxed);
                (plan.failures, plan.error) = (failures.saturating_add(1), Some(why.clone()));
                let pause = FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LAST_RETRY);
                plan.next = now + part_of(pause, noise);
                if failures == 0 { News::Away(why) } else { News::None }
            }
        }
    }

    pub fn counts(&self) -> [(&'static str, u64); 2] {
        [("success", self.successes.load(Relaxed)), ("failure", self.failures.load(Relaxed))]
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nine tenths of a time, and up to all of it.
fn part_of(time: Duration, noise: u32) -> Duration {
    let tenth = time / 10;
    tenth * 9 + tenth.mul_f64(f64::from(noise) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Due, EARLY_PAUSE, FIRST_RETRY, KeySetState, LAST_RETRY, LOST, MAX_AGE, News, PublishedSet};
    use route::ir::RemoteKeys;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::Notify;
    use tokio::time::Instant;

    /// RFC 8037, appendix A.2.
    const KEYS: &[u8] =
        br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    const REFRESH: Duration = Duration::from_secs(300);
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn set() -> PublishedSet {
        let source = RemoteKeys {
            backend: "b".to_owned(),
            path: "/keys".to_owned(),
            hostname: String::new(),
            service: "s".to_owned(),
            refresh_ms: 300_000,
        };
        PublishedSet::new(source, None, Arc::new(Notify::new()))
    }

    fn news(failures: u32) -> News {
        News::Keys { count: 1, failures, unusable: String::new() }
    }

    fn next(set: &PublishedSet, now: Instant) -> Duration {
        match set.due(now) {
            Due::At(next) => next - now,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_good_set_is_used_while_its_provider_is_away_and_not_for_ever() {
        let (set, now) = (set(), Instant::now());
        assert!(set.keys(now).is_none());
        assert_eq!((set.due(now), set.due(now)), (Due::Now, Due::UnderWay));
        assert_eq!(set.done(Ok(KEYS.to_vec()), now, NOW, u32::MAX), news(0));
        let keys = set.keys(now).unwrap();
        assert_eq!(next(&set, now), REFRESH);
        assert_eq!(set.due(now + REFRESH), Due::Now);
        assert_eq!(set.done(Err("away".to_owned()), now, NOW, 0), News::Away("away".to_owned()));
        let later = now + MAX_AGE;
        assert!(Arc::ptr_eq(&keys, &set.keys(later - Duration::from_secs(1)).unwrap()));
        assert!(set.keys(later).is_none());
        // The same again: what was verified stays.
        assert_eq!(set.due(now + REFRESH), Due::Now);
        assert_eq!(set.done(Ok(KEYS.to_vec()), later, NOW, 0), news(1));
        assert!(Arc::ptr_eq(&keys, &set.keys(later).unwrap()));
        assert_eq!(next(&set, later), REFRESH / 10 * 9);
        assert_eq!(set.counts(), [("success", 2), ("failure", 1)]);
    }

    #[test]
    fn what_is_shown_of_it() {
        let (set, now) = (set(), Instant::now());
        let state = |now| {
            let KeySetState { source, keys, key_ids, skipped, age_seconds, failures, last_error } = set.state(now);
            assert_eq!((source.as_str(), skipped.len()), ("b/keys", 0));
            (keys, key_ids.join(","), age_seconds, failures, last_error)
        };
        assert_eq!(state(now), (0, String::new(), None, 0, None));
        let away = || Err("away".to_owned());
        set.done(away(), now, NOW, 0);
        assert_eq!(state(now), (0, String::new(), None, 1, Some("away".to_owned())));
        let named = String::from_utf8_lossy(KEYS).replace("\"kty\"", "\"kid\": \"one\", \"kty\"");
        set.done(Ok(named.into_bytes()), now, NOW, 0);
        assert_eq!(state(now), (1, "one".to_owned(), Some(0), 0, None));
        set.done(away(), now + REFRESH, NOW, 0);
        assert_eq!(state(now + REFRESH), (1, "one".to_owned(), Some(300), 1, Some("away".to_owned())));
        // Too old to verify.
        assert_eq!(state(now + MAX_AGE), (0, String::new(), Some(MAX_AGE.as_secs()), 1, Some("away".to_owned())));
    }

    /// What somebody has to correct is said once for each set; what is there for something else is shown and not said.
    #[test]
    fn keys_that_verify_nothing_are_told() {
        let (set, now) = (set(), Instant::now());
        let good = String::from_utf8_lossy(KEYS);
        let beside = |keys: &str| good.replace("[{", &format!("[{keys}, {{")).into_bytes();
        let encrypts = r#"{"kid": "other", "use": "enc"}"#;
        let bad = format!(r#"{encrypts}, {{"kid": "old", "kty": "oct"}}"#);
        let told = "keys[1] (kid \"old\") is a shared secret, which whoever verifies could sign with";
        let unusable = |text: Vec<u8>| match set.done(Ok(text), now, NOW, 0) {
            News::Keys { count: 1, failures: 0, unusable } => Some(unusable),
            News::None => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(unusable(beside(encrypts)).as_deref(), Some(""));
        assert_eq!(unusable(beside(&bad)).as_deref(), Some(told));
        assert_eq!(unusable(beside(&bad)), None);
        assert_eq!(set.state(now).skipped, ["keys[0] (kid \"other\") is not for signatures (use)", told]);
        assert!(set.state(now + MAX_AGE).skipped.is_empty());
        assert_eq!(set.done(Err("away".to_owned()), now, NOW, 0), News::Away("away".to_owned()));
        assert_eq!(set.done(Ok(beside(&bad)), now, NOW, 0), news(1));
    }

    #[test]
    fn a_clock_that_is_set_makes_keys_neither_older_nor_younger() {
        for at in [Duration::ZERO, NOW, NOW * 2] {
            let (set, now) = (set(), Instant::now());
            set.done(Ok(KEYS.to_vec()), now, at, 0);
            assert!(set.keys(now + REFRESH).is_some() && set.keys(now + MAX_AGE).is_none(), "{at:?}");
        }
    }

    #[test]
    fn what_fails_is_tried_again_less_and_less() {
        let (set, mut now) = (set(), Instant::now());
        let mut pauses = Vec::new();
        for place in 0..10 {
            assert_eq!(set.due(now), Due::Now);
            let news = set.done(Ok(b"{}".to_vec()), now, NOW, u32::MAX);
            assert_eq!(matches!(news, News::Away(_)), place == 0, "{news:?}");
            pauses.push(next(&set, now));
            now += LAST_RETRY;
        }
        assert_eq!((pauses[0], pauses[1], pauses[9]), (FIRST_RETRY, 2 * FIRST_RETRY, LAST_RETRY));
    }

    /// A set is not waited for by a fetch that has come to nothing.
    #[test]
    fn a_fetch_without_an_end_is_begun_anew() {
        let (set, now) = (set(), Instant::now());
        assert_eq!((set.due(now), set.due(now + LOST / 2)), (Due::Now, Due::UnderWay));
        assert_eq!(set.due(now + LOST), Due::Now);
    }

    #[test]
    fn unknown_keys_have_it_fetched_early_but_seldom() {
        let (set, now) = (set(), Instant::now());
        assert_eq!(set.due(now), Due::Now);
        // Under way already.
        set.want();
        set.done(Ok(KEYS.to_vec()), now, NOW, u32::MAX);
        assert_eq!(next(&set, now), REFRESH);
        for _ in 0..100 {
            set.want();
            assert_eq!(next(&set, now), EARLY_PAUSE);
        }
        assert_eq!(set.due(now + EARLY_PAUSE), Due::Now);
    }
}
