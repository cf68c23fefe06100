//! One try at one backend: send the request, hand the response on.
//!
//! Sending and receiving run side by side in the client's own task, because a backend may answer before the request is
//! whole, and a client may wait for the answer before it sends on. A request that stands whole in the buffer is sent
//! first and needs none of that.

mod http1;
mod http2;

pub use http1::over_http1;
pub use http2::over_http2;

use super::outbound::Outbound;
use crate::io::watchdog::Progress;
use crate::message::body::{BodyError, BodySink, BodySource, PumpError, Tap, pump, pump_for, trailers_without};
use crate::message::http2::{Http2Sink, Http2Source};
use crate::message::reply::{Reply, ReplySink};
use crate::message::response_filters::ResponseEdits;
use crate::message::session::SessionField;
use crate::upstream::{ActiveStream, Http1Connection};
use codec::{Field, ResponseHead};
use http::HeaderMap;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use tokio::time::Instant;

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
    /// Instead of switching protocols the backend answered with a 2xx, which the client would take for the switch, or speaks
    /// HTTP/2 only and takes no tunnels over it (`None`); nothing was handed on.
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

/// What a backend gives up for a tunnel.
#[derive(Debug)]
pub enum Switched {
    /// After a 101.
    Http1(Box<Http1Connection>),
    /// After a 2xx to extended CONNECT (RFC 8441).
    Http2(Box<Http2Tunnel>),
}

/// One stream of a connection to a backend.
#[derive(Debug)]
pub struct Http2Tunnel {
    pub source: Http2Source,
    pub sink: Http2Sink,
    /// It is one of those that the connection carries.
    pub(super) _active: ActiveStream,
}

/// What an exchange needs to know besides its two ends.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'x> {
    pub outbound: &'x Outbound,
    pub edits: &'x ResponseEdits<'x>,
    /// What the client is told of its session, behind all edits.
    pub session: Option<&'x SessionField>,
    /// Statuses that end the try with `RetryStatus`; empty on the last one.
    pub retry_codes: &'x [u16],
    /// Then it is the last one all the same.
    pub retry_until: Option<Instant>,
    pub progress: &'x Progress,
    /// Bytes that the head of a response may have.
    pub max_head_bytes: usize,
    /// Fields that it may have.
    pub max_head_fields: usize,
}

impl Terms<'_> {
    /// Call `then` with the fields of a response as its client gets them.
    fn edited<R>(&self, status: u16, fields: &[Field<'_>], then: impl FnOnce(&[Field<'_>]) -> R) -> R {
        self.edits.with(status, fields, |fields| match self.session {
            None => then(fields),
            Some(told) => told.among(fields, then),
        })
    }

    /// This status ends the try; only while the whole request can be sent again, whatever was sent meanwhile.
    fn retries(&self, status: u16) -> bool {
        self.retry_codes.contains(&status)
            && !self.progress.is_spent()
            && self.retry_until.is_none_or(|until| Instant::now() <= until)
    }
}

/// Send the whole body, then watch whether who sent it still waits. Ends in an error, or never.
async fn upload<Source: BodySource, Sink: BodySink, T: Tap>(
    source: &mut Source,
    sink: &mut Sink,
    tap: &mut T,
    uploaded: &Cell<bool>,
) -> Result<Infallible, PumpError> {
    pump_for(&mut source.watch(), source, sink, tap).await?;
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
    terms: Terms<'_>,
    uploaded: bool,
) -> Result<(), ExchangeError> {
    if !uploaded {
        client.end_connection();
    }
    terms
        .edited(head.status, &head.fields, |fields| {
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
    terms: Terms<'_>,
) -> Result<(), ExchangeError> {
    terms.progress.give(true);
    match pump(body, client, &mut Given { progress: terms.progress, edits: terms.edits }).await {
        Ok(_) => Ok(()),
        Err(PumpError::Source(error)) => {
            // What came before the end is the client's: a head that it has seen tells more than a closed connection.
            client.flush().await.map_err(ExchangeError::Client)?;
            Err(upstream(error, true))
        }
        Err(PumpError::Sink(error)) => Err(ExchangeError::Client(error)),
    }
}

fn upstream(error: impl Into<BodyError>, answered: bool) -> ExchangeError {
    ExchangeError::Upstream { error: error.into(), answered }
}

/// Every piece of a response that passes is progress, and is given to the client until it has all that there is.
struct Given<'t> {
    progress: &'t Progress,
    edits: &'t ResponseEdits<'t>,
}

impl Tap for Given<'_> {
    fn piece(&mut self, _: &crate::message::body::Piece<'_>) {
        self.progress.made();
        self.progress.give(true);
    }

    fn end(&mut self) {}

    /// Some take a trailer for a field of the head, and then the backend would have the last word (RFC 9110 section 6.5.1).
    fn trailers(&mut self, trailers: HeaderMap) -> HeaderMap {
        trailers_without(trailers, |name| self.edits.withholds(name))
    }

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
    fn piece(&mut self, piece: &crate::message::body::Piece<'_>) {
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

#[cfg(test)]
mod tests;
