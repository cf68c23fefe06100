//! Response heads from backends (RFC 9112 sections 4 to 6).

use super::Field;
use super::fields::{ConnectionOptions, FieldKind, FramingFields, every_line_ends_in_crlf, kind};
use super::{FieldList, Framing, MAX_FIELDS, Parsed, WireError};
use std::mem::MaybeUninit;

/// A response head as it stands in the buffer, without framing and hop-by-hop fields.
#[derive(Debug)]
pub struct ResponseHead<'b> {
    pub status: u16,
    pub reason: &'b [u8],
    pub fields: FieldList<'b>,
    pub framing: Framing,
    /// The length that a HEAD or 304 response tells of a body that does not follow.
    pub announced_length: Option<u64>,
    /// The connection can take another request after the body.
    pub keep_alive: bool,
    /// On 101 the protocol switched to.
    pub upgrade: Option<&'b [u8]>,
    pub consumed: usize,
}

/// Parse the head at the start of `bytes`, of at most `max_fields` fields ([`MAX_FIELDS`] in any case); `head_request`: the
/// request was HEAD, so no body follows.
///
/// # Errors
/// Anything ambiguous; the caller answers 502 and drops the connection.
pub fn parse_response(
    bytes: &[u8],
    head_request: bool,
    max_fields: usize,
) -> Result<Parsed<ResponseHead<'_>>, WireError> {
    // httparse would skip any number of them. A backend that sends one was in the middle of something else.
    if let [b'\r' | b'\n', ..] = bytes {
        return Err(WireError::Malformed("an empty line in the place of the status line"));
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let consumed = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err(WireError::HeadTooLarge),
        // No status line begins so, but every SETTINGS frame of a server does.
        Err(_) if bytes.starts_with(b"\0\0") => return Err(WireError::UnsupportedVersion),
        Err(_) => return Err(WireError::Malformed("a malformed response head")),
    };
    if !every_line_ends_in_crlf(&bytes[..consumed], response.headers) {
        return Err(WireError::Malformed("a line without CR"));
    }
    let (Some(status), Some(reason), Some(minor)) = (response.code, response.reason, response.version) else {
        return Err(WireError::Malformed("not a status line"));
    };
    if response.headers.len() > max_fields {
        return Err(WireError::HeadTooLarge);
    }
    if !(100..=999).contains(&status) {
        return Err(WireError::Malformed("a status code below 100"));
    }
    let mut head = ResponseHead {
        status,
        reason: reason.as_bytes(),
        fields: FieldList::new(),
        framing: Framing::Empty,
        announced_length: None,
        keep_alive: minor == 1,
        upgrade: None,
        consumed,
    };
    read_fields(&mut head, response.headers, minor, head_request)?;
    Ok(Parsed::Complete(head))
}

fn read_fields<'b>(
    head: &mut ResponseHead<'b>,
    headers: &[httparse::Header<'b>],
    minor: u8,
    head_request: bool,
) -> Result<(), WireError> {
    let mut framing = FramingFields::default();
    let mut options = ConnectionOptions::default();
    let mut upgrade = None;
    for header in headers {
        let name = header.name.as_bytes();
        match kind(name) {
            FieldKind::Other | FieldKind::Host | FieldKind::Te | FieldKind::Expect => {
                head.fields.push(Field { name, value: header.value });
            }
            FieldKind::ContentLength => framing.content_length(header.value)?,
            FieldKind::TransferEncoding => framing.transfer_encoding(header.value)?,
            FieldKind::Connection => options.read(header.value)?,
            FieldKind::Upgrade => upgrade = Some(header.value),
            FieldKind::HopByHop => {}
        }
    }
    let said = framing.framing(minor)?;
    if let Some(Framing::Length(length)) = said {
        head.announced_length = Some(length);
    }
    // RFC 9112 section 6.3: these never have a body, whatever the fields say.
    let bodyless = head_request || head.status < 200 || head.status == 204 || head.status == 304;
    head.framing = match said {
        _ if bodyless => Framing::Empty,
        Some(framing) => framing,
        None => Framing::UntilClose,
    };
    head.keep_alive = !options.close && (minor == 1 || options.keep_alive) && head.framing != Framing::UntilClose;
    options.take_named(&mut head.fields, |_| {});
    if head.status == 101 {
        head.upgrade = upgrade;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a caller that reads on and parses again makes of it. The verdict on a prefix stands.
    fn outline(bytes: &[u8], head_request: bool) -> Result<Option<String>, WireError> {
        Ok(match parse_response(bytes, head_request, MAX_FIELDS)? {
            Parsed::Partial => None,
            Parsed::Complete(head) => {
                let ResponseHead { status, framing, keep_alive, consumed, .. } = head;
                let fields: Vec<_> = head.fields.iter().map(|field| String::from_utf8_lossy(field.name)).collect();
                Some(format!("{status} {framing:?} {keep_alive} {} {consumed}", fields.join(",")))
            }
        })
    }

    /// Also those that are not handed on.
    #[test]
    fn fields_are_counted() {
        for (count, refused) in [(0, false), (16, false), (17, true), (MAX_FIELDS + 1, true)] {
            let head = format!("HTTP/1.1 204 x\r\n{}\r\n", "Connection: x\r\n".repeat(count));
            let parsed = parse_response(head.as_bytes(), false, 16);
            assert_eq!(matches!(parsed, Err(WireError::HeadTooLarge)), refused, "{count}");
        }
    }

    #[test]
    fn heads_mean_the_same_however_they_are_cut() {
        let cases: &[(&[u8], bool, Option<&str>)] = &[
            (b"HTTP/1.1 200 OK\r\n\r\n", false, Some("200 UntilClose false  19")),
            (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", false, Some("200 Length(3) true  35")),
            (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", false, Some("200 Length(3) false  38")),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, Some("200 Empty true  38")),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", false, Some("200 Chunked true  47")),
            (b"HTTP/1.1 204 No Content\r\nX: 1\r\nY:\r\n\r\n", false, Some("204 Empty true X,Y 37")),
            (b"HTTP/1.1 103 Hints\r\nlink: <a>\r\n\r\n", false, Some("103 Empty true link 33")),
            (b"HTTP/1.1 304 x\r\nConnection: close, X\r\nX: 1\r\nZ: 1\r\n\r\n", false, Some("304 Empty false Z 52")),
            (b"HTTP/1.1 200 OK\nX: 1\n\n", false, None),
            (b"HTTP/1.1 200 OK\r\nX: 1\nY: 1\r\n\r\n", false, None),
            (b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", false, None),
            (b"HTTP/1.1 200 OK\r\n folded\r\n\r\n", false, None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", false, None),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false, None),
            (b"\r\nHTTP/1.1 200 OK\r\n\r\n", false, None),
            (b"\nHTTP/1.1 200 OK\r\n\r\n", false, None),
            (b"\r\n\r\n", false, None),
            (b"HTTP/1.1 099 Low\r\n\r\n", false, None),
            (b"HTTP/2 200 OK\r\n\r\n", false, None),
            (b"SSH-2.0-OpenSSH_9.2\r\n", false, None),
        ];
        for (sent, head_request, expected) in cases {
            let whole = outline(sent, *head_request);
            assert_eq!(whole.clone().ok().flatten().as_deref(), *expected, "{sent:?}");
            assert_eq!(whole.is_err(), expected.is_none(), "{sent:?}");
            let more = [sent, &b"HTTP/1.1 200 OK\r\n\r\n"[..]].concat();
            assert_eq!(outline(&more, *head_request), whole, "{sent:?} and more");
            for end in 1..sent.len() {
                let cut = outline(&sent[..end], *head_request);
                assert!(cut == Ok(None) || (cut.is_err() && whole.is_err()), "{sent:?} to {end}: {cut:?}");
            }
        }
    }
}
