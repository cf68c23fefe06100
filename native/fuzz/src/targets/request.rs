//! Request heads: `codec::parse_request`.

use super::incremental::{self, Verdict};
use super::wire;
use crate::verdict::{Outcome, Violation, ensure};
use codec::{Field, Framing, MAX_FIELDS, Parsed, RequestHead, WireError, parse_request};

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let whole = incremental::check(input, |bytes| match parse_request(bytes, MAX_FIELDS) {
        Ok(Parsed::Partial) => Verdict::Partial,
        Ok(Parsed::Complete(head)) => Verdict::Complete { read: format!("{head:?}"), consumed: Some(head.consumed) },
        Err(error) => Verdict::Refused(format!("{error:?}")),
    })?;
    match (whole, parse_request(input, MAX_FIELDS)) {
        (Verdict::Refused(error), _) => Ok(error),
        (_, Ok(Parsed::Complete(head))) => check_head(input, &head),
        _ => Ok("partial".to_owned()),
    }
}

fn check_head(input: &[u8], head: &RequestHead<'_>) -> Result<Outcome, Violation> {
    let section = wire::strict(&input[..head.consumed], true)?;
    section.check_framing()?;
    let host = head.host.map(|value| Field { name: b"host", value });
    // The field's name has its own case on the wire.
    let mut sent = wire::Section { first_line: section.first_line, fields: section.fields.clone() };
    for field in sent.fields.iter_mut().filter(|field| field.name.eq_ignore_ascii_case(b"host")) {
        field.name = b"host";
    }
    sent.check_same(head.fields.iter().chain(&head.taken_out).copied().chain(host))?;
    let version = if head.minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" };
    let line = [head.method.as_bytes(), b" ", head.target, b" ", version.as_bytes()].concat();
    ensure!(
        section.first_line == Some(&line) && head.minor < 2,
        "the request line is method, target and version, with one space between",
        "{}",
        section.first_line.unwrap_or_default().escape_ascii()
    );
    let plain = |byte: &u8| (0x21..=0x7e).contains(byte) || *byte >= 0x80;
    ensure!(wire::is_token(head.method.as_bytes()), "the method is a token", "{}", head.method);
    ensure!(!head.target.is_empty() && head.target.iter().all(plain), "a target has no blanks or control characters");
    ensure!(head.host.is_some() || head.minor == 0, "HTTP/1.1 has a Host");
    check_framing(head, &section)?;
    check_limit(input, head)?;
    for field in &head.fields {
        ensure!(!codec::is_wire_field(field.name), "no hop-by-hop field is forwarded", "{field:?}");
    }
    Ok(format!(
        "1.{} {} close {} expect {} upgrade {} trailers {} out {} fields {}",
        head.minor,
        wire::kind(head.framing),
        !head.keep_alive,
        head.expect_continue,
        head.upgrade.is_some(),
        head.accepts_trailers,
        head.taken_out.len().min(5),
        usize::BITS - head.fields.len().leading_zeros(),
    ))
}

fn check_framing(head: &RequestHead<'_>, section: &wire::Section<'_>) -> Result<(), Violation> {
    let length = section.values("content-length").next().map(String::from_utf8_lossy);
    let chunked = section.values("transfer-encoding").next().is_some();
    let expected = match length.map(|text| text.parse()) {
        Some(Ok(length)) => Some(Framing::Length(length)),
        Some(Err(_)) => None,
        None if chunked => Some(Framing::Chunked),
        None => Some(Framing::Empty),
    };
    ensure!(Some(head.framing) == expected, "the framing is what the fields say", "{:?}", head.framing);
    ensure!(!(chunked && head.minor == 0), "HTTP/1.0 has no transfer codings");
    ensure!(head.upgrade.is_none() || head.framing.is_empty(), "no upgrade together with a body", "{:?}", head.framing);
    let ours = head.upgrade.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"h2c") || protocol.contains(&b','));
    ensure!(!ours, "no upgrade past our routing", "{:?}", head.upgrade);
    Ok(())
}

/// The limit counts every field, and decides nothing else.
fn check_limit(input: &[u8], head: &RequestHead<'_>) -> Result<(), Violation> {
    let count = head.fields.len() + head.taken_out.len() + usize::from(head.host.is_some());
    let again = parse_request(input, count);
    let same = matches!(&again, Ok(Parsed::Complete(again)) if format!("{again:?}") == format!("{head:?}"));
    ensure!(same, "as many fields as are allowed pass", "{count}: {again:?}");
    if let Some(fewer) = count.checked_sub(1) {
        let refused = parse_request(input, fewer).err();
        ensure!(refused == Some(WireError::HeadTooLarge), "one field more is refused", "{count}: {refused:?}");
    }
    Ok(())
}
