//! Heads read by the letter of RFC 9112, without the parser under test: what it lets through must be this plain.

use crate::verdict::{Violation, ensure};
use codec::{Field, Framing};

/// Tokens of HTTP/1.1.
pub const TOKENS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/2.0",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 101 x\r\n",
    b"OPTIONS *",
    b"CONNECT a:1",
    b"http://a/",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding",
    b"Transfer_Encoding: chunked\r\n",
    b"chunked",
    b"identity",
    b"gzip, chunked",
    b"Connection: close\r\n",
    b"Connection: keep-alive, X-A, Host\r\n",
    b"Connection: upgrade\r\n",
    b"Upgrade: websocket\r\n",
    b"Upgrade: h2c\r\n",
    b"HTTP2-Settings: a\r\n",
    b"Expect: 100-continue\r\n",
    b"TE: trailers\r\n",
    b"Trailer: x\r\n",
    b"Keep-Alive: 5\r\n",
    b"Proxy-Connection: close\r\n",
    b"X-Forwarded-For: 1.1.1.1\r\n",
    b"X-A: b\r\n",
    b"X:\r\n",
    b" : ",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
];

/// A head, or a section of trailers where there is no first line.
#[derive(Debug)]
pub struct Section<'b> {
    pub first_line: Option<&'b [u8]>,
    pub fields: Vec<Field<'b>>,
}

/// Take apart what was accepted. `bytes` ends with the empty line.
pub fn strict(bytes: &[u8], has_first_line: bool) -> Result<Section<'_>, Violation> {
    const RULE: &str = "what is accepted is plain HTTP/1.1";
    let lines = if bytes == b"\r\n" { Some(&b""[..]) } else { bytes.strip_suffix(b"\r\n\r\n") };
    ensure!(lines.is_some(), RULE, "it does not end in an empty line");
    let lines = lines.unwrap_or_default();
    let mut section = Section { first_line: None, fields: Vec::new() };
    let mut rest = Some(lines).filter(|lines| !lines.is_empty());
    while let Some(text) = rest {
        let end = text.windows(2).position(|pair| pair == b"\r\n");
        let line = &text[..end.unwrap_or(text.len())];
        rest = end.map(|end| &text[end + 2..]);
        ensure!(!line.iter().any(|byte| b"\r\n\0".contains(byte)), RULE, "CR, LF or NUL in {}", line.escape_ascii());
        if has_first_line && section.first_line.is_none() {
            section.first_line = Some(line);
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or_default();
        let (name, value) = (&line[..colon], line[colon..].get(1..).unwrap_or_default());
        ensure!(is_token(name), RULE, "a field name or a folded line: {}", line.escape_ascii());
        ensure!(value.iter().all(|&byte| is_value_byte(byte)), RULE, "a field value: {}", line.escape_ascii());
        section.fields.push(Field { name, value: trim(value) });
    }
    Ok(section)
}

/// RFC 9110 section 5.6.2.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// RFC 9110 section 5.5.
pub fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..)
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A framing without its number, for outcomes.
pub fn kind(framing: Framing) -> &'static str {
    match framing {
        Framing::Empty => "empty",
        Framing::Length(_) => "length",
        Framing::Chunked => "chunked",
        Framing::UntilClose => "until close",
    }
}

impl<'b> Section<'b> {
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'b [u8]> + 's {
        let named = self.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|field| field.value)
    }

    /// One framing, and no two ways to read it (RFC 9112 section 6.3).
    pub fn check_framing(&self) -> Result<(), Violation> {
        const RULE: &str = "one framing";
        let lengths: Vec<&[u8]> = self.values("content-length").collect();
        let codings: Vec<&[u8]> = self.values("transfer-encoding").collect();
        ensure!(lengths.len() + codings.len() <= 1, RULE, "{lengths:?} and {codings:?}");
        let digits = |value: &&[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        ensure!(lengths.iter().all(digits), RULE, "Content-Length {lengths:?}");
        ensure!(codings.iter().all(|value| value.eq_ignore_ascii_case(b"chunked")), RULE, "{codings:?}");
        Ok(())
    }

    /// Nothing got lost, was made up, or was changed: these are the fields in whatever order.
    pub fn check_same<'f>(&self, fields: impl IntoIterator<Item = Field<'f>>) -> Result<(), Violation> {
        let mut given: Vec<(&[u8], &[u8])> = fields.into_iter().map(|field| (field.name, field.value)).collect();
        let mut sent: Vec<(&[u8], &[u8])> = self.fields.iter().map(|field| (field.name, field.value)).collect();
        given.sort_unstable();
        sent.sort_unstable();
        ensure!(given == sent, "the fields are those that were sent", "{given:?}, sent {sent:?}");
        Ok(())
    }
}
