//! Mirrored requests: a copy of what the backend gets, whose response nobody waits for (GEP-3171).
//!
//! A mirror never holds up the request it copies: its body goes through a bounded queue, and a mirror that falls behind
//! is abandoned and counted.

use super::body::{BodyError, BodySource, Piece, Tap};
use super::client::Client;
use super::exchange::{self, Terms};
use super::outbound::Outbound;
use super::plan::Forward;
use super::reply::{Reply, ReplySink};
use super::response::ResponseEdits;
use super::watchdog::Progress;
use crate::runtime::Worker;
use crate::table::Field;
use crate::upstream::{Connection, EndpointState, Route};
use bytes::Bytes;
use http::HeaderMap;
use smallvec::SmallVec;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces of a body that wait for a mirror.
const QUEUE: usize = 16;

/// Mirrored requests under way in one worker; further ones are not mirrored.
const MAX_ACTIVE: usize = 1024;

/// A mirror is given this long as a whole.
const LIMIT: Duration = Duration::from_secs(30);

/// The mirrors of one request.
#[derive(Debug, Default)]
pub struct Mirrors {
    queues: SmallVec<[mpsc::Sender<Bytes>; 2]>,
}

impl Mirrors {
    /// Start a task for each mirror that fires.
    pub fn start(client: &Client, forward: &Forward<'_>) -> Self {
        let mut queues = SmallVec::new();
        for mirror in &forward.mirrors {
            let worker = &client.worker;
            if worker.mirrors.get() >= MAX_ACTIVE {
                worker.metrics.mirror_dropped();
                continue;
            }
            let Some((_, state)) = worker.upstreams.pick(mirror.endpoints, &[]) else {
                continue;
            };
            let (sender, receiver) = mpsc::channel(QUEUE);
            queues.push(sender);
            tokio::task::spawn_local(send(Job {
                active: Active::begin(Rc::clone(worker)),
                state,
                route: mirror.route.clone(),
                // Nobody is there to speak another protocol with the mirror.
                outbound: Outbound { tls: mirror.route.tls.is_some(), ..forward.outbound.without_upgrade() },
                body: QueuedBody {
                    queue: receiver,
                    piece: Bytes::new(),
                    finished: forward.outbound.framing.is_empty(),
                },
            }));
        }
        Self { queues }
    }
}

/// Give every mirror its copy; drop the ones that cannot take it.
impl Tap for Mirrors {
    fn piece(&mut self, piece: &Piece<'_>) {
        if !self.queues.is_empty() {
            let bytes = piece.clone().into_bytes();
            self.queues.retain(|queue| queue.try_send(bytes.clone()).is_ok());
        }
    }

    fn end(&mut self) {
        for queue in self.queues.drain(..) {
            // An empty piece is the end of a whole body; a queue that just closes is a body that broke.
            let _ = queue.try_send(Bytes::new());
        }
    }
}

struct Job {
    active: Active,
    state: Rc<EndpointState>,
    route: Route,
    outbound: Outbound,
    body: QueuedBody,
}

async fn send(mut job: Job) {
    let worker = &job.active.0;
    let attempt = async {
        let Ok((connection, _)) = worker.upstreams.acquire(&job.state, &job.route, false).await else {
            return false;
        };
        let terms = Terms {
            outbound: &job.outbound,
            edits: &ResponseEdits::default(),
            retry_codes: &[],
            progress: &Progress::default(),
        };
        match connection {
            Connection::Http1(mut connection) => {
                let mut scratch = Vec::new();
                let done =
                    exchange::over_http1(&mut connection, &mut scratch, terms, &mut job.body, &mut (), &mut Discard)
                        .await;
                match done {
                    Ok(done) if done.reusable => worker.upstreams.release(&job.state, connection),
                    Ok(_) => {}
                    Err(_) => return false,
                }
                true
            }
            Connection::Http2(handle) => {
                exchange::over_http2(&handle, terms, &mut job.body, &mut (), &mut Discard).await.is_ok()
            }
        }
    };
    let sent = tokio::time::timeout(LIMIT, attempt).await.unwrap_or(false);
    worker.metrics.mirrored(sent);
}

/// Counts the mirrors under way.
struct Active(Rc<Worker>);

impl Active {
    fn begin(worker: Rc<Worker>) -> Self {
        worker.mirrors.set(worker.mirrors.get() + 1);
        Self(worker)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.mirrors.set(self.0.mirrors.get().saturating_sub(1));
    }
}

/// A body that comes through the queue.
struct QueuedBody {
    queue: mpsc::Receiver<Bytes>,
    piece: Bytes,
    finished: bool,
}

impl BodySource for QueuedBody {
    async fn next(&mut self) -> Result<Option<Piece<'_>>, BodyError> {
        if self.finished {
            return Ok(None);
        }
        match self.queue.recv().await {
            None => Err(BodyError::Truncated),
            Some(piece) if piece.is_empty() => {
                self.finished = true;
                Ok(None)
            }
            Some(piece) => {
                self.piece = piece;
                Ok(Some(Piece::Borrowed(&self.piece)))
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.finished
    }

    fn take_trailers(&mut self) -> Option<HeaderMap> {
        None
    }
}

/// Takes a response and keeps nothing of it.
struct Discard;

impl super::body::BodySink for Discard {
    async fn write(&mut self, _: Piece<'_>) -> Result<(), BodyError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BodyError> {
        Ok(())
    }

    async fn finish(&mut self, _: Option<HeaderMap>) -> Result<(), BodyError> {
        Ok(())
    }
}

impl ReplySink for Discard {
    fn informational(&mut self, _: u16, _: &[Field<'_>]) -> Result<(), BodyError> {
        Ok(())
    }

    fn switching(&mut self, _: &[Field<'_>], _: &[u8]) -> Result<(), BodyError> {
        Ok(())
    }

    fn head(&mut self, _: &Reply<'_>) -> Result<(), BodyError> {
        Ok(())
    }

    fn head_sent(&self) -> bool {
        false
    }

    fn body_bytes(&self) -> u64 {
        0
    }
}
