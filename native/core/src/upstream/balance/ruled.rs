//! Which endpoint takes the next request where a `BackendPolicy` says how.
//!
//! An endpoint that is avoided or ejected is passed over, unless so few are left that the policy has all of them used. In its
//! slow start an endpoint gets a part of its share that grows with its age; keys know no slow start.

use super::{DRAWS, Picked, SCAN};
use crate::upstream::among::{Among, Ruled};
use crate::upstream::checked::Verdicts;
use crate::upstream::health::Standing;
use crate::upstream::{EndpointState, Upstreams};
use route::ir::LoadBalancing;
use route::rendezvous;
use smallvec::SmallVec;
use std::time::Duration;

/// Endpoints of a key's own order that may be passed over; whoever comes after that many goes where there is least to do. A subset
/// has no more (`tools/policies/backendpolicy.yaml`).
const MAX_SKIPPED: usize = 8;

/// The part of its share that an endpoint begins with.
const LEAST_SHARE: f64 = 0.1;

/// What an answer is thought to take of which nothing is known, while another one is under way: seconds.
const UNKNOWN: f64 = 1.0;

/// What endpoints are looked at with.
#[derive(Clone, Copy)]
struct Look<'a> {
    ruled: Ruled<'a>,
    tried: &'a [u64],
    /// Of those that are asked.
    verdicts: Option<&'a Verdicts>,
    /// So few do well that all are used.
    panics: bool,
}

impl Look<'_> {
    /// It was asked, does badly, and others do well.
    fn is_out(self, uid: u64) -> bool {
        !self.panics && self.verdicts.is_some_and(|verdicts| verdicts.is_unhealthy(uid))
    }
}

impl Upstreams {
    pub(super) fn pick_ruled<'t>(&self, among: Among<'t>, ruled: Ruled<'t>, tried: &[u64]) -> Option<Picked<'t>> {
        let verdicts = ruled.verdicts();
        let verdicts = verdicts.as_ref().map(|verdicts| &***verdicts);
        let look = Look { ruled, tried, verdicts, panics: self.panics(among, ruled, verdicts) };
        let chosen = match &ruled.policy.load_balancing {
            LoadBalancing::LeastRequest => self.cheapest(among, look, busy),
            LoadBalancing::PeakEwma => self.cheapest(among, look, slowness),
            LoadBalancing::RoundRobin => self.in_turn(among, look, ruled.load.next_turn() as usize),
            LoadBalancing::Random => {
                let drawn = || self.random_below(among.endpoints.len());
                (0..DRAWS)
                    .find_map(|_| self.usable(among, look, drawn()))
                    .or_else(|| self.in_turn(among, look, drawn()))
            }
            LoadBalancing::Hash { subset, .. } => match ruled.key {
                Some(key) if *subset > 1 => self.of_subset(among, look, key, *subset as usize),
                Some(key) => self.hashed(among, look, key),
                None => self.cheapest(among, look, busy),
            },
        };
        chosen.or_else(|| self.least(among.endpoints, tried, |uid| look.is_out(uid)))
    }

    /// Fewer than the policy says do well.
    pub(super) fn panics(&self, among: Among<'_>, ruled: Ruled<'_>, verdicts: Option<&Verdicts>) -> bool {
        let percent = usize::from(ruled.policy.panic_percent);
        let are_all_asked_well = verdicts.is_none_or(|verdicts| verdicts.unhealthy() == 0);
        if percent == 0 || (are_all_asked_well && self.ejected.get() == 0) {
            return false;
        }
        let does_well = |uid| !verdicts.is_some_and(|verdicts| verdicts.is_unhealthy(uid));
        let well = among
            .endpoints
            .iter()
            .filter(|endpoint| does_well(endpoint.uid) && !self.state(endpoint).health.is_ejected());
        well.count() * 100 < percent * among.endpoints.len()
    }

    /// The endpoint in that place, if it may take the request now.
    fn usable<'t>(&self, among: Among<'t>, look: Look<'_>, place: usize) -> Option<Picked<'t>> {
        let found = self.standing_well(among, look, place)?;
        self.is_its_turn(look, found.0.uid, &found.1).then_some(found)
    }

    /// The endpoint in that place, if it does well and the request has not tried it.
    fn standing_well<'t>(&self, among: Among<'t>, look: Look<'_>, place: usize) -> Option<Picked<'t>> {
        self.doing_well(among, look, place).filter(|(endpoint, _)| !look.tried.contains(&endpoint.uid))
    }

    fn doing_well<'t>(&self, among: Among<'t>, look: Look<'_>, place: usize) -> Option<Picked<'t>> {
        let endpoint = among.endpoints.get(place)?;
        let state = self.state(endpoint);
        let does_well = look.panics || (state.health.standing() == Standing::Well && !look.is_out(endpoint.uid));
        does_well.then_some((endpoint, state))
    }

    /// False: a slow start leaves this request to others.
    fn is_its_turn(&self, look: Look<'_>, uid: u64, state: &EndpointState) -> bool {
        let share = share(look, uid, state);
        share >= 1.0 || f64::from(self.next_random()) < share * f64::from(u32::MAX)
    }

    fn in_turn<'t>(&self, among: Among<'t>, look: Look<'_>, first: usize) -> Option<Picked<'t>> {
        let count = among.endpoints.len();
        (0..count).find_map(|step| self.usable(among, look, (first % count + step) % count))
    }

    fn hashed<'t>(&self, among: Among<'t>, look: Look<'_>, key: u64) -> Option<Picked<'t>> {
        let mut skipped: SmallVec<[usize; MAX_SKIPPED]> = SmallVec::new();
        while skipped.len() < MAX_SKIPPED {
            let place = rendezvous::best(look.ruled.seeds, key, &skipped)?;
            if let Some(found) = self.standing_well(among, look, place) {
                return Some(found);
            }
            skipped.push(place);
        }
        None
    }

    /// Of so many endpoints at the head of a key's own order that do well the one with the least to do, ties in turn. One that the
    /// request has tried is still one of them, so that a retry stays where the key's data is; where all were, the next one is taken.
    fn of_subset<'t>(&self, among: Among<'t>, look: Look<'_>, key: u64, size: usize) -> Option<Picked<'t>> {
        let (mut seen, mut own): (SmallVec<[usize; MAX_SKIPPED]>, SmallVec<[usize; MAX_SKIPPED]>) = Default::default();
        let mut found = 0;
        while (found < size || own.is_empty()) && seen.len() < size + MAX_SKIPPED {
            let Some(place) = rendezvous::best(look.ruled.seeds, key, &seen) else { break };
            seen.push(place);
            if let Some((endpoint, _)) = self.doing_well(among, look, place) {
                found += 1;
                if !look.tried.contains(&endpoint.uid) {
                    own.push(place);
                }
            }
        }
        let start = self.next_turn() as usize;
        self.cheaper(among, look, busy, (0..own.len()).map(|step| own[(start + step) % own.len()]))
    }

    /// Of the endpoints in these places that do well the cheapest, ties by their order.
    fn cheaper<'t>(
        &self,
        among: Among<'t>,
        look: Look<'_>,
        cost: impl Fn(&EndpointState) -> f64,
        places: impl Iterator<Item = usize>,
    ) -> Option<Picked<'t>> {
        let of = |place: usize| {
            let found = self.standing_well(among, look, place)?;
            let cost = cost(&found.1) / share(look, found.0.uid, &found.1);
            Some((found, cost))
        };
        places.filter_map(of).reduce(|one, two| if two.1 < one.1 { two } else { one }).map(|(found, _)| found)
    }

    /// Of few endpoints the cheapest, ties in turn; of many the cheaper one of two at random.
    fn cheapest<'t>(
        &self,
        among: Among<'t>,
        look: Look<'_>,
        cost: impl Fn(&EndpointState) -> f64,
    ) -> Option<Picked<'t>> {
        let count = among.endpoints.len();
        if count > SCAN && look.tried.is_empty() {
            let drawn = || [(); 2].map(|()| self.random_below(count));
            if let Some(found) = (0..DRAWS).find_map(|_| self.cheaper(among, look, &cost, drawn().into_iter())) {
                return Some(found);
            }
        }
        let start = self.next_turn() as usize % count;
        self.cheaper(among, look, &cost, (0..count).map(|step| (start + step) % count))
    }
}

/// The part of a whole share that an endpoint gets now.
fn share(look: Look<'_>, uid: u64, state: &EndpointState) -> f64 {
    let slow = look.ruled.policy.slow_start_ms;
    if slow == 0 {
        return 1.0;
    }
    // One that was asked and does well again begins as one that has come back.
    let recovered = look.verdicts.and_then(|verdicts| verdicts.recovered_at(uid));
    let age = recovered.map_or_else(|| state.age(), |since| state.age().min(since.elapsed()));
    (age.as_secs_f64() / Duration::from_millis(slow).as_secs_f64()).clamp(LEAST_SHARE, 1.0)
}

fn busy(state: &EndpointState) -> f64 {
    f64::from(state.active() + 1)
}

/// How long the next request would take here.
fn slowness(state: &EndpointState) -> f64 {
    match state.answer_time.now() {
        None if state.active() > 0 => UNKNOWN * busy(state),
        // Who knows nothing yet is asked.
        None => 0.0,
        Some(seconds) => seconds * busy(state),
    }
}

#[cfg(test)]
mod tests;
