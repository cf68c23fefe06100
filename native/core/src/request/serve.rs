//! The life cycle of a request. Everything that it waits for has a limit of time.

#[cfg(test)]
mod tests;

use super::admit::admit;
use super::ask::ask_about;
use super::error_page::{give_or_page, run_or_page};
use super::plan::{Place, Plan, Waiting};
use super::preceded::{Collected, Preceded};
use crate::dispatch::Switched;
use crate::dispatch::retry::{Exchange, Forwarded};
use crate::error::ErrorCode;
use crate::io::watchdog::Watchdog;
use crate::message::body::{BodyError, BodySink, BodySource, unless_gone};
use crate::message::client::Client;
use crate::message::grpc::{self, End};
use crate::message::head::{HttpVersion, Inbound};
use crate::message::record::Entry;
use crate::message::reply::ReplySink;
use crate::policy::{Answered, Asked, Outcome, Pending};
use crate::worker::{Generation, Worker};
use codec::spare;
use route::policy::Passage;
use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// The longest that the whole of a body may take to come where it is collected; each part of it has the limit of any body.
const LONGEST_COLLECTION: Duration = Duration::from_secs(3600);

/// The longest that policies may keep a request, however much time its rule gives: who asks somebody has a limit of its own.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A client's side of one request.
pub trait ClientStream {
    type Source: BodySource;
    type Reply: ReplySink;

    /// Where the body comes from, and where the response goes.
    fn split(&mut self) -> (&mut Self::Source, &mut Self::Reply);

    /// The backend has switched protocols: bytes both ways until both ends have ended, or nothing comes any more. Returns the
    /// bytes from client to backend and back.
    async fn tunnel(&mut self, worker: &Worker, watchdog: &mut Watchdog, backend: Switched) -> (u64, u64);
}

/// A request from its head on.
pub struct Request<'g> {
    client: &'g Client,
    generation: &'g Generation,
    plan: Plan<'g>,
    record: Entry<'g>,
    is_head: bool,
    expect_continue: bool,
}

/// How a request ended, as far as the client's connection is concerned.
#[derive(Debug, Clone, Copy)]
pub enum Served {
    /// A whole response was given, the backend's or our own.
    Complete,
    /// As `Complete`, to what is no request: nothing behind it can be trusted.
    Refused,
    /// The response is not whole, and the client was told so as far as its protocol can.
    Broken(End),
    /// It was a tunnel, which has ended.
    Tunnelled,
}

impl<'g> Request<'g> {
    /// Decide what will be done about a head, as far as nobody has to be asked.
    pub fn new(client: &'g Client, generation: &'g Generation, inbound: &Inbound<'_>) -> Self {
        let mut record = Entry::begin(client, inbound);
        if inbound.version == HttpVersion::Http2 {
            record.grpc(grpc::is_grpc(&inbound.fields));
        }
        let plan = admit(client, generation, inbound, Place::start(), spare::take(), &mut record);
        let (is_head, expect_continue) = (inbound.method == "HEAD", inbound.expect_continue);
        Self { client, generation, plan, record, is_head, expect_continue }
    }

    /// Choose the endpoint of a request that goes to one at once, and leave it at that; whether there is one.
    pub fn rehearse(self) -> bool {
        let Plan::Forward(forward) = self.plan else { return false };
        let picked = self.client.worker.upstreams.pick(forward.among, &[]);
        let is_there = picked.is_some();
        spare::give_back(forward.into_buffer());
        is_there
    }

    /// When its head was there.
    pub fn started(&self) -> Instant {
        self.record.started()
    }

    /// Serve it, to the last byte of its response or the end of its tunnel; and when that was.
    pub async fn serve<Stream: ClientStream>(
        mut self,
        watchdog: &mut Watchdog,
        stream: &mut Stream,
    ) -> (Served, Instant) {
        let mut begun = self.started();
        let mut collected: Option<Box<Collected>> = None;
        while let Plan::Wait(waiting) = self.plan {
            // Boxed, as all that most requests do not need: what they carry around stays small.
            let waited = Box::pin(wait(
                self.client,
                self.generation,
                *waiting,
                &mut collected,
                watchdog,
                stream,
                &mut self.record,
            ));
            match waited.await {
                Ok(plan) => self.plan = plan,
                Err(_) => return gone(&mut self.record, stream),
            }
            begun = Instant::now();
        }
        let Self { client, generation, plan, mut record, is_head, expect_continue } = self;
        let (source, reply) = stream.split();
        let done = match plan {
            Plan::Wait(_) => return gone(&mut record, stream),
            Plan::Answer(planned) => {
                let (answer, edits) = &*planned;
                // A client that sends nonsense is not worth a second guess, and what follows CONNECT is no HTTP: whoever sent
                // it before the answer took the tunnel for open (RFC 9110 section 9.3.6).
                let refused = matches!(answer.code, Some(ErrorCode::BadRequest | ErrorCode::MethodNotAllowed));
                // Unread bytes would be taken for the next request: what is not here already ends the connection.
                if refused || expect_continue || !source.is_whole() {
                    reply.end_connection();
                }
                record.answer(answer, 0);
                let limit = client.worker.settings().response_read_timeout();
                let given = match edits.pages() {
                    None => Box::pin(answer.give(watchdog, limit, reply, is_head, edits)).await,
                    Some(pages) => {
                        let with = (edits, pages);
                        Box::pin(give_or_page(client, generation, answer, with, watchdog, reply, &mut record)).await
                    }
                };
                match given {
                    Err(end) => Served::Broken(end),
                    Ok(()) if refused => Served::Refused,
                    Ok(()) => Served::Complete,
                }
            }
            // No backend need hear of it.
            Plan::Forward(_) if has_left(reply).await => return gone(&mut record, stream),
            Plan::Forward(forward) => {
                let mut scratch = spare::take();
                let beginning = collected.and_then(|collected| collected.into_beginning());
                let in_memory = beginning.as_ref().map_or(0, |it| it.bytes.len());
                let exchange = Exchange { client, forward: &forward, scratch: &mut scratch, begun, in_memory };
                let done = match (&beginning, forward.edits.pages()) {
                    (None, None) => exchange.run(watchdog, source, reply, &mut record).await,
                    // Boxed, as all that most requests do not need.
                    (_, pages) => {
                        let mut body = Preceded { first: beginning.as_ref().map(|it| it.bytes.clone()), rest: source };
                        match pages {
                            None => Box::pin(exchange.run(watchdog, &mut body, reply, &mut record)).await,
                            Some(pages) => {
                                let run =
                                    run_or_page(exchange, generation, pages, watchdog, &mut body, reply, &mut record);
                                Box::pin(run).await
                            }
                        }
                    }
                };
                spare::give_back(scratch);
                spare::give_back(forward.into_buffer());
                match done {
                    Forwarded::Complete => Served::Complete,
                    Forwarded::Broken(end) => Served::Broken(end),
                    Forwarded::Switched(backend) => {
                        let tunnel = Box::pin(stream.tunnel(&client.worker, watchdog, backend));
                        let (up, down) = tunnel.await;
                        record.tunnelled(up, down);
                        return (Served::Tunnelled, record.end());
                    }
                }
            }
        };
        if let Served::Broken(end) = done {
            reply.break_off(end);
        }
        record.response_bytes(reply.body_bytes());
        record.grpc_status(reply.grpc_status());
        (done, record.end())
    }
}

/// Wait for an answer for as long as the client does, then decide again.
///
/// # Errors
/// The client went away.
async fn wait<'g, Stream: ClientStream>(
    client: &Client,
    generation: &'g Generation,
    waiting: Waiting<'g>,
    collected: &mut Option<Box<Collected>>,
    watchdog: &mut Watchdog,
    stream: &mut Stream,
    record: &mut Entry<'g>,
) -> Result<Plan<'g>, BodyError> {
    let Waiting { answer, whence, mut head, next, mut passage, limit, buffer } = waiting;
    let until = record.started() + limit.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    let (source, reply) = stream.split();
    let known = |outcome| -> Asked { Box::pin(ready(Answered { outcome, found: Passage::default() })) };
    let answer: Pin<Box<dyn Future<Output = Answered> + '_>> = match answer {
        Pending::Answer(answer) => answer,
        Pending::Ask(mut request) => {
            let most = request.body_bytes();
            let body = if most == 0 {
                Ok(Vec::new())
            } else {
                let collected = collected.get_or_insert_with(|| Box::new(Collected::new(&client.worker.shared.room)));
                let wanted = (most, head.expects_continue());
                collect(client, collected, wanted, until, watchdog, source, reply).await?;
                head.goes_on();
                collected.given(most)
            };
            match body {
                Ok(body) => {
                    let trace = record.begin_question(|| request.policy());
                    if trace.is_some() {
                        request.without_context();
                    }
                    Box::pin(async move { ask_about(client, generation, whence, &request, body, trace).await })
                }
                Err(code) => known(Outcome::deny(code)),
            }
        }
        Pending::Collect(most) => {
            let most = usize::try_from(most.octets()).unwrap_or(usize::MAX);
            let until = record.started() + limit.unwrap_or(LONGEST_COLLECTION).min(LONGEST_COLLECTION);
            let collected = collected.get_or_insert_with(|| Box::new(Collected::new(&client.worker.shared.room)));
            let wanted = (most, head.expects_continue());
            collect(client, collected, wanted, until, watchdog, source, reply).await?;
            known(match collected.length(most) {
                Ok(length) => {
                    head.collected(length);
                    Outcome::Pass
                }
                Err(code) => Outcome::deny(code),
            })
        }
    };
    let asked = unless_gone(answer, |context| match reply.poll_gone(context) {
        Poll::Pending => source.poll_gone(context),
        gone @ Poll::Ready(_) => gone,
    });
    let outcome = match watchdog.until(until, asked).await {
        Ok(answered) => {
            let Answered { outcome, found } = answered?;
            passage.add(found);
            outcome
        }
        Err(_) => Outcome::deny(ErrorCode::RequestTimeout),
    };
    Ok(admit(client, generation, &head.inbound(), Place { step: next, outcome, passage }, buffer, record))
}

/// Read what is wanted of a body: so many octets at most, from a client that may have to be told to go on. Each part of it has
/// the limit of any body, and all of it until then.
///
/// # Errors
/// The client went away, or broke its request.
async fn collect<Source: BodySource, Sink: ReplySink>(
    client: &Client,
    collected: &mut Collected,
    (most, expects_continue): (usize, bool),
    until: Instant,
    watchdog: &mut Watchdog,
    source: &mut Source,
    reply: &mut Sink,
) -> Result<(), BodyError> {
    let limit = client.worker.settings().request_body_timeout();
    loop {
        let next = until.min(Instant::now() + limit);
        let Ok(more) = watchdog.until(next, collected.read(most, expects_continue, source, reply)).await else {
            let is_late = Instant::now() >= until;
            collected.refuse(if is_late { ErrorCode::RequestTimeout } else { ErrorCode::RequestBodyTimeout });
            return Ok(());
        };
        if !more? {
            return Ok(());
        }
    }
}

async fn has_left(reply: &mut impl ReplySink) -> bool {
    poll_fn(|context| Poll::Ready(reply.poll_gone(context).is_ready())).await
}

fn gone<Stream: ClientStream>(record: &mut Entry<'_>, stream: &mut Stream) -> (Served, Instant) {
    let end = End { code: ErrorCode::ClientGone, reset: None };
    record.failed(end.code, 0);
    stream.split().1.break_off(end);
    (Served::Broken(end), record.end())
}
