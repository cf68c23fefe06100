//! The attributes that a policy wants of a span. It is written without them first, so that policies that want none pay nothing.

use super::{Spans, Trace};
use crate::protobuf::{Writer, read, size_of};
use crate::telemetry::attributes::{Value, write};
use crate::telemetry::span::ATTRIBUTES;
use route::ir::SpanSource;

/// What an attribute of any span may be named by, though it is of the request's.
const OF_REQUEST: [&str; 3] = ["url.path", "url.scheme", "client.address"];

/// An attribute: its key, and its value as it is written (`AnyValue`).
type Pair = (String, Vec<u8>);

impl Trace {
    /// Put them behind the attributes of a span, which are all that stands there from a place on. One of the same key is replaced:
    /// each key stands once. `of_request`: as of [`OF_REQUEST`], of a span that has none of these itself.
    pub(super) fn add_own(&self, spans: &Spans, span: &mut Writer, from: usize, of_request: &Writer) {
        let mut pairs = pairs(&span.split_off(from));
        let more = self::pairs(of_request.as_bytes());
        for (own, field) in self.collector.policy.attributes.iter().zip(&spans.fields) {
            let value = match &own.source {
                SpanSource::Header { .. } => field.as_deref().map(any),
                SpanSource::Literal { value } => Some(any(value)),
                SpanSource::Attribute { key } => {
                    let of_request = more.iter().filter(|(known, _)| OF_REQUEST.contains(&known.as_str()));
                    pairs.iter().chain(of_request).find(|(known, _)| known == key).map(|(_, value)| value.clone())
                }
            };
            let Some(value) = value else { continue };
            match pairs.iter_mut().find(|(key, _)| *key == own.name) {
                Some(known) => known.1 = value,
                None => pairs.push((own.name.clone(), value)),
            }
        }
        for (key, value) in pairs {
            span.begin(ATTRIBUTES, size_of(key.len()) + size_of(value.len()));
            span.bytes(1, key.as_bytes());
            span.written(2, &value);
        }
    }

    pub(super) fn wants_own(&self) -> bool {
        !self.collector.policy.attributes.is_empty()
    }
}

/// The value of a pair that is a text.
fn any(value: &str) -> Vec<u8> {
    let mut pair = Writer::default();
    write(&mut pair, ATTRIBUTES, "", Value::Text(value));
    pairs(&pair.into_bytes()).pop().map(|(_, value)| value).unwrap_or_default()
}

/// Attributes that we have written.
fn pairs(written: &[u8]) -> Vec<Pair> {
    let pair = |pair: &[u8]| {
        let mut pair = read(pair)?.into_iter().map(|(_, value)| value.bytes());
        let (key, value) = (pair.next()??, pair.next()??);
        Some((String::from_utf8_lossy(key).into_owned(), value.to_vec()))
    };
    let fields = read(written).unwrap_or_default();
    fields.into_iter().filter_map(|(_, field)| field.bytes().and_then(pair)).collect()
}
