//! One try at one backend: send the request, hand the response on.
//!
//! Sending and receiving run side by side in the client's own task, because a backend may answer before the request is
//! whole, and a client may wait for the answer before it sends on. A request that stands whole in the buffer is sent
//! first and needs none of that.

use super::body::{BodyError, BodySink, BodySource, PumpError, Tap, pump, while_there};
use super::http1_io::{Http1Sink, Http1Source, READ_AHEAD};
use super::http2_io::{Http2Sink, Http2Source};
use super::outbound::Outbound;
use super::reply::{Reply, ReplySink};
use super::response::ResponseEdits;
use super::watchdog::Progress;
use crate::fill::poll_fill;
use crate::upstream::{Http1Connection, Http2Handle};
use codec::{Field, FieldList, Framing, Parsed, ResponseHead, WireError, parse_response};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Informational responses before the final one; more keep a client waiting for nothing.
const MAX_INFORMATIONAL: usize = 16;

/// Why a try ended without a whole response.
#[derive(Debug)]
pub enum ExchangeError {
    /// The client went away or broke its own request.
    Client(BodyError),
    /// The connection takes no further request: nothing was sent, and the body is untouched.
    Unsent(BodyError),
    /// The backend's connection failed. `answered`: some byte of a response had come.
    Upstream { error: BodyError, answered: bool },
    /// The response has a status that the rule wants retried; nothing was handed on.
    RetryStatus(u16),
    /// Instead of switching protocols the backend answered with a 2xx, which the client would take for the switch, or in
    /// HTTP/2 (`None`); nothing was handed on.
    NotSwitched(Option<u16>),
}

/// A response that was handed on whole.
#[derive(Debug, Default, Clone, Copy)]
pub struct Exchanged {
    pub status: u16,
    /// The upstream connection can take another request.
    pub reusable: bool,
    /// The backend switched protocols: the caller tunnels now.
    pub switched: bool,
}

/// What an exchange needs to know besides its two ends.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'x> {
    pub outbound: &'x Outbound,
    pub edits: &'x ResponseEdits<'x>,
    /// Statuses that end the try with `RetryStatus`; empty on the last one.
    pub retry_codes: &'x [u16],
    pub progress: &'x Progress,
    /// Bytes that the head of a response may have.
    pub max_head_bytes: usize,
}

impl Terms<'_> {
    /// This status ends the try; only while the whole request can be sent again, whatever was sent meanwhile.
    fn retries(&self, status: u16) -> bool {
        self.retry_codes.contains(&status) && !self.progress.is_spent()
    }
}

/// Over an HTTP/1.1 connection. `scratch` is where the request is put together.
///
/// # Errors
/// [`ExchangeError`]; the connection is then not to be used again.
pub async fn over_http1<Source: BodySource, Sink: ReplySink, T: Tap>(
    connection: &mut Http1Connection,
    scratch: &mut Vec<u8>,
    terms: Terms<'_>,
    source: &mut Source,
    tap: &mut T,
    client: &mut Sink,
) -> Result<Exchanged, ExchangeError> {
    let Http1Connection { stream, buffer, .. } = connection;
    scratch.clear();
    scratch.extend_from_slice(&terms.outbound.head);
    let mut sink = Http1Sink::new(stream, scratch, terms.outbound.framing);
    let whole = source.is_whole();
    let uploaded = Cell::new(whole);
    // Pinned here and lent, as what is given by value is kept twice.
    let download = pin!(async {
        let mut informational = 0;
        loop {
            let received =
                if buffer.is_empty() { None } else { take_head(buffer.filled(), terms, uploaded.get(), client)? };
            match received {
                Some(Received::Informational(consumed)) => {
                    client.flush().await.map_err(ExchangeError::Client)?;
                    buffer.consume(consumed);
                    informational += 1;
                    if informational > MAX_INFORMATIONAL {
                        return Err(upstream(WireError::Malformed("too many informational responses"), true));
                    }
                    continue;
                }
                Some(Received::Switched(consumed)) => {
                    client.flush().await.map_err(ExchangeError::Client)?;
                    buffer.consume(consumed);
                    return Ok(Exchanged { status: 101, reusable: false, switched: true });
                }
                Some(Received::Final { status, framing, keep_alive, consumed }) => {
                    buffer.consume(consumed);
                    let mut body = Http1Source::new(stream, buffer, framing);
                    hand_on(&mut body, client, terms.progress).await?;
                    drop(body);
                    // Who was asked to switch and did not may still read what comes next in another way.
                    let reusable = keep_alive && buffer.is_empty() && !terms.outbound.upgrade;
                    return Ok(Exchanged { status, reusable, switched: false });
                }
                None => {}
            }
            let answered = !buffer.is_empty();
            if buffer.len() >= terms.max_head_bytes {
                return Err(upstream(WireError::HeadTooLarge, true));
            }
            let limit = READ_AHEAD.max(terms.max_head_bytes);
            let fill = poll_fn(|context| poll_fill(buffer, &mut *stream.borrow_mut(), context, limit));
            match while_there(client, fill).await.map_err(ExchangeError::Client)? {
                Ok(0) => return Err(upstream(BodyError::Truncated, answered)),
                Ok(_) => terms.progress.made(),
                Err(error) => return Err(upstream(error, answered)),
            }
        }
    });
    if whole {
        let uploaded = pump(source, &mut sink, &mut Watched { tap, progress: terms.progress }).await;
        if let Err(PumpError::Source(error)) = uploaded {
            return Err(ExchangeError::Client(error));
        }
        // A backend that refuses the body may still say why: its answer is read whatever the write said.
        let done = while_wanted(source, download).await?;
        return Ok(Exchanged { reusable: done.reusable && uploaded.is_ok(), ..done });
    }
    let mut tap = Watched { tap, progress: terms.progress };
    let upload = pin!(async {
        // The head leaves at once: what it asks for (100-continue, an early answer) may come before the body does.
        if let Err(error) = sink.flush().await {
            return Err(PumpError::Sink(error));
        }
        upload(source, &mut sink, &mut tap, &uploaded).await
    });
    side_by_side(upload, download, &uploaded).await
}

/// A head that was taken and handed on; the number is its length.
enum Received {
    Informational(usize),
    Switched(usize),
    Final { status: u16, framing: Framing, keep_alive: bool, consumed: usize },
}

/// Take the head at the start of `bytes`, if it is whole, and give it to the client. `uploaded`: the request is through.
fn take_head<Sink: ReplySink>(
    bytes: &[u8],
    terms: Terms<'_>,
    uploaded: bool,
    client: &mut Sink,
) -> Result<Option<Received>, ExchangeError> {
    let head = match parse_response(bytes, terms.outbound.head_request) {
        Ok(Parsed::Partial) => return Ok(None),
        Ok(Parsed::Complete(head)) => head,
        Err(WireError::UnsupportedVersion) if terms.outbound.upgrade => return Err(ExchangeError::NotSwitched(None)),
        Err(error) => return Err(upstream(error, true)),
    };
    let consumed = head.consumed;
    if consumed > terms.max_head_bytes {
        return Err(upstream(WireError::HeadTooLarge, true));
    }
    Ok(Some(match head.status {
        101 => {
            let Some(protocol) = head.upgrade.filter(|_| terms.outbound.upgrade) else {
                return Err(upstream(WireError::Malformed("101 without a request to upgrade"), true));
            };
            let given = terms.edits.with(&head.fields, |fields| client.switching(fields, protocol));
            given.map_err(ExchangeError::Client)?;
            Received::Switched(consumed)
        }
        100..=199 => {
            client.informational(head.status, &head.fields).map_err(ExchangeError::Client)?;
            Received::Informational(consumed)
        }
        status if terms.retries(status) => return Err(ExchangeError::RetryStatus(status)),
        status if terms.outbound.connect && status < 300 => {
            return Err(ExchangeError::NotSwitched(Some(status)));
        }
        status => {
            terms.progress.answered();
            send_head(client, &head, terms.edits, uploaded)?;
            Received::Final { status, framing: head.framing, keep_alive: head.keep_alive, consumed }
        }
    }))
}

/// Over a stream of an HTTP/2 connection.
///
/// # Errors
/// [`ExchangeError`]; the connection stays in use unless it says otherwise itself.
pub async fn over_http2<Source: BodySource, Sink: ReplySink, T: Tap>(
    handle: &Http2Handle,
    terms: Terms<'_>,
    source: &mut Source,
    tap: &mut T,
    client: &mut Sink,
) -> Result<Exchanged, ExchangeError> {
    let request = terms.outbound.to_http2().map_err(|error| upstream(error, false))?;
    let mut sender = handle.sender.clone();
    poll_fn(|context| sender.poll_ready(context)).await.map_err(unsent)?;
    let _active = handle.begin();
    let empty = source.is_finished();
    let uploaded = Cell::new(empty);
    let (mut response, stream) = sender.send_request(request, empty).map_err(unsent)?;
    let download = pin!(async {
        let mut informational = 0;
        let response = loop {
            let event = poll_fn(|context| {
                if let Poll::Ready(Some(event)) = response.poll_informational(context) {
                    return Poll::Ready(event.map(Ok));
                }
                Pin::new(&mut response).poll(context).map_ok(Err)
            });
            let event = while_there(client, event).await.map_err(ExchangeError::Client)?;
            match event.map_err(|error| upstream(error, false))? {
                Ok(interim) => {
                    informational += 1;
                    if informational > MAX_INFORMATIONAL {
                        return Err(upstream(WireError::Malformed("too many informational responses"), true));
                    }
                    let status = interim.status().as_u16();
                    if status == 101 {
                        // No such thing in HTTP/2 (RFC 9113 section 8.6), but a client of HTTP/1.1 would believe it.
                        return Err(upstream(WireError::Malformed("101 over HTTP/2"), true));
                    }
                    let mut fields = fields_of(interim.headers());
                    take_content_length(&mut fields).map_err(|error| upstream(error, true))?;
                    client.informational(status, &fields).map_err(ExchangeError::Client)?;
                    client.flush().await.map_err(ExchangeError::Client)?;
                }
                Err(response) => break response,
            }
        };
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        if terms.retries(status) {
            return Err(ExchangeError::RetryStatus(status));
        }
        terms.progress.answered();
        let mut fields = fields_of(&parts.headers);
        let announced_length = take_content_length(&mut fields).map_err(|error| upstream(error, true))?;
        let bodyless = terms.outbound.head_request || body.is_end_stream() || status == 204 || status == 304;
        let framing = match announced_length {
            _ if bodyless => Framing::Empty,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        let head = ResponseHead {
            status,
            reason: b"",
            fields,
            framing,
            announced_length,
            keep_alive: true,
            upgrade: None,
            consumed: 0,
        };
        send_head(client, &head, terms.edits, uploaded.get())?;
        hand_on(&mut Http2Source::new(body), client, terms.progress).await?;
        Ok(Exchanged { status, reusable: false, switched: false })
    });
    if empty {
        return while_wanted(source, download).await;
    }
    let mut sink = Http2Sink::upload(stream, handle.uploads());
    let mut tap = Watched { tap, progress: terms.progress };
    let result = side_by_side(pin!(upload(source, &mut sink, &mut tap, &uploaded)), download, &uploaded).await;
    if result.is_err() {
        sink.reset(h2::Reason::CANCEL);
    }
    result
}

/// Send the whole body, then watch whether who sent it still waits. Ends in an error, or never.
async fn upload<Source: BodySource, Sink: BodySink, T: Tap>(
    source: &mut Source,
    sink: &mut Sink,
    tap: &mut T,
    uploaded: &Cell<bool>,
) -> Result<Infallible, PumpError> {
    pump(source, sink, tap).await?;
    uploaded.set(true);
    Err(PumpError::Source(poll_fn(|context| source.poll_gone(context)).await))
}

/// Poll both until the response is through. The upload's end is not waited for: a backend may answer early.
async fn side_by_side(
    mut upload: Pin<&mut impl Future<Output = Result<Infallible, PumpError>>>,
    mut download: Pin<&mut impl Future<Output = Result<Exchanged, ExchangeError>>>,
    uploaded: &Cell<bool>,
) -> Result<Exchanged, ExchangeError> {
    let mut polling = true;
    poll_fn(|context| {
        if let Poll::Ready(result) = download.as_mut().poll(context) {
            // A backend that answers before it has the whole request will not read the rest as a request's end.
            return Poll::Ready(result.map(|done| Exchanged { reusable: done.reusable && uploaded.get(), ..done }));
        }
        let before = uploaded.get();
        if polling && let Poll::Ready(Err(error)) = upload.as_mut().poll(context) {
            polling = false;
            if let PumpError::Source(error) = error {
                return Poll::Ready(Err(ExchangeError::Client(error)));
            }
            context.waker().wake_by_ref();
        }
        if uploaded.get() != before {
            // The upload's last write may have been what the download waits for.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

/// Wait for the response for as long as who sent the request does.
async fn while_wanted<Source: BodySource>(
    source: &mut Source,
    mut download: Pin<&mut impl Future<Output = Result<Exchanged, ExchangeError>>>,
) -> Result<Exchanged, ExchangeError> {
    poll_fn(|context| match download.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => source.poll_gone(context).map(|gone| Err(ExchangeError::Client(gone))),
    })
    .await
}

/// An answer before the request is through may be the last thing that the client's connection carries: it is told so, as
/// nobody can say whether the rest will ever be read (RFC 9112 section 9.3).
fn send_head<Sink: ReplySink>(
    client: &mut Sink,
    head: &ResponseHead<'_>,
    edits: &ResponseEdits<'_>,
    uploaded: bool,
) -> Result<(), ExchangeError> {
    if !uploaded {
        client.end_connection();
    }
    edits
        .with(&head.fields, |fields| {
            client.head(&Reply {
                status: head.status,
                reason: head.reason,
                fields,
                framing: head.framing,
                announced_length: head.announced_length,
            })
        })
        .map_err(ExchangeError::Client)
}

/// Pump the response body to the client.
async fn hand_on<Source: BodySource, Sink: ReplySink>(
    body: &mut Source,
    client: &mut Sink,
    progress: &Progress,
) -> Result<(), ExchangeError> {
    progress.give(true);
    match pump(body, client, &mut Given { progress }).await {
        Ok(_) => Ok(()),
        Err(PumpError::Source(error)) => {
            // What came before the end is the client's: a head that it has seen tells more than a closed connection.
            client.flush().await.map_err(ExchangeError::Client)?;
            Err(upstream(error, true))
        }
        Err(PumpError::Sink(error)) => Err(ExchangeError::Client(error)),
    }
}

fn unsent(error: h2::Error) -> ExchangeError {
    ExchangeError::Unsent(error.into())
}

fn upstream(error: impl Into<BodyError>, answered: bool) -> ExchangeError {
    ExchangeError::Upstream { error: error.into(), answered }
}

/// The fields of an HTTP/2 head, borrowed.
pub fn fields_of(headers: &http::HeaderMap) -> FieldList<'_> {
    headers.iter().map(|(name, value)| Field { name: name.as_str().as_bytes(), value: value.as_bytes() }).collect()
}

/// One number or none, as over HTTP/1.1; `h2` lets equal ones pass.
fn take_content_length(fields: &mut FieldList<'_>) -> Result<Option<u64>, WireError> {
    const BAD: WireError = WireError::Malformed("Content-Length is not one number");
    let is_length = |field: &Field<'_>| field.name == b"content-length";
    let mut lengths = fields.iter().filter(|field| is_length(field)).map(|field| field.value);
    let Some(value) = lengths.next() else {
        return Ok(None);
    };
    if lengths.next().is_some() {
        return Err(BAD);
    }
    fields.retain(|field| !is_length(field));
    let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
    length.map(Some).ok_or(BAD)
}

/// Every piece of a response that passes is progress, and is given to the client until it has all that there is.
struct Given<'t> {
    progress: &'t Progress,
}

impl Tap for Given<'_> {
    fn piece(&mut self, _: &super::body::Piece<'_>) {
        self.progress.made();
        self.progress.give(true);
    }

    fn end(&mut self) {}

    fn waits(&mut self) {
        self.progress.give(false);
    }
}

/// Every piece of a request that passes is progress. Its client is waited for once the other side has all that it sent.
pub struct Watched<'t, T> {
    pub tap: &'t mut T,
    pub progress: &'t Progress,
}

impl<T: Tap> Tap for Watched<'_, T> {
    fn piece(&mut self, piece: &super::body::Piece<'_>) {
        self.progress.sent();
        self.progress.await_body(false);
        self.tap.piece(piece);
    }

    fn end(&mut self) {
        self.progress.await_body(false);
        self.tap.end();
    }

    async fn settle(&mut self) {
        self.tap.settle().await;
    }

    fn waits(&mut self) {
        self.progress.sent();
        self.progress.await_body(true);
    }
}

/// Whatever ended the upload, its client is waited for no longer.
impl<T> Drop for Watched<'_, T> {
    fn drop(&mut self) {
        self.progress.await_body(false);
    }
}
