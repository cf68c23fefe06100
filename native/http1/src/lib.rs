//! HTTP/1.1 on the wire: bytes in, heads and pieces of bodies out. No I/O, no time, no routing, no allocation per field.
//!
//! Strict by construction: what two parsers could read differently is refused here, so that nothing ambiguous
//! reaches a backend. Lines end in CRLF only; one framing per message; heads have a size and a field limit.
//! Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1).
#![forbid(unsafe_code)]

mod buffer;
mod chunked;
mod encode;
mod fields;
mod request;
mod response;
pub mod spare;

pub use buffer::Buffer;
pub use chunked::{ChunkedDecoder, Step};
pub use encode::{ChunkHeader, push_field, push_status_line};
pub use fields::{
    Field, FieldList, TakenFields, is_forbidden_trailer, is_forwarding_name, is_token, is_value, is_wire_field,
    parse_trailers, without_blanks,
};
pub use request::{HeadSearch, RequestHead, parse_request};
pub use response::{ResponseHead, parse_response};

/// Fields in one head, whatever a caller allows. More is an attack on every linear search behind us.
pub const MAX_FIELDS: usize = 384;

/// Fields in one trailer section.
pub const MAX_TRAILERS: usize = 100;

/// What a field of a list takes besides its name and its value (RFC 9113 section 6.5.2).
pub const FIELD_OVERHEAD: usize = 32;

/// Bytes of a target: what an URI of HTTP/2 can have here. The limit of the whole head is mostly lower.
pub const MAX_TARGET: usize = 65_534;

/// Empty lines that are skipped before a request line (RFC 9112 section 2.2 asks for at least one). One more is 400, as is a
/// bare CR or LF there.
pub const MAX_LEADING_EMPTY_LINES: usize = 2;

/// How the body of a message is delimited (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body follows.
    Empty,
    Length(u64),
    Chunked,
    /// Responses only: the body ends where the connection ends.
    UntilClose,
}

impl Framing {
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Length(0))
    }
}

/// The outcome of looking for a head at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// Not whole yet: read more, parse again from the start.
    Partial,
    Complete(T),
}

/// Why bytes were refused. The text is for the access log and for tests, never for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// Not HTTP, or HTTP that two parsers could read differently. 400 towards clients, 502 for backends.
    Malformed(&'static str),
    /// Another protocol, as far as can be told: nothing that could be said would be understood.
    NotHttp,
    /// Too many fields, or a head over the limit: 431.
    HeadTooLarge,
    /// The request line alone is over a limit: 414.
    TargetTooLong,
    /// A transfer coding other than `chunked`: 501.
    UnsupportedCoding,
    /// A major version other than 1: 505.
    UnsupportedVersion,
    /// An expectation other than `100-continue`: 417.
    UnknownExpectation,
}

impl std::fmt::Display for WireError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Malformed(what) => what,
            Self::NotHttp => "neither a target nor an HTTP version",
            Self::HeadTooLarge => "the head is larger than the limit",
            Self::TargetTooLong => "the request line is longer than the limit",
            Self::UnsupportedCoding => "a transfer coding other than chunked",
            Self::UnsupportedVersion => "an HTTP version other than 1.0 and 1.1",
            Self::UnknownExpectation => "an expectation other than 100-continue",
        })
    }
}

impl std::error::Error for WireError {}
