//! Peers that went away without a word: a machine without power, a path that drops everything, a forgotten NAT entry. Nothing
//! of TCP ends such a connection by itself, so the system is told to ask.

use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;

/// Silence after which a peer is asked whether it is there.
const IDLE: Duration = Duration::from_secs(60);

/// Between questions that are not answered.
const INTERVAL: Duration = Duration::from_secs(15);

/// Questions; a peer that answers none of them is gone.
const COUNT: u32 = 4;

/// All of that: no answer is waited for less long.
const LEAST: Duration = Duration::from_secs(60 + 15 * 4);

/// As long as Linux itself tries to deliver (`net.ipv4.tcp_retries2`): more would only make it try longer.
const SYSTEM: Duration = Duration::from_secs(15 * 60);

/// What holds for every TCP connection with a client or a backend.
#[derive(Debug, Clone, Copy)]
pub struct KeepAlive {
    /// `TCP_USER_TIMEOUT`: how long data or a probe may stay unacknowledged, and a window closed. `None`: as long as the
    /// system thinks, a window for ever.
    unacknowledged: Option<Duration>,
}

impl KeepAlive {
    /// `stall`: a peer that is there and takes nothing may do so for that long, and is not broken off before.
    pub fn new(stall: Duration) -> Self {
        Self { unacknowledged: Some(stall.max(LEAST)).filter(|limit| *limit <= SYSTEM) }
    }

    /// Tell the system. Of a listening socket: what it accepts inherits it, so no accept pays for it.
    pub fn set(self, socket: SockRef<'_>) {
        let probes = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(COUNT);
        // A system that knows no such option serves all the same.
        let _ = socket.set_tcp_keepalive(&probes);
        let _ = socket.set_tcp_user_timeout(self.unacknowledged);
    }
}

#[cfg(test)]
mod tests {
    use super::KeepAlive;
    use std::time::Duration;

    #[test]
    fn a_stall_limit_is_kept() {
        let seconds = Duration::from_secs;
        for (stall, unacknowledged) in
            [(1, Some(120)), (120, Some(120)), (300, Some(300)), (900, Some(900)), (901, None)]
        {
            assert_eq!(KeepAlive::new(seconds(stall)).unacknowledged, unacknowledged.map(seconds), "{stall}");
        }
    }
}
