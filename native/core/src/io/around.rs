//! Streams around other streams: they look at what passes, or have a say in it. Everything else goes to the stream inside, whole
//! lists of slices too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream around another one; [`stream`] makes it a stream of tokio's.
pub trait Around: Unpin {
    type Inside: AsyncRead + AsyncWrite + Unpin;

    /// Do something with the stream inside.
    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut Self::Inside>) -> R) -> R;

    /// As of `poll_read`.
    fn pass_read(&mut self, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inside(|stream| stream.poll_read(context, space))
    }

    /// Have `write` write to the stream inside. `offered`: what it has.
    fn pass_write(
        &mut self,
        offered: &[IoSlice<'_>],
        write: impl FnOnce(Pin<&mut Self::Inside>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let _ = offered;
        self.inside(write)
    }
}

/// `stream!([S] Wrapper<S>)`: what is [`Around`] another stream is one itself.
macro_rules! stream {
    ([$($generics:tt)*] $around:ty) => {
        const _: () = {
            use std::io::{IoSlice, Result};
            use std::pin::Pin;
            use std::task::{Context, Poll};
            use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
            use $crate::io::around::Around;

            impl<$($generics)*> AsyncRead for $around
            where
                Self: Around,
            {
                fn poll_read(
                    self: Pin<&mut Self>,
                    context: &mut Context<'_>,
                    space: &mut ReadBuf<'_>,
                ) -> Poll<Result<()>> {
                    self.get_mut().pass_read(context, space)
                }
            }

            impl<$($generics)*> AsyncWrite for $around
            where
                Self: Around,
            {
                fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
                    let offered = [IoSlice::new(bytes)];
                    self.get_mut().pass_write(&offered, |stream| stream.poll_write(context, bytes))
                }

                fn poll_write_vectored(
                    self: Pin<&mut Self>,
                    context: &mut Context<'_>,
                    slices: &[IoSlice<'_>],
                ) -> Poll<Result<usize>> {
                    self.get_mut().pass_write(slices, |stream| stream.poll_write_vectored(context, slices))
                }

                /// As are all streams with clients and backends.
                fn is_write_vectored(&self) -> bool {
                    true
                }

                fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
                    self.get_mut().inside(|stream| stream.poll_flush(context))
                }

                fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
                    self.get_mut().inside(|stream| stream.poll_shutdown(context))
                }
            }
        };
    };
}

pub(crate) use stream;

#[cfg(test)]
mod tests {
    use super::Around;
    use std::io::{self, IoSlice};
    use std::pin::Pin;
    use std::task::Poll;
    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

    /// Notes what is offered, and what of it is taken.
    struct Noted {
        stream: DuplexStream,
        offered: Vec<Vec<usize>>,
        taken: usize,
    }

    impl Around for Noted {
        type Inside = DuplexStream;

        fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut DuplexStream>) -> R) -> R {
            then(Pin::new(&mut self.stream))
        }

        fn pass_write(
            &mut self,
            offered: &[IoSlice<'_>],
            write: impl FnOnce(Pin<&mut DuplexStream>) -> Poll<io::Result<usize>>,
        ) -> Poll<io::Result<usize>> {
            let written = write(Pin::new(&mut self.stream));
            if let Poll::Ready(Ok(count)) = written {
                self.offered.push(offered.iter().map(|slice| slice.len()).collect());
                self.taken += count;
            }
            written
        }
    }

    stream!([] Noted);

    #[tokio::test]
    async fn everything_goes_to_the_stream_inside() {
        let (stream, mut far) = duplex(6);
        let mut near = Noted { stream, offered: Vec::new(), taken: 0 };
        assert!(near.is_write_vectored());
        // As much as there is room for.
        let slices = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two"), IoSlice::new(b"three")];
        assert_eq!(near.write_vectored(&slices).await.unwrap(), 6);
        far.read_exact(&mut [0; 6]).await.unwrap();
        near.write_all(b"three").await.unwrap();
        near.flush().await.unwrap();
        assert_eq!((near.offered.as_slice(), near.taken), (&[vec![3, 0, 3, 5], vec![5]][..], 11));
        near.shutdown().await.unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "three");
        far.write_all(b"back").await.unwrap();
        drop(far);
        near.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "threeback");
    }
}
