//! The end of an HTTP/2 connection: what the client was given reaches it before the connection goes.
//!
//! A client answers what it reads with `WINDOW_UPDATE`. Where that meets a closed socket the system answers with a reset, and
//! all is lost that stood in our socket still: the end of a response that was whole. So the last thing that we do is to tell
//! that nothing more comes, and to read on until the client closes, for as long as it may still have something to read.

use crate::io::around::{Around, stream};
use crate::io::delivery::{Delivery, LONGEST};
use crate::io::watchdog::{Progress, Stalls, Watchdog};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// A client that has had time to read everything gets this long to close.
const CLOSE: Duration = Duration::from_millis(500);

/// A client's stream that outlives the connection of `h2`; clones share it.
#[derive(Debug)]
pub struct Kept<S>(Rc<RefCell<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    /// The last write had to wait: the client, or the way to it, has not taken what came before.
    blocked: bool,
    written: Instant,
    delivery: Delivery,
}

impl<S> Clone for Kept<S> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Kept<S> {
    pub fn new(stream: S) -> Self {
        let now = Instant::now();
        Self(Rc::new(RefCell::new(Inner { stream, blocked: false, written: now, delivery: Delivery::default() })))
    }

    /// Something that was written may not be with the client yet. One that takes nothing is given up after `stall`.
    pub fn is_behind(&self, stall: Duration) -> bool {
        let (inner, now) = (self.0.borrow(), Instant::now());
        (inner.blocked || !inner.delivery.left(now).is_zero()) && now < inner.written + stall
    }

    /// Call when `h2` has ended. Returns when the client has closed, or had time enough for it: `stall` at most, without a
    /// byte from it.
    pub async fn linger(mut self, watchdog: &mut Watchdog, stall: Duration) {
        let now = Instant::now();
        let silence = self.0.borrow().delivery.left(now).min(stall).max(CLOSE);
        let progress = Progress::default();
        let close = async {
            self.shutdown().await?;
            let mut dropped = [0; 1024];
            while self.read(&mut dropped).await? > 0 {
                progress.made();
            }
            io::Result::Ok(())
        };
        let _ = watchdog.guard(now, Some(now + LONGEST), Stalls::all(silence), &progress, close).await;
    }
}

impl<S> Inner<S> {
    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        self.blocked = written.is_pending();
        if let Poll::Ready(Ok(count)) = written {
            let now = Instant::now();
            self.written = now;
            self.delivery.given(now, *count as u64);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Around for Kept<S> {
    type Inside = S;

    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut S>) -> R) -> R {
        then(Pin::new(&mut self.0.borrow_mut().stream))
    }

    fn pass_write(
        &mut self,
        _: &[IoSlice<'_>],
        write: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let written = write(Pin::new(&mut inner.stream));
        inner.wrote(&written);
        written
    }
}

stream!([S] Kept<S>);

#[cfg(test)]
mod tests {
    use super::{CLOSE, Kept};
    use crate::io::delivery::LONGEST;
    use crate::io::watchdog::Watchdog;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    const STALL: Duration = Duration::from_secs(300);

    /// What stands in the way of a client is waited for, as long as it may need for it.
    #[tokio::test(start_paused = true)]
    async fn a_client_is_behind_until_it_had_time() {
        let (near, _far) = duplex(1024 * 1024);
        let mut kept = Kept::new(near);
        assert!(!kept.is_behind(STALL));
        kept.write_all(&vec![0; 256 * 1024]).await.unwrap();
        assert!(kept.is_behind(STALL));
        sleep(Duration::from_millis(1999)).await;
        assert!(kept.is_behind(STALL));
        assert!(!kept.is_behind(Duration::from_secs(1)), "it has taken nothing for longer than that");
        sleep(Duration::from_millis(1)).await;
        assert!(!kept.is_behind(STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_is_behind() {
        let (near, _far) = duplex(16);
        let mut kept = Kept::new(near);
        assert!(tokio::time::timeout(Duration::from_secs(60), kept.write_all(&[0; 64])).await.is_err());
        assert!(kept.is_behind(STALL) && !kept.is_behind(Duration::from_secs(60)));
    }

    /// Until the client closes, or is silent, or has talked for long enough.
    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_connection_is_waited_for() {
        let mut watchdog = Watchdog::default();
        let started = Instant::now();
        let (near, mut far) = duplex(64);
        let client = async {
            sleep(CLOSE / 2).await;
            far.write_all(b"a late WINDOW_UPDATE").await.unwrap();
            sleep(CLOSE / 2).await;
            // It is told that nothing more comes.
            assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
            drop(far);
        };
        tokio::join!(Kept::new(near).linger(&mut watchdog, STALL), client);
        assert_eq!(started.elapsed(), CLOSE);

        let started = Instant::now();
        let (near, _far) = duplex(64);
        Kept::new(near).linger(&mut watchdog, STALL).await;
        let silent = started.elapsed();
        assert!(CLOSE <= silent && silent <= 2 * CLOSE, "{silent:?}");

        let started = Instant::now();
        let (near, mut far) = duplex(64);
        let talking = async {
            while far.write_all(b"PING").await.is_ok() {
                sleep(CLOSE / 4).await;
            }
        };
        tokio::join!(Kept::new(near).linger(&mut watchdog, STALL), talking);
        let talked = started.elapsed();
        assert!(LONGEST <= talked && talked <= LONGEST + CLOSE, "{talked:?}");
    }
}
