//! Methods as OpenTelemetry's conventions for HTTP name them: others are `_OTHER`, so that clients make no series.

/// Those that have a name in the conventions, behind what stands for all others.
const NAMES: [&str; 10] = ["_OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// `http.request.method`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Method(u8);

impl Method {
    pub fn of(method: &[u8]) -> Self {
        Self(match method {
            b"GET" => 1,
            b"HEAD" => 2,
            b"POST" => 3,
            b"PUT" => 4,
            b"PATCH" => 5,
            b"DELETE" => 6,
            b"OPTIONS" => 7,
            b"TRACE" => 8,
            b"CONNECT" => 9,
            _ => 0,
        })
    }

    /// Of a head of HTTP/1.1.
    pub fn of_head(head: &[u8]) -> Self {
        let longest = &head[..head.len().min("OPTIONS ".len())];
        longest.iter().position(|byte| *byte == b' ').map_or_else(Self::default, |end| Self::of(&head[..end]))
    }

    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.0) % NAMES.len()]
    }

    pub fn is_other(self) -> bool {
        self.0 == 0
    }

    /// Its place among all, less than 16.
    pub(super) fn place(self) -> u32 {
        self.0.into()
    }

    pub(super) fn at(place: u32) -> Self {
        Self(u8::try_from(place).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Method, NAMES};

    #[test]
    fn methods_have_names() {
        for (place, name) in (0_u32..).zip(NAMES) {
            let method = Method::of(name.as_bytes());
            assert_eq!((method.name(), method.place(), method), (name, place, Method::at(place)));
            assert_eq!(Method::of_head(format!("{name} /a HTTP/1.1\r\n").as_bytes()), method);
        }
        for other in ["", "get", "GETS", "PROPFIND", "\u{e9}"] {
            assert!(Method::of(other.as_bytes()).is_other() && Method::of_head(other.as_bytes()).is_other());
        }
        assert!(Method::of_head(b" GET / HTTP/1.1").is_other() && Method::of_head(b"PROPFIND / HTTP/1.1").is_other());
    }
}
