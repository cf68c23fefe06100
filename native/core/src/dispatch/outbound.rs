//! The request as it goes to the backend.
//!
//! Its one neutral form is the HTTP/1.1 head: for the common case that is the wire format already, written straight from
//! the parsed slices. An HTTP/2 request is made from it where a backend speaks HTTP/2, and retries and mirrors reuse it.

use super::websocket_handshake;
use crate::message::client::Client;
use crate::message::forwarding::{ForwardingFields, take_forwarding};
use crate::telemetry::Said;
use codec::{Field, Framing, WireError, push_field};
use h2::ext::Protocol;
use http::header::{HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request, Version};
use route::policy::Removed;
use smallvec::SmallVec;
use std::cell::Cell;
use std::mem::MaybeUninit;

/// What asks for another protocol begins so; nothing but the empty line comes after it.
const UPGRADE: &[u8] = b"connection: upgrade\r\n";

/// Fields that filters and the gateway itself may add to a client's.
const OWN_FIELDS: usize = 128;

/// A request ready to be sent, to any backend and as often as the rule allows.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Head with its empty line.
    pub head: Vec<u8>,
    pub framing: Framing,
    pub head_request: bool,
    /// Safe to send twice (RFC 9110 section 9.2.2).
    pub idempotent: bool,
    /// Asks the backend to switch protocols.
    pub upgrade: bool,
    /// The client asked by extended CONNECT: it would take any 2xx for an open tunnel.
    pub connect: bool,
    /// The client understands trailers; HTTP/2 backends are told so.
    pub trailers: bool,
    pub tls: bool,
    /// Where each try says its own span, of a request that records its trace.
    pub span: Option<Box<SpanPlace>>,
}

/// Where the parent of a backend's spans stands in a head (`traceparent`, and the forms of B3).
#[derive(Debug, Clone)]
pub struct SpanPlace {
    at: SmallVec<[usize; 3]>,
    /// Of the try under way.
    pub now: Cell<[u8; 16]>,
}

impl SpanPlace {
    fn write(&self, head: &mut [u8]) {
        let span = self.now.get();
        for at in &self.at {
            if let Some(place) = head.get_mut(*at..at + span.len()) {
                place.copy_from_slice(&span);
            }
        }
    }
}

/// What a request is made of after the filters.
#[derive(Debug)]
pub struct Parts<'p> {
    pub method: &'p str,
    pub path: &'p str,
    pub query: Option<&'p str>,
    pub authority: &'p [u8],
    /// What the client asked for, for `X-Forwarded-Host`.
    pub original_authority: &'p [u8],
    pub fields: &'p [Field<'p>],
    pub framing: Framing,
    pub expect_continue: bool,
    pub upgrade: Option<&'p [u8]>,
    pub connect: bool,
    pub trailers: bool,
    pub tls: bool,
}

/// How the fields of a request stand that is to be written.
#[derive(Debug)]
pub enum Standing<'p, 's> {
    /// As the client sent them.
    Sent {
        /// As of [`ForwardingFields::believed`].
        believed: Option<bool>,
        /// What of them does not go on; of whole fields alone.
        removed: &'p Removed<'p>,
        /// What goes on behind them.
        told: &'p [Field<'p>],
    },
    /// What the client said of where it comes from is no longer among them: what is, is a filter's.
    Edited(&'p ForwardingFields<'s>),
}

/// Where in a head the value of a field stands that has this one. Line by line: what searches for anything anywhere is prepared
/// for each search, which costs more than a head has.
fn value_at(head: &[u8], name: &[u8], value: &[u8]) -> Option<usize> {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', head) {
        let found = head[start..=end].strip_prefix(name).and_then(|rest| rest.strip_prefix(b": "));
        if found.is_some_and(|rest| rest.strip_suffix(b"\r\n") == Some(value)) {
            return Some(start + name.len() + 2);
        }
        start = end + 1;
    }
    None
}

impl Outbound {
    pub fn write(client: &Client, parts: &Parts<'_>, standing: &Standing<'_, '_>, mut head: Vec<u8>) -> Self {
        head.clear();
        head.extend_from_slice(parts.method.as_bytes());
        head.push(b' ');
        head.extend_from_slice(parts.path.as_bytes());
        if let Some(query) = parts.query {
            head.push(b'?');
            head.extend_from_slice(query.as_bytes());
        }
        head.extend_from_slice(b" HTTP/1.1\r\n");
        push_field(&mut head, b"host", parts.authority);
        match *standing {
            Standing::Edited(sent) => {
                parts.fields.iter().for_each(|field| push_field(&mut head, field.name, field.value));
                client.push_forwarding(&mut head, sent, parts.original_authority, parts.fields);
            }
            Standing::Sent { believed, removed, told } => {
                let mut sent = ForwardingFields { believed, ..ForwardingFields::default() };
                let is_whole = removed.is_empty();
                for field in parts.fields {
                    if !take_forwarding(field, &mut sent) && (is_whole || !removed.takes_field(field)) {
                        push_field(&mut head, field.name, field.value);
                    }
                }
                for field in told {
                    push_field(&mut head, field.name, field.value);
                }
                client.push_forwarding(&mut head, &sent, parts.original_authority, told);
            }
        }
        match parts.framing {
            Framing::Length(length) => {
                push_field(&mut head, b"content-length", itoa::Buffer::new().format(length).as_bytes());
            }
            Framing::Chunked | Framing::UntilClose => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            // A body that could have been: some backends answer 411 without a length (RFC 9110 section 8.6).
            Framing::Empty if matches!(parts.method, "POST" | "PUT" | "PATCH") => {
                head.extend_from_slice(b"content-length: 0\r\n");
            }
            Framing::Empty => {}
        }
        if parts.expect_continue && !parts.framing.is_empty() {
            head.extend_from_slice(b"expect: 100-continue\r\n");
        }
        if let Some(protocol) = parts.upgrade {
            head.extend_from_slice(UPGRADE);
            push_field(&mut head, b"upgrade", protocol);
        }
        head.extend_from_slice(b"\r\n");
        Self {
            head,
            framing: parts.framing,
            head_request: parts.method == "HEAD",
            idempotent: matches!(parts.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"),
            upgrade: parts.upgrade.is_some(),
            connect: parts.connect,
            trailers: parts.trailers,
            tls: parts.tls,
            span: None,
        }
    }

    /// Have each try say its own span where the head has these fields, which name that of the request, `span`; a filter may have
    /// written others.
    pub fn say_spans(&mut self, said: &[Said], span: [u8; 16]) {
        let mut places = SmallVec::new();
        for (field, span_at) in said.iter().filter_map(|field| Some((field, field.span_at?))) {
            if let Some(at) = value_at(&self.head, field.name.as_bytes(), &field.value) {
                places.push(at + span_at);
            }
        }
        if !places.is_empty() {
            self.span = Some(Box::new(SpanPlace { at: places, now: Cell::new(span) }));
        }
    }

    /// The head of the try under way, behind what is there.
    pub fn write_head(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.head);
        if let Some(place) = &self.span {
            place.write(&mut out[start..]);
        }
    }

    /// The same request, asking for no other protocol.
    #[must_use]
    pub fn without_upgrade(&self) -> Self {
        // Who gets it is no try: its parent is the request.
        let mut plain = Self { upgrade: false, connect: false, span: None, ..self.clone() };
        if self.upgrade
            && let Some(at) = memchr::memmem::rfind(&plain.head, UPGRADE)
        {
            plain.head.truncate(at);
            plain.head.extend_from_slice(b"\r\n");
        }
        plain
    }

    /// Leave its body out: what says that there is one is the last of the head, but for what asks for another protocol.
    pub fn take_body(&mut self) {
        let starts: [&[u8]; 2] = [b"\r\ncontent-length: ", b"\r\ntransfer-encoding: chunked\r\n"];
        let at = starts.iter().filter_map(|start| memchr::memmem::rfind(&self.head, start)).max();
        if let Some(at) = at.filter(|_| !self.framing.is_empty()) {
            self.head.truncate(at);
            self.head.extend_from_slice(b"\r\n");
            let is_usual = [b"POST ".as_slice(), b"PUT ", b"PATCH "].iter().any(|method| self.head.starts_with(method));
            if is_usual {
                self.head.extend_from_slice(b"content-length: 0\r\n");
            }
            self.head.extend_from_slice(b"\r\n");
            self.framing = Framing::Empty;
        }
    }

    /// Send it for another host: its field is the first one.
    pub fn set_host(&mut self, host: &str) {
        const NAME: &[u8] = b"\r\nhost: ";
        if let Some(at) = memchr::memmem::find(&self.head, NAME).map(|at| at + NAME.len())
            && let Some(length) = memchr::memmem::find(&self.head[at..], b"\r\n")
        {
            drop(self.head.splice(at..at + length, host.bytes()));
        }
    }

    /// What is asked for, without its query.
    pub fn url(&self) -> String {
        let mut lines = self.head.splitn(3, |byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let target = lines.next().and_then(|line| line.split(|byte| *byte == b' ').nth(1)).unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        // Its field is the first one.
        let host = lines.next().and_then(|line| line.strip_prefix(b"host: ")).unwrap_or_default();
        let mut url = String::with_capacity("https://".len() + host.len() + path.len());
        url.push_str(if self.tls { "https://" } else { "http://" });
        for part in [host, path] {
            url.push_str(&String::from_utf8_lossy(part));
        }
        url
    }

    /// The key of a request for a WebSocket.
    pub fn websocket_key(&self) -> Option<Vec<u8>> {
        let mut headers = [const { MaybeUninit::uninit() }; codec::MAX_FIELDS + OWN_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        parsed.parse_with_uninit_headers(&self.head, &mut headers).ok()?;
        let mut headers = parsed.headers.iter();
        headers
            .find(|header| header.name.eq_ignore_ascii_case(websocket_handshake::KEY))
            .map(|header| header.value.to_vec())
    }

    /// The same request for HTTP/2 (RFC 9113 section 8.3.1): `Host` becomes `:authority`, connection fields go. One for a
    /// WebSocket becomes an extended CONNECT, which has no key (RFC 8441 section 5).
    ///
    /// # Errors
    /// `Malformed` where a part does not fit HTTP/2.
    pub fn to_http2(&self) -> Result<Request<()>, WireError> {
        const BAD: WireError = WireError::Malformed("a request that HTTP/2 cannot carry");
        let mut headers = [const { MaybeUninit::uninit() }; codec::MAX_FIELDS + OWN_FIELDS];
        let mut parsed = httparse::Request::new(&mut []);
        let mut of_try = Vec::new();
        if self.span.is_some() {
            self.write_head(&mut of_try);
        }
        let head = if of_try.is_empty() { &self.head } else { &of_try };
        parsed.parse_with_uninit_headers(head, &mut headers).map_err(|_| BAD)?;
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(|_| BAD)?;
        let mut authority = None;
        request.headers_mut().reserve(parsed.headers.len());
        for header in parsed.headers.iter() {
            match header.name {
                "host" => authority = Some(Authority::try_from(header.value).map_err(|_| BAD)?),
                "connection" | "transfer-encoding" | "upgrade" => {}
                name if self.upgrade && name.eq_ignore_ascii_case(websocket_handshake::KEY) => {}
                _ => {
                    let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| BAD)?;
                    request.headers_mut().append(name, HeaderValue::from_bytes(header.value).map_err(|_| BAD)?);
                }
            }
        }
        if self.upgrade {
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        } else if self.trailers {
            request.headers_mut().insert(http::header::TE, HeaderValue::from_static("trailers"));
        }
        let mut uri = Uri::default().into_parts();
        uri.scheme = Some(if self.tls { Scheme::HTTPS } else { Scheme::HTTP });
        uri.authority = Some(authority.ok_or(BAD)?);
        uri.path_and_query = Some(PathAndQuery::try_from(parsed.path.unwrap_or_default()).map_err(|_| BAD)?);
        *request.uri_mut() = Uri::from_parts(uri).map_err(|_| BAD)?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_http2(path: &str, query: Option<&str>) -> Option<String> {
        let target = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
        let outbound = Outbound {
            head: format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes(),
            framing: Framing::Empty,
            head_request: false,
            idempotent: true,
            upgrade: false,
            connect: false,
            trailers: false,
            tls: false,
            span: None,
        };
        let request = outbound.to_http2().ok()?;
        request.uri().path_and_query().map(ToString::to_string)
    }

    /// Also what no URI has (RFC 3986 section 2), as over HTTP/1.1: `native/vendor/http` is there for that.
    #[test]
    fn targets_go_over_http2_byte_for_byte() {
        for byte in (0x21..=0x7e_u8).filter(|byte| *byte != b'#').map(char::from) {
            let (path, query) = (format!("/a{byte}z"), format!("b={byte}z"));
            assert_eq!(over_http2(&path, None), Some(path.clone()));
            assert_eq!(over_http2("/a", Some(&query)), Some(format!("/a?{query}")));
        }
    }

    #[test]
    fn what_no_target_has_does_not_go() {
        for byte in (0..=0x20_u8).chain([0x7f]).map(char::from) {
            assert_eq!(over_http2(&format!("/a{byte}z"), None), None, "{byte:?}");
            assert_eq!(over_http2("/a", Some(&format!("b={byte}z"))), None, "{byte:?}");
        }
    }
}
