//! Request heads of HTTP/2 (RFC 9113 section 8.3.1): what `h2` lets pass and we do not, and what is made of them.

use crate::error::ErrorCode;
use crate::message::head::{HttpVersion, Inbound};
use crate::message::http2::fields_of;
use crate::settings::Settings;
use codec::{Field, Framing, TakenFields, is_wire_field};
use h2::RecvStream;
use h2::ext::Protocol;
use http::Method;
use smallvec::SmallVec;

/// What an HTTP/2 head has to be before it is a request, and what outlives the look at it.
pub struct Prepared {
    authority: Vec<u8>,
    cookie: Option<Vec<u8>>,
    framing: Framing,
    pub tunnel: bool,
    websocket_key: String,
}

impl Prepared {
    pub fn new(parts: &http::request::Parts, body: &RecvStream, settings: &Settings) -> Result<Self, ErrorCode> {
        let headers = &parts.headers;
        if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > settings.max_target_bytes) {
            return Err(ErrorCode::TargetTooLong);
        }
        // Crumbs of a cookie become one field (RFC 9113 section 8.2.3), and are counted apart: each takes a field's memory.
        let crumbs: SmallVec<[&[u8]; 4]> =
            headers.get_all(http::header::COOKIE).iter().map(|crumb| crumb.as_bytes().trim_ascii()).collect();
        let further = crumbs.len().saturating_sub(1);
        if further.max(headers.len() - further) > settings.max_head_fields {
            return Err(ErrorCode::HeadersTooLarge);
        }
        let protocol = parts.extensions.get::<Protocol>();
        let tunnel =
            parts.method == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
        if parts.method == Method::CONNECT && !tunnel {
            return Err(ErrorCode::MethodNotAllowed);
        }
        let expectations = headers.get_all(http::header::EXPECT);
        if expectations.iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
            return Err(ErrorCode::ExpectationFailed);
        }
        let mut lengths = headers.get_all(http::header::CONTENT_LENGTH).iter();
        let framing = match lengths.next() {
            // Equal ones `h2` lets pass; over HTTP/1.1 they are refused as well.
            Some(_) if lengths.next().is_some() => return Err(ErrorCode::BadRequest),
            _ if tunnel || body.is_end_stream() => Framing::Empty,
            None => Framing::Chunked,
            Some(length) => match length.to_str().ok().and_then(|length| length.parse().ok()) {
                Some(length) => Framing::Length(length),
                None => return Err(ErrorCode::BadRequest),
            },
        };
        Ok(Self {
            authority: authority(parts)?.to_vec(),
            cookie: (further > 0).then(|| crumbs.join(&b"; "[..])),
            framing,
            tunnel,
            websocket_key: if tunnel { websocket_key() } else { String::new() },
        })
    }

    pub fn inbound<'b>(&'b self, parts: &'b http::request::Parts) -> Inbound<'b> {
        let mut fields = fields_of(&parts.headers);
        let mut taken_out = TakenFields::new();
        fields.retain(|field| match field.name {
            b"host" => false,
            // Most of them `h2` refuses; `trailer` and `http2-settings` it does not.
            name if is_wire_field(name) => {
                taken_out.push(*field);
                false
            }
            _ => true,
        });
        if let Some(cookie) = &self.cookie {
            fields.retain(|field| field.name != b"cookie");
            fields.push(Field { name: b"cookie", value: cookie });
        }
        if self.tunnel {
            fields.push(Field { name: b"sec-websocket-key", value: self.websocket_key.as_bytes() });
            // What the same request has over HTTP/1.1: routes need not know which way a WebSocket comes.
            taken_out.push(Field { name: b"connection", value: b"Upgrade" });
            taken_out.push(Field { name: b"upgrade", value: b"websocket" });
        }
        Inbound {
            version: HttpVersion::Http2,
            method: if self.tunnel { "GET" } else { parts.method.as_str() },
            target: parts.uri.path_and_query().map_or(&b"/"[..], |target| target.as_str().as_bytes()),
            authority: Some(&self.authority),
            fields,
            taken_out,
            framing: self.framing,
            expect_continue: parts.headers.contains_key(http::header::EXPECT),
            upgrade: self.tunnel.then_some(b"websocket"),
            connect: self.tunnel,
            accepts_trailers: parts.headers.get(http::header::TE).is_some_and(|value| value == "trailers"),
            mutation: None,
        }
    }
}

/// `:authority`, or `host` where that is all there is; both only when they agree (RFC 9113 section 8.3.1).
fn authority(parts: &http::request::Parts) -> Result<&[u8], ErrorCode> {
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let host = hosts.next().map(http::HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(ErrorCode::BadRequest);
    }
    match (parts.uri.authority().map(|authority| authority.as_str().as_bytes()), host) {
        (Some(one), Some(two)) if !one.eq_ignore_ascii_case(two) => Err(ErrorCode::BadRequest),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(ErrorCode::BadRequest),
    }
}

/// Extended CONNECT has no key; the HTTP/1.1 handshake wants one (RFC 8441 section 5.1, RFC 6455 section 4.1).
/// It proves nothing to anybody here, so it need not be secret, only well formed.
fn websocket_key() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    use std::hash::{BuildHasher, Hasher};
    let random = || ahash::RandomState::new().build_hasher().finish();
    let bits = (u128::from(random()) << 64) | u128::from(random());
    // 16 bytes are 22 characters, the last of which carries two bits.
    let mut key: String =
        (0..21).map(|at| char::from(ALPHABET[usize::try_from((bits >> (122 - 6 * at)) & 63).unwrap_or(0)])).collect();
    key.push(char::from(ALPHABET[usize::try_from((bits & 3) << 4).unwrap_or(0)]));
    key.push_str("==");
    key
}

#[cfg(test)]
mod tests {
    use super::{authority, websocket_key};
    use crate::error::ErrorCode;
    use http::Request;

    /// RFC 9113 section 8.3.1: both only where they agree.
    #[test]
    fn one_authority() {
        for (sent, hosts, expected) in [
            (Some("a.test:80"), &[][..], Ok(&b"a.test:80"[..])),
            (None, &["a.test"], Ok(b"a.test")),
            (Some("a.test"), &["A.test"], Ok(b"a.test")),
            (Some("a.test"), &["b.test"], Err(ErrorCode::BadRequest)),
            (Some("a.test"), &["a.test", "a.test"], Err(ErrorCode::BadRequest)),
            (None, &["a.test", "a.test"], Err(ErrorCode::BadRequest)),
            (None, &[], Err(ErrorCode::BadRequest)),
        ] {
            let mut request = Request::builder().uri(sent.map_or("/".to_owned(), |name| format!("http://{name}/")));
            for host in hosts {
                request = request.header("host", *host);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(authority(&parts), expected, "{sent:?} {hosts:?}");
        }
    }

    /// 16 octets in base64 (RFC 6455 section 4.1), another each time.
    #[test]
    fn keys_are_well_formed() {
        let keys: std::collections::BTreeSet<String> = (0..100).map(|_| websocket_key()).collect();
        assert_eq!(keys.len(), 100);
        for key in keys {
            let (digits, end) = key.split_at(22);
            assert_eq!(end, "==");
            assert!(digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')), "{key}");
            // Only two bits of the last one are the key's.
            assert!(digits.ends_with(['A', 'Q', 'g', 'w']), "{key}");
        }
    }
}
