//! The authenticators among the policies of a request, in their groups.

#[cfg(test)]
mod tests;

use super::{Authenticator, Exempt, Level, Member, Progress, authenticate};
use crate::policy::{Compiled, Facts, Judge, Passage};
use std::sync::Arc;

/// Authenticators of which one has to be content, and whom they do not ask.
#[derive(Debug)]
pub struct Group<'p> {
    /// Each with its place at the listener ([`Level::place`]).
    pub members: Vec<(&'p Arc<Compiled>, Option<usize>)>,
    pub exempt: Option<&'p Arc<Compiled>>,
}

impl<'p> Group<'p> {
    /// Those of each object that overrides, then those that do not override: whoever may write one object that overrides gives
    /// nobody a way around another one. A group without authenticators is none. `levels`: of each policy.
    pub fn all(policies: &'p [Arc<Compiled>], levels: &[Level]) -> Vec<Self> {
        let group = |overrides: Option<usize>| {
            let mut group = Self { members: Vec::new(), exempt: None };
            for (policy, level) in policies.iter().zip(levels).filter(|(_, level)| level.overriding == overrides) {
                match &policy.judge {
                    Judge::Exempt(_) => group.exempt = Some(policy),
                    judge if judge.authenticator().is_some() => group.members.push((policy, level.place)),
                    _ => {}
                }
            }
            group
        };
        let mut objects: Vec<usize> = levels.iter().filter_map(|level| level.overriding).collect();
        objects.sort_unstable();
        objects.dedup();
        let places = objects.into_iter().map(Some).chain([None]);
        places.map(group).filter(|group| !group.members.is_empty()).collect()
    }

    pub fn exemption(&self) -> Option<&'p Exempt> {
        match self.exempt.map(|policy| &policy.judge) {
            Some(Judge::Exempt(exempt)) => Some(exempt),
            _ => None,
        }
    }

    /// Judge a request, and say of each policy that was looked at what it made of it.
    pub fn judge(
        &self,
        facts: &Facts<'_>,
        passage: &mut Passage<'p>,
    ) -> (Progress, Vec<(&'p Arc<Compiled>, &'static str)>) {
        let members = Member::all(self.members.iter().copied());
        let exempt = self.exemption();
        let progress = authenticate(&members, exempt, facts, passage);
        let holds = exempt.is_some_and(|exempt| exempt.holds(facts));
        let mut said: Vec<(&'p Arc<Compiled>, &'static str)> =
            self.exempt.map(|policy| (policy, if holds { "pass" } else { "absent" })).into_iter().collect();
        let (place, word, others) = match &progress {
            Progress::Pass(place) => (*place, "pass", "absent"),
            Progress::Deny(Some(place), _) => (Some(*place), "deny", "absent"),
            Progress::Deny(None, _) => (None, "deny", "deny"),
            Progress::Ask { place, .. } => (Some(*place), "asked", "absent"),
        };
        let looked_at = place.map_or(self.members.len(), |place| place + 1);
        let of_each = self.members.iter().take(looked_at).enumerate();
        said.extend(of_each.map(|(at, (policy, _))| (*policy, if Some(at) == place { word } else { others })));
        (progress, said)
    }
}

impl Judge {
    /// Credentials are judged together.
    pub fn authenticator(&self) -> Option<&dyn Authenticator> {
        match self {
            Self::Certificate(it) => Some(it),
            Self::ApiKey(it) => Some(it),
            Self::Basic(it) => Some(it),
            Self::Jwt(it) => Some(it),
            _ => None,
        }
    }

    /// Whether it has its turn with the credentials.
    pub fn is_of_authentication(&self) -> bool {
        matches!(self, Self::Exempt(_)) || self.authenticator().is_some()
    }
}
