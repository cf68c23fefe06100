//! Writing HTTP/1.1: status lines, fields, chunk headers.

/// Append `name: value` and a line end.
pub fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Append `HTTP/1.1 <status> <reason>`. An empty reason is filled in where one is known.
pub fn push_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    if reason.is_empty() {
        let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        out.extend_from_slice(known.unwrap_or_default().as_bytes());
    } else {
        out.extend_from_slice(reason);
    }
    out.extend_from_slice(b"\r\n");
}

/// The size line of one chunk, on the stack.
#[derive(Debug)]
pub struct ChunkHeader {
    bytes: [u8; 18],
    start: usize,
}

impl ChunkHeader {
    pub fn new(mut size: usize) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bytes = [0; 18];
        bytes[16..].copy_from_slice(b"\r\n");
        let mut start = 16;
        loop {
            start -= 1;
            bytes[start] = DIGITS[size & 15];
            size >>= 4;
            if size == 0 {
                return Self { bytes, start };
            }
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_headers() {
        for (size, text) in
            [(0, "0\r\n"), (1, "1\r\n"), (255, "ff\r\n"), (4096, "1000\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
        {
            assert_eq!(ChunkHeader::new(size).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn status_lines_fill_in_a_missing_reason() {
        let mut out = Vec::new();
        push_status_line(&mut out, 404, b"");
        push_status_line(&mut out, 299, b"Fine");
        push_status_line(&mut out, 599, b"");
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nHTTP/1.1 299 Fine\r\nHTTP/1.1 599 \r\n");
    }
}
