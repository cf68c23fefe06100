//! Request heads (RFC 9112 sections 2, 3, 5, 6).

use super::Field;
use super::fields::{ConnectionOptions, FieldKind, FramingFields, every_line_ends_in_crlf, kind};
use super::{
    Buffer, FieldList, Framing, MAX_FIELDS, MAX_LEADING_EMPTY_LINES, MAX_TARGET, Parsed, TakenFields, WireError,
};
use memchr::memchr;
use std::mem::MaybeUninit;

/// A request head as it stands in the buffer. `Host`, framing and hop-by-hop fields are not among `fields`.
#[derive(Debug)]
pub struct RequestHead<'b> {
    pub method: &'b str,
    /// As sent; not yet checked or normalised.
    pub target: &'b [u8],
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor: u8,
    /// At most one; absent only in HTTP/1.0.
    pub host: Option<&'b [u8]>,
    pub fields: FieldList<'b>,
    /// All others but `Host`: rules may match them.
    pub taken_out: TakenFields<'b>,
    pub framing: Framing,
    pub keep_alive: bool,
    pub expect_continue: bool,
    /// The protocol that the client wants to switch to; never HTTP or TLS, never together with a body.
    pub upgrade: Option<&'b [u8]>,
    /// `TE: trailers`.
    pub accepts_trailers: bool,
    /// Bytes that the head took.
    pub consumed: usize,
}

/// How far a buffer has been searched for the next request head, over all the reads that it takes.
#[derive(Debug, Default)]
pub struct HeadSearch {
    /// Bytes of the buffer without a line end that has not been told.
    searched: usize,
    empty_lines: usize,
}

impl HeadSearch {
    /// Call after each read. Skips empty lines in front of the head ([`MAX_LEADING_EMPTY_LINES`] in all, however they are cut);
    /// true: a line has ended since the last call. Nothing else can complete a head, so a sender of single bytes does not get
    /// each one parsed.
    pub fn line_ended(&mut self, buffer: &mut Buffer) -> bool {
        while self.empty_lines < MAX_LEADING_EMPTY_LINES && buffer.filled().starts_with(b"\r\n") {
            buffer.consume(2);
            self.empty_lines += 1;
            // It counted from a start that is gone.
            self.searched = 0;
        }
        let ended = memchr(b'\n', &buffer.filled()[self.searched..]).is_some();
        self.searched = buffer.len();
        ended
    }
}

/// Parse the head at the start of `bytes`, of at most `max_fields` fields ([`MAX_FIELDS`] in any case). Empty lines in front of
/// it are for [`HeadSearch`] to skip.
///
/// # Errors
/// What the head alone decides: see the tests below, a row for each attack.
pub fn parse_request(bytes: &[u8], max_fields: usize) -> Result<Parsed<RequestHead<'_>>, WireError> {
    match bytes {
        b"\r" => return Ok(Parsed::Partial),
        // httparse would skip any number of them, and bare LF too.
        [b'\r' | b'\n', ..] => return Err(WireError::Malformed("an empty line in the place of the request line")),
        _ => {}
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let consumed = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(error) => return Err(refusal(error, bytes)),
    };
    if !every_line_ends_in_crlf(&bytes[..consumed], request.headers) {
        return Err(WireError::Malformed("a line without CR"));
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(WireError::Malformed("not a request line"));
    };
    if target.len() > MAX_TARGET {
        return Err(WireError::TargetTooLong);
    }
    if request.headers.len() > max_fields {
        return Err(WireError::HeadTooLarge);
    }
    let fields = request.headers.iter();
    let fields = fields.map(|header| Field { name: header.name.as_bytes(), value: header.value });
    let mut head = RequestHead { consumed, ..RequestHead::begin(method, target.as_bytes(), minor) };
    head.read(fields)?;
    Ok(Parsed::Complete(head))
}

impl<'b> RequestHead<'b> {
    /// The head that well-formed parts make: their bytes are [`is_token`] and [`is_value`], trimmed. `consumed` is 0.
    ///
    /// # Errors
    /// As [`parse_request`].
    pub fn of(
        method: &'b str,
        target: &'b [u8],
        minor: u8,
        fields: impl Iterator<Item = Field<'b>>,
    ) -> Result<Self, WireError> {
        let mut head = Self::begin(method, target, minor);
        head.read(fields)?;
        Ok(head)
    }

    /// Without its fields: they are read into it where it is, since what a function returns in a `Result` is copied.
    #[inline]
    fn begin(method: &'b str, target: &'b [u8], minor: u8) -> Self {
        Self {
            method,
            target,
            minor,
            host: None,
            fields: FieldList::new(),
            taken_out: TakenFields::new(),
            framing: Framing::Empty,
            keep_alive: minor == 1,
            expect_continue: false,
            upgrade: None,
            accepts_trailers: false,
            consumed: 0,
        }
    }

    #[inline]
    fn read(&mut self, fields: impl Iterator<Item = Field<'b>>) -> Result<(), WireError> {
        read_fields(self, fields)?;
        if self.host.is_none() && self.minor == 1 {
            return Err(WireError::Malformed("no Host"));
        }
        Ok(())
    }
}

#[inline]
fn read_fields<'b>(head: &mut RequestHead<'b>, fields: impl Iterator<Item = Field<'b>>) -> Result<(), WireError> {
    let mut framing = FramingFields::default();
    let mut options = ConnectionOptions::default();
    let mut upgrade = None;
    for field in fields {
        let kind = kind(field.name);
        match kind {
            FieldKind::Other => head.fields.push(field),
            FieldKind::Host => {}
            _ => head.taken_out.push(field),
        }
        match kind {
            FieldKind::Other | FieldKind::HopByHop => {}
            FieldKind::Host if head.host.is_some() => {
                return Err(WireError::Malformed("two Host fields"));
            }
            FieldKind::Host => head.host = Some(field.value),
            FieldKind::ContentLength => framing.content_length(field.value)?,
            FieldKind::TransferEncoding => framing.transfer_encoding(field.value)?,
            FieldKind::Connection => options.read(field.value)?,
            FieldKind::Upgrade => upgrade = Some(field.value),
            FieldKind::Te => head.accepts_trailers |= super::fields::list(field.value).any(is_trailers),
            FieldKind::Expect if field.value.eq_ignore_ascii_case(b"100-continue") => {
                head.expect_continue = head.minor == 1;
            }
            FieldKind::Expect => return Err(WireError::UnknownExpectation),
        }
    }
    head.framing = framing.framing(head.minor)?.unwrap_or(Framing::Empty);
    head.keep_alive = !options.close && (head.minor == 1 || options.keep_alive);
    let taken_out = &mut head.taken_out;
    options.take_named(&mut head.fields, |field| taken_out.push(field));
    if options.upgrade && head.minor == 1 && head.framing.is_empty() {
        // One protocol only, and never HTTP: a backend that took it would speak HTTP/2 past our routing (RFC 9113 section 3.1).
        // Nor TLS (RFC 2817), which clients offer with every request: that is for this connection, and not for the backend.
        let is_ours = |value: &[u8]| {
            // With or without a version (RFC 9110 section 7.8).
            let name = value.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
            [b"h2c".as_slice(), b"h2", b"http"].iter().any(|other| name.eq_ignore_ascii_case(other))
                || value.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"tls/"))
        };
        head.upgrade = upgrade.filter(|value| !is_ours(value) && !value.contains(&b','));
    }
    Ok(())
}

fn is_trailers(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"trailers")
}

#[cold]
fn refusal(error: httparse::Error, bytes: &[u8]) -> WireError {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => WireError::HeadTooLarge,
        // Whatever the last of its words is.
        Error::Version if words(bytes) > 3 => WireError::Malformed("more than a method, a target and a version"),
        Error::Version if names_other_version(bytes) => WireError::UnsupportedVersion,
        Error::Version if !first_line(bytes).contains(&b'/') => WireError::NotHttp,
        Error::Version => WireError::Malformed("not an HTTP version"),
        Error::HeaderName => WireError::Malformed("a malformed field name"),
        Error::HeaderValue => WireError::Malformed("a malformed field value"),
        Error::NewLine => WireError::Malformed("a malformed line end"),
        Error::Token | Error::Status => WireError::Malformed("a malformed request line"),
    }
}

/// `HTTP/<digit>.<digit>` at the end of the first line, and none that is spoken here.
fn names_other_version(bytes: &[u8]) -> bool {
    let version = first_line(bytes).rsplit(|&byte| byte == b' ').next().unwrap_or_default();
    !matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Of the first line.
fn words(bytes: &[u8]) -> usize {
    first_line(bytes).split(|&byte| byte == b' ').count()
}

fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a head means, as far as anybody behind asks; the verdict on it.
    fn outline(bytes: &[u8], max_fields: usize) -> Result<Option<String>, WireError> {
        Ok(match parse_request(bytes, max_fields)? {
            Parsed::Partial => None,
            Parsed::Complete(head) => Some(outline_of(&head)),
        })
    }

    fn outline_of(head: &RequestHead<'_>) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let names = |fields: &[Field<'_>]| fields.iter().map(|field| text(field.name)).collect::<Vec<_>>().join(",");
        let flags = [
            (head.keep_alive, " keep"),
            (head.expect_continue, " continue"),
            (head.accepts_trailers, " trailers"),
            (head.upgrade.is_some(), " upgrade="),
        ];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, word)| *word).collect();
        let upgrade = head.upgrade.map(text).unwrap_or_default();
        let (target, host) = (text(head.target), head.host.map_or_else(|| "-".to_owned(), text));
        let (fields, taken_out) = (names(&head.fields), names(&head.taken_out));
        let RequestHead { method, minor, framing, .. } = head;
        format!("{method} {target} {minor} {host} {framing:?}{flags}{upgrade} [{fields}] [{taken_out}]")
    }

    /// However it is cut: nothing before its end is a head, and what is behind it changes nothing.
    #[track_caller]
    fn assert_outline(sent: &[u8], expected: Result<&str, WireError>) {
        let shown = sent[..sent.len().min(200)].escape_ascii();
        let whole = outline(sent, MAX_FIELDS);
        assert_eq!(whole, expected.map(|expected| Some(expected.to_owned())), "{shown}");
        let more = [sent, &b"GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n"[..]].concat();
        assert_eq!(outline(&more, MAX_FIELDS), whole, "{shown} and more");
        for end in (1..sent.len()).rev().take(120) {
            let cut = outline(&sent[..end], MAX_FIELDS);
            assert!(cut == Ok(None) || (cut.is_err() && whole.is_err()), "{shown} to {end}: {cut:?}");
        }
    }

    #[test]
    fn heads_mean_the_same_however_they_are_cut() {
        for (line, fields, expected) in [
            ("GET / HTTP/1.1", "Host: a", "GET / 1 a Empty keep [] []"),
            ("GET / HTTP/1.1", "X: 1\r\nhost:\ta:80 \r\nY:\r\nx: 2", "GET / 1 a:80 Empty keep [X,Y,x] []"),
            ("GET /a?b=c HTTP/1.0", "X: 1", "GET /a?b=c 0 - Empty [X] []"),
            ("OPTIONS * HTTP/1.0", "Connection: Keep-Alive", "OPTIONS * 0 - Empty keep [] [Connection]"),
            ("GET / HTTP/1.0", "Connection: keep-alive, close", "GET / 0 - Empty [] [Connection]"),
            ("GET / HTTP/1.1", "Host: a\r\nConnection: CLOSE", "GET / 1 a Empty [] [Connection]"),
            ("PUT / HTTP/1.1", "Host: a\r\nContent-Length: 5", "PUT / 1 a Length(5) keep [] [Content-Length]"),
            (
                "PUT / HTTP/1.1",
                "Host: a\r\ntransfer-encoding: Chunked",
                "PUT / 1 a Chunked keep [] [transfer-encoding]",
            ),
            ("PUT / HTTP/1.1", "Host: a\r\nExpect: 100-Continue", "PUT / 1 a Empty keep continue [] [Expect]"),
            // RFC 9110 section 10.1.1: of HTTP/1.0 it is ignored.
            ("PUT / HTTP/1.0", "Expect: 100-continue", "PUT / 0 - Empty [] [Expect]"),
            ("GET / HTTP/1.1", "Host: a\r\nTE: gzip, Trailers", "GET / 1 a Empty keep trailers [] [TE]"),
            ("GET / HTTP/1.1", "Host: a\r\nTE: gzip", "GET / 1 a Empty keep [] [TE]"),
            // What `Connection` names is not forwarded, wherever it stands; `Host` cannot be taken out.
            (
                "GET / HTTP/1.1",
                "x-a: 1\r\nConnection: X-A, Host\r\nHost: a\r\nX-B: 1\r\nX-a: 2",
                "GET / 1 a Empty keep [X-B] [Connection,x-a,X-a]",
            ),
            (
                "GET / HTTP/1.1",
                "Host: a\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTrailer: x\r\nHTTP2-Settings: x",
                "GET / 1 a Empty keep [] [Keep-Alive,Proxy-Connection,Trailer,HTTP2-Settings]",
            ),
        ] {
            assert_outline(format!("{line}\r\n{fields}\r\n\r\n").as_bytes(), Ok(expected));
        }
    }

    /// One protocol, that is neither ours nor of this connection, of a request without a body, and only where `Connection`
    /// says so.
    #[test]
    fn upgrades() {
        for (version, fields, upgrade) in [
            ("1.1", "Connection: Upgrade\r\nUpgrade: websocket", Some("websocket")),
            ("1.1", "Upgrade: websocket\r\nConnection: x, upgrade\r\nContent-Length: 0", Some("websocket")),
            ("1.1", "Connection: upgrade\r\nUpgrade: tlsx", Some("tlsx")),
            ("1.1", "Upgrade: websocket", None),
            ("1.1", "Connection: upgrade", None),
            ("1.0", "Connection: upgrade\r\nUpgrade: websocket", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: websocket, h2c", None),
            ("1.1", "Connection: upgrade, HTTP2-Settings\r\nUpgrade: H2C\r\nHTTP2-Settings: x", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: TLS/1.3", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: h2c/1", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: HTTP/2.0", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: h2", None),
            ("1.1", "Connection: upgrade\r\nUpgrade: httpx", Some("httpx")),
        ] {
            let sent = format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n\r\n");
            let Ok(Parsed::Complete(head)) = parse_request(sent.as_bytes(), MAX_FIELDS) else { panic!("{sent}") };
            assert_eq!(head.upgrade, upgrade.map(str::as_bytes), "{sent}");
        }
    }

    /// What two parsers could read differently, and what nobody here speaks.
    #[test]
    fn attacks() {
        use WireError::{HeadTooLarge, Malformed, NotHttp, TargetTooLong, UnknownExpectation, UnsupportedVersion};
        let bad_length = Malformed("Content-Length is not one number");
        let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        let many = |count: usize| (0..count).map(|number| format!("x{number}")).collect::<Vec<_>>().join(",");
        let rows = [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), Malformed("no Host")),
            (with("host: a"), Malformed("two Host fields")),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), Malformed("a line without CR")),
            ("GET / HTTP/1.1\r\nHost: a\n\n".to_owned(), Malformed("a line without CR")),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned(), Malformed("a line without CR")),
            ("\r\nGET / HTTP/1.0\r\n\r\n".to_owned(), Malformed("an empty line in the place of the request line")),
            ("\nGET / HTTP/1.0\r\n\r\n".to_owned(), Malformed("an empty line in the place of the request line")),
            (with(" folded: b"), Malformed("a malformed field name")),
            (with("X : b"), Malformed("a malformed field name")),
            (with(": b"), Malformed("a malformed field name")),
            (with("X\0: b"), Malformed("a malformed field name")),
            (with("X: b\0c"), Malformed("a malformed field value")),
            ("GET / x HTTP/1.1\r\n\r\n".to_owned(), Malformed("more than a method, a target and a version")),
            ("GET / x HTTP/2.0\r\n\r\n".to_owned(), Malformed("more than a method, a target and a version")),
            ("GET / HTTP/1.1 HTTP/2.0\r\n\r\n".to_owned(), Malformed("a malformed line end")),
            ("GET / HTTP/2.0\r\n\r\n".to_owned(), UnsupportedVersion),
            ("GET / HTTP/1.2\r\n\r\n".to_owned(), UnsupportedVersion),
            ("GET / HTTP/11\r\n\r\n".to_owned(), Malformed("not an HTTP version")),
            ("GET / http/1.1\r\n\r\n".to_owned(), Malformed("not an HTTP version")),
            ("EHLO mail here\r\n".to_owned(), NotHttp),
            ("\u{16}\u{3}\u{1}\r\n".to_owned(), Malformed("a malformed request line")),
            (with("Content-Length: 3\r\nContent-Length: 3"), bad_length),
            (with("Content-Length: 3, 3"), bad_length),
            (with("Content-Length: +3"), bad_length),
            (with("Content-Length: 0x3"), bad_length),
            (with("Content-Length:"), bad_length),
            (with("Content-Length: 1000000000000000000"), bad_length),
            (
                with("Content-Length: 3\r\nTransfer-Encoding: chunked"),
                Malformed("both Content-Length and Transfer-Encoding"),
            ),
            (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"), Malformed("two Transfer-Encoding fields")),
            (with("Transfer-Encoding: gzip, chunked"), Malformed("Transfer-Encoding is not exactly chunked")),
            (with("Transfer-Encoding: gzip"), WireError::UnsupportedCoding),
            (
                "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                Malformed("Transfer-Encoding in HTTP/1.0"),
            ),
            (with("Expect: 200-ok"), UnknownExpectation),
            (with(&format!("Connection: {}", many(33))), HeadTooLarge),
            (with(&"X: 1\r\n".repeat(MAX_FIELDS)), HeadTooLarge),
            (format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(MAX_TARGET)), TargetTooLong),
        ];
        for (sent, expected) in rows {
            assert_outline(sent.as_bytes(), Err(expected));
        }
        let longest = format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(MAX_TARGET - 1));
        assert!(matches!(outline(longest.as_bytes(), 0), Ok(Some(_))));
        assert!(matches!(outline(with(&format!("Connection: {}", many(32))).as_bytes(), 2), Ok(Some(_))));
    }

    /// Also those that are not handed on, and `Host`.
    #[test]
    fn fields_are_counted() {
        for (count, refused) in [(0, false), (15, false), (16, true)] {
            let sent = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "Connection: x\r\n".repeat(count));
            let parsed = parse_request(sent.as_bytes(), 16);
            assert_eq!(matches!(parsed, Err(WireError::HeadTooLarge)), refused, "{count}");
        }
    }

    /// What is not read from a buffer is judged as what is: `decide` and the wire agree.
    #[test]
    fn parts_make_the_head_that_their_bytes_make() {
        for fields in [
            &[("Host", "a"), ("X", "1"), ("Connection", "x, close"), ("Content-Length", "3")][..],
            &[("Host", "a"), ("host", "a")],
            &[("X", "1")],
            &[("Host", "a"), ("Expect", "x")],
        ] {
            let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let lines = lines.concat();
            let parts = fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
            for minor in [0, 1] {
                let made = RequestHead::of("PUT", b"/", minor, parts.clone()).map(|head| Some(outline_of(&head)));
                let sent = format!("PUT / HTTP/1.{minor}\r\n{lines}\r\n");
                assert_eq!(made, outline(sent.as_bytes(), MAX_FIELDS), "{sent}");
            }
        }
    }

    fn put(buffer: &mut Buffer, bytes: &[u8]) {
        buffer.space(1 << 16).unwrap()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled_by(bytes.len());
    }

    /// Each line end is told once, however few bytes come at a time, and empty lines in front do not count.
    #[test]
    fn a_search_tells_where_a_line_has_ended() {
        for (sent, told, left) in [
            ("GET / HTTP/1.0\r\n\r\n", &[16, 18][..], "GET / HTTP/1.0\r\n\r\n"),
            ("\r\n\r\nGET", &[], "GET"),
            ("\r\n\r\n\r\n", &[6], "\r\n"),
            ("\nGET", &[1], "\nGET"),
            ("GET", &[], "GET"),
        ] {
            let (mut buffer, mut search) = (Buffer::new(), HeadSearch::default());
            let found: Vec<usize> = (1..=sent.len())
                .filter(|end| {
                    put(&mut buffer, &sent.as_bytes()[end - 1..*end]);
                    search.line_ended(&mut buffer)
                })
                .collect();
            assert_eq!(found, told, "{sent:?}");
            assert_eq!(buffer.filled(), left.as_bytes(), "{sent:?}");
            let (mut buffer, mut search) = (Buffer::new(), HeadSearch::default());
            put(&mut buffer, sent.as_bytes());
            assert_eq!(search.line_ended(&mut buffer), !told.is_empty(), "{sent:?} at once");
            assert_eq!(buffer.filled(), left.as_bytes(), "{sent:?} at once");
            assert!(!search.line_ended(&mut buffer), "{sent:?} and nothing more");
        }
    }
}
