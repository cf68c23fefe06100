//! The response filters of a rule and its backend, ready for whatever head comes back.

use codec::Field;
use route::resolve::{CorsFields, set_cors};
use route::table::{EditedFields, Filters};

/// What happens to the fields of a response.
#[derive(Debug, Default)]
pub struct ResponseEdits<'g> {
    /// Those that have any edits.
    filters: [Option<&'g Filters>; 2],
    cors: CorsFields,
}

impl<'g> ResponseEdits<'g> {
    /// Of an answer that a rule gives without a backend; `cors`: the fields that it does not have yet.
    pub fn of_rule(rule: &'g Filters, cors: CorsFields) -> Self {
        Self { filters: [editing(rule), None], cors }
    }

    pub fn new(rule: &'g Filters, backend: &'g Filters, cors: CorsFields) -> Self {
        Self { filters: [editing(rule), editing(backend)], cors }
    }

    /// Call `then` with the edited fields; without edits, with the very ones given.
    pub fn with<R>(&self, fields: &[Field<'_>], then: impl FnOnce(&[Field<'_>]) -> R) -> R {
        if self.filters.iter().all(Option::is_none) && self.cors.is_empty() {
            return then(fields);
        }
        let mut edited: EditedFields<'_> = fields.iter().copied().collect();
        for edits in self.filters.iter().flatten().flat_map(|filters| &filters.response) {
            edits.apply(&mut edited);
        }
        set_cors(&mut edited, &self.cors);
        then(&edited)
    }
}

fn editing(filters: &Filters) -> Option<&Filters> {
    Some(filters).filter(|filters| !filters.response.is_empty())
}
