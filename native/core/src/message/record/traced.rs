//! The trace of a request, beside its record: it begins where the listener is known, which may ask for it, and ends with the
//! record, however that does.

use super::Entry;
use super::conventional;
use crate::error::ErrorCode;
use crate::message::head::Inbound;
use crate::observe::metrics::Exemplar;
use crate::policy::State;
use crate::telemetry::{Ended, Question, Seen, SpanId, Trace, TryEnded};
use route::policy::Compiled;
use route::table::{Endpoint, Listener, Rule};
use std::rc::Rc;
use tokio::time::Instant;

impl Entry<'_> {
    /// Begin the trace of a request that has come to a listener; again is harmless. A function of its own, so that listeners
    /// without tracing do not carry it.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_trace(&mut self, policy: &Compiled, listener: &Listener, inbound: &Inbound<'_>) {
        let Some(State::Tracing(collector)) = State::of_policy(policy) else { return };
        if self.trace.is_some() {
            return;
        }
        let (ids, traces) = (&self.client.worker.ids, listener.traces());
        let trace = self.seen(listener, inbound, |seen| Trace::begin(collector, ids, seen, traces));
        self.trace = Some(Box::new(trace));
    }

    /// What its rule says of the trace, where it says something; again is harmless.
    #[cold]
    #[inline(never)]
    pub(super) fn sample_by_rule(&mut self, rule: &Rule, inbound: &Inbound<'_>) {
        let (Some(listener), Some(mut trace)) = (self.listener, self.trace.take()) else { return };
        if let Some(share) = listener.traces_of(Some(rule)).sampling
            && trace.sample(share)
        {
            self.seen(listener, inbound, |seen| trace.record(seen));
        }
        self.trace = Some(trace);
    }

    /// What is seen of a request as it comes.
    fn seen<T>(&self, listener: &Listener, inbound: &Inbound<'_>, then: impl FnOnce(&Seen<'_>) -> T) -> T {
        let client = self.client;
        let origin = client.origin(&inbound.fields, None).map(|address| address.to_string());
        let peer = client.peer_text();
        let seen = Seen {
            started: self.started,
            method: inbound.method,
            target: inbound.target,
            authority: inbound.authority.unwrap_or_default(),
            scheme: client.scheme(),
            port: listener.ir.port,
            version: conventional(self.version).name(),
            fields: &inbound.fields,
            client: origin.as_deref().unwrap_or(&client.address_text),
            peer: (&peer, client.peer.port()),
        };
        then(&seen)
    }

    /// Somebody is asked about the request; `policy`: by which part of a policy. `None`: nothing is traced.
    pub fn begin_question(&mut self, policy: impl FnOnce() -> String) -> Option<Rc<Question>> {
        let trace = self.trace.as_mut()?;
        Some(trace.begin_question(&self.client.worker.ids, policy))
    }

    /// What goes on to backends; `None`: nothing is traced.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_deref()
    }

    /// A try begins; what its backend is told as the parent of its own spans, where that is another one than the request's.
    /// `url`: what is asked for.
    pub fn begin_try(&mut self, endpoint: &Endpoint, begun: Instant, url: impl FnOnce() -> String) -> Option<[u8; 16]> {
        let trace = self.trace.as_mut()?;
        trace.begin_try(&self.client.worker.ids, endpoint.address, begun, url).map(SpanId::hex)
    }

    /// The request, as an example of those that took as long; `None`: its trace is not recorded.
    #[cold]
    #[inline(never)]
    pub(super) fn exemplar(&self, ended: Instant) -> Option<Exemplar> {
        let trace = self.trace.as_ref()?;
        exemplar(trace, trace.context.span, ended)
    }

    /// The same of its last try.
    pub fn try_exemplar(&self, ended: Instant) -> Option<Exemplar> {
        let trace = self.trace.as_ref()?;
        exemplar(trace, trace.last_try()?, ended)
    }

    /// It has ended.
    pub fn end_try(&mut self, how: impl FnOnce() -> TryEnded) {
        if let Some(trace) = self.trace.as_mut().filter(|trace| trace.is_recorded()) {
            trace.end_try(Instant::now(), how());
        }
    }

    /// Something happened at a step of policies; `step`: which one.
    pub fn moment(&mut self, name: &'static str, step: impl FnOnce() -> String, code: Option<ErrorCode>) {
        if let Some(trace) = &mut self.trace {
            trace.moment(name, step, code.map(ErrorCode::name));
        }
    }

    /// Give its spans to whoever sends them.
    #[cold]
    #[inline(never)]
    pub(super) fn end_trace(&mut self) {
        let Some(mut trace) = self.trace.take().filter(|trace| trace.is_recorded()) else { return };
        let path = self.rule.and_then(|rule| rule.ir.matches.get(self.match_index as usize));
        let path = path.map(|matched| matched.path.template());
        let at = self.ended.unwrap_or_else(Instant::now);
        let spans = trace.end(&Ended {
            at,
            status: self.status,
            error: self.code.map(ErrorCode::name),
            path: path.as_deref(),
            route: self.rule.map(|rule| rule.ir.route.as_str()),
            listener: self.listener.map(|listener| listener.id()),
            grpc_status: self.grpc_status,
        });
        if let Some((octets, count)) = spans {
            self.client.worker.outboxes.push(&trace.collector().destination, &octets, count, at);
        }
    }
}

fn exemplar(trace: &Trace, span: SpanId, ended: Instant) -> Option<Exemplar> {
    let at_ms = trace.at(ended)? / 1_000_000;
    Some(Exemplar { trace: trace.context.trace.0, span: span.0, at_ms })
}
