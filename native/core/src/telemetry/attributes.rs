//! Attributes of spans, events and resources (`KeyValue` and `AnyValue` of `opentelemetry/proto/common/v1/common.proto`).

use crate::protobuf::{Writer, size_of, size_of_varint};

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
    let any = match value {
        Value::Text(text) => size_of(text.len()),
        Value::Number(number) => 1 + size_of_varint(number),
        Value::Fraction(_) => 9,
    };
    let whole = size_of(key.len()) + size_of(any);
    if let (Value::Text(text), Ok(length)) = (value, u8::try_from(whole))
        && length < 0x80
        && field < 16
    {
        // Nearly all of them: each length has one octet.
        let [key_length, any, text_length] = [key.len(), any, text.len()].map(|length| length.to_le_bytes()[0]);
        writer.raw(&[field.to_le_bytes()[0] << 3 | LENGTH, length, 1 << 3 | LENGTH, key_length]);
        writer.raw(key.as_bytes());
        writer.raw(&[2 << 3 | LENGTH, any, 1 << 3 | LENGTH, text_length]);
        writer.raw(text.as_bytes());
        return;
    }
    writer.begin(field, whole);
    writer.begin(1, key.len());
    writer.raw(key.as_bytes());
    writer.begin(2, any);
    match value {
        Value::Text(text) => {
            writer.begin(1, text.len());
            writer.raw(text.as_bytes());
        }
        Value::Number(number) => writer.any_number(3, number),
        Value::Fraction(fraction) => writer.fixed64(4, fraction.to_bits()),
    }
}

/// Octets as a text: what is no UTF-8 is replaced, what is too long is cut.
pub fn text(bytes: &[u8]) -> String {
    if bytes.len() <= MAX_TEXT
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return text.to_owned();
    }
    let cut = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]);
    let end = (0..=cut.len().min(MAX_TEXT)).rev().find(|at| cut.is_char_boundary(*at)).unwrap_or_default();
    cut[..end].to_owned()
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
