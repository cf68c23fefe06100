//! Reading into a [`Buffer`], which knows nothing of streams.

use codec::Buffer;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// One read into the free space. `Ok(0)` is the end of the stream.
///
/// # Errors
/// What the read says, and `OutOfMemory` when `limit` bytes are waiting unconsumed.
pub fn poll_fill<S: AsyncRead + Unpin + ?Sized>(
    buffer: &mut Buffer,
    stream: &mut S,
    context: &mut Context<'_>,
    limit: usize,
) -> Poll<io::Result<usize>> {
    let mut space = ReadBuf::new(buffer.space(limit)?);
    ready!(Pin::new(stream).poll_read(context, &mut space))?;
    let count = space.filled().len();
    buffer.filled_by(count);
    Poll::Ready(Ok(count))
}

/// As [`poll_fill`].
///
/// # Errors
/// As [`poll_fill`].
pub async fn fill<S: AsyncRead + Unpin + ?Sized>(
    buffer: &mut Buffer,
    stream: &mut S,
    limit: usize,
) -> io::Result<usize> {
    poll_fn(|context| poll_fill(buffer, stream, context, limit)).await
}
