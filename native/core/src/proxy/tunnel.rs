//! After a 101: bytes both ways until both sides have ended (RFC 9110 section 7.8).

use crate::codec::Buffer;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};

/// Bytes under way per direction: back-pressure reaches the other side after this much.
const TUNNEL_BUFFER: usize = 16 * 1024;

/// Copy until both directions have ended; a half-close is passed on. What was read ahead goes first.
/// Returns the bytes from client to backend and back.
///
/// # Errors
/// What either stream says.
pub async fn run<C, U>(
    client: &mut C,
    ahead_of_client: &mut Buffer,
    upstream: &mut U,
    ahead_of_upstream: &mut Buffer,
) -> io::Result<(u64, u64)>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    upstream.write_all(ahead_of_client.filled()).await?;
    client.write_all(ahead_of_upstream.filled()).await?;
    upstream.flush().await?;
    client.flush().await?;
    let ahead = (ahead_of_client.len() as u64, ahead_of_upstream.len() as u64);
    ahead_of_client.consume(ahead_of_client.len());
    ahead_of_upstream.consume(ahead_of_upstream.len());
    let (up, down) = copy_bidirectional_with_sizes(client, upstream, TUNNEL_BUFFER, TUNNEL_BUFFER).await?;
    Ok((ahead.0 + up, ahead.1 + down))
}
