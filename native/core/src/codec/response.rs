//! Response heads from backends (RFC 9112 sections 4 to 6).

use super::fields::{ConnectionOptions, FieldKind, FramingFields, every_line_ends_in_crlf, kind};
use super::{FieldList, Framing, MAX_FIELDS, Parsed, WireError};
use crate::table::Field;
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

/// Parse the head at the start of `bytes`; `head_request`: the request was HEAD, so no body follows.
///
/// # Errors
/// Anything ambiguous; the caller answers 502 and drops the connection.
pub fn parse_response(bytes: &[u8], head_request: bool) -> Result<Parsed<ResponseHead<'_>>, WireError> {
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
    if !every_line_ends_in_crlf(&bytes[..consumed]) {
        return Err(WireError::Malformed("a line without CR"));
    }
    let (Some(status), Some(reason), Some(minor)) = (response.code, response.reason, response.version) else {
        return Err(WireError::Malformed("not a status line"));
    };
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
    options.remove_named(&mut head.fields);
    if head.status == 101 {
        head.upgrade = upgrade;
    }
    Ok(())
}
