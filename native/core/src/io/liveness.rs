//! Whether the peer of an HTTP/2 connection is still there: it is asked by PING (RFC 9113 section 6.7) where streams are open
//! and nothing is heard of it. One that does not answer for as long again is given up, and its streams with it.
//!
//! TCP finds a machine that is gone; this finds a process that is, behind a system or a proxy that goes on acknowledging.

use super::delivery::Delivery;
use super::frames::{DATA, FrameHeads, HEADERS};
use h2::{Ping, PingPong};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
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

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, peer, frames } = self.get_mut();
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
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, peer, .. } = self.get_mut();
        if let Some(fault) = peer.fault() {
            return Poll::Ready(Err(fault));
        }
        let written = Pin::new(stream).poll_write(context, bytes);
        peer.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, peer, .. } = self.get_mut();
        if let Some(fault) = peer.fault() {
            return Poll::Ready(Err(fault));
        }
        let written = Pin::new(stream).poll_write_vectored(context, slices);
        peer.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::{Asking, Heard, Peer, Pings};
    use bytes::Bytes;
    use http::{Request, Response};
    use std::future::{Future, poll_fn};
    use std::io;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;
    use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
    use tokio::task::LocalSet;
    use tokio::time::{Sleep, sleep};

    /// What stands in sockets between the two.
    const SOCKET: usize = 4 * 1024 * 1024;

    /// Takes 16 KiB, then nothing for a while: 150 kB a second.
    struct Slow {
        stream: DuplexStream,
        pause: Pin<Box<Sleep>>,
    }

    impl AsyncRead for Slow {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            space: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
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

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(context)
        }
    }

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
