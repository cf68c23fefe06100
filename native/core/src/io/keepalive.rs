//! Peers that went away without a word: a machine without power, a path that drops everything, a forgotten NAT entry. Nothing
//! of TCP ends such a connection by itself, so the system is told to ask.

use route::ir::Keepalive;
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
    idle: Duration,
    interval: Duration,
    count: u32,
}

impl KeepAlive {
    /// `stall`: a peer that is there and takes nothing may do so for that long, and is not broken off before.
    pub fn new(stall: Duration) -> Self {
        let unacknowledged = Some(stall.max(LEAST)).filter(|limit| *limit <= SYSTEM);
        Self { unacknowledged, idle: IDLE, interval: INTERVAL, count: COUNT }
    }

    /// As a policy has it. Without `TCP_USER_TIMEOUT`: where that is set Linux does not count probes (`tcp_keepalive_timer`).
    pub fn asking(asked: Keepalive) -> Self {
        let seconds = |count: u32| Duration::from_secs(count.into());
        let (idle, interval) = (seconds(asked.idle_seconds), seconds(asked.interval_seconds));
        Self { unacknowledged: None, idle, interval, count: asked.probes }
    }

    /// Tell the system. Of a listening socket: what it accepts inherits it, so no accept pays for it.
    pub fn set(self, socket: SockRef<'_>) {
        let probes = TcpKeepalive::new().with_time(self.idle).with_interval(self.interval).with_retries(self.count);
        // A system that knows no such option serves all the same.
        let _ = socket.set_tcp_keepalive(&probes);
        let _ = socket.set_tcp_user_timeout(self.unacknowledged);
    }
}

#[cfg(test)]
mod tests {
    use super::{KeepAlive, Keepalive};
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

    /// What a policy says reaches the socket.
    #[test]
    fn a_policy_has_its_own_questions() {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let asked = Keepalive { idle_seconds: 7, interval_seconds: 3, probes: 2 };
        KeepAlive::asking(asked).set(socket2::SockRef::from(&socket));
        assert!(socket.keepalive().unwrap());
        let found = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval(), socket.tcp_keepalive_retries());
        assert_eq!(found.0.unwrap(), Duration::from_secs(7));
        assert_eq!((found.1.unwrap(), found.2.unwrap()), (Duration::from_secs(3), 2));
    }
}
