//! What holds for the connection of a client, from its beginning to its end: the engine's settings, which are defaults and upper
//! bounds, and what policies of its listener say.

use crate::settings::Settings;
use route::ir::Policy;
use route::table::Socket;
use std::time::Duration;

/// The limits of one client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Between requests.
    pub idle: Duration,
    /// How long it takes requests; `None`: for ever.
    pub age: Option<Duration>,
    /// How many it takes; 0: any number.
    pub requests: u32,
    /// Streams of HTTP/2 that may be open.
    pub streams: u32,
}

impl Terms {
    pub fn of(settings: &Settings) -> Self {
        Self {
            head: settings.head_timeout(),
            idle: settings.idle_timeout(),
            age: settings.max_connection_age(),
            requests: settings.max_connection_requests,
            streams: settings.http2_max_streams,
        }
    }

    /// Of a connection to a socket. By TLS its name says which listener it is for; else it is for all of them, and the
    /// strictest holds.
    pub fn at(settings: &Settings, socket: &Socket, sni: Option<&str>) -> Self {
        let mut terms = Self::of(settings);
        for policy in socket.policies_of_connection(sni) {
            terms.tighten(&policy.ir);
        }
        terms
    }

    fn tighten(&mut self, policy: &Policy) {
        let limit = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        match policy {
            Policy::ClientTimeouts(it) => {
                self.head = limit(it.head_ms).map_or(self.head, |head| head.min(self.head));
                self.idle = limit(it.idle_ms).map_or(self.idle, |idle| idle.min(self.idle));
            }
            Policy::ClientConnections(it) => {
                self.age = self.age.into_iter().chain(limit(it.max_duration_ms)).min();
                self.requests = smaller(self.requests, it.max_requests);
            }
            Policy::ClientHttp2(it) => self.streams = smaller(self.streams, it.max_streams),
            _ => {}
        }
    }
}

/// 0 stands for any number.
fn smaller(one: u32, two: u32) -> u32 {
    if one == 0 || (two > 0 && two < one) { two } else { one }
}

#[cfg(test)]
mod tests {
    use super::Terms;
    use crate::settings::Settings;
    use serde_json::json;
    use std::time::Duration;

    fn under(settings: &Settings, policies: &[serde_json::Value]) -> Terms {
        let mut terms = Terms::of(settings);
        for policy in policies {
            terms.tighten(&serde_json::from_value(policy.clone()).unwrap());
        }
        terms
    }

    /// The engine's settings hold besides.
    #[test]
    fn policies_tighten() {
        let settings = Settings { max_connection_age_ms: 0, ..Settings::default() };
        let all = Terms::of(&settings);
        assert_eq!((all.age, all.requests), (None, 0));
        let seconds = Duration::from_secs;
        let timeouts = json!({"type": "client_timeouts", "id": "a", "head_ms": 1000, "idle_ms": 90_000});
        let connections = json!({"type": "client_connections", "id": "b", "max_duration_ms": 5000, "max_requests": 7});
        let more = json!({"type": "client_connections", "id": "c", "max_duration_ms": 9000, "max_requests": 9});
        let http2 = json!({"type": "client_http2", "id": "d", "max_streams": 3});
        let much = json!({"type": "client_http2", "id": "e", "max_streams": 100_000});
        assert_eq!(under(&settings, std::slice::from_ref(&timeouts)), Terms { head: seconds(1), ..all });
        let expected = Terms { age: Some(seconds(5)), requests: 7, ..all };
        assert_eq!(under(&settings, &[connections.clone(), more.clone()]), expected);
        assert_eq!(under(&settings, &[more, connections]), expected);
        assert_eq!(under(&settings, &[much.clone(), http2, much]), Terms { streams: 3, ..all });
        let nothing = json!({"type": "client_timeouts", "id": "a"});
        assert_eq!(under(&settings, &[nothing]), all);
    }
}
