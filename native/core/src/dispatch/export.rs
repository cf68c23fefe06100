//! Spans and log records on their way to collectors (OTLP 1.5), over our own connections to backends: by each worker those of its
//! own requests. When that is says `telemetry::Outboxes`; no request ever waits for any of it.
//!
//! A collector is heard as a hostile peer: an answer that is slow, too long or none changes nothing but what of it is lost.

use super::MirrorTo;
use super::ask::{Heard, Question, ask};
use super::outbound::Outbound;
use crate::policy::State;
use crate::protobuf;
use crate::telemetry::{Batch, Destination};
use crate::upstream::RoutePolicy;
use crate::worker::{Generation, Worker};
use bytes::Bytes;
use codec::{Framing, push_field};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// For all of a message and its answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The same where the process ends.
const LAST_LIMIT: Duration = Duration::from_secs(1);

/// Octets of an answer that are looked at: how much was refused, and why.
const MAX_ANSWER: usize = 16 * 1024;

/// What came of a message.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// All of it was taken, but for so many.
    Taken { refused: u64 },
    /// It may be taken at another time; why it was not, for people.
    Later(String),
    /// It never will be.
    Never(String),
}

/// Send what is due, for ever.
pub async fn export_telemetry(worker: &Rc<Worker>) {
    loop {
        while let Some((collector, batch)) = worker.outboxes.take(Instant::now(), false) {
            let worker = Rc::clone(worker);
            tokio::task::spawn_local(async move { export(&worker, &collector, batch, LIMIT).await });
        }
        match worker.outboxes.due() {
            None => worker.outboxes.changed().await,
            Some(due) => tokio::select! {
                () = sleep_until(due) => {}
                () = worker.outboxes.changed() => {}
            },
        }
    }
}

/// Send what is left where the worker ends, as far as that is quick.
pub async fn flush_telemetry(worker: &Rc<Worker>) {
    let all = async {
        while let Some((collector, batch)) = worker.outboxes.take(Instant::now(), true) {
            export(worker, &collector, batch, LAST_LIMIT).await;
        }
    };
    // What could not be sent is lost with the process.
    let _ = tokio::time::timeout(LAST_LIMIT, all).await;
}

async fn export(worker: &Worker, to: &Destination, batch: Batch, limit: Duration) {
    let generation = worker.generation();
    let sent = send(worker, &generation, to, &batch.octets, limit).await;
    let (figures, events, id) = (&to.figures, &worker.shared.events, to.id());
    let (away, again) = match sent {
        Sent::Taken { refused } => {
            let refused = refused.min(batch.items);
            figures.exported(batch.items - refused);
            figures.failed(refused);
            (None, None)
        }
        Sent::Later(why) => (Some(why), Some(batch)),
        Sent::Never(why) => {
            figures.failed(batch.items);
            (Some(why), None)
        }
    };
    if figures.is_news(away.is_some()) {
        let items = to.signal.items();
        let (code, message) = match away {
            Some(why) => ("collector_unavailable", format!("{id}: {why}; {items} are lost once their queue is full")),
            None => ("collector_available", format!("{id}: the collector takes {items} again")),
        };
        events.push_state(code, format!("collector of {id}"), message);
    }
    worker.outboxes.done(to, again, Instant::now());
}

async fn send(worker: &Worker, generation: &Generation, to: &Destination, items: &[u8], limit: Duration) -> Sent {
    // The collector of now: it may be another one than when they were recorded, or none.
    let Some((slot, own)) = current(generation, to.id()) else {
        return Sent::Never("the policy is gone".to_owned());
    };
    let Some(backend) = generation.table.backend(slot) else {
        return Sent::Later("its Service is not there".to_owned());
    };
    let route = generation.client_tls.own_route(backend, own.is_grpc()).filter(|_| !backend.is_invalid());
    let Some(mut route) = route else {
        return Sent::Later("a policy of its Service cannot be honoured".to_owned());
    };
    route.policy = RoutePolicy::of_ourselves(backend);
    let message = own.message(items);
    let body = if own.is_grpc() { protobuf::framed(&message) } else { message };
    let host = backend.tls.as_ref().map_or(own.to.service.as_str(), |policy| &policy.hostname);
    let question = Question {
        outbound: outbound(&own, host, body.len() as u64, route.tls.is_some()),
        body: Bytes::from(body),
        limit,
        most_kept: MAX_ANSWER,
        trace: None,
    };
    match ask(worker, &MirrorTo { backend, route }, &question).await {
        Ok(heard) if own.is_grpc() => of_grpc(&heard),
        Ok(heard) => of_http(&heard),
        Err(unanswered) => Sent::Later(format!("it {}", unanswered.in_words(limit))),
    }
}

/// The collector of a policy in a table, and the slot of its backend there.
fn current(generation: &Generation, id: &str) -> Option<(u32, Arc<Destination>)> {
    let destination = State::of_policy(generation.table.policies.get(id)?)?.destination()?;
    Some((destination.slot, Arc::clone(destination)))
}

fn outbound(to: &Destination, host: &str, length: u64, tls: bool) -> Outbound {
    let (path, content_type) = to.path();
    let mut head = format!("POST {path} HTTP/1.1\r\n").into_bytes();
    push_field(&mut head, b"host", host.as_bytes());
    push_field(&mut head, b"content-type", content_type.as_bytes());
    push_field(&mut head, b"user-agent", b"sluicegate");
    for (name, value) in &to.fields {
        push_field(&mut head, name.as_bytes(), value.as_bytes());
    }
    push_field(&mut head, b"content-length", itoa::Buffer::new().format(length).as_bytes());
    head.extend_from_slice(b"\r\n");
    Outbound {
        head,
        framing: Framing::Length(length),
        head_request: false,
        idempotent: true,
        upgrade: false,
        connect: false,
        trailers: to.is_grpc(),
        tls,
        span: None,
    }
}

/// What an answer over HTTP means (OTLP specification, "OTLP/HTTP Response").
fn of_http(heard: &Heard) -> Sent {
    match heard.status {
        200..=299 => Sent::Taken { refused: heard.body.as_deref().map_or(0, refused) },
        429 | 502 | 503 | 504 => Sent::Later(format!("it answers {}", heard.status)),
        status => Sent::Never(format!("it answers {status}")),
    }
}

/// The same over gRPC ("OTLP/gRPC Response"). Of a status in the head the body is empty.
fn of_grpc(heard: &Heard) -> Sent {
    const OK: u32 = 0;
    /// `CANCELLED`, `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`, `ABORTED`, `OUT_OF_RANGE`, `UNAVAILABLE`, `DATA_LOSS`.
    const RETRYABLE: [u32; 7] = [1, 4, 8, 10, 11, 14, 15];
    if heard.status != 200 {
        return of_http(heard);
    }
    let in_head = || heard.fields.iter().find(|(name, _)| name == "grpc-status").map(|(_, value)| value.as_slice());
    let status = heard.trailers.get("grpc-status").map(http::HeaderValue::as_bytes).or_else(in_head);
    let status = status.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    match status {
        Some(OK) => Sent::Taken { refused: heard.body.as_deref().and_then(protobuf::unframed).map_or(0, refused) },
        Some(status) if RETRYABLE.contains(&status) => Sent::Later(format!("it answers gRPC status {status}")),
        Some(status) => Sent::Never(format!("it answers gRPC status {status}")),
        None => Sent::Later("its answer has no gRPC status".to_owned()),
    }
}

/// `partial_success.rejected_spans` of an answer to spans, or `rejected_log_records`; what is none of these refuses none.
fn refused(message: &[u8]) -> u64 {
    let partial = first(message).and_then(protobuf::Value::bytes);
    partial.and_then(first).and_then(protobuf::Value::number).unwrap_or(0)
}

/// The field of a message that has the number 1.
fn first(message: &[u8]) -> Option<protobuf::Value<'_>> {
    let fields = protobuf::read(message)?;
    fields.into_iter().find(|(number, _)| *number == 1).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
