//! Keys of a set that verify nothing: which, and why.

use serde_json::{Map, Value};
use std::fmt;

/// Characters of an id that are shown: who publishes keys says what their ids are.
const SHOWN_ID: usize = 128;

/// Keys that are named where all are told in one sentence.
const NAMED: usize = 3;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is there for something else, and says so: most sets have such keys, and nothing is wrong with them.
    ForElse(&'static str),
    Bad(&'static str),
}

impl From<&'static str> for Unusable {
    fn from(why: &'static str) -> Self {
        Self::Bad(why)
    }
}

/// One key that is not used. What it is of people and programs may see; it has nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// In the set.
    pub place: usize,
    id: Option<Box<str>>,
    why: Unusable,
}

impl Skipped {
    pub(crate) fn of(place: usize, entry: &Value, why: Unusable) -> Self {
        let id = entry.as_object().and_then(shown_id);
        Self { place, id, why }
    }

    /// Whether somebody should correct it: it is there to verify, as far as it says, and cannot.
    pub fn is_fault(&self) -> bool {
        matches!(self.why, Unusable::Bad(_))
    }
}

fn shown_id(entry: &Map<String, Value>) -> Option<Box<str>> {
    let id = entry.get("kid")?.as_str()?;
    Some(id.chars().take(SHOWN_ID).collect::<String>().into())
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "keys[{}]", self.place)?;
        if let Some(id) = &self.id {
            // What it escapes would change how a line looks.
            write!(formatter, " (kid {id:?})")?;
        }
        let (Unusable::ForElse(why) | Unusable::Bad(why)) = self.why;
        write!(formatter, " {why}")
    }
}

/// Several of them in one sentence, the first ones by name; empty: none.
pub fn listed<'s>(skipped: impl IntoIterator<Item = &'s Skipped>) -> String {
    let all: Vec<_> = skipped.into_iter().collect();
    let text = all.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
