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

#[cfg(test)]
mod tests {
    use super::fill;
    use codec::Buffer;
    use std::io::ErrorKind;
    use tokio::io::{AsyncWriteExt, duplex};

    #[tokio::test]
    async fn reads_until_the_end_or_the_limit() {
        const LIMIT: usize = 16 * 1024;
        let (mut near, mut far) = duplex(64 * 1024);
        far.write_all(&[7; LIMIT]).await.unwrap();
        let mut buffer = Buffer::new();
        while buffer.len() < LIMIT {
            assert!(fill(&mut buffer, &mut near, LIMIT).await.unwrap() > 0);
        }
        // What nobody consumes is a limit, not memory.
        far.write_all(b"more").await.unwrap();
        assert_eq!(fill(&mut buffer, &mut near, LIMIT).await.unwrap_err().kind(), ErrorKind::OutOfMemory);
        assert_eq!(buffer.filled(), [7; LIMIT]);
        buffer.consume(LIMIT);
        assert_eq!(fill(&mut buffer, &mut near, LIMIT).await.unwrap(), 4);
        drop(far);
        assert_eq!(fill(&mut buffer, &mut near, LIMIT).await.unwrap(), 0);
        assert_eq!(buffer.filled(), b"more");
    }
}
