//! A stream whose first bytes have been read to see what it is.

use crate::io::around::{Around, stream};
use codec::Buffer;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// A stream of which some bytes have been read already.
pub struct Rewound {
    pub ahead: Buffer,
    pub stream: TcpStream,
}

impl Around for Rewound {
    type Inside = TcpStream;

    fn inside<R>(&mut self, then: impl FnOnce(Pin<&mut TcpStream>) -> R) -> R {
        then(Pin::new(&mut self.stream))
    }

    fn pass_read(&mut self, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, space);
        }
        let count = self.ahead.len().min(space.remaining());
        space.put_slice(&self.ahead.filled()[..count]);
        self.ahead.consume(count);
        self.ahead.release();
        Poll::Ready(Ok(()))
    }
}

stream!([] Rewound);

#[cfg(test)]
mod tests {
    use super::Rewound;
    use codec::Buffer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// In pieces of any size; what is written goes straight through.
    #[tokio::test]
    async fn what_was_read_ahead_comes_first() {
        const AHEAD: &[u8] = b"PRI * HTTP/2.0";
        for size in [1, 5, AHEAD.len(), 100] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let mut ahead = Buffer::new();
            ahead.space(1024).unwrap()[..AHEAD.len()].copy_from_slice(AHEAD);
            ahead.filled_by(AHEAD.len());
            let mut rewound = Rewound { ahead, stream: listener.accept().await.unwrap().0 };
            peer.write_all(b" and the rest").await.unwrap();
            peer.shutdown().await.unwrap();
            let (mut found, mut space) = (Vec::new(), vec![0; size]);
            loop {
                let count = rewound.read(&mut space).await.unwrap();
                if count == 0 {
                    break;
                }
                found.extend_from_slice(&space[..count]);
            }
            assert_eq!(found, b"PRI * HTTP/2.0 and the rest", "{size}");
            rewound.write_all(b"answer").await.unwrap();
            drop(rewound);
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"answer");
        }
    }
}
