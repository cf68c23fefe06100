//! TLS `ClientHello`s: the server name by which connections are routed, against the one that a TLS library sees.

use super::incremental::{self, Verdict};
use crate::verdict::{Outcome, Violation, ensure};
use rustls::server::Acceptor;
use sluicegate_core::l4::hello::{Hello, read};

pub const TOKENS: &[&[u8]] = &[
    b"\x16\x03\x01",
    b"\x16\x03\x03\x00\x01",
    b"\x01\x00\x00",
    b"\x03\x03",
    b"\x00\x00\x00\x10\x00\x0e\x00\x00\x0bexample.com",
    b"\x00\x00\x00\x00",
    b"\x00\x00\x00\x02\x00\x00",
    b"\x00\x00\x00\x05\x00\x03\x00\x00\x00",
    b"\x0a\x0a\x00\x00",
    b"\xfe\x0d\x00\x01\x00",
    b"example.com",
    b"127.0.0.1",
    b".",
    b"\x14\x03\x03\x00\x01\x01",
    b"\x15\x03\x03\x00\x02\x01\x00",
    b"\xff\xff",
];

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let whole = incremental::check(input, |bytes| match read(bytes) {
        Hello::Incomplete => Verdict::Partial,
        Hello::Whole(name) => Verdict::Complete { read: format!("{name:?}"), consumed: None },
        Hello::Malformed(reason) => Verdict::Refused(reason.to_owned()),
    });
    let told = match (whole?, read(input)) {
        (Verdict::Refused(reason), _) => reason,
        (_, Hello::Whole(Some(name))) => {
            check_name(&name)?;
            check_plain(input, Some(&name))?;
            format!("name {}", usize::BITS - name.len().leading_zeros())
        }
        (_, Hello::Whole(None)) => {
            check_plain(input, None)?;
            "no name".to_owned()
        }
        _ => "incomplete".to_owned(),
    };
    let seen = library_name(input);
    if let Some(name) = &seen {
        check_same_name(&read(input), name.as_deref())?;
    }
    Ok(format!(
        "{told}; for the library {}",
        seen.map_or("none", |name| if name.is_some() { "a name" } else { "no name" })
    ))
}

fn check_name(name: &str) -> Result<(), Violation> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    ensure!(
        !name.is_empty() && name.len() <= 254 && name.bytes().all(allowed) && !name.starts_with('.'),
        "a server name is a lower-case host name",
        "{name}"
    );
    Ok(())
}

/// Read by the letter, the hello has this one host name and no other, or none.
fn check_plain(input: &[u8], name: Option<&str>) -> Result<(), Violation> {
    let names = plain_names(input).map(|names| names.iter().map(|name| plain_text(name)).collect::<Vec<_>>());
    let expected: Vec<String> = name.into_iter().map(str::to_owned).collect();
    ensure!(names.as_ref() == Some(&expected), "the name is the one host name of the hello", "{name:?}, not {names:?}");
    Ok(())
}

fn plain_text(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name).to_ascii_lowercase();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

/// All host names of a hello that is whole (RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3).
fn plain_names(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut message, mut records) = (Vec::new(), input);
    // Type, version, and a fragment; what is behind the hello may be no record, or a part of one.
    while take(&mut records, 3).is_some() {
        let cut_off = records.get(2..).unwrap_or_default();
        let fragment = vector(&mut records, 2);
        message.extend_from_slice(fragment.unwrap_or(cut_off));
        if fragment.is_none() {
            break;
        }
    }
    let mut rest = &message[..];
    take(&mut rest, 1)?;
    let mut body = vector(&mut rest, 3)?;
    take(&mut body, 2 + 32)?;
    for width in [1, 2, 1] {
        vector(&mut body, width)?;
    }
    let mut extensions = if body.is_empty() { body } else { vector(&mut body, 2)? };
    let mut names = Vec::new();
    while let Some(kind) = take(&mut extensions, 2) {
        let mut extension = vector(&mut extensions, 2)?;
        if kind == [0, 0] {
            let mut list = vector(&mut extension, 2)?;
            while let Some(kind) = take(&mut list, 1) {
                let name = vector(&mut list, 2)?;
                names.extend((kind == [0]).then(|| name.to_vec()));
            }
        }
    }
    Some(names)
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// What stands behind a length of `width` bytes.
fn vector<'b>(bytes: &mut &'b [u8], width: usize) -> Option<&'b [u8]> {
    let length = take(bytes, width)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    take(bytes, length)
}

/// The server name as rustls reads it, once it has a whole hello; `None`: it has not, or refuses it.
#[allow(clippy::option_option)]
fn library_name(mut input: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    while !input.is_empty() {
        acceptor.read_tls(&mut input).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some(accepted.client_hello().server_name().map(str::to_owned));
        }
    }
    None
}

/// Who routes and who decrypts must not be told different names. Ours may refuse what the library takes, which looks at the
/// first name only; the library takes an address for no name.
fn check_same_name(ours: &Hello, theirs: Option<&str>) -> Result<(), Violation> {
    const RULE: &str = "the name that routes is the name that the handshake has";
    ensure!(*ours != Hello::Incomplete, RULE, "incomplete, the library has {theirs:?}");
    let Hello::Whole(name) = ours else {
        return Ok(());
    };
    let theirs = theirs.map(str::to_ascii_lowercase);
    let theirs = theirs.as_deref().map(|name| name.strip_suffix('.').unwrap_or(name));
    let address = name.as_deref().is_some_and(|name| name.parse::<std::net::IpAddr>().is_ok());
    ensure!(name.as_deref() == theirs || (address && theirs.is_none()), RULE, "{name:?}, the library has {theirs:?}");
    Ok(())
}
