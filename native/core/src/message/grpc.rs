//! gRPC as a gateway has to know it (gRPC over HTTP/2, `doc/PROTOCOL-HTTP2.md` of grpc/grpc): which messages are gRPC, and
//! how an end that the gateway makes itself becomes a status.

use crate::error::ErrorCode;
use codec::Field;
use h2::Reason;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

pub const CONTENT_TYPE: &[u8] = b"application/grpc";

pub const STATUS: &str = "grpc-status";

pub const MESSAGE: &str = "grpc-message";

const CANCELLED: u32 = 1;
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const PERMISSION_DENIED: u32 = 7;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
const UNAUTHENTICATED: u32 = 16;

/// `application/grpc`, `application/grpc+proto` and the like. gRPC-Web is another protocol: its clients read HTTP statuses.
pub fn is_content_type(value: &[u8]) -> bool {
    value.get(..CONTENT_TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(CONTENT_TYPE))
        && matches!(value.get(CONTENT_TYPE.len()), None | Some(b'+' | b';' | b' '))
}

/// The fields are those of a gRPC message.
pub fn is_grpc(fields: &[Field<'_>]) -> bool {
    let content_type = fields.iter().find(|field| field.name.eq_ignore_ascii_case(b"content-type"));
    content_type.is_some_and(|field| is_content_type(field.value))
}

/// The HTTP/1.1 head is that of a gRPC request.
pub fn is_grpc_head(head: &[u8]) -> bool {
    const NAME: &[u8] = b"content-type:";
    head.split(|&byte| byte == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME)))
        .is_some_and(|line| is_content_type(line[NAME.len()..].trim_ascii()))
}

/// Why the gateway ends an exchange by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub code: ErrorCode,
    /// The backend reset its stream.
    pub reset: Option<Reason>,
}

impl End {
    /// The status; `None` for 421, which a client has to see to open another connection.
    pub fn status(self) -> Option<u32> {
        if self.code == ErrorCode::Misdirected {
            return None;
        }
        Some(match self.reset.and_then(status_of_reset) {
            Some(status) => status,
            // Clients wait, as they do not for a backend that is away.
            None if self.code == ErrorCode::RateLimited => RESOURCE_EXHAUSTED,
            None => status_of(self.code.status()),
        })
    }

    /// What a client that speaks HTTP/2 is told where its response cannot be whole.
    pub fn reason(self) -> Reason {
        match self.reset {
            _ if matches!(self.code, ErrorCode::ClientGone | ErrorCode::ResponseNotRead) => Reason::CANCEL,
            Some(Reason::NO_ERROR) | None => Reason::INTERNAL_ERROR,
            Some(reason) => reason,
        }
    }

    /// For `grpc-message`: printable ASCII without `%`, so nothing is to be escaped.
    pub fn message(self) -> String {
        format!("{}: {}", self.code.name(), self.code.meaning())
    }

    /// The trailers of a response that ends here; `None` as for `status`.
    pub fn trailers(self) -> Option<HeaderMap> {
        let mut trailers = HeaderMap::with_capacity(2);
        trailers.insert(HeaderName::from_static(STATUS), HeaderValue::from(self.status()?));
        trailers.insert(HeaderName::from_static(MESSAGE), HeaderValue::try_from(self.message()).ok()?);
        Some(trailers)
    }
}

/// The mapping of HTTP statuses that gRPC has for clients (`doc/http-grpc-status-mapping.md`), where timeouts are told
/// from other unavailability, and faults of the configuration count as unavailability.
fn status_of(http: u16) -> u32 {
    match http {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        413 | 431 => RESOURCE_EXHAUSTED,
        429 | 500 | 502 | 503 | 508 => UNAVAILABLE,
        499 => CANCELLED,
        504 => DEADLINE_EXCEEDED,
        _ => UNKNOWN,
    }
}

/// `PROTOCOL-HTTP2.md`, "Errors": what a client would have made of the backend's reset. Other codes: a lost backend.
fn status_of_reset(reason: Reason) -> Option<u32> {
    match reason {
        Reason::CANCEL => Some(CANCELLED),
        Reason::ENHANCE_YOUR_CALM => Some(RESOURCE_EXHAUSTED),
        Reason::INADEQUATE_SECURITY => Some(PERMISSION_DENIED),
        Reason::REFUSED_STREAM => Some(UNAVAILABLE),
        Reason::PROTOCOL_ERROR | Reason::INTERNAL_ERROR | Reason::FLOW_CONTROL_ERROR | Reason::FRAME_SIZE_ERROR => {
            Some(INTERNAL)
        }
        _ => None,
    }
}

/// The value of `grpc-status`; `None` where it is no number that a status could have.
pub fn parse_status(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_content_type(value.as_bytes()), grpc, "{value}");
            let head = format!("POST /a/b HTTP/1.1\r\nhost: a\r\nContent-Type: {value}\r\nx: y\r\n\r\n");
            assert_eq!(is_grpc_head(head.as_bytes()), grpc, "{head}");
        }
        assert!(!is_grpc_head(b"POST /a/b HTTP/1.1\r\n\r\n"));
    }

    /// Every error has a status and a message that needs no escapes (`grpc-message` of `PROTOCOL-HTTP2.md`).
    #[test]
    fn every_error_has_a_status() {
        for code in ErrorCode::ALL {
            let end = End { code: *code, reset: None };
            assert_eq!(end.status().is_none(), *code == ErrorCode::Misdirected, "{code:?}");
            assert!(end.message().bytes().all(|byte| (0x20..=0x7e).contains(&byte) && byte != b'%'), "{code:?}");
        }
        for (code, reset, status) in [
            (ErrorCode::NoRoute, None, 12),
            (ErrorCode::NoListener, None, 12),
            (ErrorCode::BackendInvalid, None, 14),
            (ErrorCode::NoEndpoint, None, 14),
            (ErrorCode::RequestTimeout, None, 4),
            (ErrorCode::UpstreamReset, None, 14),
            (ErrorCode::BadRequest, None, 13),
            (ErrorCode::HeadersTooLarge, None, 8),
            (ErrorCode::RateLimited, None, 8),
            (ErrorCode::MethodNotAllowed, None, 2),
            (ErrorCode::UpstreamReset, Some(Reason::CANCEL), 1),
            (ErrorCode::UpstreamReset, Some(Reason::ENHANCE_YOUR_CALM), 8),
            (ErrorCode::UpstreamReset, Some(Reason::NO_ERROR), 14),
        ] {
            assert_eq!(End { code, reset }.status(), Some(status), "{code:?} {reset:?}");
        }
    }
}
