//! Header fields: which ones are hop-by-hop, which ones frame, which ones trailers may not carry.

use super::{Framing, MAX_TRAILERS, Parsed, WireError};
use smallvec::SmallVec;

/// One header field as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// Fields of one message as they stand in the buffer, without the hop-by-hop ones.
pub type FieldList<'b> = SmallVec<[Field<'b>; 24]>;

/// Fields that are not forwarded as they came.
pub type TakenFields<'b> = SmallVec<[Field<'b>; 4]>;

/// What a field name means to a proxy. Everything else is `Other` and passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Te,
    Expect,
    /// Keep-Alive, Proxy-Connection, Trailer, HTTP2-Settings: dropped (RFC 9110 section 7.6.1).
    HopByHop,
}

/// Decided by length first: most names need one comparison or none.
pub(super) fn kind(name: &[u8]) -> FieldKind {
    match name.len() {
        2 => only(name, b"TE", FieldKind::Te),
        4 => only(name, b"Host", FieldKind::Host),
        6 => only(name, b"Expect", FieldKind::Expect),
        7 if name[0] | 0x20 == b'u' => only(name, b"Upgrade", FieldKind::Upgrade),
        7 => only(name, b"Trailer", FieldKind::HopByHop),
        10 if name[0] | 0x20 == b'c' => only(name, b"Connection", FieldKind::Connection),
        10 => only(name, b"Keep-Alive", FieldKind::HopByHop),
        14 if name[0] | 0x20 == b'c' => only(name, b"Content-Length", FieldKind::ContentLength),
        14 => only(name, b"HTTP2-Settings", FieldKind::HopByHop),
        16 => only(name, b"Proxy-Connection", FieldKind::HopByHop),
        17 => only(name, b"Transfer-Encoding", FieldKind::TransferEncoding),
        _ => FieldKind::Other,
    }
}

/// That kind, where it is that name. Names as the RFCs write them are compared as a whole, others byte by byte.
#[inline]
fn only<const N: usize>(name: &[u8], usual: &[u8; N], kind: FieldKind) -> FieldKind {
    if name == usual || name.eq_ignore_ascii_case(usual) { kind } else { FieldKind::Other }
}

/// A name of a field, or a method (RFC 9110 section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    const SIGNS: &[u8] = b"!#$%&'*+-.^_`|~";
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || SIGNS.contains(byte))
}

/// A value of a field (RFC 9110 section 5.5): no control character but the tab.
pub fn is_value(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// A value without the blanks at its ends: they are no part of it (RFC 9110 section 5.5), and over HTTP/2 make a message malformed
/// (RFC 9113 section 8.2.1).
pub fn without_blanks(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The field belongs to one connection or one message's framing: it is not forwarded as it came, and nobody may set it.
/// `Host` is none; it names what is asked for.
pub fn is_wire_field(name: &[u8]) -> bool {
    !matches!(kind(name), FieldKind::Other | FieldKind::Host)
}

/// Fields that `Connection` may name in one message; each costs a look at every field.
const MAX_NAMED_FIELDS: usize = 32;

/// What the `Connection` fields of a message say.
#[derive(Debug, Default)]
pub(super) struct ConnectionOptions<'b> {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// Options that name a field which has to go.
    named: SmallVec<[&'b [u8]; 4]>,
}

impl<'b> ConnectionOptions<'b> {
    /// # Errors
    /// `HeadTooLarge` ([`MAX_NAMED_FIELDS`]).
    pub fn read(&mut self, value: &'b [u8]) -> Result<(), WireError> {
        for token in list(value) {
            if token.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if token.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if self.named.len() < MAX_NAMED_FIELDS {
                self.named.push(token);
            } else {
                return Err(WireError::HeadTooLarge);
            }
        }
        Ok(())
    }

    /// Give what is named to `take` (RFC 9110 section 7.6.1). Called before our own fields are added, so no client can remove
    /// those.
    pub fn take_named<'f>(&self, fields: &mut FieldList<'f>, mut take: impl FnMut(Field<'f>)) {
        if !self.named.is_empty() {
            fields.retain(|field| {
                let named = self.named.iter().any(|name| name.eq_ignore_ascii_case(field.name));
                if named {
                    take(*field);
                }
                !named
            });
        }
    }
}

/// The elements of a comma separated list, trimmed, empty ones skipped (RFC 9110 section 5.6.1).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// One message has one framing. Collects what the fields say and refuses every disagreement.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    length: Option<u64>,
    chunked: bool,
    coding_seen: bool,
}

impl FramingFields {
    /// Digits only; a second field, even an equal one, and a list are refused.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), WireError> {
        const BAD: WireError = WireError::Malformed("Content-Length is not one number");
        if self.length.is_some() || value.is_empty() || value.len() > 18 {
            return Err(BAD);
        }
        let mut length = 0u64;
        for &byte in value {
            if !byte.is_ascii_digit() {
                return Err(BAD);
            }
            length = length * 10 + u64::from(byte - b'0');
        }
        self.length = Some(length);
        Ok(())
    }

    /// Exactly one `chunked` and nothing else.
    pub fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), WireError> {
        if self.coding_seen {
            return Err(WireError::Malformed("two Transfer-Encoding fields"));
        }
        self.coding_seen = true;
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let mentions_chunked = list(value).any(|token| token.eq_ignore_ascii_case(b"chunked"));
        Err(if mentions_chunked || value.is_empty() {
            WireError::Malformed("Transfer-Encoding is not exactly chunked")
        } else {
            WireError::UnsupportedCoding
        })
    }

    /// `None`: neither field was there.
    pub fn framing(&self, minor: u8) -> Result<Option<Framing>, WireError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(WireError::Malformed("both Content-Length and Transfer-Encoding")),
            (None, true) if minor == 0 => Err(WireError::Malformed("Transfer-Encoding in HTTP/1.0")),
            (None, true) => Ok(Some(Framing::Chunked)),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, false) => Ok(None),
        }
    }
}

/// httparse takes a bare LF as a line end; a backend may not (RFC 9112 section 2.2), so we do not. Whatever LF there is in what
/// it took ends a line: the one before a field, or the last two. So a look behind each of `fields` is enough.
pub(super) fn every_line_ends_in_crlf(head: &[u8], fields: &[httparse::Header<'_>]) -> bool {
    let is_at_line_start = |field: &httparse::Header<'_>| {
        // A field of trailers may be the first line.
        let at = field.name.as_ptr().addr() - head.as_ptr().addr();
        at == 0 || head[..at].ends_with(b"\r\n")
    };
    (head == b"\r\n" || head.ends_with(b"\r\n\r\n")) && fields.iter().all(is_at_line_start)
}

/// Names that tell where a request came from, and that only a gateway may write: `Forwarded` (RFC 7239), `X-Real-IP` and all
/// of `X-Forwarded-*`, in every spelling that a backend may take for one of them. CGI and WSGI make `_` of `-`, others of
/// whatever is no letter or digit.
pub fn is_forwarding_name(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    match name.len() {
        9 => is_spelling_of(name, b"forwarded") || is_spelling_of(name, b"x-real-ip"),
        length => length > PREFIX.len() && is_spelling_of(&name[..PREFIX.len()], PREFIX),
    }
}

/// The same name, whatever the case and whatever stands for `-`. Both have one length.
fn is_spelling_of(name: &[u8], wanted: &[u8]) -> bool {
    let same = |(byte, wanted): (&u8, &u8)| {
        byte.eq_ignore_ascii_case(wanted) || (*wanted == b'-' && !byte.is_ascii_alphanumeric())
    };
    name.iter().zip(wanted).all(same)
}

/// Fields that a trailer section may not carry: framing, routing, authentication (RFC 9110 section 6.5.1), what belongs to
/// one connection, and what only we say in a head.
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 8] = [
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"cookie",
        b"proxy-authorization",
        b"set-cookie",
    ];
    kind(name) != FieldKind::Other
        || FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
        || is_forwarding_name(name)
}

/// A trailer section up to and with its empty line. Forbidden fields are dropped.
///
/// # Errors
/// `Malformed` and `HeadTooLarge` ([`MAX_TRAILERS`]).
pub fn parse_trailers(bytes: &[u8]) -> Result<Parsed<FieldList<'_>>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(httparse::Status::Partial) => Ok(Parsed::Partial),
        Ok(httparse::Status::Complete((length, headers))) => {
            if !every_line_ends_in_crlf(&bytes[..length], headers) {
                return Err(WireError::Malformed("a line without CR"));
            }
            Ok(Parsed::Complete(
                headers
                    .iter()
                    .filter(|header| !is_forbidden_trailer(header.name.as_bytes()))
                    .map(|header| Field { name: header.name.as_bytes(), value: header.value })
                    .collect(),
            ))
        }
        Err(httparse::Error::TooManyHeaders) => Err(WireError::HeadTooLarge),
        Err(_) => Err(WireError::Malformed("a malformed trailer field")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_request, parse_response};

    /// Wherever one CR is missing, however the rest is read.
    #[test]
    fn every_line_of_every_section_ends_in_crlf() {
        let request = |bytes: &[u8]| matches!(parse_request(bytes, 8), Ok(Parsed::Complete(_)));
        let response = |bytes: &[u8]| matches!(parse_response(bytes, false, 8), Ok(Parsed::Complete(_)));
        let trailers = |bytes: &[u8]| matches!(parse_trailers(bytes), Ok(Parsed::Complete(_)));
        let sections: [(&[u8], &dyn Fn(&[u8]) -> bool); 7] = [
            (b"GET / HTTP/1.1\r\nHost: a\r\nEmpty:\r\nSpaces:  b \t\r\n\r\n", &request),
            (b"GET / HTTP/1.0\r\n\r\n", &request),
            (b"HTTP/1.1 200 OK\r\nA: b\r\nEmpty: \r\n\r\n", &response),
            (b"HTTP/1.1 204\r\n\r\n", &response),
            (b"A: b\r\nC: d\r\n\r\n", &trailers),
            (b"A:\r\n\r\n", &trailers),
            (b"\r\n", &trailers),
        ];
        for (whole, is_taken) in sections {
            assert!(is_taken(whole), "{}", whole.escape_ascii());
            for at in whole.iter().enumerate().filter(|(_, byte)| **byte == b'\r').map(|(at, _)| at) {
                let without = [&whole[..at], &whole[at + 1..]].concat();
                assert!(!is_taken(&without), "{}", without.escape_ascii());
            }
        }
    }

    #[test]
    fn wire_fields() {
        for name in [
            "Connection",
            "content-length",
            "Expect",
            "HTTP2-Settings",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "trailer",
            "Transfer-Encoding",
            "upgrade",
        ] {
            assert!(is_wire_field(name.as_bytes()), "{name}");
        }
        for name in ["", "host", "x", "cookie", "content-type"] {
            assert!(!is_wire_field(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn spellings_of_forwarding_names() {
        for name in [
            "Forwarded",
            "FORWARDED",
            "X-Real-IP",
            "x_real_ip",
            "X.Real.IP",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X.Forwarded.For",
            "X-Forwarded_For",
            "X_Forwarded.For",
            "X!Forwarded~For",
            "X-Forwarded.Proto",
            "x|forwarded|host",
            "X.Forwarded-Port",
            "X-Forwarded-Anything",
        ] {
            assert!(is_forwarding_name(name.as_bytes()), "{name}");
            assert!(is_forbidden_trailer(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "X",
            "For",
            "XForwardedFor",
            "X-Forwarded",
            "X-Forwarded-",
            "Y-Forwarded-For",
            "X-Real-IPs",
            "xfrealxip",
        ] {
            assert!(!is_forwarding_name(name.as_bytes()), "{name}");
            assert!(!is_forbidden_trailer(name.as_bytes()), "{name}");
        }
    }
}
