//! Peers that leave while nobody reads what they sent: the system tells, and no byte has to be taken for it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// How a peer's side of a connection has ended. It may have sent much before that nobody has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUp {
    /// In order: it sends nothing more, and may still read.
    Ended,
    /// It is gone.
    BrokenOff,
}

impl HangUp {
    /// What the system has told of a connection.
    pub fn of(stream: &TcpStream) -> Option<Self> {
        // PRIORITY is asked for because READ_CLOSED comes with it, and READABLE does not.
        let told = pin!(stream.ready(Interest::PRIORITY | Interest::ERROR));
        match told.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) if ready.is_error() => Some(Self::BrokenOff),
            Poll::Ready(Ok(ready)) if ready.is_read_closed() => Some(Self::Ended),
            Poll::Ready(_) | Poll::Pending => None,
        }
    }
}
