//! Which endpoint takes the next request: least requests under way, ties in turn.
//!
//! Up to [`SCAN`] endpoints are compared all; of more, two picked at random are compared, which is nearly as even and costs
//! the same for any number. One whose connections fail is passed over while another one does better; one that is ejected
//! is chosen only where all others have failed. Where the Service wants traffic to stay near, endpoints of this node and this
//! zone come first. A session goes before all of that, as long as its endpoint does well.

mod near;
mod ruled;

use super::among::Among;
use super::health::Standing;
use super::{EndpointState, Upstreams};
use route::rendezvous::seed_of;
use route::table::Endpoint;
use std::rc::Rc;
use std::sync::Arc;

const SCAN: usize = 4;

/// Pairs that are drawn before all endpoints are looked at. Half of them may be ejected.
const DRAWS: usize = 4;

/// An endpoint, and what this worker knows of it.
type Picked<'t> = (&'t Arc<Endpoint>, Rc<EndpointState>);

impl Upstreams {
    /// The endpoint for the next try, not one of `tried`. `None`: there is none, all were tried, or one that was tried does
    /// better than what is left.
    pub fn pick<'t>(&self, among: Among<'t>, tried: &[u64]) -> Option<Picked<'t>> {
        let (endpoint, state) = match among.near {
            _ if among.preferred.is_some() && tried.is_empty() => self.preferred(among),
            [] => self.pick_any(among, tried),
            near => self.pick_near(among, near, tried),
        }?;
        state.health.picked(self.limits.connect_timeout);
        Some((endpoint, state))
    }

    /// Wherever it is.
    fn pick_any<'t>(&self, among: Among<'t>, tried: &[u64]) -> Option<Picked<'t>> {
        match (among.endpoints, among.policy) {
            ([], _) => None,
            ([only], _) if !among.is_checked() => (!tried.contains(&only.uid)).then(|| (only, self.state(only))),
            (_, Some(ruled)) => self.pick_ruled(among, ruled, tried),
            (few, None) if few.len() <= SCAN || !tried.is_empty() => self.least(few, tried, |_| false),
            (many, None) => {
                (0..DRAWS).find_map(|_| self.better_of_two(many)).or_else(|| self.least(many, tried, |_| false))
            }
        }
    }

    /// The endpoint that a session is with; any other one where that is gone or does badly.
    fn preferred<'t>(&self, among: Among<'t>) -> Option<Picked<'t>> {
        let is_it = |endpoint: &&Arc<Endpoint>| Some(seed_of(endpoint.address)) == among.preferred;
        let found = among.endpoints.iter().find(is_it).map(|endpoint| (endpoint, self.state(endpoint)));
        let does_well = |(endpoint, state): &Picked<'_>| {
            (among.endpoints.len() == 1 || state.health.standing() == Standing::Well)
                && !among.is_unhealthy(endpoint.uid)
        };
        found.filter(does_well).or_else(|| self.pick(among.preferring(None), &[]))
    }

    /// `None`: both fail.
    fn better_of_two<'t>(&self, many: &'t [Arc<Endpoint>]) -> Option<Picked<'t>> {
        let one = &many[self.random_below(many.len())];
        let two = &many[self.random_below(many.len())];
        let (first, second) = (self.state(one), self.state(two));
        let (of_first, of_second) =
            ((first.health.standing(), first.active()), (second.health.standing(), second.active()));
        let (found, standing) =
            if of_second < of_first { ((two, second), of_second.0) } else { ((one, first), of_first.0) };
        (standing == Standing::Well).then_some(found)
    }

    /// `is_out`: endpoints that are not used whatever the others do.
    fn least<'t>(
        &self,
        endpoints: &'t [Arc<Endpoint>],
        tried: &[u64],
        is_out: impl Fn(u64) -> bool,
    ) -> Option<Picked<'t>> {
        let start = self.next_turn() as usize % endpoints.len();
        let mut best: Option<(&Arc<Endpoint>, Rc<EndpointState>, (Standing, u32))> = None;
        let mut tried_does_well = false;
        for endpoint in endpoints[start..].iter().chain(&endpoints[..start]).filter(|endpoint| !is_out(endpoint.uid)) {
            let state = self.state(endpoint);
            let load = (state.health.standing(), state.active());
            if tried.contains(&endpoint.uid) {
                tried_does_well |= load.0 == Standing::Well;
            } else if best.as_ref().is_none_or(|(_, _, least)| load < *least) {
                best = Some((endpoint, state, load));
            }
        }
        let (endpoint, state, (standing, _)) = best?;
        (standing != Standing::Ejected || !tried_does_well).then_some((endpoint, state))
    }

    fn next_turn(&self) -> u32 {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        turn
    }

    fn random_below(&self, bound: usize) -> usize {
        usize::try_from(u64::from(self.next_random()) % bound as u64).unwrap_or(0)
    }

    /// A well mixed number: the turn through a finaliser (no state beyond the counter).
    fn next_random(&self) -> u32 {
        let mut mixed = u64::from(self.next_turn()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^= mixed >> 32;
        (mixed >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{Among, Endpoint, Upstreams};
    use crate::settings::Settings;
    use crate::upstream::{ConnectStage, Outcome};
    use route::ir::EndpointState;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    const REFUSED: Outcome = Outcome::NotConnected(ConnectStage::Tcp);

    fn endpoints(count: u64) -> Vec<Arc<Endpoint>> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let endpoint = |uid: u64| Endpoint { id: uid.to_string(), address, uid, state: EndpointState::Ready };
        (0..count).map(|uid| Arc::new(endpoint(uid))).collect()
    }

    fn fail(upstreams: &Upstreams, all: &[Arc<Endpoint>], uid: usize, times: usize) {
        for _ in 0..times {
            upstreams.report(Among::all(all), &upstreams.state(&all[uid]), REFUSED, Instant::now());
        }
    }

    /// Where so many requests go that find each endpoint idle.
    fn picked(upstreams: &Upstreams, all: &[Arc<Endpoint>], count: usize) -> BTreeSet<u64> {
        (0..count).filter_map(|_| upstreams.pick(Among::all(all), &[])).map(|(endpoint, _)| endpoint.uid).collect()
    }

    fn ejected(upstreams: &Upstreams, all: &[Arc<Endpoint>]) -> usize {
        all.iter().filter(|endpoint| upstreams.state(endpoint).health.is_ejected()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_endpoint_is_left_alone_and_then_tried_by_one() {
        for count in [2, 3, 4, 5, 50] {
            let (upstreams, all) = (Upstreams::new(&Settings::default(), Arc::default()), endpoints(count));
            fail(&upstreams, &all, 0, 5);
            advance(Duration::from_millis(4999)).await;
            assert_eq!(picked(&upstreams, &all, 1000), (1..count).collect());
            advance(Duration::from_millis(1)).await;
            let trials = (0..1000)
                .filter_map(|_| upstreams.pick(Among::all(&all), &[]))
                .filter(|(endpoint, _)| endpoint.uid == 0);
            assert_eq!(trials.count(), 1, "of {count}");
            fail(&upstreams, &all, 0, 1);
            advance(Duration::from_millis(9999)).await;
            assert!(!picked(&upstreams, &all, 1000).contains(&0));
            advance(Duration::from_millis(1)).await;
            while !picked(&upstreams, &all, 1).contains(&0) {}
            upstreams.report(Among::all(&all), &upstreams.state(&all[0]), Outcome::Answered(200), Instant::now());
            assert_eq!(picked(&upstreams, &all, 1000), (0..count).collect());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_half_and_never_the_only_one() {
        for (count, expected) in [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3)] {
            let (upstreams, all) = (Upstreams::new(&Settings::default(), Arc::default()), endpoints(count));
            for uid in 0..all.len() {
                fail(&upstreams, &all, uid, 100);
            }
            assert_eq!(ejected(&upstreams, &all), expected, "of {count}");
            assert!(upstreams.pick(Among::all(&all), &[]).is_some());
            // Who tries them all finds them all.
            let mut tried = Vec::new();
            while let Some((endpoint, _)) = upstreams.pick(Among::all(&all), &tried) {
                tried.push(endpoint.uid);
            }
            assert_eq!(tried.len(), all.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_after_another_goes_to_an_ejected_endpoint_only_for_want_of_others() {
        let (upstreams, all) = (Upstreams::new(&Settings::default(), Arc::default()), endpoints(2));
        fail(&upstreams, &all, 0, 5);
        // The other one answered, with a status that is tried again.
        upstreams.report(Among::all(&all), &upstreams.state(&all[1]), Outcome::Answered(503), Instant::now());
        assert!(upstreams.pick(Among::all(&all), &[1]).is_none());
        fail(&upstreams, &all, 1, 1);
        assert_eq!(upstreams.pick(Among::all(&all), &[1]).map(|(endpoint, _)| endpoint.uid), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_waited_for_long_enough_counts() {
        let (upstreams, all) = (Upstreams::new(&Settings::default(), Arc::default()), endpoints(2));
        let state = upstreams.state(&all[0]);
        for outcome in [Outcome::Blameless, Outcome::NotAwaited, Outcome::ClientLeft, Outcome::Stale] {
            (0..9).for_each(|_| upstreams.report(Among::all(&all), &state, outcome, Instant::now()));
        }
        assert_eq!(ejected(&upstreams, &all), 0);
        let begun = Instant::now();
        advance(Duration::from_secs(1)).await;
        (0..5).for_each(|_| upstreams.report(Among::all(&all), &state, Outcome::NotAwaited, begun));
        assert_eq!(ejected(&upstreams, &all), 1);
    }
}
