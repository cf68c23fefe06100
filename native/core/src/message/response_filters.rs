//! The response filters of a rule and its backend, ready for whatever head comes back.

use codec::Field;
use route::policy::AnswerField;
use route::resolve::{CorsFields, set_cors};
use route::table::{EditedFields, Filters, HeaderEdits};

/// What happens to the fields of a response.
#[derive(Debug, Default)]
pub struct ResponseEdits<'g> {
    /// Those that have any edits.
    filters: [Option<&'g Filters>; 2],
    /// Fields of an answer that the rule itself gives.
    own: Option<&'g HeaderEdits>,
    cors: CorsFields,
    /// What policies add, behind all edits.
    appended: Vec<AnswerField>,
}

impl<'g> ResponseEdits<'g> {
    /// Of an answer that a rule gives without a backend; `cors`: the fields that it does not have yet.
    pub fn of_rule(rule: &'g Filters, cors: CorsFields) -> Self {
        Self { filters: [editing(rule), None], own: None, cors, appended: Vec::new() }
    }

    /// As [`Self::of_rule`], of the answer that the rule's own filter gives.
    pub fn of_own_answer(rule: &'g Filters, cors: CorsFields) -> Self {
        Self { own: rule.respond.as_ref().map(|respond| &respond.fields), ..Self::of_rule(rule, cors) }
    }

    pub fn new(rule: &'g Filters, backend: &'g Filters, cors: CorsFields) -> Self {
        Self { filters: [editing(rule), editing(backend)], own: None, cors, appended: Vec::new() }
    }

    /// The same, and policies add these.
    pub fn appending(self, appended: Vec<AnswerField>) -> Self {
        Self { appended, ..self }
    }

    /// Call `then` with the edited fields; without edits, with the very ones given.
    pub fn with<R>(&self, fields: &[Field<'_>], then: impl FnOnce(&[Field<'_>]) -> R) -> R {
        let none = self.filters.iter().all(Option::is_none) && self.own.is_none();
        if none && self.cors.is_empty() && self.appended.is_empty() {
            return then(fields);
        }
        let mut edited: EditedFields<'_> = fields.iter().copied().collect();
        if let Some(own) = self.own {
            own.apply(&mut edited);
        }
        for edits in self.filters.iter().flatten().flat_map(|filters| &filters.response) {
            edits.apply(&mut edited);
        }
        set_cors(&mut edited, &self.cors);
        edited.extend(self.appended.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
        then(&edited)
    }
}

fn editing(filters: &Filters) -> Option<&Filters> {
    Some(filters).filter(|filters| !filters.response.is_empty())
}

#[cfg(test)]
mod tests {
    use super::ResponseEdits;
    use codec::Field;
    use route::resolve::CorsFields;

    fn edited(cors: CorsFields, sent: &[(&str, &str)]) -> Vec<String> {
        let fields: Vec<Field<'_>> =
            sent.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ResponseEdits { filters: [None, None], own: None, cors, appended: Vec::new() }.with(&fields, |fields| {
            fields.iter().map(|field| format!("{}: {}", text(field.name), text(field.value))).collect()
        })
    }

    /// What a backend says of who may read its answer counts only where no filter does.
    #[test]
    fn cors_fields_are_the_filters_alone() {
        let sent = [("Access-Control-Allow-Origin", "*"), ("x", "1"), ("access-control-max-age", "5")];
        assert_eq!(edited(Vec::new(), &sent), ["Access-Control-Allow-Origin: *", "x: 1", "access-control-max-age: 5"]);
        let varies = || ("vary", "Origin".to_owned());
        assert_eq!(edited(vec![varies()], &sent), ["x: 1", "vary: Origin"]);
        let allowed = vec![("access-control-allow-origin", "https://a.test".to_owned()), varies()];
        assert_eq!(
            edited(allowed, &[("Vary", "Accept, Origin"), sent[0]]),
            ["Vary: Accept, Origin", "access-control-allow-origin: https://a.test"]
        );
    }
}
