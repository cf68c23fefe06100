//! Which endpoint takes the next request: least requests under way, ties in turn.
//!
//! Up to [`SCAN`] endpoints are compared all; of more, two picked at random are compared, which is nearly as even and costs
//! the same for any number. An endpoint whose connections fail is passed over while another one does better.

use super::{EndpointState, Upstreams};
use route::table::Endpoint;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

const SCAN: usize = 4;

impl Upstreams {
    /// The endpoint for the next try, not one of `tried`. `None`: all were tried, or there is none.
    pub fn pick<'t>(
        &self,
        endpoints: &'t [Arc<Endpoint>],
        tried: &[u64],
    ) -> Option<(&'t Arc<Endpoint>, Rc<EndpointState>)> {
        match endpoints {
            [] => None,
            [only] => (!tried.contains(&only.uid)).then(|| (only, self.state(only))),
            few if few.len() <= SCAN || !tried.is_empty() => self.least(few, tried),
            many => {
                let one = &many[self.random_below(many.len())];
                let two = &many[self.random_below(many.len())];
                let (first, second) = (self.state(one), self.state(two));
                let now = Instant::now();
                if first.is_failing(now) && second.is_failing(now) {
                    return self.least(many, tried);
                }
                let second_wins = (second.is_failing(now), second.active()) < (first.is_failing(now), first.active());
                Some(if second_wins { (two, second) } else { (one, first) })
            }
        }
    }

    fn least<'t>(
        &self,
        endpoints: &'t [Arc<Endpoint>],
        tried: &[u64],
    ) -> Option<(&'t Arc<Endpoint>, Rc<EndpointState>)> {
        let start = self.next_turn() as usize % endpoints.len();
        let mut best: Option<(&Arc<Endpoint>, Rc<EndpointState>, (bool, u32))> = None;
        for endpoint in endpoints[start..].iter().chain(&endpoints[..start]) {
            if tried.contains(&endpoint.uid) {
                continue;
            }
            let state = self.state(endpoint);
            let load = (state.is_failing_now(), state.active());
            if best.as_ref().is_none_or(|(_, _, least)| load < *least) {
                best = Some((endpoint, state, load));
            }
        }
        best.map(|(endpoint, state, _)| (endpoint, state))
    }

    fn next_turn(&self) -> u32 {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        turn
    }

    /// A well mixed number below `bound`: the turn through a finaliser (no state beyond the counter).
    fn random_below(&self, bound: usize) -> usize {
        let mut mixed = u64::from(self.next_turn()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^= mixed >> 32;
        usize::try_from(mixed % bound as u64).unwrap_or(0)
    }
}
