//! The way out: told once, seen by every connection of a worker.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// How long idle connections are kept once no new ones are taken: a request may be on its way on them. It is answered,
/// with `Connection: close`. At most half of the time that is left.
pub const IDLE_GRACE: Duration = Duration::from_secs(2);

/// One worker's way out, step by step, and its count of open connections and UDP sessions.
///
/// First clients are asked to go (`Connection: close` with each answer, GOAWAY) while new ones are still taken: a
/// balancer may not have noticed yet. Then nothing new is taken; idle connections stay for [`IDLE_GRACE`]. Then what is
/// idle is closed.
#[derive(Debug, Default)]
pub struct Drain {
    /// Of the engine: true before anybody can see that it is not ready. Workers hear of a drain a moment later.
    leaving: Arc<AtomicBool>,
    asked: Rc<Step>,
    closed: Cell<bool>,
    finishing: Rc<Step>,
    connections: Cell<usize>,
    sessions: Cell<usize>,
    /// One for each step that waits: there are three.
    empty: RefCell<Vec<Waker>>,
}

/// Something that happens once, and the tasks that wait for it.
#[derive(Debug, Default)]
struct Step {
    reached: Cell<bool>,
    /// Slots are reused, so there are never more than connections.
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

impl Step {
    fn reach(&self) {
        self.reached.set(true);
        for waker in self.waiting.borrow_mut().drain(..).flatten() {
            waker.wake();
        }
    }
}

impl Drain {
    pub fn new(leaving: Arc<AtomicBool>) -> Self {
        Self { leaving, ..Self::default() }
    }

    pub fn is_draining(&self) -> bool {
        self.asked.reached.get() || self.leaving.load(Relaxed)
    }

    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    pub fn sessions(&self) -> usize {
        self.sessions.get()
    }

    /// Nothing new is taken.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Idle connections are closed.
    pub fn is_finishing(&self) -> bool {
        self.finishing.reached.get()
    }

    /// Ask clients to go.
    pub fn start(&self) {
        self.asked.reach();
    }

    /// Take nothing new.
    pub fn close(&self) {
        self.asked.reach();
        self.closed.set(true);
    }

    /// Close what is idle.
    pub fn finish(&self) {
        self.close();
        self.finishing.reach();
    }

    /// Resolves when clients are asked to go. Registers its task once, however often it is polled.
    pub fn started(&self) -> Reached {
        Reached { step: Rc::clone(&self.asked), slot: None }
    }

    /// Resolves when idle connections are to be closed, after the reactor has looked at the sockets once more: who
    /// polls its read first, each time, finds a request that has come by then.
    pub fn idle_ends(&self) -> IdleEnds {
        IdleEnds { finishing: Reached { step: Rc::clone(&self.finishing), slot: None }, looked: false }
    }

    /// Count a connection for as long as the guard lives.
    pub fn connection(self: &Rc<Self>) -> ConnectionGuard {
        self.connections.set(self.connections.get() + 1);
        ConnectionGuard(Rc::clone(self))
    }

    /// Count a UDP session for as long as the guard lives. Sessions take no connection's place.
    pub fn session(self: &Rc<Self>) -> SessionGuard {
        self.sessions.set(self.sessions.get() + 1);
        SessionGuard(Rc::clone(self))
    }

    /// Resolves when no connection and no session is open.
    pub fn poll_empty(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        let mut waiting = self.empty.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}

/// See [`Drain::started`] and [`Drain::idle_ends`].
#[derive(Debug)]
pub struct Reached {
    step: Rc<Step>,
    slot: Option<usize>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.step.reached.get() {
            return Poll::Ready(());
        }
        if self.slot.is_none() {
            let mut waiting = self.step.waiting.borrow_mut();
            let waker = Some(context.waker().clone());
            let slot = if let Some(slot) = self.step.free.borrow_mut().pop() {
                waiting[slot] = waker;
                slot
            } else {
                waiting.push(waker);
                waiting.len() - 1
            };
            drop(waiting);
            self.slot = Some(slot);
        }
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(slot) = self.slot
            && let Some(waker) = self.step.waiting.borrow_mut().get_mut(slot)
        {
            *waker = None;
            self.step.free.borrow_mut().push(slot);
        }
    }
}

/// See [`Drain::idle_ends`].
#[derive(Debug)]
pub struct IdleEnds {
    finishing: Reached,
    looked: bool,
}

impl Future for IdleEnds {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ready!(Pin::new(&mut self.finishing).poll(context));
        if self.looked {
            return Poll::Ready(());
        }
        self.looked = true;
        // Wakes this task once the reactor has been asked.
        pin!(tokio::task::yield_now()).poll(context)
    }
}

/// One open connection.
#[derive(Debug)]
pub struct ConnectionGuard(Rc<Drain>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.wake_when_empty();
    }
}

/// One UDP session.
#[derive(Debug)]
pub struct SessionGuard(Rc<Drain>);

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.0.sessions.set(self.0.sessions.get() - 1);
        self.0.wake_when_empty();
    }
}

impl Drain {
    fn is_empty(&self) -> bool {
        self.connections.get() == 0 && self.sessions.get() == 0
    }

    fn wake_when_empty(&self) {
        if self.is_empty() {
            for waker in self.empty.borrow_mut().drain(..) {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Drain;
    use std::future::{Future, poll_fn};
    use std::io::Write;
    use std::pin::{Pin, pin};
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use std::task::{Context, Poll, Wake, Waker};
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        (Arc::clone(&woken), woken.into())
    }

    fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn each_step_holds_those_before_it() {
        let steps: [fn(&Drain); 3] = [Drain::start, Drain::close, Drain::finish];
        for (taken, step) in steps.iter().enumerate() {
            let drain = Drain::default();
            assert!(!drain.is_draining());
            // A step that is taken again changes nothing.
            for _ in 0..2 {
                step(&drain);
                let found = (drain.is_draining(), drain.is_closed(), drain.is_finishing());
                assert_eq!(found, (true, taken >= 1, taken >= 2));
            }
        }
        // The engine is leaving, and this worker has not heard of it.
        let leaving = Arc::new(AtomicBool::new(false));
        let drain = Drain::new(Arc::clone(&leaving));
        leaving.store(true, Relaxed);
        assert!(drain.is_draining() && !drain.is_closed());
    }

    /// Each task once, however often it had looked; who comes later does not wait.
    #[test]
    fn who_waits_is_woken_once() {
        let drain = Drain::default();
        let ((woken, waker), mut waiting) = (task(), drain.started());
        assert!((0..10).all(|_| poll(&mut waiting, &waker).is_pending()));
        drain.start();
        drain.start();
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(poll(&mut waiting, &waker).is_ready() && poll(&mut drain.started(), &waker).is_ready());
    }

    /// Connections come and go by the million; there are places for those that are there, and none is woken for another.
    #[test]
    fn places_of_those_that_have_left_are_used_again() {
        let (drain, (gone, gone_waker)) = (Drain::default(), task());
        let ((woken, waker), mut stays) = (task(), drain.started());
        assert!(poll(&mut stays, &waker).is_pending());
        for _ in 0..1000 {
            let mut one = drain.started();
            let mut two = drain.started();
            assert!(poll(&mut one, &gone_waker).is_pending() && poll(&mut two, &gone_waker).is_pending());
        }
        assert_eq!(drain.asked.waiting.borrow().len(), 3);
        drain.start();
        assert_eq!((woken.0.load(Relaxed), gone.0.load(Relaxed)), (1, 0));
        drop(stays);
        assert!(poll(&mut drain.started(), &waker).is_ready());
    }

    /// A request that is in the socket when idle connections end is read: the reactor has not told of it yet.
    #[tokio::test]
    async fn a_request_that_has_come_is_found() {
        let (drain, listener) = (Drain::default(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        for (sent, found) in [(&b"GET"[..], true), (b"", false)] {
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut space = [0; 8];
            // It waits already, as idle connections do.
            let waiting = poll_fn(|context| Poll::Ready(pin!(stream.read(&mut space)).poll(context))).await;
            assert!(waiting.is_pending());
            tokio::task::yield_now().await;
            client.write_all(sent).unwrap();
            drain.finish();
            let read = tokio::select! {
                biased;
                read = stream.read(&mut space) => Some(read.unwrap()),
                () = drain.idle_ends() => None,
            };
            assert_eq!(read, found.then_some(sent.len()));
        }
    }

    #[tokio::test]
    async fn idle_connections_end_with_the_last_step_alone() {
        let drain = Drain::default();
        let mut ends = pin!(drain.idle_ends());
        for step in [Drain::start, Drain::close] {
            step(&drain);
            let polled = poll_fn(|context| Poll::Ready(ends.as_mut().poll(context))).await;
            assert!(polled.is_pending());
        }
        drain.finish();
        ends.await;
    }

    /// Until the last connection and the last session have ended, whichever that is.
    #[test]
    fn a_worker_is_done_when_nothing_is_open() {
        let drain = Rc::new(Drain::default());
        let ((woken, waker), (other, other_waker)) = (task(), task());
        let look = |waker: &Waker| drain.poll_empty(&mut Context::from_waker(waker));
        assert!(look(&waker).is_ready());
        let connections: Vec<_> = (0..3).map(|_| drain.connection()).collect();
        let session = drain.session();
        assert_eq!((drain.connections(), drain.sessions()), (3, 1));
        assert!((0..10).all(|_| look(&waker).is_pending()) && look(&other_waker).is_pending());
        assert_eq!(drain.empty.borrow().len(), 2, "a task waits once");
        drop(connections);
        assert_eq!((drain.connections(), woken.0.load(Relaxed)), (0, 0));
        drop(session);
        assert_eq!((woken.0.load(Relaxed), other.0.load(Relaxed)), (1, 1));
        assert!(look(&waker).is_ready() && drain.empty.borrow().is_empty());
    }
}
