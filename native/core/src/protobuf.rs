//! The wire form of protocol buffers, as far as what is spoken here needs it (protobuf.dev, "Encoding"), and of gRPC's messages.

/// Wire types: numbers, and what has a length.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// Octets of most lengths of messages.
const USUAL_LENGTH: usize = 2;

/// A message that is written.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// With room for so many octets.
    pub fn with_capacity(octets: usize) -> Self {
        Self(Vec::with_capacity(octets))
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What is written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Octets so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Take back what was written from a place on.
    pub fn split_off(&mut self, at: usize) -> Vec<u8> {
        self.0.split_off(at)
    }

    /// Have room for so many octets more.
    pub fn reserve(&mut self, octets: usize) {
        self.0.reserve(octets);
    }

    /// Numbers that are 0 and texts that are empty are left out, as the language has it.
    pub fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    /// A number of which it counts that it is there, also where it is 0.
    pub fn any_number(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | VARINT);
        self.varint(value);
    }

    /// What has its numbers of fields already.
    pub fn raw(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    pub fn bytes(&mut self, field: u64, value: &[u8]) {
        if !value.is_empty() {
            self.varint(field << 3 | LENGTH);
            self.varint(value.len() as u64);
            self.0.extend_from_slice(value);
        }
    }

    /// Eight octets: a time.
    pub fn fixed64(&mut self, field: u64, value: u64) {
        self.varint(field << 3 | FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Four octets: flags.
    pub fn fixed32(&mut self, field: u64, value: u32) {
        self.varint(field << 3 | FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// The beginning of a message within of which the length is known; its fields come next.
    pub fn begin(&mut self, field: u64, length: usize) {
        self.varint(field << 3 | LENGTH);
        self.varint(length as u64);
    }

    /// A message within that was written before.
    pub fn written(&mut self, field: u64, message: &[u8]) {
        self.begin(field, message.len());
        self.0.extend_from_slice(message);
    }

    /// A message within; one without content is there all the same.
    pub fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.varint(field << 3 | LENGTH);
        let at = self.0.len();
        // Nearly all that is worth a thought has a length of two octets: it is written where it stays.
        self.0.extend_from_slice(&[0; USUAL_LENGTH]);
        write(self);
        let start = at + USUAL_LENGTH;
        let mut length = Self::default();
        length.varint((self.0.len() - start) as u64);
        if length.0.len() == USUAL_LENGTH {
            self.0[at..start].copy_from_slice(&length.0);
        } else {
            drop(self.0.splice(at..start, length.0));
        }
    }

    /// An entry of a map of texts.
    pub fn entry(&mut self, field: u64, name: &[u8], value: &[u8]) {
        self.message(field, |entry| {
            entry.bytes(1, name);
            entry.bytes(2, value);
        });
    }

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return;
            }
            self.0.push(low | 0x80);
        }
    }
}

/// Octets of a field with a length, whose number is below 16.
pub const fn size_of(length: usize) -> usize {
    1 + size_of_varint(length as u64) + length
}

/// Octets of a number.
pub const fn size_of_varint(value: u64) -> usize {
    // Seven bits an octet; 0 has one.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Octets before a message of gRPC: no compression, and its length.
const FRAME: usize = 5;

/// A message as gRPC sends it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(FRAME + message.len());
    framed.push(0);
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// The one message of a body of gRPC; `None`: it is none, or is compressed.
pub fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (frame, message) = body.split_at_checked(FRAME)?;
    let length = u32::from_be_bytes(frame[1..].try_into().ok()?);
    (frame[0] == 0 && usize::try_from(length).ok()? == message.len()).then_some(message)
}

/// The value of a field that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// Of a type that nothing here has.
    Other,
}

impl<'m> Value<'m> {
    pub fn bytes(self) -> Option<&'m [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }
}

/// The fields of a message in their order, by number. `None` where it is malformed: groups among that, which nobody writes.
pub fn read(mut message: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            VARINT => Value::Number(varint(&mut message)?),
            LENGTH => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (value, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(value)
            }
            FIXED64 => skip(&mut message, 8)?,
            FIXED32 => skip(&mut message, 4)?,
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn skip<'m>(message: &mut &'m [u8], octets: usize) -> Option<Value<'m>> {
    *message = message.get(octets..)?;
    Some(Value::Other)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for place in 0..10 {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Value, Writer, framed, read, size_of, size_of_varint, unframed};

    #[test]
    fn what_is_written_is_read() {
        let mut message = Writer::default();
        message.number(1, 0);
        message.number(2, 300);
        message.number(3, u64::MAX);
        message.bytes(4, b"");
        message.bytes(5, &[7; 200]);
        message.message(6, |_| {});
        message.entry(16, b"a", b"");
        let bytes = message.into_bytes();
        assert!(bytes.starts_with(&[0x10, 0xac, 0x02]));
        let entry = [0x0a, 1, b'a'];
        let expected = [
            (2, Value::Number(300)),
            (3, Value::Number(u64::MAX)),
            (5, Value::Bytes(&[7; 200])),
            (6, Value::Bytes(b"")),
            (16, Value::Bytes(&entry)),
        ];
        assert_eq!(read(&bytes).as_deref(), Some(&expected[..]));
        for length in 1..bytes.len() {
            // A part is a shorter message or none; it is never read beyond its end.
            if let Some(fields) = read(&bytes[..length]) {
                assert_eq!(fields[..], expected[..fields.len()]);
            }
        }
    }

    /// A length that was told before is that of what comes.
    #[test]
    fn sizes_are_those_of_what_is_written() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut message = Writer::default();
            message.varint(value);
            assert_eq!(message.into_bytes().len(), size_of_varint(value), "{value}");
        }
        for length in [1, 127, 128, 20_000] {
            let mut message = Writer::default();
            message.bytes(15, &vec![b'a'; length]);
            assert_eq!(message.into_bytes().len(), size_of(length), "{length}");
        }
        let mut message = Writer::default();
        message.fixed64(7, 1);
        message.fixed32(16, 2);
        message.begin(2, 3);
        message.bytes(1, b"a");
        let bytes = message.into_bytes();
        assert_eq!(bytes[..9], [7 << 3 | 1, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read(&bytes).unwrap()[2], (2, Value::Bytes(&[0x0a, 1, b'a'])));
    }

    #[test]
    fn frames_of_grpc() {
        assert_eq!(framed(b"ab"), [0, 0, 0, 0, 2, b'a', b'b']);
        assert_eq!(unframed(&framed(b"ab")), Some(&b"ab"[..]));
        for bad in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 0, 1]] {
            assert_eq!(unframed(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_message() {
        for bad in [
            &[0x08][..],
            &[0x0a, 2, 1],
            &[0x0b],
            &[0x0f, 0],
            &[0x09, 1, 2, 3],
            &[0x0d, 1, 2],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&[0x0d, 1, 2, 3, 4]), Some(vec![(1, Value::Other)]));
    }
}
