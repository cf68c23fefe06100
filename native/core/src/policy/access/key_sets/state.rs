//! How a set is, for people and programs: nothing of its keys but their ids.

use serde::Serialize;

/// Characters of an id that are shown: who publishes keys says what their ids are.
const SHOWN_ID: usize = 128;

/// What is known of one set.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct KeySetState {
    /// Who is asked, and for what.
    pub source: String,
    /// That verify now.
    pub keys: usize,
    /// Of those that have one.
    pub key_ids: Vec<String>,
    /// Those that verify nothing, and why.
    pub skipped: Vec<String>,
    /// Seconds since they were fetched; `None`: they never were.
    pub age_seconds: Option<u64>,
    /// Fetches that have failed since one was good.
    pub failures: u32,
    /// Why the last one has; `None`: it was good.
    pub last_error: Option<String>,
}

/// Ids as they are shown.
pub(super) fn shown<'i>(ids: impl Iterator<Item = Option<&'i str>>) -> Vec<String> {
    ids.flatten().map(|id| id.chars().take(SHOWN_ID).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::{SHOWN_ID, shown};

    /// Keys without an id are left out; one that is too long is cut between characters.
    #[test]
    fn ids_are_shown_and_cut() {
        let long = "\u{e9}".repeat(SHOWN_ID + 1);
        let just = "\u{e9}".repeat(SHOWN_ID);
        let ids = [Some("one"), None, Some(""), Some(&long), Some(&just)];
        assert_eq!(shown(ids.into_iter()), ["one", "", &just, &just]);
    }
}
