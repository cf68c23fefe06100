//! How an attempt ended, as far as its endpoint is concerned.

use super::connect_error::{ConnectError, ConnectStage};
use super::health::Rules;
use super::{Among, EndpointState, Upstreams};
use crate::error::ErrorCode;
use crate::observe::method::Method;
use crate::observe::metrics::{Labels, RequestEnd, Sent};
use std::time::Duration;
use tokio::time::Instant;

/// Whoever waits for a connection no longer than this has learnt nothing of the endpoint; whoever has waited longer has
/// seen it fail. Clients and routes of little patience would never learn of an endpoint that does not answer at all.
const SLOW_CONNECT: Duration = Duration::from_secs(1);

/// As slow an answer as one counts that failed, where endpoints are chosen by how soon they answer: else one that fails at
/// once would seem to be the best.
const FAILED_ANSWER: Duration = Duration::from_secs(1);

/// How an attempt ended. Each ends in one of them, told by [`Upstreams::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was no connection; it came so far. Nothing was sent.
    NotConnected(ConnectStage),
    /// Whoever wanted the connection left, or was out of time, before there was one.
    NotAwaited,
    /// No connection, or none of use, and that was no fault of the endpoint's: it does not speak what was asked for, or we
    /// have no socket.
    Blameless,
    /// A new connection took no request.
    Unsent,
    /// A connection that was kept had been closed meanwhile.
    Stale,
    /// A whole response.
    Answered(u16),
    /// The connection carries something else than requests from here on: another protocol, or a flow.
    Opened,
    /// The end came before a byte of a response.
    Reset,
    /// A response that broke off, or was none.
    Broken,
    /// A time limit was passed after the request had been sent.
    Expired,
    /// The client left, or broke its own request.
    ClientLeft,
}

impl Outcome {
    /// Where a policy judges endpoints by what they answer: the attempt counts against it.
    fn is_error(self) -> bool {
        match self {
            Self::Answered(status) => status >= 500,
            Self::Reset | Self::Broken | Self::Expired => true,
            Self::NotConnected(_)
            | Self::NotAwaited
            | Self::Blameless
            | Self::Unsent
            | Self::Stale
            | Self::Opened
            | Self::ClientLeft => false,
        }
    }

    /// As what it is counted for its endpoint; `None`: it was no request to it.
    fn counts_as(self, took: Duration) -> Option<RequestEnd> {
        match self {
            Self::Answered(status) => Some(RequestEnd::Answered(status)),
            Self::Opened => Some(RequestEnd::Opened),
            Self::NotConnected(_) | Self::Unsent => Some(RequestEnd::NotConnected),
            Self::NotAwaited if took >= SLOW_CONNECT => Some(RequestEnd::NotConnected),
            Self::NotAwaited | Self::ClientLeft => Some(RequestEnd::Abandoned),
            Self::Reset => Some(RequestEnd::Reset),
            Self::Broken => Some(RequestEnd::Broken),
            Self::Expired => Some(RequestEnd::Expired),
            Self::Blameless | Self::Stale => None,
        }
    }

    /// What the conventions have for it, where nobody knows more.
    fn labels(self, method: Method) -> Labels {
        let (status, error) = match self {
            Self::Answered(status) => (status, None),
            Self::Opened => (101, None),
            Self::NotConnected(_) | Self::NotAwaited | Self::Blameless | Self::Unsent | Self::Stale => {
                (0, Some(ErrorCode::UpstreamConnect))
            }
            Self::Reset => (0, Some(ErrorCode::UpstreamReset)),
            Self::Broken => (0, Some(ErrorCode::UpstreamProtocol)),
            Self::Expired => (0, Some(ErrorCode::UpstreamTimeout)),
            Self::ClientLeft => (0, Some(ErrorCode::ClientGone)),
        };
        Labels::new(method, status, error, error.is_some() || status >= 400)
    }

    /// Of an attempt to connect that failed.
    pub fn of(error: &ConnectError) -> Self {
        if error.is_blameless() { Self::Blameless } else { Self::NotConnected(error.stage) }
    }
}

impl Upstreams {
    /// An attempt that `begun` then has ended: the one call that all that follows from it is made of. `among`: the backend's
    /// endpoints, a part of which may be ejected.
    ///
    /// A connection that was made has told so itself already: what it carries may go on for days.
    pub fn report(&self, among: Among<'_>, state: &EndpointState, outcome: Outcome, begun: Instant) {
        self.report_ended(among, state, outcome, begun, Instant::now(), None);
    }

    /// The same of a request of our own, or of a copy of one.
    pub fn report_asked(
        &self,
        among: Among<'_>,
        state: &EndpointState,
        outcome: Outcome,
        begun: Instant,
        method: Method,
    ) {
        let sent = Sent { labels: outcome.labels(method), exemplar: None };
        self.report_ended(among, state, outcome, begun, Instant::now(), Some(&sent));
    }

    /// The same, where it is known when that was. `sent`: of a request of HTTP.
    pub fn report_ended(
        &self,
        among: Among<'_>,
        state: &EndpointState,
        outcome: Outcome,
        begun: Instant,
        ended: Instant,
        sent: Option<&Sent>,
    ) {
        let took = ended - begun;
        if let Some(end) = outcome.counts_as(took) {
            state.figures.record(end, took, sent);
        }
        if among.wants_times() && outcome.is_error() {
            state.answered_in(took.max(FAILED_ANSWER));
        }
        let errs = among.passive().is_some() && outcome.is_error();
        match outcome {
            Outcome::NotConnected(_) => self.not_connected(among, state),
            Outcome::NotAwaited if took >= SLOW_CONNECT => self.not_connected(among, state),
            _ if errs => self.erred(among, state),
            Outcome::Answered(_) | Outcome::Opened => state.does_well(),
            Outcome::Unsent => self.metrics.upstream_connect_failed(),
            Outcome::NotAwaited
            | Outcome::Blameless
            | Outcome::Stale
            | Outcome::Reset
            | Outcome::Broken
            | Outcome::Expired
            | Outcome::ClientLeft => {}
        }
    }

    fn not_connected(&self, among: Among<'_>, state: &EndpointState) {
        self.metrics.upstream_connect_failed();
        let rules = Rules::of(among.passive());
        if state.health.failed(rules, || self.may_eject(among, rules, state)) {
            self.count_ejected();
        }
    }

    fn erred(&self, among: Among<'_>, state: &EndpointState) {
        let rules = Rules::of(among.passive());
        if state.health.erred(rules, || self.may_eject(among, rules, state)) {
            self.count_ejected();
        }
    }

    fn may_eject(&self, among: Among<'_>, rules: Rules, state: &EndpointState) -> bool {
        let others = among.endpoints.iter().map(|endpoint| self.state(endpoint));
        others.filter(|other| other.health.is_ejected() && !std::ptr::eq(&raw const **other, state)).count()
            < rules.ejectable(among.endpoints.len())
    }

    fn count_ejected(&self) {
        self.metrics.upstream_ejected();
        self.ejected.set(self.ejected.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::{Among, ConnectStage, Outcome, SLOW_CONNECT};
    use crate::observe::metrics::RequestEnd;
    use crate::settings::Settings;
    use crate::upstream::Upstreams;
    use route::ir::EndpointState;
    use route::table::Endpoint;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    /// Only who cannot be reached is avoided and ejected; an answer, whatever it says, makes up for that, and what tells
    /// nothing of the endpoint leaves it as it is.
    #[tokio::test(start_paused = true)]
    async fn what_an_outcome_says_of_its_endpoint() {
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 1));
        let endpoint = |uid| Arc::new(Endpoint { id: String::new(), address, uid, state: EndpointState::Ready });
        let all = [endpoint(1), endpoint(2)];
        let refused = Outcome::NotConnected(ConnectStage::Tcp);
        let quick = Duration::ZERO;
        for (outcome, after, fails, heals) in [
            (refused, quick, true, false),
            (Outcome::NotConnected(ConnectStage::Tls), quick, true, false),
            (Outcome::NotAwaited, SLOW_CONNECT.saturating_sub(Duration::from_millis(1)), false, false),
            (Outcome::NotAwaited, SLOW_CONNECT, true, false),
            (Outcome::Blameless, quick, false, false),
            (Outcome::Unsent, quick, false, false),
            (Outcome::Stale, quick, false, false),
            (Outcome::Answered(200), quick, false, true),
            (Outcome::Answered(503), quick, false, true),
            (Outcome::Opened, quick, false, true),
            (Outcome::Reset, quick, false, false),
            (Outcome::Broken, quick, false, false),
            (Outcome::Expired, SLOW_CONNECT, false, false),
            (Outcome::ClientLeft, SLOW_CONNECT, false, false),
        ] {
            let upstreams = Upstreams::new(&Settings::default(), Arc::default());
            let state = upstreams.state(&all[0]);
            for _ in 0..5 {
                let begun = Instant::now();
                advance(after).await;
                upstreams.report(Among::all(&all), &state, outcome, begun);
            }
            assert_eq!(state.health.is_ejected(), fails, "{outcome:?}");
            for _ in 0..5 {
                upstreams.report(Among::all(&all), &state, refused, Instant::now());
            }
            assert!(state.health.is_ejected());
            upstreams.report(Among::all(&all), &state, outcome, Instant::now());
            assert_eq!(!state.health.is_ejected(), heals, "{outcome:?}");
        }
    }

    /// Nobody waits long for a connection without the endpoint being blamed; what never was a request is none.
    #[test]
    fn what_an_outcome_is_counted_as() {
        let quick = Duration::ZERO;
        for (outcome, took, counted) in [
            (Outcome::Answered(404), quick, Some(RequestEnd::Answered(404))),
            (Outcome::Opened, quick, Some(RequestEnd::Opened)),
            (Outcome::NotConnected(ConnectStage::Tls), quick, Some(RequestEnd::NotConnected)),
            (Outcome::Unsent, quick, Some(RequestEnd::NotConnected)),
            (Outcome::NotAwaited, quick, Some(RequestEnd::Abandoned)),
            (Outcome::NotAwaited, SLOW_CONNECT, Some(RequestEnd::NotConnected)),
            (Outcome::ClientLeft, SLOW_CONNECT, Some(RequestEnd::Abandoned)),
            (Outcome::Reset, quick, Some(RequestEnd::Reset)),
            (Outcome::Broken, quick, Some(RequestEnd::Broken)),
            (Outcome::Expired, quick, Some(RequestEnd::Expired)),
            (Outcome::Blameless, quick, None),
            (Outcome::Stale, quick, None),
        ] {
            assert_eq!(outcome.counts_as(took), counted, "{outcome:?} {took:?}");
        }
    }
}
