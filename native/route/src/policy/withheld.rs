//! Fields that a backend gets from its policies and filters or not at all, wherever in a message they stand: some take a trailer
//! for a field of the head (RFC 9110 section 6.5.1), and who sends one late would be who it wants to be.

use super::{OwnedFields, Removed};
use crate::table::{Filters, PreRouting};

/// Names of fields that no trailer of a request may have.
#[derive(Debug, Default)]
pub struct Withheld<'g> {
    owned: Option<&'g OwnedFields>,
    removed: Removed<'g>,
    /// Of the listener, which edit before a rule is chosen.
    before: Option<&'g PreRouting>,
    /// Of the rule and its backend.
    filters: Option<[&'g Filters; 2]>,
}

impl<'g> Withheld<'g> {
    /// What policies may set, and what was taken out of the head.
    pub fn of(owned: Option<&'g OwnedFields>, removed: Removed<'g>) -> Self {
        Self { owned, removed, ..Self::default() }
    }

    /// And what filters replace or take out.
    #[must_use]
    pub fn edited(self, before: &'g PreRouting, filters: [&'g Filters; 2]) -> Self {
        Self { before: Some(before), filters: Some(filters), ..self }
    }

    /// Whether a field is one of them: of a policy in any spelling, of a filter as it is written.
    pub fn has(&self, name: &[u8]) -> bool {
        self.owned.is_some_and(|owned| owned.withholds(name))
            || self.removed.iter().any(|removal| removal.takes(name))
            || self.before.is_some_and(|edits| edits.replaces(name))
            || self.filters.iter().flatten().any(|filters| filters.replaces(name))
    }
}
