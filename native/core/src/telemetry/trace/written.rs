//! The spans of a request as they are written once it has ended.

use super::{Ended, Spans, Trace, Try, TryEnded};
use crate::io::text_of;
use crate::protobuf::Writer;
use crate::telemetry::ids::SpanId;
use crate::telemetry::span::{Kind, Span, attribute, event, number, untold_events};
use std::net::SocketAddr;
use tokio::time::Instant;

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
        let failed = ended.status >= 500 || matches!(ended.error, Some("client_gone" | "response_not_read"));
        let method = name_of(spans.method);
        let name = match (self.collector.policy.span_name.as_str(), ended.path) {
            ("", Some(path)) => [method, " ", path],
            ("", None) => [method, "", ""],
            (own, _) => [own, "", ""],
        };
        let span = Span {
            trace: self.context.trace,
            id: self.context.span,
            parent: self.context.parent,
            state: &self.context.state,
            flags: self.context.span_flags(),
            name,
            kind: Kind::Server,
            begun: spans.started_at,
            ended: spans.at(ended.at),
            failed,
        };
        span.write(written, |span| {
            let from = span.len();
            write_method(spans.method, spans.original_method.as_deref(), span);
            span.raw(spans.known.as_bytes());
            attribute(span, "client.address", &spans.client);
            for (key, text) in [
                ("http.route", ended.path),
                ("sluicegate.route", ended.route),
                ("sluicegate.listener", ended.listener),
                ("sluicegate.error", ended.error),
            ] {
                if let Some(text) = text {
                    attribute(span, key, text);
                }
            }
            write_outcome(ended.status, ended.grpc_status, span);
            if failed {
                attribute(span, "error.type", ended.error.unwrap_or(itoa::Buffer::new().format(ended.status)));
            }
            if spans.untold_tries > 0 {
                number(span, "sluicegate.untold_tries", spans.untold_tries);
            }
            if self.wants_own() {
                self.add_own(spans, span, from, &Writer::default());
            }
            for (at, name, step, error) in &spans.moments {
                let error = error.map(|error| ("error.type", error));
                let attributes = [("sluicegate.policy", step.as_str())].into_iter().chain(error);
                event(span, spans.at(*at), name, attributes);
            }
            untold_events(span, spans.untold_moments);
        });
    }

    pub(super) fn write_try(&self, spans: &Spans, each: &Try, ended: &Ended<'_>, written: &mut Writer) {
        // Who was cancelled under it was so by its end.
        let (at, how) = each.ended.unwrap_or((ended.at, TryEnded { status: 0, error: ended.error }));
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
        self.write_client(spans, &asked, written, |span| {
            write_method(spans.method, spans.original_method.as_deref(), span);
            if each.number > 0 {
                number(span, "http.request.resend_count", each.number);
            }
        });
    }

    /// A span of kind CLIENT; `more`: writes attributes that it has besides.
    pub(super) fn write_client(
        &self,
        spans: &Spans,
        asked: &Asked<'_>,
        written: &mut Writer,
        more: impl FnOnce(&mut Writer),
    ) {
        let how = asked.how;
        let mut digits = itoa::Buffer::new();
        let error = match (how.error, asked.grpc_status) {
            (Some(error), _) => Some(error),
            _ if how.status >= 400 => Some(digits.format(how.status)),
            (None, Some(status)) if status != 0 => Some(digits.format(status)),
            _ => None,
        };
        let span = Span {
            trace: self.context.trace,
            id: asked.span,
            parent: Some(self.context.span),
            state: &self.context.state,
            // Its parent is of this process.
            flags: u32::from(self.context.sampled) | 0x100,
            name: [name_of(asked.method), "", ""],
            kind: Kind::Client,
            begun: spans.at(asked.begun),
            ended: spans.at(asked.ended),
            failed: error.is_some(),
        };
        span.write(written, |span| {
            let from = span.len();
            more(span);
            attribute(span, "url.full", asked.url);
            if let Some(to) = asked.to {
                let (address, port) = (text_of(to.ip().to_canonical()), to.port().into());
                attribute(span, "server.address", &address);
                number(span, "server.port", port);
                attribute(span, "network.peer.address", &address);
                number(span, "network.peer.port", port);
            }
            write_outcome(how.status, asked.grpc_status, span);
            if let Some(error) = error {
                attribute(span, "error.type", error);
            }
            if self.wants_own() {
                let mut of_request = Writer::default();
                of_request.raw(spans.known.as_bytes());
                attribute(&mut of_request, "client.address", &spans.client);
                self.add_own(spans, span, from, &of_request);
            }
        });
    }
}

/// What a span is called by its method.
fn name_of(method: &'static str) -> &'static str {
    if method == "_OTHER" { "HTTP" } else { method }
}

/// `original`: where it has no name in the conventions.
pub(super) fn write_method(method: &str, original: Option<&str>, span: &mut Writer) {
    attribute(span, "http.request.method", method);
    if let Some(original) = original {
        attribute(span, "http.request.method_original", original);
    }
}

/// `status`: 0, there was no answer.
fn write_outcome(status: u16, grpc_status: Option<u32>, span: &mut Writer) {
    if status != 0 {
        number(span, "http.response.status_code", status.into());
    }
    if let Some(status) = grpc_status {
        number(span, "rpc.grpc.status_code", status.into());
    }
}

impl Spans {
    /// A moment as nanoseconds since 1970. The clock that people set is asked once, so that no span is longer than it was.
    pub(super) fn at(&self, at: Instant) -> u64 {
        let since = u64::try_from(at.saturating_duration_since(self.started).as_nanos()).unwrap_or(u64::MAX);
        self.started_at.saturating_add(since)
    }
}
