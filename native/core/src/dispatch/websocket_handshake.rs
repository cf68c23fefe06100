//! The part of the WebSocket handshake that HTTP/1.1 has and HTTP/2 has not (RFC 6455 section 4, RFC 8441 section 5): the
//! key, and the answer to it. Where the backend is asked by extended CONNECT the gateway answers a client of HTTP/1.1.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use codec::Field;

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The field that HTTP/2 has no use for.
pub const KEY: &str = "sec-websocket-key";

/// A request for a WebSocket of HTTP/1.1 has one key, of 16 octets in base64 (RFC 6455 section 4.1).
pub fn has_key(fields: &[Field<'_>]) -> bool {
    let mut keys = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(KEY.as_bytes()));
    let is_key = |value: &[u8]| {
        value.len() == 24
            && value.ends_with(b"==")
            && value[..22].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
    };
    keys.next().is_some_and(|field| is_key(field.value)) && keys.next().is_none()
}

/// `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2).
pub fn accept(key: &[u8]) -> Vec<u8> {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
    let mut text = Vec::with_capacity(28);
    for three in digest.as_ref().chunks(3) {
        let octet = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = (octet(0) << 16) | (octet(1) << 8) | octet(2);
        let letters = [18, 12, 6, 0].map(|shift| ALPHABET[((bits >> shift) & 63) as usize]);
        text.extend_from_slice(&letters[..=three.len()]);
    }
    // 20 octets are 27 letters.
    text.push(b'=');
    text
}

#[cfg(test)]
mod tests {
    use super::{Field, accept, has_key};

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys() {
        let field = |value: &'static [u8]| Field { name: b"Sec-WebSocket-Key", value };
        let good = field(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert!(has_key(&[good]));
        for bad in [&[][..], &[good, good], &[field(b"")], &[field(b"dGhlIHNhbXBsZSBub25jZQ=")]] {
            assert!(!has_key(bad), "{bad:?}");
        }
        assert!(!has_key(&[field(b"dGhlIHNhbXBsZSBub25j\x00A==")]));
    }
}
