//! The response filters of a rule and its backend, ready for whatever head comes back.

use codec::Field;
use route::resolve::{CorsFields, set_cors};
use route::table::{EditedFields, Filters};

/// What happens to the fields of a response.
#[derive(Debug, Default)]
pub struct ResponseEdits<'g> {
    filters: Option<[&'g Filters; 2]>,
    cors: CorsFields,
}

impl<'g> ResponseEdits<'g> {
    pub fn new(rule: &'g Filters, backend: &'g Filters, cors: CorsFields) -> Self {
        let any = !(rule.response.is_empty() && backend.response.is_empty());
        Self { filters: any.then_some([rule, backend]), cors }
    }

    /// Call `then` with the edited fields; without edits, with the very ones given.
    pub fn with<R>(&self, fields: &[Field<'_>], then: impl FnOnce(&[Field<'_>]) -> R) -> R {
        if self.filters.is_none() && self.cors.is_empty() {
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
