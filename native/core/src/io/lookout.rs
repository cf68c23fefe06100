//! Who waits for something else looks out for a peer that leaves meanwhile.

use super::{HangUp, Reset};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A client that has ended its side of the connection has mostly left (a closed tab looks like that), but may have closed one
/// half only and wait for the answer: this long it is still waited with, after the last byte that it was given or that was
/// taken from it. While it takes what it is given nothing is known of it: a write tells.
const HALF_CLOSED_GRACE: Duration = Duration::from_secs(1);

/// While what a peer sent stands still: how often it is looked at. It costs no system call, and a timer only who waits.
const LOOK: Duration = Duration::from_millis(500);

/// Looks now and then whether a peer has left.
#[derive(Debug, Default)]
pub struct Lookout {
    timer: Option<Pin<Box<Sleep>>>,
    /// The peer has ended its side, and the timer is what is left of its grace.
    ended: bool,
}

impl Lookout {
    /// Wait for the peer to leave: to break off or, where that is no end in order, to end its side and be given and asked for
    /// nothing for [`HALF_CLOSED_GRACE`]. Who asks again waits again.
    pub fn poll(&mut self, context: &mut Context<'_>, stream: &impl Reset, ends_in_order: bool) -> Poll<HangUp> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(context));
            }
            match stream.hung_up() {
                Some(HangUp::BrokenOff) => return Poll::Ready(HangUp::BrokenOff),
                Some(HangUp::Ended) if self.ended => return self.over(),
                Some(HangUp::Ended) if !ends_in_order => self.end(),
                _ => self.set(LOOK),
            }
        }
    }

    /// The peer has ended its side: a read told.
    pub fn end(&mut self) {
        self.ended = true;
        self.set(HALF_CLOSED_GRACE);
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Wait for the end of the grace that began with [`Self::end`].
    pub fn poll_grace(&mut self, context: &mut Context<'_>) -> Poll<HangUp> {
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(context));
        }
        self.over()
    }

    /// Something was taken from the peer: it is waited with anew.
    pub fn moved(&mut self) {
        self.ended = false;
    }

    fn over(&mut self) -> Poll<HangUp> {
        *self = Self::default();
        Poll::Ready(HangUp::Ended)
    }

    fn set(&mut self, after: Duration) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(tokio::time::Instant::now() + after),
            None => self.timer = Some(Box::pin(sleep(after))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HALF_CLOSED_GRACE, LOOK, Lookout};
    use crate::io::{HangUp, Reset};
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, sleep, timeout};

    /// What is known of a peer.
    #[derive(Default)]
    struct Known(Cell<Option<HangUp>>);

    impl Reset for Known {
        fn reset(&self) {}

        fn hung_up(&self) -> Option<HangUp> {
            self.0.get()
        }
    }

    /// With all that a peer sent still unread.
    #[tokio::test]
    async fn the_system_tells_without_a_read() {
        for (leaves, told) in [("stays", None), ("ends", Some(HangUp::Ended)), ("breaks off", Some(HangUp::BrokenOff))]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let near = listener.accept().await.unwrap().0;
            peer.write_all(&vec![7; 100_000]).await.unwrap();
            near.readable().await.unwrap();
            assert_eq!(near.hung_up(), None);
            match leaves {
                "ends" => peer.shutdown().await.unwrap(),
                "breaks off" => {
                    peer.reset();
                    drop(peer);
                }
                _ => continue,
            }
            let known = async {
                let mut lookout = Lookout::default();
                poll_fn(|context| lookout.poll(context, &near, false)).await
            };
            assert_eq!(timeout(Duration::from_secs(60), known).await.ok(), told, "{leaves}");
            assert_eq!(near.hung_up(), told, "{leaves}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn how_long_who_left_is_waited_with() {
        for (told, ends_in_order, least) in [
            (Some(HangUp::BrokenOff), false, Some(Duration::ZERO)),
            (Some(HangUp::BrokenOff), true, Some(Duration::ZERO)),
            (Some(HangUp::Ended), false, Some(HALF_CLOSED_GRACE)),
            (Some(HangUp::Ended), true, None),
            (None, false, None),
        ] {
            let (known, mut lookout) = (Known::default(), Lookout::default());
            let before = LOOK * 5 / 2;
            let left = poll_fn(|context| lookout.poll(context, &known, ends_in_order));
            let began = Instant::now();
            let leaves = async {
                sleep(before).await;
                known.0.set(told);
            };
            let found = tokio::join!(timeout(Duration::from_secs(3600), left), leaves).0;
            assert_eq!(found.ok(), told.filter(|_| least.is_some()), "{told:?} {ends_in_order}");
            if let Some(least) = least {
                let waited = began.elapsed();
                assert!(
                    before + least <= waited && waited <= before + least + LOOK,
                    "{told:?} {ends_in_order} {waited:?}"
                );
            }
        }
    }

    /// As long as something moves, who has closed one half waits for its answer.
    #[tokio::test(start_paused = true)]
    async fn grace_begins_anew() {
        let (known, mut lookout) = (Known::default(), Lookout::default());
        known.0.set(Some(HangUp::Ended));
        for _ in 0..10 {
            let left = timeout(HALF_CLOSED_GRACE * 9 / 10, poll_fn(|context| lookout.poll(context, &known, false)));
            assert!(left.await.is_err());
            lookout.moved();
        }
        assert_eq!(poll_fn(|context| lookout.poll(context, &known, false)).await, HangUp::Ended);
    }
}
