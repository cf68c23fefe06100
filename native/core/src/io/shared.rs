//! A stream that reader and writer of one task share.

use super::around::{Around, stream};
use super::{HangUp, Reset};
use std::cell::RefCell;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// Borrows the stream only while it is polled.
#[derive(Debug)]
pub struct Shared<'c, S>(pub &'c RefCell<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Around for Shared<'_, S> {
    type Inside = S;

    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut S>) -> R) -> R {
        then(Pin::new(&mut *self.0.borrow_mut()))
    }
}

stream!(['c, S] Shared<'c, S>);

impl<S: Reset> Reset for Shared<'_, S> {
    const WRITES_ITS_END: bool = S::WRITES_ITS_END;

    fn reset(&self) {
        self.0.borrow().reset();
    }

    fn hung_up(&self) -> Option<HangUp> {
        self.0.borrow().hung_up()
    }
}
