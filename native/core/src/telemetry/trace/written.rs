//! The spans of a request as they are written once it has ended.

use super::{Ended, Spans, Trace, Try, TryEnded};
use crate::io::text_of;
use crate::protobuf::Writer;
use crate::telemetry::attributes::Value;
use crate::telemetry::ids::SpanId;
use crate::telemetry::span::{Kind, Moment, Span};
use route::ir::SpanSource;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::net::SocketAddr;
use tokio::time::Instant;

/// Attributes of a span, as far as they need no memory.
type Attributes<'s> = SmallVec<[(&'s str, Value<'s>); 32]>;

/// What a span of kind CLIENT is about.
pub(super) struct Asked<'s> {
    pub span: SpanId,
    pub method: &'static str,
    pub url: &'s str,
    pub to: Option<SocketAddr>,
    pub grpc_status: Option<u32>,
    pub begun: Instant,
    pub ended: Instant,
    pub how: TryEnded,
}

impl Trace {
    pub(super) fn write_server(&self, spans: &Spans, ended: &Ended<'_>, written: &mut Writer) {
        let status_text;
        let mut attributes = spans.common();
        attributes.extend([
            ("url.path", Value::Text(&spans.path)),
            ("url.scheme", Value::Text(spans.scheme)),
            ("network.protocol.version", Value::Text(spans.version)),
            ("client.address", Value::Text(&spans.client)),
            ("network.peer.address", Value::Text(&spans.peer.0)),
            ("network.peer.port", Value::Number(spans.peer.1.into())),
        ]);
        if !spans.host.is_empty() {
            attributes.push(("server.address", Value::Text(&spans.host)));
            attributes.push(("server.port", Value::Number(spans.port.into())));
        }
        let texts = [
            ("http.route", ended.path),
            ("user_agent.original", spans.user_agent.as_deref()),
            ("sluicegate.route", ended.route),
            ("sluicegate.listener", ended.listener),
            ("sluicegate.error", ended.error),
        ];
        attributes.extend(texts.into_iter().filter_map(|(key, text)| Some((key, Value::Text(text?)))));
        if ended.status != 0 {
            attributes.push(("http.response.status_code", Value::Number(ended.status.into())));
        }
        let failed = ended.status >= 500 || matches!(ended.error, Some("client_gone" | "response_not_read"));
        if failed {
            let error = if let Some(error) = ended.error {
                error
            } else {
                status_text = ended.status.to_string();
                &status_text
            };
            attributes.push(("error.type", Value::Text(error)));
        }
        if let Some(status) = ended.grpc_status {
            attributes.push(("rpc.grpc.status_code", Value::Number(status.into())));
        }
        if spans.untold_tries > 0 {
            attributes.push(("sluicegate.untold_tries", Value::Number(spans.untold_tries)));
        }
        self.add_own(spans, &mut attributes, &[]);
        let method = if spans.method == "_OTHER" { "HTTP" } else { spans.method };
        let name = match (self.collector.policy.span_name.as_str(), ended.path) {
            ("", Some(path)) => Cow::Owned([method, " ", path].concat()),
            ("", None) => Cow::Borrowed(method),
            (own, _) => Cow::Borrowed(own),
        };
        let span = Span {
            trace: self.context.trace,
            id: self.context.span,
            parent: self.context.parent,
            state: &self.context.state,
            flags: self.context.span_flags(),
            name: &name,
            kind: Kind::Server,
            begun: spans.started_at,
            ended: spans.at(ended.at),
            attributes: &attributes,
            failed,
        };
        let pairs: Vec<_> = spans
            .moments
            .iter()
            .map(|(_, _, step, error)| {
                let pairs = [("sluicegate.policy", Some(step.as_str())), ("error.type", *error)];
                pairs
                    .into_iter()
                    .filter_map(|(key, text)| Some((key, Value::Text(text?))))
                    .collect::<SmallVec<[_; 2]>>()
            })
            .collect();
        let moments = spans.moments.iter().zip(&pairs).map(|((at, name, ..), attributes)| Moment {
            at: spans.at(*at),
            name,
            attributes,
        });
        span.write(moments, spans.untold_moments, written);
    }

    pub(super) fn write_try(&self, spans: &Spans, each: &Try, ended: &Ended<'_>, written: &mut Writer) {
        // Who was cancelled under it was so by its end.
        let (at, how) = each.ended.unwrap_or((ended.at, TryEnded { status: 0, error: ended.error }));
        let mut attributes = spans.common();
        if each.number > 0 {
            attributes.push(("http.request.resend_count", Value::Number(each.number)));
        }
        let asked = Asked {
            span: each.span,
            method: spans.method,
            url: &each.url,
            to: Some(each.to),
            grpc_status: None,
            begun: each.begun,
            ended: at,
            how,
        };
        self.write_client(spans, &asked, &attributes, written);
    }

    /// A span of kind CLIENT; `more`: attributes that it has besides.
    pub(super) fn write_client(
        &self,
        spans: &Spans,
        asked: &Asked<'_>,
        more: &[(&str, Value<'_>)],
        written: &mut Writer,
    ) {
        let how = asked.how;
        let address = asked.to.map(|to| text_of(to.ip().to_canonical()));
        let error: Option<Cow<'_, str>> = match (how.error, asked.grpc_status) {
            (Some(error), _) => Some(error.into()),
            _ if how.status >= 400 => Some(how.status.to_string().into()),
            (None, Some(status)) if status != 0 => Some(status.to_string().into()),
            _ => None,
        };
        let mut attributes = Attributes::from_slice(more);
        attributes.push(("url.full", Value::Text(asked.url)));
        if let (Some(to), Some(address)) = (asked.to, &address) {
            attributes.extend([
                ("server.address", Value::Text(address)),
                ("server.port", Value::Number(to.port().into())),
                ("network.peer.address", Value::Text(address)),
                ("network.peer.port", Value::Number(to.port().into())),
            ]);
        }
        if how.status != 0 {
            attributes.push(("http.response.status_code", Value::Number(how.status.into())));
        }
        if let Some(status) = asked.grpc_status {
            attributes.push(("rpc.grpc.status_code", Value::Number(status.into())));
        }
        if let Some(error) = &error {
            attributes.push(("error.type", Value::Text(error)));
        }
        let of_request = [
            ("url.path", Value::Text(&spans.path)),
            ("url.scheme", Value::Text(spans.scheme)),
            ("client.address", Value::Text(&spans.client)),
        ];
        self.add_own(spans, &mut attributes, &of_request);
        let span = Span {
            trace: self.context.trace,
            id: asked.span,
            parent: Some(self.context.span),
            state: &self.context.state,
            // Its parent is of this process.
            flags: u32::from(self.context.sampled) | 0x100,
            name: if asked.method == "_OTHER" { "HTTP" } else { asked.method },
            kind: Kind::Client,
            begun: spans.at(asked.begun),
            ended: spans.at(asked.ended),
            attributes: &attributes,
            failed: error.is_some(),
        };
        span.write(std::iter::empty(), 0, written);
    }

    /// The attributes that the policy wants. One that is there already is replaced: each key stands once. `more`: what others may
    /// be named by besides those of the span.
    fn add_own<'s>(&'s self, spans: &'s Spans, attributes: &mut Attributes<'s>, more: &[(&'s str, Value<'s>)]) {
        for (own, field) in self.collector.policy.attributes.iter().zip(&spans.fields) {
            let value = match &own.source {
                SpanSource::Header { .. } => field.as_deref().map(Value::Text),
                SpanSource::Literal { value } => Some(Value::Text(value)),
                SpanSource::Attribute { key } => {
                    attributes.iter().chain(more).find(|(known, _)| known == key).map(|(_, value)| *value)
                }
            };
            let Some(value) = value else { continue };
            match attributes.iter_mut().find(|(key, _)| *key == own.name) {
                Some(known) => known.1 = value,
                None => attributes.push((&own.name, value)),
            }
        }
    }
}

impl Spans {
    /// What the spans of a request and of its tries have.
    fn common(&self) -> Attributes<'_> {
        let mut attributes = Attributes::new();
        attributes.push(("http.request.method", Value::Text(self.method)));
        if let Some(original) = &self.original_method {
            attributes.push(("http.request.method_original", Value::Text(original)));
        }
        attributes
    }

    /// A moment as nanoseconds since 1970. The clock that people set is asked once, so that no span is longer than it was.
    fn at(&self, at: Instant) -> u64 {
        let since = u64::try_from(at.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        self.started_at.saturating_add(since)
    }
}
