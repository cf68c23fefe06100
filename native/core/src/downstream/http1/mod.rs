//! One HTTP/1.1 connection from a client: heads in, responses out, one after the other.

mod reply;

use crate::dispatch::retry::{Exchange, Forwarded};
use crate::dispatch::tunnel;
use crate::error::ErrorCode;
use crate::io::Reset;
use crate::io::fill::{fill, poll_fill};
use crate::io::watchdog::{Expired, Progress, Stalls, Watchdog};
use crate::message::body::BodySource;
use crate::message::client::Client;
use crate::message::grpc::End;
use crate::message::head::Inbound;
use crate::message::http1::{Http1Source, READ_AHEAD};
use crate::message::local_reply::Answer;
use crate::message::record::{Entry, Refused};
use crate::message::reply::ReplySink;
use crate::message::response_filters::ResponseEdits;
use crate::request::plan::{Plan, plan};
use crate::worker::Generation;
use codec::{Buffer, Framing, HeadSearch, Parsed, RequestHead, WireError, parse_request};
use reply::{Http1Reply, Http1Terms};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// After a response that ends the connection the client may still be sending: this long its bytes are read and dropped,
/// so that it sees the response and not a reset. A client that writes all before it reads may have much to write.
const LINGER: Duration = Duration::from_secs(30);

/// Silence that ends it sooner.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Telling the client that nothing more comes: TLS has a record for that, which a client that does not read never takes.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// As `LINGER`, at the end of a drain: who has not sent anything until then is not waited for as long.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// What follows a request on its connection.
enum Next {
    Request,
    Close,
    /// Close, but read on for a moment first: the client is still sending.
    Linger,
    /// Break off: a close would tell the client that it has everything.
    Reset,
}

struct Http1<'c, S> {
    client: &'c Client,
    stream: RefCell<S>,
    buffer: Buffer,
    out: Vec<u8>,
    head: Vec<u8>,
    scratch: Vec<u8>,
    watchdog: Watchdog,
    /// When the first byte of the first head came, where it has come already.
    begun: Option<Instant>,
}

/// Serve requests until the client or we have enough. `buffer`: what was read before, since `begun`.
pub async fn serve<S: AsyncRead + AsyncWrite + Reset + Unpin>(
    client: &Client,
    stream: S,
    buffer: Buffer,
    begun: Option<Instant>,
) {
    let idle = client.worker.settings().idle_timeout();
    let mut connection = Http1 {
        client,
        stream: RefCell::new(stream),
        buffer,
        out: Vec::new(),
        head: Vec::new(),
        scratch: Vec::new(),
        watchdog: Watchdog::new(Instant::now() + idle),
        begun,
    };
    let mut drain = pin!(client.worker.drain.idle_ends());
    loop {
        match connection.next(drain.as_mut()).await {
            Next::Request => {}
            Next::Close => break,
            Next::Linger => {
                Box::pin(connection.linger()).await;
                break;
            }
            Next::Reset => {
                connection.stream.get_mut().reset();
                return;
            }
        }
    }
    let Http1 { stream, watchdog, .. } = &mut connection;
    let _ = watchdog.until(Instant::now() + SHUTDOWN, stream.get_mut().shutdown()).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<'_, S> {
    /// One request, from its first byte to the last of its response.
    async fn next(&mut self, mut drain: Pin<&mut impl Future<Output = ()>>) -> Next {
        let client = self.client;
        let settings = client.worker.settings();
        let generation;
        let mut deadline = self.begun.take().map(|begun| begun + settings.head_timeout());
        let mut search = HeadSearch::default();
        let received = loop {
            if search.line_ended(&mut self.buffer) {
                let error = match parse_request(self.buffer.filled(), settings.max_head_fields) {
                    Ok(Parsed::Complete(head)) if head.consumed > settings.max_head_bytes => {
                        Some(WireError::HeadTooLarge)
                    }
                    Ok(Parsed::Complete(head)) => {
                        generation = client.worker.generation();
                        break receive(client, &generation, head, std::mem::take(&mut self.head));
                    }
                    Ok(Parsed::Partial) => None,
                    Err(error) => Some(error),
                };
                if let Some(error) = error {
                    return self.refuse(error).await;
                }
            }
            if self.buffer.len() >= settings.max_head_bytes {
                // Where not even the request line has ended, it is the target that is too long.
                let whole_line = memchr::memchr(b'\n', self.buffer.filled()).is_some();
                return self.refuse(if whole_line { WireError::HeadTooLarge } else { WireError::TargetTooLong }).await;
            }
            match self.read_head(&mut deadline, drain.as_mut()).await {
                Ok(true) => {}
                Ok(false) if client.worker.drain.is_finishing() => return Next::Linger,
                Ok(false) => return Next::Close,
                Err(_) => {
                    return if self.buffer.is_empty() {
                        Next::Close
                    } else {
                        self.answer_without_request(
                            ErrorCode::RequestHeadTimeout,
                            "the head came too slowly".to_owned(),
                        )
                        .await
                    };
                }
            }
        };
        self.buffer.consume(received.consumed);
        self.perform(received).await
    }

    /// One read. `Ok(false)`: the client is gone, or it is idle at the end of a drain.
    async fn read_head(
        &mut self,
        deadline: &mut Option<Instant>,
        mut drain: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<bool, Expired> {
        let settings = self.client.worker.settings();
        let idle = self.buffer.is_empty();
        let until = if idle {
            self.buffer.release();
            Instant::now() + settings.idle_timeout()
        } else {
            *deadline.get_or_insert_with(|| Instant::now() + settings.head_timeout())
        };
        let (stream, buffer) = (&self.stream, &mut self.buffer);
        let limit = settings.max_head_bytes.max(READ_AHEAD);
        let fill = poll_fn(|context| {
            if let Poll::Ready(read) = poll_fill(buffer, &mut *stream.borrow_mut(), context, limit) {
                return Poll::Ready(read.is_ok_and(|count| count > 0));
            }
            if idle && drain.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            Poll::Pending
        });
        self.watchdog.until(until, fill).await
    }

    async fn perform(&mut self, received: Received<'_>) -> Next {
        let Received { framing, terms, plan, mut entry, expect_continue, .. } = received;
        let mut reply = Http1Reply::new(&self.stream, &mut self.out, &self.client.worker.drain, terms);
        let mut source = Http1Source::new(&self.stream, &mut self.buffer, framing);
        let mut refused = false;
        let forwarded = match plan {
            Plan::Answer(answer, edits) => {
                // A client that sends nonsense is not worth a second guess, and what follows CONNECT is no HTTP: whoever sent
                // it before the answer took the tunnel for open (RFC 9110 section 9.3.6).
                refused = matches!(answer.code, Some(ErrorCode::BadRequest | ErrorCode::MethodNotAllowed));
                // Unread bytes would be taken for the next request: what is not here already ends the connection.
                if !source.is_whole() || expect_continue || refused {
                    reply.terms.close = true;
                }
                let until = Instant::now() + self.client.worker.settings().response_read_timeout();
                let sent =
                    self.watchdog.until(until, Box::pin(answer.send(&mut reply, terms.head_request, &edits))).await;
                entry.answer(&answer, 0);
                match sent {
                    Ok(Ok(())) => Forwarded::Complete,
                    Ok(Err(_)) | Err(_) => Forwarded::Broken(End { code: ErrorCode::ClientGone, reset: None }),
                }
            }
            Plan::Forward(forward) => {
                let exchange = Exchange { client: self.client, forward: &forward, scratch: &mut self.scratch };
                let done = exchange.run(&mut self.watchdog, &mut source, &mut reply, &mut entry).await;
                self.head = forward.into_buffer();
                done
            }
        };
        let terms = reply.terms;
        let ends_with_connection = reply.ends_with_connection();
        entry.response_bytes(reply.body_bytes());
        let whole = source.is_finished() || (source.is_whole() && discard(&mut source).await);
        drop(source);
        match forwarded {
            Forwarded::Complete if !whole || refused => Next::Linger,
            // Closing on bytes that nobody has read is a reset, which takes back what the client has not read of the response.
            Forwarded::Complete if terms.close && self.has_more() => Next::Linger,
            Forwarded::Complete if terms.close => Next::Close,
            Forwarded::Complete => Next::Request,
            Forwarded::Broken(_) if ends_with_connection => Next::Reset,
            Forwarded::Broken(_) => Next::Close,
            Forwarded::Switched(mut connection) => {
                let upstream = connection.stream.get_mut();
                let (stream, buffer) = (self.stream.get_mut(), &mut self.buffer);
                let tunnel = tunnel::run(&self.client.worker, stream, buffer, upstream, &mut connection.buffer);
                let (up, down) = Box::pin(tunnel).await;
                entry.tunnelled(up, down);
                Next::Close
            }
        }
    }

    /// The client has sent more than its request.
    fn has_more(&mut self) -> bool {
        let (stream, buffer) = (self.stream.get_mut(), &mut self.buffer);
        let mut context = Context::from_waker(Waker::noop());
        !buffer.is_empty()
            || matches!(poll_fill(buffer, stream, &mut context, READ_AHEAD), Poll::Ready(Ok(count)) if count > 0)
    }

    /// Answer a head that is no request; nothing after it can be trusted.
    async fn refuse(&mut self, error: WireError) -> Next {
        let code = match error {
            WireError::NotHttp => {
                let refused = Refused::of_http1(self.buffer.filled(), error.to_string());
                Entry::refused(self.client, ErrorCode::BadRequest, &refused);
                return Next::Linger;
            }
            WireError::Malformed(_) => ErrorCode::BadRequest,
            WireError::HeadTooLarge => ErrorCode::HeadersTooLarge,
            WireError::TargetTooLong => ErrorCode::TargetTooLong,
            WireError::UnsupportedCoding => ErrorCode::UnsupportedTransferCoding,
            WireError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
            WireError::UnknownExpectation => ErrorCode::ExpectationFailed,
        };
        self.answer_without_request(code, error.to_string()).await
    }

    async fn answer_without_request(&mut self, code: ErrorCode, detail: String) -> Next {
        let terms = Http1Terms { minor: 1, head_request: false, close: true };
        let mut reply = Http1Reply::new(&self.stream, &mut self.out, &self.client.worker.drain, terms);
        let until = Instant::now() + self.client.worker.settings().response_read_timeout();
        let answer = Answer::error(code);
        let sent =
            self.watchdog.until(until, Box::pin(answer.send(&mut reply, false, &ResponseEdits::default()))).await;
        Entry::refused(self.client, code, &Refused::of_http1(self.buffer.filled(), detail));
        if matches!(sent, Ok(Ok(()))) { Next::Linger } else { Next::Close }
    }

    /// Say that nothing more comes, then read until the client has understood.
    async fn linger(&mut self) {
        let Self { client, stream, buffer, watchdog, .. } = self;
        let limit = if client.worker.drain.is_finishing() { DRAIN_LINGER } else { LINGER };
        let stream = stream.get_mut();
        if !matches!(watchdog.until(Instant::now() + SHUTDOWN, stream.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let progress = Progress::default();
        let drop_bytes = async {
            loop {
                buffer.consume(buffer.len());
                match fill(buffer, stream, READ_AHEAD).await {
                    Ok(count) if count > 0 => progress.made(),
                    _ => break,
                }
            }
        };
        let now = Instant::now();
        let _ = watchdog.guard(now, Some(now + limit), Stalls::all(LINGER_SILENCE), &progress, drop_bytes).await;
    }
}

/// What a head said, once it has left the buffer.
struct Received<'g> {
    consumed: usize,
    framing: Framing,
    expect_continue: bool,
    terms: Http1Terms,
    plan: Plan<'g>,
    entry: Entry<'g>,
}

fn receive<'g>(client: &'g Client, generation: &'g Generation, head: RequestHead<'_>, buffer: Vec<u8>) -> Received<'g> {
    let terms = Http1Terms {
        minor: head.minor,
        head_request: head.method == "HEAD",
        close: !head.keep_alive || client.worker.drain.is_draining(),
    };
    let (consumed, framing, expect_continue) = (head.consumed, head.framing, head.expect_continue);
    let inbound = Inbound::from_http1(head);
    let mut entry = Entry::begin(client, &inbound);
    let plan = plan(client, generation, inbound, buffer, &mut entry);
    Received { consumed, framing, expect_continue, terms, plan, entry }
}

/// Drop the rest of a body that stands whole in the buffer.
async fn discard(source: &mut impl BodySource) -> bool {
    loop {
        match source.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
