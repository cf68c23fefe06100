//! A future that is polled only where it was woken itself. The root of a `LocalSet` is polled with each turn of the tasks in it,
//! so whatever it waits for would be looked at with every request.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// See the module.
#[derive(Debug)]
pub struct Seldom<'f, F> {
    future: Pin<&'f mut F>,
    bell: Arc<Bell>,
    /// The waker that the bell has, to be compared without a lock.
    known: Option<Waker>,
}

/// Rung by what the future waits for.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    /// Who polls.
    waker: Mutex<Option<Waker>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Release);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }
}

impl<'f, F: Future> Seldom<'f, F> {
    pub fn new(future: Pin<&'f mut F>) -> Self {
        // Rung once: the first poll is one.
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), waker: Mutex::default() });
        Self { future, bell, known: None }
    }
}

impl<F: Future> Future for Seldom<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.known.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            let waker = Some(context.waker().clone());
            self.bell.waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&waker);
            self.known = waker;
        }
        // Looked at behind that: whoever rings from now on wakes the right one.
        if !self.bell.rung.load(Acquire) {
            return Poll::Pending;
        }
        self.bell.rung.store(false, Release);
        let waker = Waker::from(Arc::clone(&self.bell));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use super::Seldom;
    use std::cell::Cell;
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use tokio::sync::mpsc;

    #[test]
    fn it_is_polled_where_it_was_woken() {
        let (sender, mut receiver) = mpsc::channel(4);
        let polls = Cell::new(0);
        let inner = pin!(poll_fn(|context| {
            polls.set(polls.get() + 1);
            match receiver.poll_recv(context) {
                Poll::Ready(Some(2)) => Poll::Ready(()),
                Poll::Ready(_) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            }
        }));
        let mut seldom = pin!(Seldom::new(inner));
        let mut poll = || seldom.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        for _ in 0..5 {
            assert!(poll().is_pending());
        }
        assert_eq!(polls.get(), 1);
        sender.try_send(1).unwrap();
        // Once for what came, and once since it woke itself.
        for _ in 0..5 {
            assert!(poll().is_pending());
        }
        assert_eq!(polls.get(), 3);
        sender.try_send(2).unwrap();
        assert!(poll().is_ready());
    }

    #[tokio::test]
    async fn it_wakes_who_waits_for_it() {
        let (sender, mut receiver) = mpsc::channel(1);
        let sent = tokio::spawn(async move {
            tokio::task::yield_now().await;
            sender.send(7).await
        });
        let inner = pin!(async { receiver.recv().await });
        assert_eq!(Seldom::new(inner).await, Some(7));
        sent.await.unwrap().unwrap();
    }
}
