//! A span as it is sent (`Span` of `opentelemetry/proto/trace/v1/trace.proto`; numbers of fields are those of that file).

use super::attributes::{Value, write};
use super::ids::{SpanId, TraceId};
use crate::protobuf::Writer;

/// `ScopeSpans.spans`.
const IN_SCOPE: u64 = 2;

const FAILED: u64 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Server = 2,
    Client = 3,
}

/// Something that happened meanwhile.
#[derive(Debug)]
pub struct Moment<'s> {
    pub at: u64,
    pub name: &'s str,
    pub attributes: &'s [(&'s str, Value<'s>)],
}

/// Times are nanoseconds since 1970.
#[derive(Debug)]
pub struct Span<'s> {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    pub state: &'s str,
    pub flags: u32,
    pub name: &'s str,
    pub kind: Kind,
    pub begun: u64,
    pub ended: u64,
    pub attributes: &'s [(&'s str, Value<'s>)],
    pub failed: bool,
}

impl Span<'_> {
    /// Append it to spans. `moments`: writes those that it has.
    pub fn write<'m>(&self, moments: impl Iterator<Item = Moment<'m>>, dropped_moments: u64, spans: &mut Writer) {
        spans.message(IN_SCOPE, |span| self.write_fields(moments, dropped_moments, span));
    }

    fn write_fields<'m>(&self, moments: impl Iterator<Item = Moment<'m>>, dropped_moments: u64, span: &mut Writer) {
        span.bytes(1, &self.trace.0);
        span.bytes(2, &self.id.0);
        span.bytes(3, self.state.as_bytes());
        if let Some(parent) = self.parent {
            span.bytes(4, &parent.0);
        }
        span.bytes(5, self.name.as_bytes());
        span.number(6, self.kind as u64);
        span.fixed64(7, self.begun);
        span.fixed64(8, self.ended.max(self.begun));
        for (key, value) in self.attributes {
            write(span, 9, key, *value);
        }
        for moment in moments {
            span.message(11, |event| {
                event.fixed64(1, moment.at);
                event.bytes(2, moment.name.as_bytes());
                for (key, value) in moment.attributes {
                    write(event, 3, key, *value);
                }
            });
        }
        span.number(12, dropped_moments);
        if self.failed {
            span.message(15, |status| status.number(3, FAILED));
        }
        span.fixed32(16, self.flags);
    }
}
