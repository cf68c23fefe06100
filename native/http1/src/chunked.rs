//! The chunked transfer coding, receiving side (RFC 9112 section 7.1).

use super::WireError;
use std::ops::Range;

/// Bytes of chunk extensions in one body: they carry nothing for us and are a cheap way to keep a connection busy.
const MAX_EXTENSION_BYTES: usize = 4 * 1024;

/// Bytes of a trailer section.
const MAX_TRAILER_BYTES: usize = 8 * 1024;

/// Hex digits of a chunk size; 2^60 bytes are enough for anybody.
const MAX_SIZE_DIGITS: u32 = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size {
        digits: u32,
    },
    /// Blanks after the size: only an extension or the line end may follow.
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    Done,
}

/// Turns received bytes into pieces of the body. Feed it as bytes come; it remembers where it stands.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    remaining: u64,
    extension_bytes: usize,
    trailer: Vec<u8>,
}

/// What one call made of its input.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are dealt with, those of `data` included.
    pub consumed: usize,
    /// Where in the input body bytes stand. Empty: only framing was there.
    pub data: Range<usize>,
    /// The body and its trailers are whole.
    pub finished: bool,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self { state: State::Size { digits: 0 }, remaining: 0, extension_bytes: 0, trailer: Vec::new() }
    }
}

impl ChunkedDecoder {
    /// The raw trailer section with its empty line, once finished; parse with [`super::parse_trailers`].
    pub fn into_trailer(self) -> Vec<u8> {
        self.trailer
    }

    /// Decode up to the next piece of data, the end of the body, or the end of the input.
    ///
    /// # Errors
    /// `Malformed` for everything that is not the grammar, bare LF and oversized extensions or trailers included.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, WireError> {
        let mut at = 0;
        while at < input.len() {
            let byte = input[at];
            match self.state {
                State::Data => {
                    let available = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len() - at);
                    self.remaining -= available as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    let data = at..at + available;
                    // The usual chunk ends here too: take its CRLF with it and save the caller a round.
                    at += available;
                    if self.remaining == 0 && input[at..].starts_with(b"\r\n") {
                        at += 2;
                        self.state = State::Size { digits: 0 };
                    }
                    return Ok(Step { consumed: at, data, finished: false });
                }
                State::Trailer => {
                    at += self.read_trailer(&input[at..])?;
                    if self.state == State::Done {
                        return Ok(Step { consumed: at, data: 0..0, finished: true });
                    }
                    continue;
                }
                State::Done => break,
                _ => self.read_framing(byte)?,
            }
            at += 1;
        }
        Ok(Step { consumed: at, data: 0..0, finished: self.state == State::Done })
    }

    fn read_framing(&mut self, byte: u8) -> Result<(), WireError> {
        self.state = match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => {
                if digits >= MAX_SIZE_DIGITS {
                    return Err(WireError::Malformed("a chunk size that is too large"));
                }
                self.remaining = self.remaining << 4 | u64::from(hex(byte));
                State::Size { digits: digits + 1 }
            }
            (State::Size { digits: 0 }, _) => {
                return Err(WireError::Malformed("a chunk size that is not hexadecimal"));
            }
            (State::Size { .. } | State::Blank | State::Extension, b'\r') => State::SizeLf,
            (State::Size { .. } | State::Blank, b';') => State::Extension,
            (State::Size { .. } | State::Blank, b' ' | b'\t') => {
                self.count_extension()?;
                State::Blank
            }
            (State::Extension, b'\t' | 0x20..=0x7e | 0x80..) => {
                self.count_extension()?;
                State::Extension
            }
            (State::SizeLf, b'\n') if self.remaining == 0 => State::Trailer,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { digits: 0 },
            _ => return Err(WireError::Malformed("malformed chunk framing")),
        };
        Ok(())
    }

    /// Collects lines until the empty one; nearly always the section is just that.
    fn read_trailer(&mut self, input: &[u8]) -> Result<usize, WireError> {
        for (index, &byte) in input.iter().enumerate() {
            if self.trailer.len() >= MAX_TRAILER_BYTES {
                return Err(WireError::HeadTooLarge);
            }
            self.trailer.push(byte);
            if byte == b'\n' {
                if !self.trailer.ends_with(b"\r\n") {
                    return Err(WireError::Malformed("a trailer line without CR"));
                }
                if self.trailer == b"\r\n" || self.trailer.ends_with(b"\r\n\r\n") {
                    self.state = State::Done;
                    return Ok(index + 1);
                }
            }
        }
        Ok(input.len())
    }

    fn count_extension(&mut self) -> Result<(), WireError> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(WireError::Malformed("chunk extensions over the limit"));
        }
        Ok(())
    }
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Body, trailer section, bytes left over.
    type Decoded = Result<(Vec<u8>, Vec<u8>, usize), WireError>;

    fn decode(input: &[u8], piece: usize) -> Decoded {
        let mut decoder = ChunkedDecoder::default();
        let mut body = Vec::new();
        let mut at = 0;
        while at < input.len() {
            let end = input.len().min(at + piece);
            let step = decoder.step(&input[at..end])?;
            body.extend_from_slice(&input[at..end][step.data.clone()]);
            at += step.consumed;
            if step.finished {
                return Ok((body, decoder.into_trailer(), input.len() - at));
            }
        }
        Err(WireError::Malformed("unfinished"))
    }

    #[test]
    fn whole_and_byte_by_byte_agree() {
        let cases: &[(&[u8], Option<(&[u8], &[u8], usize)>)] = &[
            (b"5\r\nhello\r\n0\r\n\r\n", Some((b"hello", b"\r\n", 0))),
            (b"5\r\nhello\r\n0\r\n\r\nGET /", Some((b"hello", b"\r\n", 5))),
            (b"A;x=\"y\"\r\n0123456789\r\n000\r\n\r\n", Some((b"0123456789", b"\r\n", 0))),
            (b"5 ;x\r\nhello\r\n0\r\n\r\n", Some((b"hello", b"\r\n", 0))),
            (b"1\r\na\r\n2\r\nbc\r\n0\r\nx: y\r\n\r\n", Some((b"abc", b"x: y\r\n\r\n", 0))),
            (b"0\r\n\r\n", Some((b"", b"\r\n", 0))),
            (b"\r\n", None),
            (b"g\r\n", None),
            (b"-1\r\n", None),
            (b"0x5\r\nhello\r\n0\r\n\r\n", None),
            (b"5\nhello\r\n0\r\n\r\n", None),
            (b"5\r\nhelloX\r\n0\r\n\r\n", None),
            (b"5\r\nhello\n0\r\n\r\n", None),
            (b"5 5\r\nhello\r\n0\r\n\r\n", None),
            (b"5;\x00\r\nhello\r\n0\r\n\r\n", None),
            (b"5;a\rb\r\nhello\r\n0\r\n\r\n", None),
            (b"ffffffffffffffff\r\n", None),
            (b"0\r\nx: y\n\r\n", None),
        ];
        for (input, expected) in cases {
            for piece in [1, 2, 3, 7, input.len()] {
                let decoded = decode(input, piece);
                match expected {
                    Some((body, trailer, rest)) => {
                        assert_eq!(decoded, Ok((body.to_vec(), trailer.to_vec(), *rest)), "{input:?} by {piece}");
                    }
                    None => assert!(decoded.is_err(), "{input:?} by {piece} gave {decoded:?}"),
                }
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let mut long = b"1;".to_vec();
        long.resize(MAX_EXTENSION_BYTES + 10, b'x');
        assert!(decode(&long, 100).is_err());
        let mut trailer = b"0\r\nx: ".to_vec();
        trailer.resize(MAX_TRAILER_BYTES + 10, b'x');
        assert_eq!(decode(&trailer, 100), Err(WireError::HeadTooLarge));
    }
}
