//! After a 101: bytes both ways until both sides have ended (RFC 9110 section 7.8), or nothing comes any more.

use crate::l4::relay::{self, Limits, Meter};
use crate::runtime::Worker;
use codec::Buffer;
use std::cell::Cell;
use tokio::io::{AsyncRead, AsyncWrite};

/// Relay as a connection that is not HTTP, within its limits. What was read ahead goes first.
/// Returns the bytes from client to backend and back.
pub async fn run<C, U>(
    worker: &Worker,
    client: &mut C,
    ahead_of_client: &mut Buffer,
    upstream: &mut U,
    ahead_of_upstream: &mut Buffer,
) -> (u64, u64)
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let settings = worker.settings();
    let limits = Limits { idle: settings.l4_idle_timeout(), stall: settings.stall_timeout() };
    let ahead = (take(ahead_of_client), take(ahead_of_upstream));
    let moved = Moved::default();
    relay::run(&worker.scratch, client, upstream, ahead, limits, &moved).await;
    (moved.up.get(), moved.down.get())
}

/// Everything in the buffer; its memory goes.
fn take(buffer: &mut Buffer) -> Vec<u8> {
    let bytes = buffer.filled().to_vec();
    buffer.consume(bytes.len());
    buffer.release();
    bytes
}

#[derive(Default)]
struct Moved {
    up: Cell<u64>,
    down: Cell<u64>,
}

impl Meter for Moved {
    fn received(&self, count: usize) {
        self.up.set(self.up.get() + count as u64);
    }

    fn sent(&self, count: usize) {
        self.down.set(self.down.get() + count as u64);
    }
}
