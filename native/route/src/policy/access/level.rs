//! How high a policy stands among those that hold together: whose word its rules take.

/// Of one policy. A listener names the highest level first, and of one level credentials before rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Its place among those that the listener names; `None`: the rule names it.
    pub place: Option<usize>,
    /// Where it overrides (`strategy: Overrides`): the place of its object there, which is that of its first part.
    pub overriding: Option<usize>,
}

impl Level {
    /// Whether its rules take the word of credentials at a place for who asks. Those of an override take that of its own level
    /// and of higher ones: whoever is below calls his clients what he likes.
    pub fn believes(self, credentials: Option<usize>) -> bool {
        match (self.overriding.and(self.place), credentials) {
            (None, _) => true,
            (Some(own), Some(place)) => place < own,
            (Some(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn an_override_believes_nobody_below() {
        let overriding = Level { place: Some(3), overriding: Some(1) };
        for (level, credentials, believed) in [
            (overriding, Some(1), true),
            (overriding, Some(2), true),
            (overriding, Some(4), false),
            (overriding, None, false),
            (Level { overriding: None, ..overriding }, Some(4), true),
            (Level { overriding: None, ..overriding }, None, true),
            (Level::default(), None, true),
        ] {
            assert_eq!(level.believes(credentials), believed, "{level:?} {credentials:?}");
        }
    }
}
