//! A try over HTTP/2.

use super::{
    ExchangeError, Exchanged, Http2Tunnel, MAX_INFORMATIONAL, Terms, Watched, hand_on, send_head, side_by_side, upload,
    upstream, while_wanted,
};
use crate::dispatch::websocket_handshake;
use crate::message::body::{BodySource, Tap, unless_gone, while_there};
use crate::message::http2::{Http2Sink, Http2Source, fields_of};
use crate::message::reply::ReplySink;
use crate::upstream::Http2Handle;
use codec::{Field, FieldList, Framing, ResponseHead, WireError};
use http::HeaderMap;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Over a stream of an HTTP/2 connection. One that asks for a WebSocket needs a connection whose SETTINGS have come, and may
/// become a tunnel.
///
/// # Errors
/// [`ExchangeError`]; the connection stays in use unless it says otherwise itself.
pub async fn over_http2<Source: BodySource, Sink: ReplySink, T: Tap>(
    handle: &Http2Handle,
    terms: Terms<'_>,
    source: &mut Source,
    tap: &mut T,
    client: &mut Sink,
) -> Result<(Exchanged, Option<Box<Http2Tunnel>>), ExchangeError> {
    let upgrade = terms.outbound.upgrade;
    let request = terms.outbound.to_http2().map_err(|error| upstream(error, false))?;
    let mut sender = handle.sender.clone();
    let room = unless_gone(poll_fn(|context| sender.poll_ready(context)), |context| source.poll_gone(context)).await;
    room.map_err(ExchangeError::Client)?.map_err(unsent)?;
    if upgrade && !sender.is_extended_connect_protocol_enabled() {
        return Err(ExchangeError::NotSwitched(None));
    }
    let active = handle.begin();
    let empty = source.is_finished();
    let uploaded = Cell::new(empty);
    let (mut response, stream) = sender.send_request(request, empty && !upgrade).map_err(unsent)?;
    let tunnel = Cell::new(None);
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
        check_size(&parts.headers, terms).map_err(|error| upstream(error, true))?;
        let status = parts.status.as_u16();
        if terms.retries(status) {
            return Err(ExchangeError::RetryStatus(status));
        }
        terms.progress.answered();
        let mut fields = fields_of(&parts.headers);
        let announced_length = take_content_length(&mut fields).map_err(|error| upstream(error, true))?;
        if upgrade && parts.status.is_success() {
            switch(&fields, terms, client)?;
            client.flush().await.map_err(ExchangeError::Client)?;
            tunnel.set(Some(Http2Source::new(body)));
            return Ok(Exchanged { status: 101, reusable: false, switched: true });
        }
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
        send_head(client, &head, terms, uploaded.get())?;
        hand_on(&mut Http2Source::new(body), client, terms).await?;
        Ok(Exchanged { status, reusable: false, switched: false })
    });
    let mut sink = Http2Sink::upload(stream, handle.uploads());
    if empty {
        let done = while_wanted(source, download).await?;
        let tunnel = tunnel.take().map(|source| Box::new(Http2Tunnel { source, sink, _active: active }));
        return Ok((done, tunnel));
    }
    let mut tap = Watched { tap, progress: terms.progress };
    let result = side_by_side(pin!(upload(source, &mut sink, &mut tap, &uploaded)), download, &uploaded).await;
    if result.is_err() {
        sink.reset(h2::Reason::CANCEL);
    }
    result.map(|done| (done, None))
}

/// Tell the client that the tunnel is open. One of HTTP/1.1 wants an answer to its key, which the backend has not seen.
fn switch<Sink: ReplySink>(fields: &FieldList<'_>, terms: Terms<'_>, client: &mut Sink) -> Result<(), ExchangeError> {
    const ACCEPT: &[u8] = b"sec-websocket-accept";
    let key = if terms.outbound.connect { None } else { terms.outbound.websocket_key() };
    let accept = key.map(|key| websocket_handshake::accept(&key));
    let mut fields: FieldList<'_> = fields.iter().filter(|field| field.name != ACCEPT).copied().collect();
    if let Some(accept) = &accept {
        fields.push(Field { name: ACCEPT, value: accept });
    }
    let given = terms.edited(101, &fields, |fields| client.switching(fields, b"websocket"));
    given.map_err(ExchangeError::Client)
}

fn unsent(error: h2::Error) -> ExchangeError {
    ExchangeError::Unsent(error.into())
}

/// The limits of heads over HTTP/1.1, where a line takes four octets besides name and value.
fn check_size(headers: &HeaderMap, terms: Terms<'_>) -> Result<(), WireError> {
    let octets: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > terms.max_head_fields || octets > terms.max_head_bytes {
        return Err(WireError::HeadTooLarge);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::take_content_length;
    use codec::{Field, FieldList};

    /// One number or none, and it is no field any more.
    #[test]
    fn lengths() {
        for (values, wanted) in [
            (&[][..], Some(None)),
            (&["0"], Some(Some(0))),
            (&["18446744073709551615"], Some(Some(u64::MAX))),
            (&["18446744073709551616"], None),
            (&["2", "2"], None),
            (&["2, 2"], None),
            (&[""], None),
            (&["-1"], None),
            (&["\u{661}"], None),
        ] {
            let length = |value: &'static str| Field { name: b"content-length", value: value.as_bytes() };
            let mut fields: FieldList<'_> = values.iter().map(|value| length(value)).collect();
            fields.push(Field { name: b"x", value: b"1" });
            assert_eq!(take_content_length(&mut fields).ok(), wanted, "{values:?}");
            if wanted.is_some() {
                assert_eq!(fields.iter().map(|field| field.name).collect::<Vec<_>>(), [b"x"], "{values:?}");
            }
        }
    }
}
