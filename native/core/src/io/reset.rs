//! Ending a connection so that the peer can tell it from an orderly end.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that can tell its other side that it did not end in order.
pub trait Reset {
    fn reset(&self);
}

impl Reset for TcpStream {
    fn reset(&self) {
        // Closing then sends a reset; where it cannot be set it is closed in order.
        let _ = self.set_zero_linger();
    }
}

impl Reset for TlsStream<TcpStream> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}
