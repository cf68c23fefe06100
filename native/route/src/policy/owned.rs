//! Header fields that policies may set towards backends. A client that could send one would be who it wants to be, so they are
//! taken out of every request before any policy looks at it, whether or not they are set afterwards.

use super::Compiled;
use codec::Field;
use std::sync::Arc;

/// Names of fields that are the policies' own.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OwnedFields(Vec<Box<[u8]>>);

impl OwnedFields {
    /// Those of all of these policies.
    pub fn of(policies: &[Arc<Compiled>]) -> Self {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for name in policies.iter().flat_map(|policy| policy.ir.kind().owned_fields()) {
            if !names.iter().any(|other| same_field(other, name.as_bytes())) {
                names.push(name.as_bytes().into());
            }
        }
        Self(names)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field is one of them, in any spelling.
    pub fn has(&self, field: &Field<'_>) -> bool {
        self.0.iter().any(|name| same_field(name, field.name))
    }
}

/// Whether two names are of one field for some backend: case does not count, and CGI, WSGI and others take every byte that is
/// no letter or digit for the same (CVE-2026-33433, CVE-2026-39858).
pub fn same_field(one: &[u8], two: &[u8]) -> bool {
    let same = |(one, two): (&u8, &u8)| match (one.is_ascii_alphanumeric(), two.is_ascii_alphanumeric()) {
        (true, true) => one.eq_ignore_ascii_case(two),
        (one, two) => one == two,
    };
    one.len() == two.len() && one.iter().zip(two).all(same)
}

#[cfg(test)]
mod tests {
    use super::same_field;

    #[test]
    fn spellings_of_one_field() {
        for (one, two, same) in [
            ("x-user", "X-User", true),
            ("x-user", "x_user", true),
            ("x-user", "X.USER", true),
            ("x-user", "x-users", false),
            ("x-user", "xxuser", false),
            ("x-user", "x--ser", false),
            ("x1", "x2", false),
        ] {
            assert_eq!(same_field(one.as_bytes(), two.as_bytes()), same, "{one} {two}");
        }
    }
}
