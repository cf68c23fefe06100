//! Attributes of spans, events and resources (`KeyValue` and `AnyValue` of `opentelemetry/proto/common/v1/common.proto`).

use crate::protobuf::{Writer, size_of, size_of_varint};
use std::borrow::Cow;

/// Octets of a text that a client has a say in. Stops one request from filling the queue of all.
pub const MAX_TEXT: usize = 1024;

/// The wire type of what has a length.
const LENGTH: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'v> {
    Text(&'v str),
    Number(u64),
    Fraction(f64),
}

/// An attribute, as `field` of the message that has it.
pub fn write(writer: &mut Writer, field: u64, key: &str, value: Value<'_>) {
    match value {
        Value::Text(value) => write_text(writer, field, key, value),
        Value::Number(number) => {
            begin(writer, field, key, 1 + size_of_varint(number));
            writer.any_number(3, number);
        }
        Value::Fraction(fraction) => {
            begin(writer, field, key, 9);
            writer.fixed64(4, fraction.to_bits());
        }
    }
}

/// Most of what a span says: its key is known where this is compiled, and all lengths have one octet.
#[inline]
pub fn write_text(writer: &mut Writer, field: u64, key: &str, value: &str) {
    const BETWEEN: usize = 4;
    let (length, any) = (key.len() + value.len() + 2 * BETWEEN - 2, value.len() + 2);
    if field >= 16 || length >= 0x80 {
        begin(writer, field, key, size_of(value.len()));
        writer.begin(1, value.len());
        writer.raw(value.as_bytes());
        return;
    }
    let octet = |number: usize| number.to_le_bytes()[0];
    writer.reserve(length + 2);
    writer.raw(&[field.to_le_bytes()[0] << 3 | LENGTH, octet(length), 1 << 3 | LENGTH, octet(key.len())]);
    writer.raw(key.as_bytes());
    writer.raw(&[2 << 3 | LENGTH, octet(any), 1 << 3 | LENGTH, octet(value.len())]);
    writer.raw(value.as_bytes());
}

/// The beginning of an attribute whose value has so many octets; these come next.
fn begin(writer: &mut Writer, field: u64, key: &str, value: usize) {
    writer.begin(field, size_of(key.len()) + size_of(value));
    writer.begin(1, key.len());
    writer.raw(key.as_bytes());
    writer.begin(2, value);
}

/// Octets as a text: what is no UTF-8 is replaced, what is too long is cut.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.len() <= MAX_TEXT
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    let cut = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]);
    let end = (0..=cut.len().min(MAX_TEXT)).rev().find(|at| cut.is_char_boundary(*at)).unwrap_or_default();
    Cow::Owned(cut[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::{MAX_TEXT, Value, text, write};
    use crate::protobuf::{self, Writer};

    #[test]
    fn attributes_are_pairs() {
        let long = "v".repeat(300);
        for (value, expected) in [
            (Value::Text(""), vec![(1, protobuf::Value::Bytes(b""))]),
            (Value::Text(&long), vec![(1, protobuf::Value::Bytes(long.as_bytes()))]),
            (Value::Number(0), vec![(3, protobuf::Value::Number(0))]),
            (Value::Number(503), vec![(3, protobuf::Value::Number(503))]),
        ] {
            let mut writer = Writer::default();
            write(&mut writer, 9, "a.key", value);
            let bytes = writer.into_bytes();
            let fields = protobuf::read(&bytes).unwrap();
            assert_eq!(fields.len(), 1);
            let pair = protobuf::read(fields[0].1.bytes().unwrap()).unwrap();
            assert_eq!((fields[0].0, pair[0]), (9, (1, protobuf::Value::Bytes(b"a.key"))));
            assert_eq!(protobuf::read(pair[1].1.bytes().unwrap()), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn texts_are_text_and_have_an_end() {
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(text(&vec![b'a'; 5000]).len(), MAX_TEXT);
        // Bytes that are no text become three each.
        assert!(text(&vec![0xff; 5000]).len() <= MAX_TEXT);
        let accents = "\u{e9}".repeat(5000);
        assert_eq!(text(accents.as_bytes()).len(), MAX_TEXT);
        let shifted = format!("a{accents}");
        assert!((MAX_TEXT - 3..=MAX_TEXT).contains(&text(shifted.as_bytes()).len()));
    }
}
