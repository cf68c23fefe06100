//! Trailer sections: `codec::parse_trailers`.

use super::incremental::{self, Verdict};
use super::wire;
use crate::verdict::{Outcome, Violation, ensure};
use codec::{MAX_TRAILERS, Parsed, is_forbidden_trailer, parse_trailers};

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let whole = incremental::check(input, |bytes| match parse_trailers(bytes) {
        Ok(Parsed::Partial) => Verdict::Partial,
        // It does not say how much it took: up to the empty line.
        Ok(Parsed::Complete(fields)) => Verdict::Complete { read: format!("{fields:?}"), consumed: Some(end(bytes)) },
        Err(error) => Verdict::Refused(format!("{error:?}")),
    })?;
    let (Verdict::Complete { consumed: Some(consumed), .. }, Ok(Parsed::Complete(fields))) =
        (&whole, parse_trailers(input))
    else {
        return Ok(match whole {
            Verdict::Refused(error) => error,
            _ => "partial".to_owned(),
        });
    };
    let mut section = wire::strict(&input[..*consumed], false)?;
    let sent = section.fields.len();
    ensure!(sent <= MAX_TRAILERS, "trailers are limited", "{sent}");
    section.fields.retain(|field| !is_forbidden_trailer(field.name));
    section.check_same(fields.iter().copied())?;
    for name in ["content-length", "transfer-encoding", "host", "connection", "authorization", "x-forwarded-for"] {
        ensure!(section.values(name).next().is_none(), "no trailer frames, routes or authenticates", "{name}");
    }
    Ok(format!("{} of {}", usize::BITS - fields.len().leading_zeros(), usize::BITS - sent.leading_zeros()))
}

/// Behind the first empty line.
fn end(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\r\n") {
        return 2;
    }
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4)
}
