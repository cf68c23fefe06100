//! The server name of a TLS `ClientHello`, read without taking part in the handshake.
//!
//! Bytes in, a verdict out: no I/O, no state. A message may come in any number of records and a record in any number of
//! reads (RFC 8446 section 5.1); extensions that we do not know, GREASE (RFC 8701) and the outer hello of ECH are passed over.
//! What is looked at is bounded by [`MAX_BYTES`], and wrong bytes are told as soon as they are there.

use std::borrow::Cow;

/// Bytes of records that are waited for. Stops clients that never come to the end of their hello.
pub const MAX_BYTES: usize = 32 * 1024;

/// A `ClientHello` message. Hellos with post-quantum key shares have about 2 KiB.
const MAX_MESSAGE: usize = 16 * 1024;

/// A hostname (RFC 1035 section 2.3.4), with a trailing dot.
const MAX_NAME: usize = 254;

const RECORD_HANDSHAKE: u8 = 22;
const MESSAGE_CLIENT_HELLO: u8 = 1;
const EXTENSION_SERVER_NAME: u16 = 0;
const NAME_TYPE_HOST: u8 = 0;

/// What the bytes so far are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// The beginning of one.
    Incomplete,
    /// The name is lower case, without trailing dot; `None`: the client named no server.
    Whole(Option<String>),
    /// No `ClientHello`, whatever comes; says why.
    Malformed(&'static str),
}

/// Look at everything that a client has sent so far.
pub fn read(bytes: &[u8]) -> Hello {
    match message(bytes).and_then(|message| message.map(|message| server_name(&message)).transpose()) {
        Ok(None) => Hello::Incomplete,
        Ok(Some(name)) => Hello::Whole(name),
        Err(reason) => Hello::Malformed(reason),
    }
}

/// The body of the message, put together from its records; `None`: not all there yet.
fn message(mut bytes: &[u8]) -> Result<Option<Cow<'_, [u8]>>, &'static str> {
    let mut collected: Vec<u8> = Vec::new();
    loop {
        check_record_start(bytes)?;
        let Some((header, rest)) = bytes.split_at_checked(5) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 {
            return Err("an empty handshake record");
        }
        if length > MAX_MESSAGE {
            return Err("a record that is too long");
        }
        let fragment = &rest[..length.min(rest.len())];
        if collected.is_empty()
            && let Some(body) = body(fragment)?
        {
            return Ok(Some(Cow::Borrowed(body)));
        }
        collected.extend_from_slice(fragment);
        if let Some(body) = body(&collected)? {
            return Ok(Some(Cow::Owned(body.to_vec())));
        }
        if fragment.len() < length {
            return Ok(None);
        }
        bytes = &rest[length..];
    }
}

fn check_record_start(bytes: &[u8]) -> Result<(), &'static str> {
    if bytes.first().is_some_and(|kind| *kind != RECORD_HANDSHAKE) {
        return Err("no TLS handshake");
    }
    if bytes.get(1).is_some_and(|major| *major != 3) {
        return Err("no version of TLS");
    }
    Ok(())
}

/// The body of a handshake message that begins here; `None`: more is needed.
fn body(message: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    if message.first().is_some_and(|kind| *kind != MESSAGE_CLIENT_HELLO) {
        return Err("no ClientHello");
    }
    let Some((header, rest)) = message.split_at_checked(4) else {
        return Ok(None);
    };
    let length = usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
    if length > MAX_MESSAGE {
        return Err("a ClientHello that is too long");
    }
    Ok(rest.get(..length))
}

/// The host name in the body of a `ClientHello` (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn server_name(body: &[u8]) -> Result<Option<String>, &'static str> {
    const CUT: &str = "a ClientHello that is cut off";
    let mut hello = Reader(body);
    // Version and random.
    hello.take(2 + 32).ok_or(CUT)?;
    // Session id, cipher suites, compression methods.
    hello.vector8().ok_or(CUT)?;
    hello.vector16().ok_or(CUT)?;
    hello.vector8().ok_or(CUT)?;
    if hello.0.is_empty() {
        // A hello of TLS 1.2 may have no extensions at all.
        return Ok(None);
    }
    let mut extensions = Reader(hello.vector16().ok_or(CUT)?);
    if !hello.0.is_empty() {
        return Err("bytes behind the ClientHello's extensions");
    }
    let mut name = None;
    let mut seen = false;
    while !extensions.0.is_empty() {
        let kind = extensions.number16().ok_or(CUT)?;
        let data = extensions.vector16().ok_or(CUT)?;
        if kind == EXTENSION_SERVER_NAME {
            if seen {
                return Err("two server_name extensions");
            }
            seen = true;
            name = host_name(data)?;
        }
    }
    Ok(name)
}

fn host_name(extension: &[u8]) -> Result<Option<String>, &'static str> {
    const BROKEN: &str = "a broken server_name extension";
    let mut extension = Reader(extension);
    let mut names = Reader(extension.vector16().ok_or(BROKEN)?);
    if !extension.0.is_empty() || names.0.is_empty() {
        return Err(BROKEN);
    }
    let mut found = None;
    while !names.0.is_empty() {
        let kind = names.take(1).ok_or(BROKEN)?[0];
        let name = names.vector16().ok_or(BROKEN)?;
        if kind != NAME_TYPE_HOST {
            continue;
        }
        if found.replace(clean(name)?).is_some() {
            return Err("two host names");
        }
    }
    Ok(found)
}

fn clean(name: &[u8]) -> Result<String, &'static str> {
    const WRONG: &str = "a server name that is no host name";
    let usable = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() > MAX_NAME || !name.iter().all(usable) {
        return Err(WRONG);
    }
    let name = name.strip_suffix(b".").unwrap_or(name);
    // A second dot would be dropped by whoever reads the name next.
    if name.is_empty() || name.first() == Some(&b'.') || name.last() == Some(&b'.') {
        return Err(WRONG);
    }
    String::from_utf8(name.to_ascii_lowercase()).map_err(|_| WRONG)
}

/// Takes bytes from the front; `None` where there are too few.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'b [u8]> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    fn vector16(&mut self) -> Option<&'b [u8]> {
        let length = self.number16()?;
        self.take(usize::from(length))
    }
}
