//! Rules for whatever is parsed again from the start as more bytes come: what was once said stands.

use crate::verdict::{Violation, ensure};

/// What a parser makes of the beginning of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// More is needed.
    Partial,
    /// Everything that was read, and how many bytes that took, where the parser says it.
    Complete {
        read: String,
        consumed: Option<usize>,
    },
    Refused(String),
}

/// Beginnings of an input that are tried; of longer inputs, those are spread evenly.
const MAX_CUTS: usize = 48;

/// What may follow: nothing, anything, and the beginnings of more of the same.
const FOLLOWING: [&[u8]; 6] = [b"\0", b"\r\n", b"\n", b" x", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x01"];

/// Parse the whole of `input`, its beginnings, and `input` with more behind it. Returns the verdict on the whole.
pub fn check(input: &[u8], parse: impl Fn(&[u8]) -> Verdict) -> Result<Verdict, Violation> {
    let whole = parse(input);
    if let Verdict::Complete { consumed: Some(consumed), .. } = whole {
        ensure!(consumed <= input.len(), "no more is consumed than there is", "{consumed} of {}", input.len());
    }
    for cut in cuts(input, &whole) {
        let verdict = parse(&input[..cut]);
        let stands = match (&verdict, &whole) {
            (Verdict::Partial, Verdict::Complete { consumed: Some(consumed), .. }) => cut < *consumed,
            (Verdict::Partial, _) | (Verdict::Refused(_), Verdict::Refused(_)) => true,
            (Verdict::Refused(_), _) => false,
            (Verdict::Complete { .. }, _) => verdict == whole,
        };
        ensure!(stands, "what is said of a beginning stands", "{verdict:?} of {cut} bytes, of all {whole:?}");
    }
    if whole != Verdict::Partial {
        for following in FOLLOWING {
            let more = parse(&[input, following].concat());
            let same = more == whole || matches!((&more, &whole), (Verdict::Refused(_), Verdict::Refused(_)));
            ensure!(same, "what follows does not matter", "{whole:?}, with more {more:?}");
        }
    }
    Ok(whole)
}

fn cuts(input: &[u8], whole: &Verdict) -> impl Iterator<Item = usize> {
    let step = input.len().div_ceil(MAX_CUTS).max(1);
    let end = match whole {
        Verdict::Complete { consumed: Some(consumed), .. } => *consumed,
        _ => input.len(),
    };
    let near_end = end.saturating_sub(4)..input.len().min(end + 3);
    (0..input.len()).step_by(step).chain(near_end)
}
