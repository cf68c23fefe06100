//! One HTTP/2 connection from a client (RFC 9113): each stream is a request in a task of its own.

mod close;
mod fault;
mod flood;
mod head;
mod head_block;
mod reply;
mod resets;
mod stream;
mod unheard;

use super::PREFACE;
use crate::error::ErrorCode;
use crate::io::liveness::{Asking, Heard, Peer, Pings};
use crate::io::watchdog::Watchdog;
use crate::message::client::Client;
use crate::message::grpc;
use crate::message::grpc::End;
use crate::message::head::HttpVersion;
use crate::message::http2::{Http2Source, fields_of};
use crate::message::local_reply::Answer;
use crate::message::record::{Entry, Refused};
use crate::message::reply::ReplySink;
use crate::message::response_filters::ResponseEdits;
use crate::request::{Request, Served};
use bytes::Bytes;
use close::Kept;
use fault::Fault;
use flood::Metered;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use head::Prepared;
use head_block::HeadBlock;
use http::Method;
use reply::Http2Reply;
use resets::Resets;
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use stream::Http2Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use unheard::Unheard;

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
        .max_concurrent_streams(client.max_streams())
        .initial_window_size(settings.http2_stream_window)
        .initial_connection_window_size(settings.connection_window())
        // `h2` takes less than that.
        .max_header_list_size(u32::try_from(settings.max_head_bytes + 1).unwrap_or(u32::MAX))
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .data_frame_budget(SMALL_FRAME_BUDGET)
        .max_pending_accept_reset_streams(resets::AT_ONCE as usize)
        .enable_connect_protocol();
    let opened = Instant::now();
    let mut watchdog = Watchdog::default();
    let stream = Kept::new(stream);
    let peer = Rc::new(Peer::default());
    let unheard = Rc::new(Unheard::new(Rc::clone(&client)));
    let block = Rc::new(HeadBlock::new(opened));
    let metered = Metered::new(stream.clone(), PREFACE.len(), Rc::clone(&unheard), Rc::clone(&block));
    let heard = Heard::new(metered, Rc::clone(&peer), None);
    let handshake = builder.handshake::<_, Bytes>(heard);
    let mut connection = match watchdog.until(opened + client.head_timeout(), handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tell(Fault::of(&error), &client, opened),
        Err(_) => return,
    };
    let streams = Rc::new(Streams { count: Cell::new(0), idle_since: Cell::new(Instant::now()) });
    let pings = settings.http2_ping_after().map(|silence| Pings { silence, between: silence });
    let _asking = pings.zip(connection.ping_pong()).map(|(pings, ping_pong)| {
        let streams = Rc::clone(&streams);
        Asking::start(peer, ping_pong, pings, move || streams.count.get() > 0)
    });
    let resets = Rc::new(Resets::new(Instant::now()));
    let mut drain = pin!(client.worker.drain.started());
    let mut draining = false;
    loop {
        let now = Instant::now();
        let until = if draining { now + GOAWAY_GRACE } else { streams.idle_since(now) + client.idle_timeout() };
        let until = client.life.ends().filter(|ends| !draining && *ends < until).unwrap_or(until);
        let head_ends = block.ends(client.head_timeout());
        let until = head_ends.map_or(until, |ends| ends.min(until));
        let accept = poll_fn(|context| {
            if resets.exceeded(context) {
                return Poll::Ready(Next::Enough);
            }
            if !draining && drain.as_mut().poll(context).is_ready() {
                return Poll::Ready(Next::Enough);
            }
            match connection.poll_accept(context) {
                Poll::Ready(stream) => Poll::Ready(Next::Stream(stream)),
                // What was read has begun a head, or ended one.
                Poll::Pending if block.ends(client.head_timeout()) != head_ends => Poll::Ready(Next::Head),
                Poll::Pending => Poll::Pending,
            }
        });
        let next = watchdog.until(until, accept).await;
        if next.is_err()
            && let Some(late) = block.is_late(client.head_timeout(), Instant::now())
        {
            unheard.late(late);
            return end(&mut connection, &mut watchdog).await;
        }
        match next {
            Ok(Next::Stream(Some(Ok((request, respond))))) => {
                unheard.taken(respond.stream_id().as_u32());
                let resets = Rc::clone(&resets);
                let task = Stream { client: Rc::clone(&client), resets, _active: Active::begin(&streams) };
                // Boxed: a task of this size would be copied eight times on its way into the runtime and out of it.
                tokio::task::spawn_local(Box::pin(task.serve(request, respond)));
                // Its age is looked at again where the wait is over.
                if client.life.is_last(now) && !draining {
                    draining = true;
                    connection.graceful_shutdown();
                }
            }
            Ok(Next::Stream(Some(Err(error)))) => return tell(Fault::of(&error), &client, opened),
            Ok(Next::Stream(None)) => break,
            Ok(Next::Enough) if resets.is_exceeded() => {
                tell(Some(Fault::resets()), &client, opened);
                return end(&mut connection, &mut watchdog).await;
            }
            Ok(Next::Enough) => {
                draining = true;
                connection.graceful_shutdown();
            }
            Err(_) if !draining => {
                let now = Instant::now();
                if client.life.is_over(now) || streams.idle_since(now) + client.idle_timeout() <= now {
                    draining = true;
                    connection.graceful_shutdown();
                }
            }
            // Told to go, without a stream and with all that it was given: the client does not mean to close, or is not there.
            Err(_) if streams.count.get() == 0 && !stream.is_behind(settings.stall_timeout()) => break,
            Err(_) | Ok(Next::Head) => {}
        }
    }
    drop(connection);
    stream.linger(&mut watchdog, settings.stall_timeout()).await;
}

/// What a connection waits for.
enum Next<S> {
    /// A stream, an error of the connection, or its end.
    Stream(S),
    /// When a head has to be there is another time than before.
    Head,
    /// The client, or the gateway, has enough of it.
    Enough,
}

/// End a connection with all of its streams, and tell the client that it asks too much.
async fn end<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut h2::server::Connection<S, Bytes>,
    watchdog: &mut Watchdog,
) {
    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    let closed = poll_fn(|context| connection.poll_closed(context));
    let _ = watchdog.until(Instant::now() + GOAWAY_GRACE, closed).await;
}

fn tell(fault: Option<Fault>, client: &Client, opened: Instant) {
    if let Some(fault) = fault {
        fault.tell(client, opened);
    }
}

/// The streams under way, and since when there is none.
#[derive(Debug)]
struct Streams {
    count: Cell<usize>,
    idle_since: Cell<Instant>,
}

impl Streams {
    /// `now`, as long as there is one.
    fn idle_since(&self, now: Instant) -> Instant {
        if self.count.get() > 0 { now } else { self.idle_since.get() }
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
        if self.0.count.get() == 0 {
            self.0.idle_since.set(Instant::now());
        }
    }
}

struct Stream {
    client: Rc<Client>,
    resets: Rc<Resets>,
    _active: Active,
}

impl Stream {
    async fn serve(self, request: http::Request<RecvStream>, respond: SendResponse<Bytes>) {
        let client = &*self.client;
        let settings = client.worker.settings();
        let (parts, body) = request.into_parts();
        let mut reply = Http2Reply::new(respond);
        let prepared = match Prepared::new(&parts, &body, settings) {
            Ok(prepared) => prepared,
            Err(code) => {
                Entry::refused(client, code, &refused(&parts, code));
                let answer = Answer::failure(End { code, reset: None }, grpc::is_grpc(&fields_of(&parts.headers)));
                let head_request = parts.method == Method::HEAD;
                // Many small fields take many times their bytes, and the client may be in no hurry to take the answer.
                drop(parts);
                let limit = settings.response_read_timeout();
                let mut watchdog = Watchdog::default();
                let edits = ResponseEdits::default();
                if let Err(end) = answer.give(&mut watchdog, limit, &mut reply, head_request, &edits).await {
                    reply.break_off(end);
                }
                return;
            }
        };
        let generation = client.worker.generation();
        let request = Request::new(client, &generation, &prepared.inbound(&parts));
        let source = if prepared.tunnel { Http2Source::before_tunnel(body) } else { Http2Source::new(body) };
        let mut stream = Http2Stream { source, reply };
        let mut watchdog = Watchdog::default();
        let started = request.started();
        let (served, ended) = request.serve(&mut watchdog, &mut stream).await;
        if stream.reply.head_sent() {
            self.resets.answered();
        } else if matches!(served, Served::Broken(end) if end.code == ErrorCode::ClientGone) {
            self.resets.reset(started, ended);
        }
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

#[cfg(test)]
mod tests;
