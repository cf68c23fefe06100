//! The response filters of a rule, its backend and its listener, ready for whatever head comes back.

use super::pages::Pages;
use codec::Field;
use route::policy::{AnswerField, OfSuccess};
use route::resolve::{CorsFields, is_cors, set_cors};
use route::response_rewrite::rewritten_fields;
use route::table::{EditedFields, Filters, HeaderEdits, Listener, MadeValues, Respond};

/// Statuses of answers that are no errors, as `add_header` of nginx counts them.
const WITHOUT_ERROR: [u16; 10] = [200, 201, 204, 206, 301, 302, 303, 304, 307, 308];

/// What happens to the fields of a response.
#[derive(Debug, Default)]
pub struct ResponseEdits<'g> {
    /// Those that have any edits.
    filters: [Option<&'g Filters>; 2],
    /// What their expressions came to; `None`: they have none.
    made: Option<Box<[MadeValues; 2]>>,
    /// It is a backend that answers.
    of_backend: bool,
    /// Fields of an answer that a filter gives.
    own: Option<&'g HeaderEdits>,
    /// Those of the listener, which come last; `None` nearly always.
    listener: Option<Box<(&'g Filters, MadeValues)>>,
    cors: CorsFields,
    /// What policies add, behind all edits.
    appended: Vec<AnswerField>,
    /// The same, of answers that are no errors.
    appended_to_success: Option<Box<OfSuccess>>,
    /// What stands in for an error.
    pages: Option<Box<Pages<'g>>>,
}

impl<'g> ResponseEdits<'g> {
    /// Of an answer that a rule gives without a backend; `cors`: the fields that it does not have yet, `made`: what the
    /// expressions of its edits came to.
    pub fn of_rule(rule: &'g Filters, made: MadeValues, cors: CorsFields) -> Self {
        let made = (!made.is_empty()).then(|| Box::new([made, MadeValues::new()]));
        Self { filters: [editing(rule), None], made, cors, ..Self::default() }
    }

    /// The same, of the answer that a filter gives.
    pub fn of_own_answer(self, respond: Option<&'g Respond>) -> Self {
        Self { own: respond.map(|respond| &respond.fields), ..self }
    }

    /// The same, and the listener edits whatever answers; `made`: says what the expressions of its edits come to.
    pub fn at(mut self, listener: &'g Listener, made: impl FnOnce(&Filters) -> MadeValues) -> Self {
        if let Some(own) = listener.answers().filter(|own| !own.response.is_empty()) {
            self.listener = Some(Box::new((own, made(own))));
        }
        self
    }

    /// Of the answer of a backend; `made`: what the expressions of the edits came to, where they have any.
    pub fn new(filters: [&'g Filters; 2], made: Option<Box<[MadeValues; 2]>>, cors: CorsFields) -> Self {
        Self { filters: filters.map(editing), made, of_backend: true, cors, ..Self::default() }
    }

    /// The same, and policies add these; the second ones where it is no error.
    pub fn appending(self, appended: Vec<AnswerField>, appended_to_success: Option<Box<OfSuccess>>) -> Self {
        Self { appended, appended_to_success, ..self }
    }

    /// The same, and these stand in for errors.
    pub fn paged(self, pages: Option<Box<Pages<'g>>>) -> Self {
        Self { pages, ..self }
    }

    pub fn pages(&self) -> Option<&Pages<'g>> {
        self.pages.as_deref()
    }

    /// Whether no trailer of a response may have this name: what the field says is for a filter, a CORS rule or a policy to say,
    /// or for nobody.
    pub fn withholds(&self, name: &[u8]) -> bool {
        let edited = self.filters.iter().flatten().copied().chain(self.listener.iter().map(|last| last.0));
        let of_success = self.appended_to_success.iter().flat_map(|found| &found.0);
        (!self.cors.is_empty() && is_cors(name))
            || edited.into_iter().any(|filters| filters.replaces_of_response(name))
            || self.appended.iter().chain(of_success).any(|(own, _)| name.eq_ignore_ascii_case(own.as_bytes()))
    }

    /// Call `then` with the edited fields of an answer with this status; without edits, with the very ones given.
    pub fn with<R>(&self, status: u16, fields: &[Field<'_>], then: impl FnOnce(&[Field<'_>]) -> R) -> R {
        let of_success = match &self.appended_to_success {
            Some(found) if WITHOUT_ERROR.contains(&status) => &found.0[..],
            _ => &[],
        };
        let none = self.filters.iter().all(Option::is_none) && self.own.is_none() && self.listener.is_none();
        if none && self.cors.is_empty() && self.appended.is_empty() && of_success.is_empty() {
            return then(fields);
        }
        let rewrites = self.filters.iter().flatten().filter(|_| self.of_backend);
        let rewritten = rewritten_fields(rewrites.filter_map(|filters| filters.response_rewrite.as_ref()), fields);
        let mut edited: EditedFields<'_> = fields.iter().copied().collect();
        for (at, value) in &rewritten {
            edited[*at].value = value;
        }
        if let Some(own) = self.own {
            own.apply(&mut edited, &[]);
        }
        for (at, filters) in self.filters.iter().enumerate() {
            let made = self.made.as_ref().map_or(&[][..], |made| &made[at]);
            filters.iter().flat_map(|filters| &filters.response).for_each(|edits| edits.apply(&mut edited, made));
        }
        for (filters, made) in self.listener.iter().map(|last| &**last) {
            filters.response.iter().for_each(|edits| edits.apply(&mut edited, made));
        }
        set_cors(&mut edited, &self.cors);
        edited
            .extend(self.appended.iter().chain(of_success).map(|(name, value)| Field { name: name.as_bytes(), value }));
        then(&edited)
    }
}

fn editing(filters: &Filters) -> Option<&Filters> {
    Some(filters).filter(|filters| !filters.response.is_empty() || filters.response_rewrite.is_some())
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
        ResponseEdits { cors, ..ResponseEdits::default() }.with(200, &fields, |fields| {
            fields.iter().map(|field| format!("{}: {}", text(field.name), text(field.value))).collect()
        })
    }

    /// A trailer has no say where a filter has.
    #[test]
    fn what_no_trailer_may_have() {
        let none = ResponseEdits::default();
        let varies = || vec![("vary", "Origin".to_owned())];
        let of_cors = ResponseEdits { cors: varies(), ..ResponseEdits::default() };
        let of_policy = ResponseEdits::default().appending(vec![("x-said".into(), b"1".to_vec())], None);
        for (edits, withheld) in [
            (none, &[][..]),
            (of_cors, &["access-control-allow-origin", "Access-Control-Max-Age"]),
            (of_policy, &["x-said", "X-Said"]),
        ] {
            for name in
                ["grpc-status", "x-said", "X-Said", "vary", "access-control-allow-origin", "Access-Control-Max-Age"]
            {
                assert_eq!(edits.withholds(name.as_bytes()), withheld.contains(&name), "{name} {withheld:?}");
            }
        }
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
