//! Traces of requests: who takes their spans, and of which requests there are any (GEP-4768).

use super::{Need, PolicyKind, PolicyPlace};
use crate::ir::Percentage;
use serde::{Deserialize, Serialize};

/// `XTelemetryPolicy.spec.tracing`. Listeners name it. It refuses nothing: where it cannot be honoured nothing is traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryTracing {
    /// `XTelemetryPolicy/<namespace>/<name>`.
    pub id: String,
    /// Absent: nothing is traced, and what clients say of traces goes on as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<OtlpCollector>,
    /// Of the requests whose client decides nothing, or nothing that counts.
    #[serde(default = "none")]
    pub sampling: Percentage,
    /// Of the requests whose client says that they are sampled, and none of those of which it says that they are not;
    /// absent: what clients say of that does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_sampling: Option<Percentage>,
    /// `service.name`.
    pub service_name: String,
    /// Of the span of a request; empty: its method and the path of its match.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub span_name: String,
    /// What every span has besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<SpanAttribute>,
}

/// Who takes spans, or lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpCollector {
    /// Backend id.
    pub backend: String,
    pub protocol: OtlpProtocol,
    /// `<name>.<namespace>.svc` of the Service, or a host outside: who is asked, where no certificate is for another one.
    pub service: String,
    /// Id of the secret that has the fields of requests to it, a line each as heads have them; empty: there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub headers: String,
}

impl OtlpCollector {
    pub(super) fn needs(&self) -> Vec<Need<'_>> {
        let secret = Some(Need::Secret(&self.headers)).filter(|_| !self.headers.is_empty());
        std::iter::once(Need::Backend(&self.backend)).chain(secret).collect()
    }
}

/// How telemetry is sent (OTLP specification, 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    Grpc,
    /// Binary protocol buffers.
    Http,
}

/// An attribute and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanAttribute {
    pub name: String,
    pub source: SpanSource,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum SpanSource {
    /// A field of the request; lower case.
    Header {
        name: String,
    },
    Literal {
        value: String,
    },
    /// Another attribute of the span.
    Attribute {
        key: String,
    },
}

/// `ClientPolicy.spec.tracing`: what is said of a trace to backends, where the listener is traced at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTracing {
    /// `ClientPolicy/<namespace>/<name>/tracing`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Besides `traceparent`.
    #[serde(default)]
    pub propagation: Vec<TraceFormat>,
}

super::stanza!(ClientTracing of "ClientPolicy", "tracing", [Listener], tightens: false);

/// A form of a trace's context besides that of W3C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceFormat {
    /// The one field `b3`.
    B3,
    /// `X-B3-TraceId` and its like.
    B3Multi,
}

/// `telemetry` of an `HTTPFilter`: of which requests of its rule or listener there are spans. Its id is that of who has it, and
/// `/telemetry`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterTelemetry {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// In place of [`TelemetryTracing::sampling`].
    #[serde(default = "none")]
    pub sampling: Percentage,
}

super::stanza!(FilterTelemetry of "HTTPFilter", "telemetry", [Listener, HttpRule], tightens: false);

fn none() -> Percentage {
    Percentage { numerator: 0, denominator: 1 }
}

impl PolicyKind for TelemetryTracing {
    fn id(&self) -> &str {
        &self.id
    }

    fn places(&self) -> &'static [PolicyPlace] {
        &[PolicyPlace::Listener]
    }

    fn needs(&self) -> Vec<Need<'_>> {
        self.collector.as_ref().map_or_else(Vec::new, OtlpCollector::needs)
    }
}
