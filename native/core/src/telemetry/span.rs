//! A span as it is sent (`Span` of `opentelemetry/proto/trace/v1/trace.proto`; numbers of fields are those of that file).

use super::attributes::{Value, write, write_text};
use super::ids::{SpanId, TraceId};
use crate::protobuf::Writer;

/// `ScopeSpans.spans`.
const IN_SCOPE: u64 = 2;

/// `Span.attributes`.
pub const ATTRIBUTES: u64 = 9;

const FAILED: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Server = 2,
    Client = 3,
}

/// Times are nanoseconds since 1970.
#[derive(Debug)]
pub struct Span<'s> {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub state: &'s str,
    pub flags: u32,
    /// The parts of its name.
    pub name: [&'s str; 3],
    pub kind: Kind,
    pub begun: u64,
    pub ended: u64,
    pub failed: bool,
}

impl Span<'_> {
    /// Append it to spans. `more`: writes its attributes and its events.
    #[inline]
    pub fn write(&self, spans: &mut Writer, more: impl FnOnce(&mut Writer)) {
        spans.message(IN_SCOPE, |span| {
            self.write_fields(span);
            more(span);
        });
    }

    fn write_fields(&self, span: &mut Writer) {
        span.bytes(1, &self.trace.0);
        span.bytes(2, &self.id.0);
        span.bytes(3, self.state.as_bytes());
        if let Some(parent) = self.parent {
            span.bytes(4, &parent.0);
        }
        span.begin(5, self.name.iter().map(|part| part.len()).sum());
        for part in self.name {
            span.raw(part.as_bytes());
        }
        span.number(6, self.kind as u64);
        span.fixed64(7, self.begun);
        span.fixed64(8, self.ended.max(self.begun));
        if self.failed {
            span.message(15, |status| status.number(3, FAILED));
        }
        span.fixed32(16, self.flags);
    }
}

/// An attribute of a span.
#[inline]
pub fn attribute(span: &mut Writer, key: &str, value: &str) {
    write_text(span, ATTRIBUTES, key, value);
}

/// The same of a number.
#[inline]
pub fn number(span: &mut Writer, key: &str, value: u64) {
    write(span, ATTRIBUTES, key, Value::Number(value));
}

/// Something that happened meanwhile, with attributes that are texts.
pub fn event<'e>(span: &mut Writer, at: u64, name: &str, attributes: impl Iterator<Item = (&'e str, &'e str)>) {
    span.message(11, |event| {
        event.fixed64(1, at);
        event.bytes(2, name.as_bytes());
        for (key, value) in attributes {
            write_text(event, 3, key, value);
        }
    });
}

/// Events that have no place in it.
pub fn untold_events(span: &mut Writer, count: u64) {
    span.number(12, count);
}
