//! One request of an HTTP/1.1 connection, as its life cycle sees it.

use super::reply::{Http1Reply, Http1Terms};
use crate::dispatch::{Switched, tunnel};
use crate::io::Reset;
use crate::io::watchdog::Watchdog;
use crate::message::body::BodySource;
use crate::message::http1::Http1Source;
use crate::message::reply::ReplySink;
use crate::request::ClientStream;
use crate::worker::{Drain, Worker};
use codec::{Buffer, Framing};
use std::cell::RefCell;
use tokio::io::{AsyncRead, AsyncWrite};

/// The body and the response of one request.
pub struct Http1Stream<'c, S> {
    stream: &'c RefCell<S>,
    source: Http1Source<'c, S>,
    reply: Http1Reply<'c, S>,
}

/// What is to be known of a request that is over.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    /// The connection ends with it.
    pub close: bool,
    /// Nothing but the end of the connection tells the client where the body ends.
    pub ends_with_connection: bool,
    /// All of its body was read.
    pub whole: bool,
    /// Octets of its response's body.
    pub given: u64,
}

impl<'c, S: AsyncRead + AsyncWrite + Reset + Unpin> Http1Stream<'c, S> {
    /// `buffer`: what was read behind the head. `out` and `drain`: as of [`Http1Reply::new`].
    pub fn new(
        stream: &'c RefCell<S>,
        buffer: &'c mut Buffer,
        out: &'c mut Vec<u8>,
        drain: &'c Drain,
        framing: Framing,
        terms: Http1Terms,
    ) -> Self {
        let source = Http1Source::new(stream, buffer, framing);
        Self { stream, source, reply: Http1Reply::new(stream, out, drain, terms) }
    }

    /// Read what is left of a body that stands whole in the buffer.
    pub async fn end(mut self) -> Over {
        let whole = self.source.is_finished() || (self.source.is_whole() && discard(&mut self.source).await);
        Over {
            close: self.reply.terms.close,
            ends_with_connection: self.reply.ends_with_connection(),
            whole,
            given: self.reply.body_bytes(),
        }
    }
}

impl<'c, S: AsyncRead + AsyncWrite + Reset + Unpin> ClientStream for Http1Stream<'c, S> {
    type Source = Http1Source<'c, S>;
    type Reply = Http1Reply<'c, S>;

    fn split(&mut self) -> (&mut Self::Source, &mut Self::Reply) {
        (&mut self.source, &mut self.reply)
    }

    async fn tunnel(&mut self, worker: &Worker, watchdog: &mut Watchdog, backend: Switched) -> (u64, u64) {
        tunnel::of_connection(worker, watchdog, self.stream, self.source.ahead(), backend).await
    }
}

async fn discard(source: &mut impl BodySource) -> bool {
    loop {
        match source.next().await {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}
