//! Mirrored requests: a copy of what the backend gets, whose response nobody waits for (GEP-3171).
//!
//! - A mirror gets the body whole or not at all: its copy goes through a queue that is bounded in bytes
//!   (`mirror_buffer_bytes`). A mirror that is that far behind holds its request up, but only for a moment ([`PATIENCE`]);
//!   then it is given up, and left at once.
//! - What a retry sends again a mirror has already: it gets each byte once.
//! - A request that asks to switch protocols is mirrored as one that does not: nobody is there to speak the other protocol.
//! - What was not mirrored is counted with its reason.

mod queue;

use super::exchange::Terms;
use super::failure::Failure;
use super::outbound::Outbound;
use super::{CopyTo, Forward, exchange};
use crate::io::watchdog::Progress;
use crate::message::body::{BodyError, Piece, Tap};
use crate::message::client::Client;
use crate::message::reply::{Reply, ReplySink};
use crate::message::response_filters::ResponseEdits;
use crate::observe::method::Method;
use crate::observe::metrics::MirrorFailure;
use crate::upstream::{Among, Connection, EndpointState, Load, Outcome, Route, Slot};
use crate::worker::Worker;
use codec::Field;
use http::HeaderMap;
use queue::{Giver, Taker, queue};
use route::table::Backend;
use smallvec::SmallVec;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Mirrored requests under way in one worker; further ones are not mirrored.
const MAX_ACTIVE: usize = 1024;

/// How long a mirror may take for what is left to do once it has been given the whole request.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the mirrors of one request may hold it up, all in all: a mirror that is merely waiting for its turn catches up.
const PATIENCE: Duration = Duration::from_millis(250);

/// Bytes of a response that are read, so that its connection can be used again.
const MAX_RESPONSE: u64 = 1024 * 1024;

/// The mirrors of one request.
#[derive(Debug)]
pub struct Mirrors<'w> {
    queues: SmallVec<[Giver; 2]>,
    worker: &'w Worker,
    /// Octets of the body that the mirrors were given.
    given: u64,
    /// Octets of the body that this try has sent.
    position: u64,
    patience: Duration,
}

impl<'w> Mirrors<'w> {
    /// Start a task for each mirror that fires.
    pub fn start(client: &'w Client, forward: &Forward<'_>) -> Self {
        let worker = &client.worker;
        let mut queues = SmallVec::new();
        for copy in &forward.mirrors {
            let mirror = &copy.to;
            if worker.mirrors.get() >= MAX_ACTIVE {
                worker.metrics.mirror_failed(MirrorFailure::Busy);
                continue;
            }
            let Some((_, state)) = worker.upstreams.pick(Among::of(mirror.backend), &[]) else {
                worker.metrics.mirror_failed(MirrorFailure::NoEndpoint);
                continue;
            };
            // Nobody waits for a copy.
            let Ok(place) = Load::of(mirror.backend).map_or(Ok(None), Load::try_request) else {
                worker.metrics.mirror_failed(MirrorFailure::Overloaded);
                continue;
            };
            let is_empty = copy.without_body || forward.outbound.framing.is_empty();
            let (giver, taker) = queue(worker, is_empty);
            if !is_empty {
                queues.push(giver);
            }
            tokio::task::spawn_local(send(Job {
                active: Active::begin(Rc::clone(worker)),
                place,
                state,
                backend: Arc::clone(mirror.backend),
                route: mirror.route.clone(),
                // Nobody is there to speak another protocol with the mirror.
                outbound: Outbound { tls: mirror.route.tls.is_some(), ..copied(&forward.outbound, copy) },
                body: taker,
            }));
        }
        Self { queues, worker, given: 0, position: 0, patience: PATIENCE }
    }

    /// A try begins: the body comes from its start.
    pub fn begin_try(&mut self) {
        self.position = 0;
    }

    fn limit(&self) -> usize {
        self.worker.settings().mirror_buffer_bytes
    }
}

impl Tap for Mirrors<'_> {
    fn piece(&mut self, piece: &Piece<'_>) {
        if self.queues.is_empty() {
            return;
        }
        let length = piece.as_slice().len() as u64;
        let known = self.given.saturating_sub(self.position).min(length);
        self.position += length;
        if known == length {
            return;
        }
        self.given = self.position;
        let bytes = piece.clone().into_bytes().slice(usize::try_from(known).unwrap_or(usize::MAX)..);
        self.queues.retain(|queue| !queue.is_abandoned());
        for queue in &self.queues {
            queue.give(bytes.clone());
        }
    }

    fn end(&mut self) {
        for queue in self.queues.drain(..) {
            queue.finish();
        }
    }

    /// Wait for those that are behind, then give up those that still are.
    async fn settle(&mut self) {
        let limit = self.limit();
        if self.queues.iter().all(|queue| !queue.is_full(limit)) {
            return;
        }
        let started = Instant::now();
        let room = poll_fn(|context| {
            let waits = |queue: &Giver| queue.poll_room(limit, context).is_pending();
            if self.queues.iter().map(waits).fold(false, |any, waits| any | waits) {
                return Poll::Pending;
            }
            Poll::Ready(())
        });
        let _ = tokio::time::timeout_at(started + self.patience, room).await;
        self.patience = self.patience.saturating_sub(started.elapsed());
        let worker = self.worker;
        self.queues.retain(|queue| {
            let full = queue.is_full(limit);
            if full {
                queue.give_up();
                worker.metrics.mirror_failed(MirrorFailure::Slow);
            }
            !full
        });
    }
}

/// The head of a copy.
fn copied(outbound: &Outbound, copy: &CopyTo<'_>) -> Outbound {
    let mut plain = outbound.without_upgrade();
    if copy.without_body {
        plain.take_body();
    }
    if !copy.hostname.is_empty() {
        plain.set_host(copy.hostname);
    }
    plain
}

struct Job {
    active: Active,
    /// Among the requests that the mirror may have.
    place: Option<Slot>,
    state: Rc<EndpointState>,
    backend: Arc<Backend>,
    route: Route,
    outbound: Outbound,
    body: Taker,
}

async fn send(job: Job) {
    let Job { active, place: _place, state, backend, route, outbound, mut body } = job;
    let worker = &active.0;
    let given = body.given();
    let limit = pin!(async {
        // What is not to be whole is left at once, also where the mirror takes nothing.
        if given.await {
            tokio::time::sleep(LIMIT).await;
        }
    });
    let (begun, connected) = (Instant::now(), Cell::new(false));
    let sent = {
        let attempt = pin!(attempt(worker, &state, &route, &outbound, &mut body, &connected));
        let (mut attempt, mut limit) = (attempt, limit);
        poll_fn(|context| {
            if let Poll::Ready(sent) = attempt.as_mut().poll(context) {
                return Poll::Ready(sent);
            }
            let outcome = if connected.get() { Outcome::Expired } else { Outcome::NotAwaited };
            limit.as_mut().poll(context).map(|()| Err((MirrorFailure::Timeout, outcome)))
        })
        .await
    };
    let outcome = sent.map_or_else(|(_, outcome)| outcome, Outcome::Answered);
    let method = Method::of_head(&outbound.head);
    worker.upstreams.report_asked(Among::of(&backend), &state, outcome, begun, method);
    match sent {
        Ok(_) => worker.metrics.mirrored(),
        // Counted by the one that gave it up.
        Err(_) if body.was_given_up() => {}
        Err(_) if body.is_broken() => worker.metrics.mirror_failed(MirrorFailure::Broken),
        Err((reason, _)) => worker.metrics.mirror_failed(reason),
    }
}

/// One request to one mirror, its response read and dropped. Returns the status.
async fn attempt(
    worker: &Worker,
    state: &Rc<EndpointState>,
    route: &Route,
    outbound: &Outbound,
    body: &mut Taker,
    connected: &Cell<bool>,
) -> Result<u16, (MirrorFailure, Outcome)> {
    let pooled = worker.upstreams.pooled(state, route, Instant::now().into_std());
    let reused = pooled.is_some();
    let connection = if let Some(connection) = pooled {
        connection
    } else {
        let connected = worker.upstreams.connect(state, route, false).await;
        connected.map_err(|error| (MirrorFailure::Connect, Outcome::of(&error)))?
    };
    connected.set(true);
    let progress = Progress::default();
    let terms = Terms {
        outbound,
        edits: &ResponseEdits::default(),
        session: None,
        retry_codes: &[],
        retry_until: None,
        progress: &progress,
        max_head_bytes: worker.settings().max_response_head_bytes,
        max_head_fields: worker.settings().max_response_head_fields,
    };
    let mut discard = Discard::default();
    let done = match connection {
        Connection::Http1(mut connection) => {
            let mut scratch = Vec::new();
            let done = exchange::over_http1(&mut connection, &mut scratch, terms, body, &mut (), &mut discard).await;
            if done.as_ref().is_ok_and(|done| done.reusable) {
                worker.upstreams.release(state, connection, Instant::now().into_std());
            }
            done
        }
        Connection::Http2(handle) => {
            exchange::over_http2(&handle, terms, body, &mut (), &mut discard).await.map(|(done, _)| done)
        }
    };
    match done {
        Ok(done) => Ok(done.status),
        // An answer that was too long to read is one all the same.
        Err(_) if discard.bytes > MAX_RESPONSE => Ok(discard.status),
        Err(error) => Err((MirrorFailure::Exchange, Failure::Exchange(error).outcome(Some(reused)))),
    }
}

/// Counts the mirrors under way.
struct Active(Rc<Worker>);

impl Active {
    fn begin(worker: Rc<Worker>) -> Self {
        worker.mirrors.set(worker.mirrors.get() + 1);
        Self(worker)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.mirrors.set(self.0.mirrors.get().saturating_sub(1));
    }
}

/// Takes a response and keeps nothing of it.
#[derive(Default)]
struct Discard {
    status: u16,
    bytes: u64,
}

impl crate::message::body::BodySink for Discard {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        self.bytes += piece.as_slice().len() as u64;
        if self.bytes > MAX_RESPONSE { Err(BodyError::Truncated) } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    async fn finish(&mut self, _: Option<HeaderMap>) -> Result<(), BodyError> {
        Ok(())
    }
}

impl ReplySink for Discard {
    fn informational(&mut self, _: u16, _: &[Field<'_>]) -> Result<(), BodyError> {
        Ok(())
    }

    fn switching(&mut self, _: &[Field<'_>], _: &[u8]) -> Result<(), BodyError> {
        Ok(())
    }

    fn head(&mut self, reply: &Reply<'_>) -> Result<(), BodyError> {
        self.status = reply.status;
        Ok(())
    }

    fn head_sent(&self) -> bool {
        false
    }

    fn body_bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
