//! Whether the peer of an HTTP/2 connection is still there: it is asked by PING (RFC 9113 section 6.7) where streams are open
//! and nothing is heard of it. One that does not answer for as long again is given up, and its streams with it.
//!
//! TCP finds a machine that is gone; this finds a process that is, behind a system or a proxy that goes on acknowledging.

use super::around::{Around, stream};
use super::delivery::Delivery;
use super::frames::{DATA, FrameHeads, HEADERS};
use h2::{Ping, PingPong};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

/// A peer is looked at so many times within its limit of silence.
const LOOKS: u32 = 2;

/// When a peer is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pings {
    /// Silence after which it is asked, and within which it has to answer.
    pub silence: Duration,
    /// Least time between two questions without HEADERS or DATA between them: servers end connections that ask more often.
    pub between: Duration,
}

/// What is known of a peer.
#[derive(Debug, Default)]
pub struct Peer {
    heard: Cell<bool>,
    /// What it was given stands before a PING.
    delivery: Delivery,
    /// HEADERS or DATA.
    content: Cell<bool>,
    late: Cell<bool>,
    /// How long it was waited for.
    gone: Cell<Option<Duration>>,
    /// Of the connection, which learns by reading that its peer is gone.
    reader: RefCell<Option<Waker>>,
}

impl Peer {
    /// Its answer takes long: nothing new should be begun with it.
    pub fn is_late(&self) -> bool {
        self.late.get()
    }

    /// It may still be busy with what it was given: it owes no byte before it has taken that.
    fn is_taking(&self) -> bool {
        !self.delivery.left(Instant::now()).is_zero()
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = written {
            self.delivery.given(Instant::now(), *count as u64);
        }
    }

    fn give_up(&self, waited: Duration) {
        self.gone.set(Some(waited));
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn fault(&self) -> Option<io::Error> {
        let waited = self.gone.get()?;
        Some(io::Error::new(io::ErrorKind::TimedOut, format!("no answer to a PING within {waited:?}")))
    }
}

/// Asks for as long as it lives.
#[derive(Debug)]
pub struct Asking(AbortHandle);

impl Asking {
    /// `busy`: whether streams are open.
    pub fn start(peer: Rc<Peer>, ping_pong: PingPong, pings: Pings, busy: impl Fn() -> bool + 'static) -> Self {
        Self(tokio::task::spawn_local(ask(peer, ping_pong, pings, busy)).abort_handle())
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ask(peer: Rc<Peer>, mut ping_pong: PingPong, pings: Pings, busy: impl Fn() -> bool) {
    let look = pings.silence / LOOKS;
    let mut quiet = 0;
    let mut asked: Option<Instant> = None;
    let mut open = false;
    loop {
        sleep(look).await;
        quiet = if peer.heard.take() || peer.is_taking() || !busy() { 0 } else { quiet + 1 };
        if quiet < LOOKS {
            continue;
        }
        if asked.is_some_and(|at| at.elapsed() < pings.between) && !peer.content.get() {
            continue;
        }
        if !open && ping_pong.send_ping(Ping::opaque()).is_err() {
            return;
        }
        asked = Some(Instant::now());
        peer.content.set(false);
        let mut pong = timeout(look, poll_fn(|context| ping_pong.poll_pong(context))).await;
        if pong.is_err() {
            peer.late.set(true);
            pong = timeout(look, poll_fn(|context| ping_pong.poll_pong(context))).await;
            peer.late.set(false);
        }
        match pong {
            Ok(Ok(_)) => open = false,
            Ok(Err(_)) => return,
            // Whatever it says, it is there; the PING waits for its answer still.
            Err(_) if peer.heard.get() || peer.is_taking() => open = true,
            Err(_) => return peer.give_up(pings.silence),
        }
        quiet = 0;
    }
}

/// A stream whose reads are noticed, and that fails once its peer is given up.
#[derive(Debug)]
pub struct Heard<S> {
    stream: S,
    peer: Rc<Peer>,
    /// Where it matters what is heard.
    frames: Option<FrameHeads>,
}

impl<S> Heard<S> {
    pub fn new(stream: S, peer: Rc<Peer>, frames: Option<FrameHeads>) -> Self {
        Self { stream, peer, frames }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Around for Heard<S> {
    type Inside = S;

    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut S>) -> R) -> R {
        then(Pin::new(&mut self.stream))
    }

    fn pass_read(&mut self, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, peer, frames } = self;
        if let Some(fault) = peer.fault() {
            return Poll::Ready(Err(fault));
        }
        let before = space.filled().len();
        let read = Pin::new(stream).poll_read(context, space);
        if read.is_pending() {
            let mut reader = peer.reader.borrow_mut();
            if !reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
                *reader = Some(context.waker().clone());
            }
            return read;
        }
        peer.heard.set(true);
        if let Some(frames) = frames {
            frames.feed(&space.filled()[before..], |head| {
                if matches!(head.kind, DATA | HEADERS) {
                    peer.content.set(true);
                }
                true
            });
        }
        read
    }

    fn pass_write(
        &mut self,
        _: &[IoSlice<'_>],
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(fault) = self.peer.fault() {
            return Poll::Ready(Err(fault));
        }
        let written = write(Pin::new(&mut self.stream));
        self.peer.wrote(&written);
        written
    }
}

stream!([S] Heard<S>);

#[cfg(test)]
mod tests {
    use super::{Around, Asking, Heard, Peer, Pings, stream};
    use bytes::Bytes;
    use http::{Request, Response};
    use std::future::{Future, poll_fn};
    use std::io;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;
    use tokio::io::{AsyncRead, DuplexStream, ReadBuf, duplex};
    use tokio::task::LocalSet;
    use tokio::time::{Sleep, sleep};

    /// What stands in sockets between the two.
    const SOCKET: usize = 4 * 1024 * 1024;

    /// Takes 16 KiB, then nothing for a while: 150 kB a second.
    struct Slow {
        stream: DuplexStream,
        pause: Pin<Box<Sleep>>,
    }

    impl Around for Slow {
        type Inside = DuplexStream;

        fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut DuplexStream>) -> R) -> R {
            then(Pin::new(&mut self.stream))
        }

        fn pass_read(&mut self, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            ready!(self.pause.as_mut().poll(context));
            let mut part = vec![0; space.remaining().min(16 * 1024)];
            let mut part = ReadBuf::new(&mut part);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
            space.put_slice(part.filled());
            let count = part.filled().len();
            self.pause = Box::pin(sleep(Duration::from_micros(count as u64 * 1_000_000 / 150_000)));
            Poll::Ready(Ok(()))
        }
    }

    stream!([] Slow);

    async fn serve(stream: DuplexStream, size: usize) {
        let peer = Rc::new(Peer::default());
        let mut builder = h2::server::Builder::new();
        builder.max_send_buffer_size(4 * SOCKET);
        let mut connection = builder.handshake::<_, Bytes>(Heard::new(stream, Rc::clone(&peer), None)).await.unwrap();
        let pings = Pings { silence: Duration::from_secs(5), between: Duration::from_secs(10) };
        let _asking = Asking::start(peer, connection.ping_pong().unwrap(), pings, || true);
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(Response::new(()), false).unwrap().send_data(vec![0; size].into(), true).unwrap();
        let _ = poll_fn(|context| connection.poll_closed(context)).await;
    }

    /// A PING stands behind what its peer was given, which owes no byte before it has taken that.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_its_time_is_there() {
        let test = async {
            let (near, far) = duplex(SOCKET);
            tokio::task::spawn_local(serve(near, 2 * SOCKET));
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(1 << 24).initial_connection_window_size(1 << 24);
            let slow = Slow { stream: far, pause: Box::pin(sleep(Duration::ZERO)) };
            let (mut sender, connection) = builder.handshake::<_, Bytes>(slow).await.unwrap();
            tokio::task::spawn_local(async move { drop(connection.await) });
            let request = Request::builder().uri("http://a.test/").body(()).unwrap();
            let (response, _) = sender.send_request(request, true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut received = 0;
            while let Some(data) = body.data().await {
                received += data.expect("the connection lasts").len();
            }
            assert_eq!(received, 2 * SOCKET);
        };
        LocalSet::new().run_until(test).await;
    }
}
