//! Response heads: `codec::parse_response`, for HEAD and for other requests.

use super::incremental::{self, Verdict};
use super::wire;
use crate::verdict::{Outcome, Violation, ensure};
use codec::{Framing, MAX_FIELDS, Parsed, ResponseHead, is_wire_field, parse_response};

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let to_get = check_for(input, false)?;
    let to_head = check_for(input, true)?;
    Ok(format!("{to_get}; {to_head}"))
}

fn check_for(input: &[u8], head_request: bool) -> Result<Outcome, Violation> {
    let whole = incremental::check(input, |bytes| match parse_response(bytes, head_request, MAX_FIELDS) {
        Ok(Parsed::Partial) => Verdict::Partial,
        Ok(Parsed::Complete(head)) => Verdict::Complete { read: format!("{head:?}"), consumed: Some(head.consumed) },
        Err(error) => Verdict::Refused(format!("{error:?}")),
    })?;
    match (whole, parse_response(input, head_request, MAX_FIELDS)) {
        (Verdict::Refused(error), _) => Ok(error),
        (_, Ok(Parsed::Complete(head))) => check_head(input, &head, head_request),
        _ => Ok("partial".to_owned()),
    }
}

fn check_head(input: &[u8], head: &ResponseHead<'_>, head_request: bool) -> Result<Outcome, Violation> {
    let section = wire::strict(&input[..head.consumed], true)?;
    section.check_framing()?;
    let line = section.first_line.unwrap_or_default();
    let status = line.get(9..12).map(String::from_utf8_lossy);
    ensure!(
        line.starts_with(b"HTTP/1.") && status.as_deref() == Some(head.status.to_string().as_str()),
        "the status line is version, status and reason",
        "{}",
        line.escape_ascii()
    );
    let reason = line.get(13..).unwrap_or_default();
    // httparse gives none that is not ASCII; nobody needs it (RFC 9112 section 4).
    let expected = if reason.is_ascii() { reason } else { b"" };
    ensure!(head.reason == expected, "the reason is as sent", "{}", head.reason.escape_ascii());
    ensure!((100..=999).contains(&head.status), "a status has three digits", "{}", head.status);
    let length = section.values("content-length").next().map(String::from_utf8_lossy);
    let length = length.and_then(|text| text.parse().ok());
    let chunked = section.values("transfer-encoding").next().is_some();
    let bodyless = head_request || head.status < 200 || head.status == 204 || head.status == 304;
    let expected = match length {
        _ if bodyless => Framing::Empty,
        Some(length) => Framing::Length(length),
        None if chunked => Framing::Chunked,
        None => Framing::UntilClose,
    };
    ensure!(head.framing == expected, "the framing is what the fields say", "{:?}, not {expected:?}", head.framing);
    ensure!(head.announced_length == length, "the length is what the field says", "{:?}", head.announced_length);
    ensure!(!(head.keep_alive && head.framing == Framing::UntilClose), "a body that ends it leaves no connection");
    ensure!(head.upgrade.is_none() || head.status == 101, "only 101 switches");
    for field in &head.fields {
        let ours = is_wire_field(field.name)
            && !field.name.eq_ignore_ascii_case(b"te")
            && !field.name.eq_ignore_ascii_case(b"expect");
        ensure!(!ours, "no hop-by-hop field is forwarded", "{field:?}");
        ensure!(section.fields.contains(field), "the fields are those that were sent", "{field:?}");
    }
    Ok(format!(
        "{} {} keep {} upgrade {} fields {} of {}",
        head.status / 100,
        wire::kind(head.framing),
        head.keep_alive,
        head.upgrade.is_some(),
        usize::BITS - head.fields.len().leading_zeros(),
        usize::BITS - section.fields.len().leading_zeros(),
    ))
}
