//! The way out: told once, seen by every connection of a worker.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// One worker's drain switch and its count of open connections.
#[derive(Debug, Default)]
pub struct Drain {
    draining: Cell<bool>,
    connections: Cell<usize>,
    /// Connections that wait for `started`; slots are reused, so there are never more than connections.
    waiting: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
    empty: RefCell<Option<Waker>>,
}

impl Drain {
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Begin: every waiting connection is woken.
    pub fn start(&self) {
        self.draining.set(true);
        for waker in self.waiting.borrow_mut().drain(..).flatten() {
            waker.wake();
        }
    }

    /// Resolves when the drain begins. Registers its task once, however often it is polled.
    pub fn started(self: &Rc<Self>) -> Started {
        Started { drain: Rc::clone(self), slot: None }
    }

    /// Count a connection for as long as the guard lives.
    pub fn connection(self: &Rc<Self>) -> ConnectionGuard {
        self.connections.set(self.connections.get() + 1);
        ConnectionGuard(Rc::clone(self))
    }

    /// Resolves when no connection is open.
    pub fn poll_empty(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.connections.get() == 0 {
            return Poll::Ready(());
        }
        *self.empty.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// See [`Drain::started`].
#[derive(Debug)]
pub struct Started {
    drain: Rc<Drain>,
    slot: Option<usize>,
}

impl Future for Started {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.drain.is_draining() {
            return Poll::Ready(());
        }
        if self.slot.is_none() {
            let mut waiting = self.drain.waiting.borrow_mut();
            let waker = Some(context.waker().clone());
            let slot = if let Some(slot) = self.drain.free.borrow_mut().pop() {
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

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(slot) = self.slot
            && let Some(waker) = self.drain.waiting.borrow_mut().get_mut(slot)
        {
            *waker = None;
            self.drain.free.borrow_mut().push(slot);
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub struct ConnectionGuard(Rc<Drain>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let left = self.0.connections.get() - 1;
        self.0.connections.set(left);
        if left == 0
            && let Some(waker) = self.0.empty.borrow_mut().take()
        {
            waker.wake();
        }
    }
}
