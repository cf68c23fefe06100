//! A policy of tracing, made ready: whom its spans go to, and of which requests there are any.

use super::destination::Destination;
use super::figures::Signal;
use super::sampling::Sampling;
use route::ir::{Policy, TelemetryTracing};
use route::policy::Compiled;
use std::sync::Arc;

/// Made once for each policy of a table.
#[derive(Debug)]
pub struct Collector {
    pub policy: Arc<TelemetryTracing>,
    pub sampling: Sampling,
    pub destination: Arc<Destination>,
}

impl Collector {
    /// `None`: nothing is traced by it. `before`: of the same policy as it was.
    pub fn of(compiled: &Compiled, before: Option<&Self>) -> Option<Self> {
        let Policy::TelemetryTracing(policy) = &compiled.ir else { return None };
        let to = (Signal::Traces, policy.collector.as_ref()?);
        let before = before.map(|before| &*before.destination);
        let destination = Arc::new(Destination::of(compiled, to, &policy.service_name, before)?);
        Some(Self { policy: Arc::clone(policy), sampling: Sampling::of(policy), destination })
    }
}
