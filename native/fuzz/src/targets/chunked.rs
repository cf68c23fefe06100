//! Chunked bodies: `codec::ChunkedDecoder`, fed in every way, against a decoder that has the whole body before it.

use crate::random::Random;
use crate::verdict::{Outcome, Violation, ensure};
use codec::{ChunkHeader, ChunkedDecoder, WireError};

pub const TOKENS: &[&[u8]] = &[
    b"0\r\n\r\n",
    b"0\r\n",
    b"3\r\nabc\r\n",
    b"a\r\n0123456789\r\n",
    b"000000000000003\r\n",
    b"fffffffffffffff\r\n",
    b"ffffffffffffffff\r\n",
    b"0x3\r\n",
    b"3;a=b\r\n",
    b"3;a=\"b\r\n\"\r\n",
    b"3 ;a\r\n",
    b"3\t\r\n",
    b"\r\n0\r\n",
    b"X: y\r\n\r\n",
    b"Content-Length: 3\r\n",
];

/// What was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    /// Once the body is whole: the trailer section, and how many bytes all of it took.
    end: Option<(Vec<u8>, usize)>,
}

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let whole = decode(input, || usize::MAX)?;
    let mut random = Random::new(input.len() as u64);
    for size in [1, 2, 3, 7] {
        let pieces = decode(input, || size)?;
        ensure!(pieces == whole, "pieces give what the whole gives", "{pieces:?} by {size}, whole {whole:?}");
    }
    let pieces = decode(input, || 1 + random.below(12))?;
    ensure!(pieces == whole, "pieces give what the whole gives", "{pieces:?}, whole {whole:?}");
    match whole {
        Err(error) => {
            // Ours has limits that the plain one has not.
            let limited = matches!(error, WireError::HeadTooLarge)
                || matches!(error, WireError::Malformed(what) if what.contains("limit") || what.contains("too large"));
            let plain = plain(input);
            ensure!(limited || plain.is_none(), "what is plain is decoded", "{error:?}, not {plain:?}");
            Ok(format!("{error:?}"))
        }
        Ok(Body { data, end: None }) => Ok(format!("unfinished {}", usize::BITS - data.len().leading_zeros())),
        Ok(body @ Body { end: Some(_), .. }) => check_whole(input, body),
    }
}

fn check_whole(input: &[u8], body: Body) -> Result<Outcome, Violation> {
    let plain = plain(input);
    ensure!(plain.as_ref() == Some(&body), "the body is what the chunks say", "{body:?}, not {plain:?}");
    let (trailer, consumed) = body.end.clone().unwrap_or_default();
    ensure!(consumed <= input.len(), "no more is consumed than there is", "{consumed} of {}", input.len());
    let more = decode(&[&input[..consumed], b"1\r\nx\r\n0\r\n\r\n"].concat(), || usize::MAX)?;
    ensure!(more.as_ref() == Ok(&body), "what follows does not matter", "{more:?}, not {body:?}");
    let mut again = Vec::new();
    if !body.data.is_empty() {
        again.extend_from_slice(ChunkHeader::new(body.data.len()).as_bytes());
        again.extend_from_slice(&body.data);
        again.extend_from_slice(b"\r\n");
    }
    again.extend_from_slice(b"0\r\n");
    again.extend_from_slice(&trailer);
    let same = Body { end: Some((trailer, again.len())), ..body };
    let again = decode(&again, || usize::MAX)?;
    ensure!(again.as_ref() == Ok(&same), "what we write is what we read", "{again:?}, not {same:?}");
    Ok(format!(
        "whole {} trailer {}",
        usize::BITS - same.data.len().leading_zeros(),
        same.end.is_some_and(|(trailer, _)| trailer.len() > 2)
    ))
}

/// Decode in pieces whose sizes `next_size` gives; what a piece leaves over comes with the next, as from a read buffer.
fn decode(input: &[u8], mut next_size: impl FnMut() -> usize) -> Result<Result<Body, WireError>, Violation> {
    let mut decoder = ChunkedDecoder::default();
    let mut data = Vec::new();
    let (mut at, mut end) = (0, 0);
    while end < input.len() {
        end = input.len().min(end.saturating_add(next_size()));
        while at < end {
            let piece = &input[at..end];
            let step = match decoder.step(piece) {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
            ensure!(
                step.data.start <= step.data.end && step.data.end <= step.consumed && step.consumed <= piece.len(),
                "data is of what is consumed, and that of what is there",
                "{step:?} of {}",
                piece.len()
            );
            ensure!(step.consumed > 0, "every step gets on", "{step:?} of {}", piece.len());
            data.extend_from_slice(&piece[step.data]);
            at += step.consumed;
            if step.finished {
                return Ok(Ok(Body { data, end: Some((decoder.into_trailer(), at)) }));
            }
        }
    }
    Ok(Ok(Body { data, end: None }))
}

/// RFC 9112 section 7.1 by its letter; `None`: not whole, or not that.
fn plain(input: &[u8]) -> Option<Body> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line = line(&input[at..])?;
        at += line.len() + 2;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        let blanks = line[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let extension = &line[digits + blanks..];
        let allowed = |&byte: &u8| super::wire::is_value_byte(byte);
        if !(extension.is_empty() || (extension[0] == b';' && extension.iter().all(allowed))) {
            return None;
        }
        if size == 0 {
            break;
        }
        let end = at.checked_add(size)?;
        data.extend_from_slice(input.get(at..end)?);
        at = end.checked_add(2)?;
        if input.get(end..at)? != b"\r\n" {
            return None;
        }
    }
    let trailer = at;
    loop {
        let line = line(&input[at..])?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(Body { data, end: Some((input[trailer..at].to_vec(), at)) });
        }
    }
}

/// Up to CRLF, without any other LF.
fn line(input: &[u8]) -> Option<&[u8]> {
    let end = input.iter().position(|&byte| byte == b'\n')?;
    input[..end].strip_suffix(b"\r")
}
