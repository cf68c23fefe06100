//! Bytes to and from a backend, with TLS or without.

use crate::io::{HangUp, Reset};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A byte stream to a backend.
#[derive(Debug)]
pub enum UpstreamStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl UpstreamStream {
    pub(super) fn negotiated_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, space),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, space),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl Reset for UpstreamStream {
    fn reset(&self) {
        match self {
            Self::Plain(stream) => stream.reset(),
            Self::Tls(stream) => stream.get_ref().0.reset(),
        }
    }

    fn hung_up(&self) -> Option<HangUp> {
        match self {
            Self::Plain(stream) => stream.hung_up(),
            Self::Tls(stream) => stream.get_ref().0.hung_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::UpstreamStream;
    use crate::io::Reset;
    use crate::tls::provider;
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use std::io::{ErrorKind, IoSlice};
    use std::sync::Arc;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    trait End: AsyncRead + AsyncWrite + Unpin {}

    impl<S: AsyncRead + AsyncWrite + Unpin> End for S {}

    /// A stream and the backend's end of it. `tls`: the protocol that both speak.
    async fn connected(tls: Option<&[u8]>) -> (UpstreamStream, Box<dyn End>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (end, _) = listener.accept().await.unwrap();
        let Some(protocol) = tls else {
            return (UpstreamStream::Plain(stream), Box::new(end));
        };
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let server = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let mut server = server.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        (server.alpn_protocols, client.alpn_protocols) = (vec![protocol.to_vec()], vec![protocol.to_vec()]);
        let connecting = TlsConnector::from(Arc::new(client)).connect("a.test".try_into().unwrap(), stream);
        let (near, far) = tokio::join!(connecting, TlsAcceptor::from(Arc::new(server)).accept(end));
        (UpstreamStream::Tls(Box::new(near.unwrap())), Box::new(far.unwrap()))
    }

    #[tokio::test]
    async fn what_a_handshake_came_to() {
        for (tls, http2) in [(None, false), (Some(&b"h2"[..]), true), (Some(b"http/1.1"), false), (Some(b"h2c"), false)]
        {
            assert_eq!(connected(tls).await.0.negotiated_http2(), http2, "{tls:?}");
        }
    }

    /// Slices leave in one call, which is what saves copies of heads and chunks.
    #[tokio::test]
    async fn bytes_both_ways() {
        for tls in [None, Some(&b"h2"[..])] {
            let (mut near, mut far) = connected(tls).await;
            assert!(near.is_write_vectored());
            let slices = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two ")];
            assert_eq!(near.write_vectored(&slices).await.unwrap(), 8);
            near.write_all(b"three").await.unwrap();
            near.flush().await.unwrap();
            let mut sent = [0; 13];
            far.read_exact(&mut sent).await.unwrap();
            assert_eq!(&sent, b"one two three");
            far.write_all(b"answer").await.unwrap();
            far.shutdown().await.unwrap();
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"answer");
        }
    }

    /// In order, which TLS says itself; or so that the backend can tell that it was not.
    #[tokio::test]
    async fn how_a_stream_ends() {
        for tls in [None, Some(&b"h2"[..])] {
            let (mut near, mut far) = connected(tls).await;
            near.shutdown().await.unwrap();
            assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
            let (near, mut far) = connected(tls).await;
            near.reset();
            drop(near);
            assert_eq!(far.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }
}
