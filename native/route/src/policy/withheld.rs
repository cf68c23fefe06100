//! Fields that a backend gets from its policies or not at all, wherever in a message they stand: some take a trailer for a field
//! of the head (RFC 9110 section 6.5.1), and who sends one late would be who it wants to be.

use super::{OwnedFields, Removal};

/// Names of fields that no trailer of a request may have.
#[derive(Debug, Default)]
pub struct Withheld<'g> {
    owned: Option<&'g OwnedFields>,
    removed: Vec<Removal>,
}

impl<'g> Withheld<'g> {
    /// What policies may set, and what was taken out of the head.
    pub fn of(owned: Option<&'g OwnedFields>, removed: Vec<Removal>) -> Self {
        Self { owned, removed }
    }

    /// Whether a field is one of them, in any spelling.
    pub fn has(&self, name: &[u8]) -> bool {
        self.owned.is_some_and(|owned| owned.has(name)) || self.removed.iter().any(|removal| removal.takes(name))
    }
}
