//! One HTTP/2 connection from a client (RFC 9113): each stream is a request in a task of its own.

mod close;
mod flood;
mod head;
mod reply;
mod resets;

use super::PREFACE;
use crate::dispatch::retry::{Exchange, Forwarded};
use crate::dispatch::tunnel;
use crate::error::ErrorCode;
use crate::io::watchdog::Watchdog;
use crate::message::body::BodySink;
use crate::message::client::Client;
use crate::message::grpc;
use crate::message::grpc::End;
use crate::message::head::HttpVersion;
use crate::message::http2::{Http2Source, fields_of};
use crate::message::local_reply::Answer;
use crate::message::record::{Entry, Refused};
use crate::message::reply::ReplySink;
use crate::message::response_filters::ResponseEdits;
use crate::request::plan::{Plan, plan};
use bytes::Bytes;
use close::Kept;
use flood::Metered;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use head::Prepared;
use http::{Method, Request};
use reply::Http2Reply;
use resets::Resets;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// Bytes that one stream may queue towards a client that does not read; all streams of a connection 8 MiB.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// Overhead of DATA frames below 256 bytes that wait for backends, as `h2` counts it; more ends the connection. Stops
/// uploads in tiny frames, which take many times the memory that windows count.
const SMALL_FRAME_BUDGET: usize = 4 * 1024 * 1024;

/// How long a client without streams may keep its connection after a GOAWAY.
const GOAWAY_GRACE: Duration = Duration::from_millis(500);

/// Serve streams until the client or we have enough.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(client: Rc<Client>, stream: S) {
    let settings = client.worker.settings();
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(settings.http2_max_streams)
        .initial_window_size(settings.http2_stream_window)
        .initial_connection_window_size(settings.connection_window())
        .max_header_list_size(u32::try_from(settings.max_head_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .data_frame_budget(SMALL_FRAME_BUDGET)
        .max_pending_accept_reset_streams(resets::AT_ONCE as usize)
        .enable_connect_protocol();
    let mut watchdog = Watchdog::new(Instant::now() + settings.head_timeout());
    let stream = Kept::new(stream);
    let handshake = builder.handshake::<_, Bytes>(Metered::new(stream.clone(), PREFACE.len()));
    let Ok(Ok(mut connection)) = watchdog.until(Instant::now() + settings.head_timeout(), handshake).await else {
        return;
    };
    let streams = Rc::new(Streams { count: Cell::new(0), idle_since: Cell::new(Instant::now()) });
    let resets = Rc::new(Resets::new(Instant::now()));
    let mut drain = pin!(client.worker.drain.started());
    let mut draining = false;
    loop {
        let until =
            if draining { Instant::now() + GOAWAY_GRACE } else { streams.idle_since() + settings.idle_timeout() };
        let accept = poll_fn(|context| {
            if resets.exceeded(context) {
                return Poll::Ready(None);
            }
            if !draining && drain.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            connection.poll_accept(context).map(Some)
        });
        match watchdog.until(until, accept).await {
            Ok(Some(Some(Ok((request, respond))))) => {
                let resets = Rc::clone(&resets);
                let task = Stream { client: Rc::clone(&client), resets, _active: Active::begin(&streams) };
                tokio::task::spawn_local(task.serve(request, respond));
            }
            Ok(Some(Some(Err(_)))) => return,
            Ok(Some(None)) => break,
            Ok(None) if resets.is_exceeded() => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                let closed = poll_fn(|context| connection.poll_closed(context));
                let _ = watchdog.until(Instant::now() + GOAWAY_GRACE, closed).await;
                return;
            }
            Ok(None) => {
                draining = true;
                connection.graceful_shutdown();
            }
            Err(_) if !draining => {
                if streams.idle_since() + settings.idle_timeout() <= Instant::now() {
                    draining = true;
                    connection.graceful_shutdown();
                }
            }
            // Told to go, without a stream and with all that it was given: the client does not mean to close, or is not there.
            Err(_) if streams.count.get() == 0 && !stream.is_behind(settings.stall_timeout()) => break,
            Err(_) => {}
        }
    }
    drop(connection);
    stream.linger(&mut watchdog, settings.stall_timeout()).await;
}

/// The streams under way, and since when there is none.
#[derive(Debug)]
struct Streams {
    count: Cell<usize>,
    idle_since: Cell<Instant>,
}

impl Streams {
    /// Now, as long as there is one.
    fn idle_since(&self) -> Instant {
        if self.count.get() > 0 { Instant::now() } else { self.idle_since.get() }
    }
}

/// Counts a stream for as long as it lives.
struct Active(Rc<Streams>);

impl Active {
    fn begin(streams: &Rc<Streams>) -> Self {
        streams.count.set(streams.count.get() + 1);
        Self(Rc::clone(streams))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.idle_since.set(Instant::now());
    }
}

struct Stream {
    client: Rc<Client>,
    resets: Rc<Resets>,
    _active: Active,
}

impl Stream {
    async fn serve(self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let client = &*self.client;
        let (parts, body) = request.into_parts();
        let head_request = parts.method == Method::HEAD;
        let mut reply = Http2Reply::new(respond);
        let prepared = match Prepared::new(&parts, &body, client.worker.settings()) {
            Ok(prepared) => prepared,
            Err(code) => {
                Entry::refused(client, code, &refused(&parts, code));
                let answer = Answer::failure(End { code, reset: None }, grpc::is_grpc(&fields_of(&parts.headers)));
                // Many small fields take many times their bytes, and the client may be in no hurry to take the answer.
                drop(parts);
                return answer_locally(client, &answer, &ResponseEdits::default(), &mut reply, head_request).await;
            }
        };
        let tunnel = prepared.tunnel;
        let generation = client.worker.generation();
        let inbound = prepared.inbound(&parts);
        let mut entry = Entry::begin(client, &inbound);
        entry.grpc(grpc::is_grpc(&inbound.fields));
        let plan = plan(client, &generation, inbound, Vec::new(), &mut entry);
        let mut source = Http2Source::new(body);
        match plan {
            Plan::Answer(answer, edits) => {
                entry.answer(&answer, 0);
                answer_locally(client, &answer, &edits, &mut reply, head_request).await;
                entry.response_bytes(reply.body_bytes());
            }
            // Reset while it waited for us: no backend need hear of it.
            Plan::Forward(_) if is_gone(&mut reply).await => {
                self.resets.reset(entry.started(), entry.started());
                entry.failed(ErrorCode::ClientGone, 0);
            }
            Plan::Forward(forward) => {
                let mut scratch = Vec::new();
                let exchange = Exchange { client, forward: &forward, scratch: &mut scratch };
                let mut watchdog = Watchdog::new(Instant::now() + client.worker.settings().stall_timeout());
                let done = if tunnel {
                    Box::pin(exchange.run(&mut watchdog, &mut tunnel::NoBody, &mut reply, &mut entry)).await
                } else {
                    exchange.run(&mut watchdog, &mut source, &mut reply, &mut entry).await
                };
                if reply.head_sent() {
                    self.resets.answered();
                } else if matches!(&done, Forwarded::Broken(end) if end.code == ErrorCode::ClientGone) {
                    self.resets.reset(entry.started(), Instant::now());
                }
                if let Forwarded::Broken(end) = &done {
                    reply.break_off(*end);
                }
                entry.response_bytes(reply.body_bytes());
                entry.grpc_status(reply.grpc_status());
                match done {
                    Forwarded::Complete | Forwarded::Broken(_) => {}
                    Forwarded::Switched(connection) => {
                        if let Ok(Some(sink)) = reply.into_sink() {
                            let idle = client.worker.settings().l4_idle_timeout();
                            Box::pin(tunnel::over_stream(&mut watchdog, idle, source, sink, *connection, &mut entry))
                                .await;
                        }
                    }
                }
            }
        }
    }
}

/// Give an answer of our own to a client that takes it in time; else the stream is reset.
async fn answer_locally(
    client: &Client,
    answer: &Answer,
    edits: &ResponseEdits<'_>,
    reply: &mut Http2Reply,
    head_request: bool,
) {
    let until = Instant::now() + client.worker.settings().response_read_timeout();
    let sent = Watchdog::new(until).until(until, Box::pin(answer.send(reply, head_request, edits))).await;
    if !matches!(sent, Ok(Ok(()))) {
        reply.break_off(End { code: ErrorCode::ClientGone, reset: None });
    }
}

fn refused(parts: &http::request::Parts, code: ErrorCode) -> Refused<'_> {
    Refused {
        protocol: HttpVersion::Http2.as_str(),
        method: parts.method.as_str().as_bytes(),
        authority: parts.uri.authority().map_or(b"", |authority| authority.as_str().as_bytes()),
        target: parts.uri.path_and_query().map_or(b"", |target| target.as_str().as_bytes()),
        detail: code.meaning().to_owned(),
    }
}

async fn is_gone(reply: &mut Http2Reply) -> bool {
    poll_fn(|context| Poll::Ready(reply.poll_gone(context).is_ready())).await
}
