//! A question of the gateway itself to a backend: about a request, or for keys. Bounded in time and size, and heard as what
//! comes from a hostile peer.
//!
//! A question may be asked twice, so any failure before an answer leads to another connection, then to other endpoints.

use super::exchange::{ExchangeError, Terms};
use super::failure::Failure;
use super::outbound::Outbound;
use super::{MirrorTo, exchange};
use crate::io::watchdog::Progress;
use crate::message::body::{BodyError, BodySink, BodySource, Piece};
use crate::message::reply::{Reply, ReplySink};
use crate::message::response_filters::ResponseEdits;
use crate::observe::method::Method;
use crate::telemetry;
use crate::upstream::{Among, Connection, EndpointState, Load, Outcome};
use crate::worker::Worker;
use bytes::Bytes;
use codec::Field;
use http::HeaderMap;
use smallvec::SmallVec;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Connections that one question may use up.
const TRIES: usize = 3;

/// Octets that the head of an answer may have.
const MAX_HEAD: usize = 64 * 1024;

/// One question.
#[derive(Debug)]
pub struct Question {
    pub outbound: Outbound,
    pub body: Bytes,
    pub limit: Duration,
    /// Octets of a body that are kept; of a longer one nothing is.
    pub most_kept: usize,
    /// The trace that it is part of, where it is.
    pub trace: Option<Rc<telemetry::Question>>,
}

/// An answer, whatever it says.
#[derive(Debug, Default)]
pub struct Heard {
    pub status: u16,
    pub fields: Vec<(String, Vec<u8>)>,
    /// `None`: it was too long.
    pub body: Option<Vec<u8>>,
    pub trailers: HeaderMap,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// There was a connection, and no whole answer came in time.
    Silent,
    /// Nobody is there to be asked.
    NoEndpoint,
    /// The last of the connections that were tried was not made: why.
    Unreachable(String),
    /// The last of them ended before the answer did, or what came was none: what was wrong.
    Broken(String),
    /// As many requests are under way as the policy of the backend allows, and no place to wait.
    Overloaded,
}

impl Unanswered {
    /// What happened, behind the name of who was asked. `limit`: of the question.
    pub fn in_words(&self, limit: Duration) -> String {
        match self {
            Self::Silent => format!("gave no answer within {} s", limit.as_secs_f32()),
            Self::NoEndpoint => "has no endpoint that can be asked".to_owned(),
            Self::Unreachable(why) => format!("cannot be reached: {why}"),
            Self::Broken(why) => format!("gave no answer: {why}"),
            Self::Overloaded => "has as many requests under way as its BackendPolicy allows".to_owned(),
        }
    }

    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Connect(error) if error.overloaded => Self::Overloaded,
            Failure::Connect(error) => Self::Unreachable(error.reason.clone()),
            failure if failure.is_silent_close() => Self::Broken("it closed the connection".to_owned()),
            Failure::Exchange(ExchangeError::Upstream { error, .. }) => Self::Broken(error.to_string()),
            failure => Self::Broken(failure.detail()),
        }
    }
}

/// Ask. `to`: who, and how it is reached.
///
/// # Errors
/// [`Unanswered`].
pub async fn ask(worker: &Worker, to: &MirrorTo<'_>, question: &Question) -> Result<Heard, Unanswered> {
    let deadline = Instant::now() + question.limit;
    let _place = match Load::of(to.backend) {
        None => None,
        Some(load) => {
            let until = deadline.min(Instant::now() + worker.upstreams.patience(&to.route));
            load.request(until, &worker.metrics).await.map_err(|_| Unanswered::Overloaded)?
        }
    };
    let (among, method) = (Among::of(to.backend), Method::of_head(&question.outbound.head));
    let mut tried: SmallVec<[u64; TRIES]> = SmallVec::new();
    let mut fresh = false;
    let mut last = Unanswered::NoEndpoint;
    for _ in 0..TRIES {
        let picked = worker.upstreams.pick(among, &tried).or_else(|| worker.upstreams.pick(among, &[]));
        let Some((endpoint, state)) = picked else {
            return Err(last);
        };
        let _active = state.begin();
        if let Some(trace) = &question.trace {
            trace.asks(endpoint.address);
        }
        let (begun, reused) = (Instant::now(), Cell::new(None));
        let mut hearing = Hearing { limit: question.most_kept, ..Hearing::default() };
        let asked = once(worker, &state, to, question, fresh, &reused, &mut hearing);
        let failure = match tokio::time::timeout_at(deadline, asked).await {
            Ok(Ok(())) => {
                worker.upstreams.report_asked(among, &state, Outcome::Answered(hearing.heard.status), begun, method);
                return Ok(hearing.heard);
            }
            // What is too long to keep was an answer all the same; its connection is not used again.
            Ok(Err(_)) if hearing.is_too_long => {
                worker.upstreams.report_asked(among, &state, Outcome::Answered(hearing.heard.status), begun, method);
                return Ok(Heard { body: None, ..hearing.heard });
            }
            Ok(Err(failure)) => failure,
            Err(_) => {
                let outcome = if reused.get().is_some() { Outcome::Expired } else { Outcome::NotAwaited };
                worker.upstreams.report_asked(among, &state, outcome, begun, method);
                return Err(if reused.get().is_some() {
                    Unanswered::Silent
                } else {
                    Unanswered::Unreachable(format!("no connection within {:?}", question.limit))
                });
            }
        };
        worker.upstreams.report_asked(among, &state, failure.outcome(reused.get()), begun, method);
        last = Unanswered::of(&failure);
        if hearing.has_head {
            return Err(last);
        }
        // A connection that was kept may just have been closed: the endpoint has one more try, on a new one.
        fresh = reused.get() == Some(true);
        if !fresh {
            tried.push(endpoint.uid);
        }
    }
    Err(last)
}

/// Ask one endpoint, over one connection. `reused`: it was a pooled one; nothing while there is none.
async fn once(
    worker: &Worker,
    state: &Rc<EndpointState>,
    to: &MirrorTo<'_>,
    question: &Question,
    fresh: bool,
    reused: &Cell<Option<bool>>,
    hearing: &mut Hearing,
) -> Result<(), Failure> {
    let upstreams = &worker.upstreams;
    let pooled = if fresh { None } else { upstreams.pooled(state, &to.route, Instant::now().into_std()) };
    let was_pooled = pooled.is_some();
    let connection = match pooled {
        Some(connection) => connection,
        None => upstreams.connect(state, &to.route, fresh).await.map_err(Failure::Connect)?,
    };
    reused.set(Some(was_pooled));
    let progress = Progress::default();
    let terms = Terms {
        outbound: &question.outbound,
        edits: &ResponseEdits::default(),
        retry_codes: &[],
        retry_until: None,
        session: None,
        progress: &progress,
        max_head_bytes: worker.settings().max_response_head_bytes.min(MAX_HEAD),
        max_head_fields: worker.settings().max_response_head_fields,
    };
    let mut body = Given(Some(question.body.clone()).filter(|body| !body.is_empty()));
    match connection {
        Connection::Http1(mut connection) => {
            let mut scratch = Vec::new();
            let done = exchange::over_http1(&mut connection, &mut scratch, terms, &mut body, &mut (), hearing).await;
            if done.as_ref().is_ok_and(|done| done.reusable) {
                upstreams.release(state, connection, Instant::now().into_std());
            }
            done.map(drop).map_err(Failure::Exchange)
        }
        Connection::Http2(handle) => {
            exchange::over_http2(&handle, terms, &mut body, &mut (), hearing).await.map(drop).map_err(Failure::Exchange)
        }
    }
}

/// A body that is in memory.
struct Given(Option<Bytes>);

impl BodySource for Given {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        Ok(self.0.take().map(Piece::Shared))
    }

    fn is_finished(&self) -> bool {
        self.0.is_none()
    }

    fn is_whole(&self) -> bool {
        true
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

/// Takes an answer and keeps it.
#[derive(Default)]
struct Hearing {
    heard: Heard,
    limit: usize,
    has_head: bool,
    is_too_long: bool,
}

impl BodySink for Hearing {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        let body = self.heard.body.get_or_insert_default();
        if body.len() + piece.as_slice().len() > self.limit {
            self.is_too_long = true;
            return Err(BodyError::TooLarge);
        }
        body.extend_from_slice(piece.as_slice());
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        self.heard.body.get_or_insert_default();
        self.heard.trailers = trailers.unwrap_or_default();
        Ok(())
    }
}

impl ReplySink for Hearing {
    fn informational(&mut self, _: u16, _: &[Field<'_>]) -> Result<(), BodyError> {
        Ok(())
    }

    fn switching(&mut self, _: &[Field<'_>], _: &[u8]) -> Result<(), BodyError> {
        Ok(())
    }

    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
        let text = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
        self.heard.status = reply.status;
        self.heard.fields = reply.fields.iter().map(|field| (text(field.name), field.value.to_vec())).collect();
        self.has_head = true;
        Ok(())
    }

    fn head_sent(&self) -> bool {
        self.has_head
    }

    fn body_bytes(&self) -> u64 {
        self.heard.body.as_ref().map_or(0, Vec::len) as u64
    }
}

#[cfg(test)]
mod tests;
