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
    /// The protocol that the client wants to switch to; never `h2c` or TLS, never together with a body.
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
        // One protocol only, and never h2c: a backend that took it would speak HTTP/2 past our routing (RFC 9113 section 3.1).
        // Nor TLS (RFC 2817), which clients offer with every request: that is for this connection, and not for the backend.
        let is_ours = |value: &[u8]| {
            value.eq_ignore_ascii_case(b"h2c")
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
