//! How connections end: in order, or so that the peer can tell that it was not.

use super::HangUp;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that can tell its other side that it did not end in order, and that may know how the other side has ended.
pub trait Reset {
    /// An end in order has to be written (`close_notify`, RFC 8446 section 6.1); else closing says it.
    const WRITES_ITS_END: bool = false;

    fn reset(&self);

    /// What is known of the peer's end without a read.
    fn hung_up(&self) -> Option<HangUp> {
        None
    }
}

impl Reset for TcpStream {
    fn reset(&self) {
        // Closing then sends a reset; where it cannot be set it is closed in order.
        let _ = self.set_zero_linger();
    }

    fn hung_up(&self) -> Option<HangUp> {
        HangUp::of(self)
    }
}

impl Reset for TlsStream<TcpStream> {
    const WRITES_ITS_END: bool = true;

    fn reset(&self) {
        self.get_ref().0.reset();
    }

    fn hung_up(&self) -> Option<HangUp> {
        self.get_ref().0.hung_up()
    }
}
