//! One HTTP/1.1 connection from a client: heads in, responses out, one after the other.

mod reply;
mod stream;

use crate::error::ErrorCode;
use crate::io::Reset;
use crate::io::delivery::Delivery;
use crate::io::fill::{fill, poll_fill};
use crate::io::watchdog::{Expired, Progress, Stalls, Watchdog};
use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::message::http1::READ_AHEAD;
use crate::message::local_reply::Answer;
use crate::message::record::{Entry, Refused};
use crate::message::response_filters::ResponseEdits;
use crate::request::{Request, Served};
use crate::worker::Generation;
use codec::{Buffer, FIELD_OVERHEAD, Framing, HeadSearch, Parsed, RequestHead, WireError, parse_request, spare};
use reply::{Http1Reply, Http1Terms};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use stream::{Http1Stream, Over};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// After a response that ends the connection the client may still be sending: this long its bytes are read and dropped,
/// so that it sees the response and not a reset. A client that writes all before it reads may have much to write.
const LINGER: Duration = Duration::from_secs(30);

/// Silence that ends it sooner, once the client has had time to take what it was given.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Telling the client that nothing more comes: TLS has a record for that, which a client that does not read never takes.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// As `LINGER`, at the end of a drain: who has not sent anything until then is not waited for as long.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// The body of a response up to this size is on its way when it is written: it fits into what TCP sends at once (RFC 6928).
const ON_ITS_WAY: u64 = 8 * 1024;

/// What follows a request on its connection.
enum Next {
    Request,
    Close,
    /// Close, but read on for a moment first: the client is still sending, or has not taken everything.
    Linger,
    /// Break off: a close would tell the client that it has everything.
    Reset,
}

struct Http1<'c, S> {
    client: &'c Client,
    stream: RefCell<S>,
    buffer: Buffer,
    watchdog: Watchdog,
    /// When the first byte of the first head came, where it has come already.
    begun: Option<Instant>,
    /// When the last request ended, until the wait for the next one begins.
    ended: Option<Instant>,
    delivery: Delivery,
}

/// Serve requests until the client or we have enough. `buffer`: what was read before, since `begun`, under the eyes of
/// `watchdog`.
pub async fn serve<S: AsyncRead + AsyncWrite + Reset + Unpin>(
    client: &Client,
    stream: S,
    buffer: Buffer,
    begun: Option<Instant>,
    watchdog: Watchdog,
) {
    let mut connection = Http1 {
        client,
        stream: RefCell::new(stream),
        buffer,
        watchdog,
        begun,
        ended: None,
        delivery: Delivery::default(),
    };
    let mut drain = pin!(client.worker.drain.idle_ends());
    loop {
        let next = match connection.arrive(drain.as_mut()).await {
            // Boxed: a connection that waits is small.
            None => Box::pin(connection.next(drain.as_mut())).await,
            Some(next) => next,
        };
        match next {
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
    if !S::WRITES_ITS_END {
        return;
    }
    let Http1 { stream, watchdog, .. } = &mut connection;
    let _ = watchdog.until(Instant::now() + SHUTDOWN, stream.get_mut().shutdown()).await;
}

impl<S: AsyncRead + AsyncWrite + Reset + Unpin> Http1<'_, S> {
    /// Wait for the first byte of a request. `Some`: there will be none.
    async fn arrive(&mut self, drain: Pin<&mut impl Future<Output = ()>>) -> Option<Next> {
        if !self.buffer.is_empty() {
            return None;
        }
        match self.read_head(&mut None, drain).await {
            Ok(true) => None,
            Ok(false) if self.client.worker.drain.is_finishing() => Some(Next::Linger),
            Ok(false) | Err(_) => Some(Next::Close),
        }
    }

    /// One request, from its first byte to the last of its response.
    async fn next(&mut self, mut drain: Pin<&mut impl Future<Output = ()>>) -> Next {
        let client = self.client;
        let settings = client.worker.settings();
        let generation;
        let mut deadline = self.begun.take().map(|begun| begun + client.head_timeout());
        let mut search = HeadSearch::default();
        let received = loop {
            if search.line_ended(&mut self.buffer) {
                let error = match parse_request(self.buffer.filled(), settings.max_head_fields) {
                    Ok(Parsed::Complete(head)) if head.target.len() > settings.max_target_bytes => {
                        Some(WireError::TargetTooLong)
                    }
                    Ok(Parsed::Complete(head))
                        if head.consumed.max(list_size(&head, client.scheme())) > settings.max_head_bytes =>
                    {
                        Some(WireError::HeadTooLarge)
                    }
                    Ok(Parsed::Complete(head)) => {
                        generation = client.worker.generation();
                        break receive(client, &generation, head);
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
            // A client that still takes its response is not idle.
            let since = self.ended.take().unwrap_or_else(Instant::now);
            since + self.delivery.left(since) + self.client.idle_timeout()
        } else {
            *deadline.get_or_insert_with(|| Instant::now() + self.client.head_timeout())
        };
        let (stream, buffer) = (&self.stream, &mut self.buffer);
        let limit = settings.max_head_bytes.max(READ_AHEAD);
        let fill = poll_fn(|context| {
            if let Poll::Ready(read) = poll_fill(buffer, &mut *stream.borrow_mut(), context, limit) {
                return Poll::Ready(read.is_ok_and(|count| count > 0));
            }
            if idle {
                buffer.release();
                if drain.as_mut().poll(context).is_ready() {
                    return Poll::Ready(false);
                }
            }
            Poll::Pending
        });
        self.watchdog.until(until, fill).await
    }

    async fn perform(&mut self, received: Received<'_>) -> Next {
        let Received { framing, terms, request, .. } = received;
        let drain = &self.client.worker.drain;
        let mut out = spare::take();
        let mut stream = Http1Stream::new(&self.stream, &mut self.buffer, &mut out, drain, framing, terms);
        let (served, ended) = request.serve(&mut self.watchdog, &mut stream).await;
        let Over { close, ends_with_connection, whole, given } = stream.end().await;
        spare::give_back(out);
        self.ended = Some(ended);
        if given > ON_ITS_WAY {
            self.delivery.given(ended, given);
        }
        let delivered = self.delivery.left(ended).is_zero();
        match served {
            Served::Refused => Next::Linger,
            Served::Complete if !whole => Next::Linger,
            // Closing on bytes that nobody has read is a reset, which takes back what the client has not read of the response;
            // so is a byte of the client that comes later.
            Served::Complete if close && (!delivered || self.has_more()) => Next::Linger,
            Served::Complete if close => Next::Close,
            Served::Complete => Next::Request,
            Served::Broken(_) if ends_with_connection => Next::Reset,
            Served::Broken(_) | Served::Tunnelled => Next::Close,
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
        let mut out = Vec::new();
        let mut reply = Http1Reply::new(&self.stream, &mut out, &self.client.worker.drain, terms);
        let limit = self.client.worker.settings().response_read_timeout();
        let answer = Answer::error(code);
        let given =
            Box::pin(answer.give(&mut self.watchdog, limit, &mut reply, false, &ResponseEdits::default())).await;
        Entry::refused(self.client, code, &Refused::of_http1(self.buffer.filled(), detail));
        if given.is_ok() { Next::Linger } else { Next::Close }
    }

    /// Say that nothing more comes, then read until the client has understood.
    async fn linger(&mut self) {
        let Self { client, stream, buffer, watchdog, .. } = self;
        let owed = self.delivery.left(Instant::now());
        let limit = if client.worker.drain.is_finishing() { DRAIN_LINGER.max(owed) } else { LINGER };
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
        let _ =
            watchdog.guard(now, Some(now + limit), Stalls::all(LINGER_SILENCE.max(owed)), &progress, drop_bytes).await;
    }
}

/// The size of a head as a list of fields, pseudo-fields among them, as the same request has it over HTTP/2: each counts with its
/// name, its value, and [`FIELD_OVERHEAD`] (RFC 9113 sections 6.5.2 and 8.3.1).
fn list_size(head: &RequestHead<'_>, scheme: &str) -> usize {
    let size = |name: &[u8], value: &[u8]| name.len() + value.len() + FIELD_OVERHEAD;
    let line = size(b":method", head.method.as_bytes()) + size(b":path", head.target);
    let host = head.host.map_or(0, |host| size(b":authority", host));
    let fields = head.fields.iter().chain(&head.taken_out);
    line + size(b":scheme", scheme.as_bytes()) + host + fields.map(|it| size(it.name, it.value)).sum::<usize>()
}

/// What a head said, once it has left the buffer.
struct Received<'g> {
    consumed: usize,
    framing: Framing,
    terms: Http1Terms,
    request: Request<'g>,
}

fn receive<'g>(client: &'g Client, generation: &'g Generation, head: RequestHead<'_>) -> Received<'g> {
    let mut terms = Http1Terms {
        minor: head.minor,
        head_request: head.method == "HEAD",
        close: !head.keep_alive || client.worker.drain.is_draining(),
    };
    let (consumed, framing) = (head.consumed, head.framing);
    let request = Request::new(client, generation, &Inbound::from_http1(head));
    terms.close |= client.life.is_last(request.started());
    Received { consumed, framing, terms, request }
}

#[cfg(test)]
mod tests;
