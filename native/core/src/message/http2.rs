//! HTTP/2 bodies on the streams of the `h2` crate, both directions and both sides.

use super::body::{BodyError, BodySink, BodySource, Piece, trailers_without};
use crate::upstream::Uploads;
use bytes::{Bytes, BytesMut};
use codec::is_forbidden_trailer;
use codec::{Field, FieldList};
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Reads one body. Flow control credit returns when a piece has been taken over.
#[derive(Debug)]
pub struct Http2Source {
    stream: RecvStream,
    lent: usize,
    finished: bool,
    trailers: Option<HeaderMap>,
}

impl Http2Source {
    pub fn new(stream: RecvStream) -> Self {
        let finished = stream.is_end_stream();
        Self { stream, lent: 0, finished, trailers: None }
    }

    /// Of a request that asks for a tunnel: what comes on the stream belongs to that, and not to the request.
    pub fn before_tunnel(stream: RecvStream) -> Self {
        Self { stream, lent: 0, finished: true, trailers: None }
    }

    /// The tunnel is open.
    pub fn begin_tunnel(&mut self) {
        self.finished = self.stream.is_end_stream();
    }

    fn give_back(&mut self) {
        if self.lent > 0 {
            // Fails only on a stream that is gone already.
            let _ = self.stream.flow_control().release_capacity(std::mem::take(&mut self.lent));
        }
    }
}

impl BodySource for Http2Source {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        self.give_back();
        if self.finished {
            return Ok(None);
        }
        match poll_fn(|context| self.stream.poll_data(context)).await {
            Some(Ok(data)) => {
                self.lent = data.len();
                self.finished = self.stream.is_end_stream();
                Ok(Some(Piece::Shared(data)))
            }
            Some(Err(error)) => Err(error.into()),
            None => {
                self.finished = true;
                self.trailers = poll_fn(|context| self.stream.poll_trailers(context)).await?.map(without_forbidden);
                Ok(None)
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

fn without_forbidden(trailers: HeaderMap) -> HeaderMap {
    trailers_without(trailers, is_forbidden_trailer)
}

/// Pieces that come while others are held back are joined up to this size, the largest frame that every peer takes. `h2`
/// keeps some hundred bytes for each frame that waits, and counts only those of the body.
const JOINED: usize = 16 * 1024;

/// Writes one body. The newest piece is held back until flush or finish, so that the last one carries `END_STREAM`.
#[derive(Debug)]
pub struct Http2Sink {
    stream: SendStream<Bytes>,
    held: Bytes,
    /// Joined pieces; one of the two is empty.
    joined: BytesMut,
    /// Of the connection to a backend.
    uploads: Option<Rc<Uploads>>,
}

impl Http2Sink {
    pub fn new(stream: SendStream<Bytes>) -> Self {
        Self { stream, held: Bytes::new(), joined: BytesMut::new(), uploads: None }
    }

    /// Of a request to a backend.
    pub fn upload(stream: SendStream<Bytes>, uploads: Rc<Uploads>) -> Self {
        Self { uploads: Some(uploads), ..Self::new(stream) }
    }

    pub fn reset(&mut self, reason: h2::Reason) {
        self.stream.send_reset(reason);
    }

    /// End the body at once, with what is held back only where the peer's window has room for it.
    pub fn break_off(&mut self, trailers: HeaderMap) -> Result<(), BodyError> {
        let held = self.take_held();
        if !held.is_empty() {
            self.stream.reserve_capacity(held.len());
            if self.stream.capacity() >= held.len() {
                self.stream.send_data(held, false)?;
            }
        }
        Ok(self.stream.send_trailers(trailers)?)
    }

    fn take_held(&mut self) -> Bytes {
        if self.joined.is_empty() { std::mem::take(&mut self.held) } else { self.joined.split().freeze() }
    }

    async fn send(&mut self, mut data: Bytes, end: bool) -> Result<(), BodyError> {
        loop {
            self.stream.reserve_capacity(data.len());
            let mut capacity = self.stream.capacity();
            while capacity == 0 && !data.is_empty() {
                let _waiting = self.uploads.as_ref().map(Uploads::wait);
                capacity = match poll_fn(|context| self.stream.poll_capacity(context)).await {
                    Some(granted) => granted?,
                    None => return Err(BodyError::Truncated),
                };
            }
            if capacity >= data.len() {
                return Ok(self.stream.send_data(data, end)?);
            }
            self.stream.send_data(data.split_to(capacity), false)?;
        }
    }
}

impl BodySink for Http2Sink {
    async fn write(&mut self, piece: Piece<'_>) -> Result<(), BodyError> {
        let (held, size) = (self.held.len() + self.joined.len(), piece.as_slice().len());
        if held == 0 || held + size > JOINED {
            self.flush().await?;
            self.held = piece.into_bytes();
            return Ok(());
        }
        if self.joined.is_empty() {
            self.joined.extend_from_slice(&std::mem::take(&mut self.held));
        }
        self.joined.extend_from_slice(piece.as_slice());
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        let held = self.take_held();
        if held.is_empty() {
            return Ok(());
        }
        self.send(held, false).await
    }

    async fn finish(&mut self, trailers: Option<HeaderMap>) -> Result<(), BodyError> {
        if let Some(trailers) = trailers {
            self.flush().await?;
            Ok(self.stream.send_trailers(trailers)?)
        } else {
            let held = self.take_held();
            self.send(held, true).await
        }
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        self.stream.poll_reset(context).map(gone)
    }
}

/// A reset as the error of a body.
pub fn gone(reset: Result<h2::Reason, h2::Error>) -> BodyError {
    match reset {
        Ok(reason) => BodyError::Http2(reason.into()),
        Err(error) => BodyError::Http2(error),
    }
}

/// The fields of an HTTP/2 head, borrowed. Blanks at the ends of values, which no sender may write (RFC 9113 section 8.2.1), are
/// left out as those of HTTP/1.1 are: the next hop would take them out, so what is matched, counted and compared has none.
pub fn fields_of(headers: &http::HeaderMap) -> FieldList<'_> {
    headers
        .iter()
        .map(|(name, value)| Field { name: name.as_str().as_bytes(), value: value.as_bytes().trim_ascii() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{fields_of, without_forbidden};
    use http::HeaderMap;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    /// RFC 9110 section 6.5.1, and what only we say in a head.
    #[test]
    fn trailers_lose_what_they_may_not_have() {
        let good = map(&[("grpc-status", "0"), ("x", "1"), ("x", "2")]);
        assert_eq!(without_forbidden(good.clone()), good);
        let mut bad = good.clone();
        for name in ["content-length", "transfer-encoding", "host", "authorization", "x-forwarded-for", "x_real_ip"] {
            bad.append(name, "1".parse().unwrap());
        }
        assert_eq!(without_forbidden(bad), good);
    }

    #[test]
    fn every_field_is_there_in_its_order_without_blanks_around_it() {
        let map = map(&[("b", " 1"), ("a", "2\t "), ("b", "3")]);
        let fields: Vec<_> = fields_of(&map).iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        let expected = [("b", "1"), ("b", "3"), ("a", "2")];
        assert_eq!(fields, expected.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())));
    }
}
