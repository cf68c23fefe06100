//! Names of traces and spans (W3C Trace Context, sections 3.2.2.3 and 3.2.2.4), and who makes new ones.

use ahash::RandomState;
use std::cell::Cell;

/// Of a trace; never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// Of a span; never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    pub fn hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        write_hex(&self.0, &mut text);
        text
    }

    /// The part that is random, of 56 bits (Trace Context level 2, section 5.1.3): ratios go by it.
    pub fn random_part(self) -> u64 {
        let [.., b0, b1, b2, b3, b4, b5, b6] = self.0;
        u64::from_be_bytes([0, b0, b1, b2, b3, b4, b5, b6])
    }
}

impl SpanId {
    pub fn hex(self) -> [u8; 16] {
        let mut text = [0; 16];
        write_hex(&self.0, &mut text);
        text
    }
}

/// The two digits of each octet.
static PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut octet = 0;
    while octet < pairs.len() {
        pairs[octet] = [DIGITS[octet >> 4], DIGITS[octet & 0xf]];
        octet += 1;
    }
    pairs
};

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
}

/// Bytes of hexadecimal digits, lower case alone; `None`: they are none, or are all zero.
pub fn read_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    bytes.iter().any(|byte| *byte != 0).then_some(bytes)
}

/// The value of a digit, lower case.
pub fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Makes the names of one worker. They are different from those of others, and nothing else follows from them: who sees some
/// may guess the next.
#[derive(Debug)]
pub struct Ids {
    state: Cell<u64>,
    step: u64,
}

impl Default for Ids {
    fn default() -> Self {
        // Each is made with new keys, of the system's random numbers.
        let random = || RandomState::new().hash_one(std::process::id());
        Self { state: Cell::new(random()), step: random() | 1 }
    }
}

impl Ids {
    pub fn trace(&self) -> TraceId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_be_bytes());
        bytes[8..].copy_from_slice(&self.number().to_be_bytes());
        TraceId(bytes)
    }

    pub fn span(&self) -> SpanId {
        SpanId(self.number().to_be_bytes())
    }

    /// Random enough to draw by, and not 0.
    pub fn number(&self) -> u64 {
        loop {
            // SplitMix64.
            let state = self.state.get().wrapping_add(self.step);
            self.state.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let mixed = mixed ^ (mixed >> 31);
            if mixed != 0 {
                return mixed;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Ids, SpanId, TraceId, read_hex};
    use std::collections::HashSet;

    #[test]
    fn names_as_text() {
        let span = SpanId([0, 1, 0x2a, 0xff, 0x10, 0, 0xa0, 9]);
        assert_eq!(&span.hex(), b"00012aff1000a009");
        assert_eq!(read_hex(&span.hex()), Some(span.0));
        for bad in
            ["", "0", "0000000000000000", "00012AFF1000a009", "00012aff1000a00", "00012aff1000a00g", " 0012aff1000a009"]
        {
            assert_eq!(read_hex::<8>(bad.as_bytes()), None, "{bad}");
        }
        let trace = TraceId([0xff, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(trace.random_part(), 0x0102);
    }

    /// No worker begins where another one does.
    #[test]
    fn new_names_are_new() {
        let mut seen = HashSet::new();
        for _ in 0..50 {
            let ids = Ids::default();
            for _ in 0..100 {
                assert!(seen.insert(ids.trace().0[..8].to_vec()) && seen.insert(ids.span().0.to_vec()));
            }
        }
        let ids = Ids::default();
        let high = (0..1000).filter(|_| ids.trace().random_part() > (1 << 55)).count();
        assert!((400..=600).contains(&high), "{high}");
    }
}
