//! Changing inputs: what attacks on parsers are made of, and some noise.

mod json;

pub use json::mutate_json;

use super::random::Random;

/// Bytes that grammars turn on.
const SPECIAL: [&[u8]; 14] =
    [b"\r\n", b"\r", b"\n", b"\0", b"\t", b" ", b"\r\n\r\n", b"\r\n ", b"\x0b", b"\x7f", b"\xff", b":", b",", b"\""];

/// Numbers at which something ends: sizes of integers, limits of ours, spellings of no number.
const NUMBERS: [&[u8]; 26] = [
    b"0",
    b"1",
    b"-1",
    b"+1",
    b"00",
    b"0x1",
    b"1e1",
    b"1.5",
    b" 1",
    b"99",
    b"127",
    b"128",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"2147483647",
    b"4294967295",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551615",
    b"18446744073709551616",
    b"999999999999999999",
    b"FFFFFFFFFFFFFFF",
    b"ffffffffffffffff",
    b"10000000000000000",
];

/// How often a piece is repeated at most: over every count of fields that is allowed.
const MAX_REPEATED: usize = 500;

/// Change `input` a little. `other` is one to take pieces from.
pub fn mutate(random: &mut Random, input: &[u8], other: &[u8], dictionary: &[&[u8]]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let changes = if random.one_in(3) { 1 + random.below(6) } else { 1 + random.below(2) };
    for _ in 0..changes {
        change(random, &mut bytes, other, dictionary);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], dictionary: &[&[u8]]) {
    let length = bytes.len();
    let at = random.below(length + 1);
    match random.below(16) {
        0 if at < length => bytes[at] ^= 1 << random.below(8),
        1 if at < length => bytes[at] = random.byte(),
        2 if at < length => swap_case(&mut bytes[at]),
        3 => {
            let special = random.pick(&SPECIAL).copied().unwrap_or_default();
            replace(bytes, at..at, special);
        }
        4 => {
            let special = random.pick(&SPECIAL).copied().unwrap_or_default();
            replace(bytes, at..length.min(at + 1), special);
        }
        5 => {
            let range = random.range(length, length);
            bytes.drain(range);
        }
        6 => {
            let piece = bytes[random.range(length, 64)].to_vec();
            let count = if random.one_in(40) { random.below(MAX_REPEATED) } else { 1 + random.below(3) };
            replace(bytes, at..at, &piece.repeat(count));
        }
        7 | 8 => {
            let token = random.pick(dictionary).copied().unwrap_or_default();
            replace(bytes, at..at, token);
        }
        9 => {
            let token = random.pick(dictionary).copied().unwrap_or_default();
            replace(bytes, at..length.min(at + token.len()), token);
        }
        10 => {
            // The beginning of one and the end of another.
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        11 => {
            let piece = &other[random.range(other.len(), 64)];
            replace(bytes, at..at, piece);
        }
        12 if random.one_in(3) => bytes.truncate(at),
        13 => set_number(random, bytes),
        14 => move_line(random, bytes),
        _ => set_length(random, bytes),
    }
}

fn replace(bytes: &mut Vec<u8>, range: std::ops::Range<usize>, with: &[u8]) {
    bytes.splice(range, with.iter().copied());
}

fn swap_case(byte: &mut u8) {
    if byte.is_ascii_alphabetic() {
        *byte ^= 0x20;
    }
}

/// Put another number in the place of one that is written in digits.
fn set_number(random: &mut Random, bytes: &mut Vec<u8>) {
    let starts = |at: &usize| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[*at - 1].is_ascii_digit());
    let starts: Vec<usize> = (0..bytes.len()).filter(starts).collect();
    if let Some(&start) = random.pick(&starts) {
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = random.pick(&NUMBERS).copied().unwrap_or_default();
        replace(bytes, start..start + digits, number);
    }
}

/// Put a line in another place, or there too.
fn move_line(random: &mut Random, bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    if lines.is_empty() {
        return;
    }
    let from = random.below(lines.len());
    let line = if random.one_in(2) { lines.remove(from) } else { lines[from].clone() };
    let to = random.below(lines.len() + 1);
    lines.insert(to, line);
    *bytes = lines.concat();
}

/// Make two bytes a length of about what follows: formats of records have such.
fn set_length(random: &mut Random, bytes: &mut [u8]) {
    if bytes.len() < 2 {
        return;
    }
    let at = random.below(bytes.len() - 1);
    let left = bytes.len() - at - 2;
    let length = [left, left.wrapping_sub(1), left + 1, 0, 1, 0xff, 0xffff, random.below(left + 1)];
    let length = random.pick(&length).and_then(|length| u16::try_from(*length).ok()).unwrap_or(u16::MAX);
    bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
}
