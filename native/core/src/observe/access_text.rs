//! The access log for people on a terminal: one line a request, the most important first.

use super::access_record::Record;
use super::l4::L4Record;
use serde::Serialize;
use std::fmt::Write;

/// A line of the access log in both its forms.
pub trait Line: Serialize {
    /// Without the end of the line. Clients write parts of it: nothing in it moves a cursor.
    fn text(&self, style: Style) -> String;
}

/// How text is written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    pub color: bool,
    /// Seconds that local time is ahead of UTC.
    pub utc_offset: i32,
}

impl Style {
    fn clock(self, time: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
        let second = (time as i64 + i64::from(self.utc_offset)).rem_euclid(86_400);
        self.painted("2", &format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60))
    }

    fn painted(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn error(self, line: &mut String, name: Option<&str>, detail: Option<&str>) {
        if let Some(name) = name {
            let detail = detail.map_or_else(String::new, |detail| format!(": {}", plain(detail)));
            let _ = write!(line, "  {}", self.painted("31", &format!("{name}{detail}")));
        }
    }
}

/// Where it went, and how long that took.
fn target(line: &mut String, backend: Option<&str>, endpoint: Option<&str>, duration_ms: f64) {
    if let Some(backend) = backend {
        let _ = write!(line, " -> {backend}");
        if let Some(endpoint) = endpoint {
            let _ = write!(line, " ({endpoint})");
        }
    }
    let _ = write!(line, "  {duration_ms:.1} ms");
}

/// What stands in no line as it is: control characters, and what turns the direction of text.
fn plain(text: &str) -> String {
    let is_odd = |it: char| it.is_control() || matches!(it, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().fold(String::with_capacity(text.len()), |mut found, it| {
        if is_odd(it) {
            found.extend(it.escape_unicode());
        } else {
            found.push(it);
        }
        found
    })
}

impl Line for Record<'_> {
    fn text(&self, style: Style) -> String {
        let code = match self.status {
            500.. => "31",
            400.. => "33",
            300.. => "36",
            _ => "32",
        };
        let status = style.painted(code, &self.status.to_string());
        let (method, authority, path) = (plain(self.method), plain(self.authority), plain(self.path));
        let mut line = format!("{} {status} {method} {}://{authority}{path}", style.clock(self.time), self.scheme);
        target(&mut line, self.backend, self.endpoint, self.duration_ms);
        if let Some(status) = self.grpc_status {
            let _ = write!(line, "  gRPC status {status}");
        }
        style.error(&mut line, self.error, self.error_detail);
        line
    }
}

impl Line for L4Record<'_> {
    fn text(&self, style: Style) -> String {
        let name = self.sni.map_or_else(String::new, |name| format!(" {}", plain(name)));
        let mut line = format!("{} {}{name} {}", style.clock(self.time), self.protocol, self.listener.unwrap_or("-"));
        target(&mut line, self.backend, self.endpoint, self.duration_ms);
        let _ = write!(line, "  {} B in, {} B out", self.received_bytes, self.sent_bytes);
        style.error(&mut line, self.error, self.error_detail);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Style};
    use crate::observe::access_record::Record;
    use crate::observe::l4::L4Record;

    #[test]
    fn a_request_is_a_line_for_people() {
        let record = Record {
            time: 86_399.5,
            duration_ms: 3.26,
            scheme: "https",
            method: "GET",
            authority: "shop.test",
            path: "/cart\x1b[2J",
            backend: Some("default/cart:80"),
            endpoint: Some("127.0.0.1:9001"),
            status: 503,
            error: Some("upstream_connect"),
            error_detail: Some("Tcp: refused\n"),
            ..Record::default()
        };
        let text = record.text(Style { color: false, utc_offset: 3_600 });
        assert_eq!(
            text,
            "00:59:59 503 GET https://shop.test/cart\\u{1b}[2J -> default/cart:80 (127.0.0.1:9001)  3.3 ms  \
             upstream_connect: Tcp: refused\\u{a}"
        );
        assert!(record.text(Style { color: true, utc_offset: 0 }).contains("\x1b[31m503\x1b[0m GET "));
    }

    #[test]
    fn a_connection_is_a_line_for_people() {
        let record = L4Record {
            time: -1.0,
            protocol: "TLS",
            sni: Some("db.test"),
            received_bytes: 5,
            error: Some("no_route"),
            ..L4Record::default()
        };
        assert_eq!(record.text(Style::default()), "23:59:59 TLS db.test -  0.0 ms  5 B in, 0 B out  no_route");
    }
}
