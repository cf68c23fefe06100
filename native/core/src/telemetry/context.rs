//! What is known of the trace of a request: as its client says, as it is here, and as others are told.

use super::ids::{SpanId, TraceId};
use route::table::Formats;

/// Flags of a `traceparent` (W3C Trace Context, section 3.2.2.5): its trace is sampled.
pub const SAMPLED: u8 = 1;
/// The last seven octets of its trace are random (level 2).
pub const RANDOM: u8 = 2;

/// What a client says of the trace that its request is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The trace, and the span that the request is a child of; `None`: nothing but whether it is sampled (B3).
    pub of: Option<(TraceId, SpanId)>,
    /// `None`: that is left to whoever reads it (B3).
    pub sampled: Option<bool>,
    /// It is sampled so that somebody can look into it, and whoever gets it should do the same (B3).
    pub debug: bool,
    pub random: bool,
    /// Of `tracestate`.
    pub state: String,
}

/// The context of one request here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    pub trace: TraceId,
    /// Of the request.
    pub span: SpanId,
    /// Whose child it is.
    pub parent: Option<SpanId>,
    pub sampled: bool,
    /// As of [`Sent::debug`], of a client that is believed.
    pub debug: bool,
    pub random: bool,
    pub state: String,
    /// How others are told of it besides by `traceparent`.
    pub formats: Formats,
}

/// A field that tells somebody of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub name: &'static str,
    pub value: Vec<u8>,
    /// Where in it the span stands that is the parent of what comes of it.
    pub span_at: Option<usize>,
}

impl Context {
    /// Those of a `traceparent`.
    pub fn to_flags(&self) -> u8 {
        (u8::from(self.sampled) * SAMPLED) | (u8::from(self.random) * RANDOM)
    }

    /// As of [`Span`](super::span::Span)'s `flags`: those of the context, and that it is known whether the parent is another process.
    pub fn span_flags(&self) -> u32 {
        const HAS_IS_REMOTE: u32 = 0x100;
        const IS_REMOTE: u32 = 0x200;
        let flags = u32::from(self.to_flags());
        flags | HAS_IS_REMOTE | if self.parent.is_some() { IS_REMOTE } else { 0 }
    }
}
