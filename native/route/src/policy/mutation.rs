//! What those who are asked before a rule is looked for do to a request (GEP-5224): matches, policies and filters of the rule see
//! what they leave, as they see what the edits of a listener leave.

use super::{AnswerField, OwnedFields, Passage, QueryEdits, Removal};
use crate::table::EditedFields;
use codec::Field;
use std::borrow::Cow;

/// Fields that are gone, fields that were said, and what is changed of the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutation {
    removed: Vec<Removal>,
    set: Vec<AnswerField>,
    query: Option<Box<QueryEdits>>,
}

impl Mutation {
    /// What steps have found out, which leave the rest of it to the rule. What is gone or replaced no trailer says either.
    pub fn of(passage: &mut Passage<'_>) -> Self {
        let (removed, set) = (passage.removed.take(), std::mem::take(&mut passage.forward));
        let names = removed.iter().filter_map(|removal| match removal {
            Removal::Field(name) => Some(Removal::Trailer(name.clone())),
            _ => None,
        });
        passage.removed = names.collect::<Vec<_>>().into();
        Self { removed, set, query: passage.query.take() }
    }

    /// Whether a field stays. `owned`: what those who are asked may say, so that nobody else does.
    fn keeps(&self, owned: &OwnedFields, field: &Field<'_>) -> bool {
        !owned.has(field.name) && !self.removed.iter().any(|removal| removal.takes_field(field))
    }

    /// The fields of a request as they leave it, in `space`; `sent`: how many of them are the client's. Returns how many of these
    /// are left: what is behind them was set by the listener's filters, or was said.
    pub fn apply<'a>(
        &'a self,
        owned: &OwnedFields,
        (fields, sent): (&[Field<'a>], usize),
        space: &mut EditedFields<'a>,
    ) -> usize {
        let (sent, set) = fields.split_at(sent);
        space.extend(sent.iter().filter(|field| self.keeps(owned, field)).copied());
        let left = space.len();
        space.extend(set.iter().filter(|field| self.keeps(owned, field)).copied());
        space.extend(self.set.iter().map(|(name, value)| Field { name: name.as_bytes(), value }));
        left
    }

    /// The query as they leave it.
    pub fn query<'q>(&self, query: Option<&'q str>) -> Option<Cow<'q, str>> {
        match &self.query {
            Some(edits) => edits.apply(query).map(Cow::Owned),
            None => query.map(Cow::Borrowed),
        }
    }

    /// What is not forwarded, but matched, without what nobody but them may say.
    pub fn matched<'a>(&self, owned: &OwnedFields, taken_out: &[Field<'a>]) -> EditedFields<'a> {
        taken_out.iter().filter(|field| self.keeps(owned, field)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Mutation;
    use crate::policy::{OwnedFields, Passage, QueryEdits, Removal};
    use crate::table::EditedFields;
    use codec::Field;

    fn field<'f>(name: &'f str, value: &'f str) -> Field<'f> {
        Field { name: name.as_bytes(), value: value.as_bytes() }
    }

    fn passage() -> Passage<'static> {
        Passage {
            forward: vec![("x-role".into(), b"admin".to_vec()), ("x-role".into(), b"user".to_vec())],
            respond: vec![("x-told".into(), b"1".to_vec())],
            removed: vec![Removal::Field("x-role".into()), Removal::Field("x-secret".into())].into(),
            ..Passage::default()
        }
    }

    /// The word of who was asked stands in place of the client's, and of the listener's, in any spelling.
    #[test]
    fn who_was_asked_has_the_last_word() {
        let mut passage = passage();
        let mutation = Mutation::of(&mut passage);
        let all = [field("x-a", "1"), field("X_Role", "root"), field("x-secret", "2"), field("x-role", "edge")];
        let mut space = EditedFields::new();
        let left = mutation.apply(&OwnedFields::default(), (&all, 3), &mut space);
        assert_eq!(left, 1);
        assert_eq!(&space[..], [field("x-a", "1"), field("x-role", "admin"), field("x-role", "user")]);
        assert_eq!(&mutation.matched(&OwnedFields::default(), &all)[..], [field("x-a", "1")]);
    }

    /// Matches see it, so it is not done once more on the way to the backend.
    #[test]
    fn who_was_asked_changes_the_query() {
        let mut edits = QueryEdits::default();
        edits.set("role", "a b");
        edits.remove("debug");
        let mut passage = Passage { query: Some(Box::new(edits)), ..passage() };
        let mutation = Mutation::of(&mut passage);
        assert!(passage.query.is_none());
        assert_eq!(mutation.query(Some("role=root&a=1&debug")).as_deref(), Some("a=1&role=a%20b"));
        assert_eq!(mutation.query(None).as_deref(), Some("role=a%20b"));
        assert_eq!(Mutation::default().query(Some("a")).as_deref(), Some("a"));
        assert_eq!(Mutation::default().query(None), None);
    }

    /// What was said is a part of the request from then on; in trailers nobody says it again, and answers have what they had.
    #[test]
    fn what_is_left_to_the_rule() {
        let mut passage = passage();
        Mutation::of(&mut passage);
        assert!(passage.forward.is_empty() && passage.respond.len() == 1);
        let (said, kept) = (field("x-role", "admin"), field("x-a", "1"));
        assert!(!passage.removed.takes_field(&said) && passage.removed.is_of_fields());
        let takes = |name: &[u8]| passage.removed.iter().any(|removal| removal.takes(name));
        assert!(takes(b"X_Role") && takes(b"x-secret") && !takes(kept.name));
    }
}
