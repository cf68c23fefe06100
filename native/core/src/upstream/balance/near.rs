//! Endpoints of this node and this zone come first, where the Service wants traffic to stay near
//! (`Service.spec.trafficDistribution`, and the hints of its `EndpointSlices`).
//!
//! A part in which none does well, or of which a `BackendPolicy` says that too few do, is passed over: the next one, and at last
//! all endpoints, are farther away and better than an error.

use super::Picked;
use crate::upstream::Upstreams;
use crate::upstream::among::{Among, Ruled};
use crate::upstream::health::Standing;
use route::table::Near;

impl Upstreams {
    pub(super) fn pick_near<'t>(&self, among: Among<'t>, near: &'t [Near], tried: &[u64]) -> Option<Picked<'t>> {
        let mut parts = near.iter().map(|part| among.within(part));
        let found = parts.find(|part| self.do_well(*part, tried)).and_then(|part| self.pick_any(part, tried));
        found.or_else(|| self.pick_any(among, tried))
    }

    /// One of these endpoints at least can take a request, and not too few of them do well.
    fn do_well(&self, among: Among<'_>, tried: &[u64]) -> bool {
        let verdicts = among.policy.and_then(Ruled::verdicts);
        let verdicts = verdicts.as_ref().map(|verdicts| &***verdicts);
        !among.policy.is_some_and(|ruled| self.panics(among, ruled, verdicts))
            && among.endpoints.iter().any(|endpoint| {
                !tried.contains(&endpoint.uid)
                    && !verdicts.is_some_and(|verdicts| verdicts.is_unhealthy(endpoint.uid))
                    && self.state(endpoint).health.standing() == Standing::Well
            })
    }
}
