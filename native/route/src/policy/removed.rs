//! What a backend does not get of a request: credentials, and what a client says in place of a policy.

use super::same_field;
use codec::Field;
use std::borrow::Cow;

/// A part of a request that its backend does not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// Fields of this name, in any spelling.
    Field(Cow<'static, str>),
    /// Those of them whose values begin with a scheme, whatever the case: what stands behind another one is not ours to take.
    Scheme {
        name: Cow<'static, str>,
        scheme: Cow<'static, str>,
    },
    /// The same, of trailers alone: what stands in the head was said in its place.
    Trailer(Cow<'static, str>),
    Cookie(String),
    /// Pairs of the query with this name.
    Query(String),
}

impl Removal {
    /// Whether it takes out fields of this name, in any spelling, whatever they say.
    pub fn takes(&self, name: &[u8]) -> bool {
        matches!(self, Self::Field(removed) | Self::Trailer(removed) if same_field(removed.as_bytes(), name))
    }

    /// Whether it takes out a field.
    pub fn takes_field(&self, field: &Field<'_>) -> bool {
        match self {
            Self::Field(_) => self.takes(field.name),
            Self::Scheme { name, scheme } => {
                same_field(name.as_bytes(), field.name) && {
                    let start = field.value.trim_ascii_start().get(..scheme.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
                }
            }
            Self::Trailer(_) | Self::Cookie(_) | Self::Query(_) => false,
        }
    }

    /// Whether it is about whole fields: nothing of the request has to be written anew for it.
    fn is_of_fields(&self) -> bool {
        matches!(self, Self::Field(_) | Self::Scheme { .. } | Self::Trailer(_))
    }
}

/// All that a backend does not get of a request, by whoever has it taken out.
///
/// The list that a policy has is borrowed of it (`'p`), since every request of it comes to the same one: naming it costs no memory.
/// Only what is beside it is a list of its own. It is no larger than that list: every request carries it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed<'p>(Cow<'p, [Removal]>);

impl<'p> Removed<'p> {
    /// Take out what a policy has taken out of each request.
    pub fn extend(&mut self, all: &'p [Removal]) {
        if self.is_empty() {
            self.0 = Cow::Borrowed(all);
        } else if !all.is_empty() {
            self.0.to_mut().extend_from_slice(all);
        }
    }

    /// All of it, and nothing is left.
    pub fn take(&mut self) -> Vec<Removal> {
        std::mem::take(&mut self.0).into_owned()
    }

    /// Take out one thing more.
    pub fn push(&mut self, one: Removal) {
        self.0.to_mut().push(one);
    }

    /// Take out what others have found.
    pub fn append(&mut self, found: Self) {
        if self.is_empty() {
            self.0 = found.0;
        } else if !found.is_empty() {
            self.0.to_mut().extend(found.0.into_owned());
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Removal> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field is taken out.
    pub fn takes_field(&self, field: &Field<'_>) -> bool {
        self.iter().any(|removal| removal.takes_field(field))
    }

    /// Whether it is about whole fields alone, so that what is left of a request is what was sent.
    pub fn is_of_fields(&self) -> bool {
        self.iter().all(Removal::is_of_fields)
    }
}

impl From<Vec<Removal>> for Removed<'_> {
    fn from(all: Vec<Removal>) -> Self {
        Self(Cow::Owned(all))
    }
}

#[cfg(test)]
mod tests {
    use super::{Removal, Removed};
    use codec::Field;

    fn field(name: &'static str, value: &'static str) -> Field<'static> {
        Field { name: name.as_bytes(), value: value.as_bytes() }
    }

    #[test]
    fn lists_of_several_policies() {
        let (keys, none) = (vec![Removal::Field("X-Key".into()), Removal::Query("key".to_owned())], vec![]);
        let mut removed = Removed::default();
        assert!(removed.is_empty());
        removed.extend(&none);
        removed.extend(&keys);
        removed.extend(&none);
        let password = Removal::Scheme { name: "authorization".into(), scheme: "Basic".into() };
        removed.push(password.clone());
        removed.append(vec![Removal::Cookie("key".to_owned())].into());
        removed.append(Removed::default());
        assert!(!removed.is_empty());
        assert!(removed.iter().eq(keys.iter().chain(&[password, Removal::Cookie("key".to_owned())])));
    }

    /// A name in whatever spelling a backend may take for it, and as often as it is there.
    #[test]
    fn fields_of_a_name_in_any_spelling() {
        let removed: Removed<'_> = vec![
            Removal::Field("x-api-key".into()),
            Removal::Field("X_API_KEY".into()),
            Removal::Scheme { name: "Authorization".into(), scheme: "Bearer".into() },
        ]
        .into();
        for (name, value, is_taken) in [
            ("x-api-key", "1", true),
            ("X-Api-Key", "", true),
            ("x_api_key", "1", true),
            ("X.API-KEY", "1", true),
            ("xxapi-key", "1", false),
            ("x-api-keys", "1", false),
            ("x-api-ke", "1", false),
            ("x-api-ke!", "1", false),
            ("authorization", "bearer x", true),
            ("AUTHORIZATION", " \tBEARER", true),
            ("authorization", "Bear", false),
            ("authorization", "Basic Bearer", false),
            ("x-authorization", "Bearer x", false),
        ] {
            assert_eq!(removed.takes_field(&field(name, value)), is_taken, "{name}: {value}");
        }
    }

    #[test]
    fn what_is_of_whole_fields() {
        let of = |all: Vec<Removal>| Removed::from(all).is_of_fields();
        let (name, named) = (|| Removal::Field("x".into()), |it: &str| it.to_owned());
        assert!(of(vec![]) && of(vec![name(), Removal::Scheme { name: "x".into(), scheme: "y".into() }]));
        assert!(!of(vec![name(), Removal::Cookie(named("a"))]) && !of(vec![Removal::Query(named("a")), name()]));
    }
}
