//! A try over HTTP/1.1.

use super::{
    ExchangeError, Exchanged, MAX_INFORMATIONAL, Terms, Watched, hand_on, send_head, side_by_side, upload, upstream,
    while_wanted,
};
use crate::io::Reset;
use crate::io::fill::poll_fill;
use crate::message::body::{BodyError, BodySink, BodySource, PumpError, Tap, pump_for, while_there};
use crate::message::http1::{Http1Sink, Http1Source, READ_AHEAD};
use crate::message::reply::ReplySink;
use crate::upstream::{Http1Connection, UpstreamStream};
use codec::{Framing, Parsed, WireError, parse_response};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;

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
    terms.outbound.write_head(scratch);
    let mut sink = Http1Sink::new(stream, scratch, terms.outbound.framing);
    let whole = source.is_whole();
    let uploaded = Cell::new(whole);
    let stream: &RefCell<UpstreamStream> = stream;
    let sending = Sending { stream, sent: Cell::new(false) };
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
                    hand_on(&mut body, client, terms).await?;
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
        let mut tap = Watched { tap, progress: terms.progress };
        let uploaded = pump_for(&mut source.watch(), source, &mut sink, &mut tap).await;
        drop(tap);
        if let Err(PumpError::Source(error)) = uploaded {
            return Err(ExchangeError::Client(error));
        }
        sending.sent.set(true);
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
    let done = side_by_side(upload, download, &uploaded).await;
    sending.sent.set(uploaded.get() || done.as_ref().is_ok_and(|done| done.switched));
    done
}

/// A request on its way. Where it is broken off its connection ends at once: an end in order would stand behind bytes that its
/// backend may never take, and say that they are all.
struct Sending<'c> {
    stream: &'c RefCell<UpstreamStream>,
    sent: Cell<bool>,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if !self.sent.get() {
            self.stream.borrow().reset();
        }
    }
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
    // Lent: taken out it would be copied.
    let parsed = parse_response(bytes, terms.outbound.head_request, terms.max_head_fields);
    let head = match &parsed {
        Ok(Parsed::Partial) => return Ok(None),
        Ok(Parsed::Complete(head)) => head,
        Err(WireError::UnsupportedVersion) if terms.outbound.upgrade => return Err(ExchangeError::NotSwitched(None)),
        Err(error) => return Err(upstream(*error, true)),
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
            let given = terms.edited(head.status, &head.fields, |fields| client.switching(fields, protocol));
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
            send_head(client, head, terms, uploaded)?;
            Received::Final { status, framing: head.framing, keep_alive: head.keep_alive, consumed }
        }
    }))
}
