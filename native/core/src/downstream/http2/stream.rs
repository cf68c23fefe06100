//! One request of an HTTP/2 connection, as its life cycle sees it.

use super::reply::Http2Reply;
use crate::dispatch::{Switched, tunnel};
use crate::io::watchdog::Watchdog;
use crate::message::http2::Http2Source;
use crate::request::ClientStream;
use crate::worker::Worker;

/// The body and the response of one request.
pub struct Http2Stream {
    pub source: Http2Source,
    pub reply: Http2Reply,
}

impl ClientStream for Http2Stream {
    type Source = Http2Source;
    type Reply = Http2Reply;

    fn split(&mut self) -> (&mut Self::Source, &mut Self::Reply) {
        (&mut self.source, &mut self.reply)
    }

    async fn tunnel(&mut self, worker: &Worker, watchdog: &mut Watchdog, backend: Switched) -> (u64, u64) {
        self.source.begin_tunnel();
        match self.reply.sink() {
            Ok(Some(sink)) => tunnel::of_stream(worker, watchdog, &mut self.source, sink, backend).await,
            Ok(None) | Err(_) => (0, 0),
        }
    }
}
