//! Whose word limits take for who asks.

use route::policy::Level;
use route::table::Joined;
use std::sync::Arc;

/// Places at the listener of those credentials whose word counts.
///
/// Limits of an override take that of credentials that override as well: whoever is below calls his clients what he likes, and
/// as many names as he likes. Where nobody that overrides has credentials they take anybody's: else all clients would be one.
#[derive(Debug, Clone, Default)]
pub struct Believed(Option<Arc<[usize]>>);

impl Believed {
    /// Of all that hold together, by those that override.
    pub fn of(joined: &Joined) -> Self {
        let credentials =
            joined.policies.iter().zip(&joined.levels).filter(|(it, _)| it.judge.authenticator().is_some());
        let places: Vec<usize> =
            credentials.filter(|(_, level)| level.overriding.is_some()).filter_map(|(_, level)| level.place).collect();
        Self((!places.is_empty()).then(|| places.into()))
    }

    /// The same, by limits of this level.
    pub fn by(&self, level: Level) -> Self {
        Self(level.overriding.and_then(|_| self.0.clone()))
    }

    /// Whether they take the word of credentials in that place; `None`: of a rule.
    pub fn takes(&self, proved_by: Option<usize>) -> bool {
        self.0.as_ref().is_none_or(|places| proved_by.is_some_and(|place| places.contains(&place)))
    }
}

#[cfg(test)]
mod tests {
    use super::Believed;
    use route::policy::Level;
    use std::sync::Arc;

    #[test]
    fn an_override_believes_those_that_override() {
        let level = |overriding| Level { place: Some(0), overriding };
        let found = Believed(Some(Arc::from([2, 3])));
        let above = found.by(level(Some(0)));
        assert!(above.takes(Some(2)) && above.takes(Some(3)) && !above.takes(Some(4)) && !above.takes(None));
        assert!(found.by(level(None)).takes(None) && found.by(Level::default()).takes(Some(4)));
        assert!(Believed::default().by(level(Some(0))).takes(None));
    }
}
