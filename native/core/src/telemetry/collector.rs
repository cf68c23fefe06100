//! A policy of tracing, made ready: whom its spans go to, in which message, and of which requests there are any.

use super::attributes::{Value, write};
use super::figures::Figures;
use super::sampling::Sampling;
use crate::protobuf::{Writer, size_of};
use ahash::RandomState;
use route::ir::{OtlpProtocol, Policy, TelemetryTracing, TraceCollector};
use route::policy::Compiled;
use std::sync::{Arc, OnceLock};

/// Who made the spans, for collectors.
const NAME: &str = "sluicegate";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Made once for each policy of a table.
#[derive(Debug)]
pub struct Collector {
    pub policy: Arc<TelemetryTracing>,
    pub to: TraceCollector,
    /// Slot of the backend that takes spans.
    pub slot: u32,
    /// Fields of requests to it.
    pub fields: Vec<(String, String)>,
    pub sampling: Sampling,
    pub figures: Arc<Figures>,
    /// `ResourceSpans.resource` and `ScopeSpans.scope`, as they are written.
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Collector {
    /// `None`: nothing is traced by it. `before`: of the same policy as it was.
    pub fn of(compiled: &Compiled, before: Option<&Self>) -> Option<Self> {
        let Policy::TelemetryTracing(policy) = &compiled.ir else { return None };
        let (to, slot) = (policy.collector.as_ref()?, *compiled.backends.first()?);
        let secret = compiled.secrets.first().map_or("", |secret| secret.data.as_str());
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (mut resource, mut scope) = (Writer::default(), Writer::default());
        resource.message(1, |resource| {
            for (key, value) in [
                ("service.name", policy.service_name.as_str()),
                ("service.version", VERSION),
                ("service.instance.id", instance()),
                ("telemetry.sdk.name", NAME),
                ("telemetry.sdk.language", "rust"),
                ("telemetry.sdk.version", VERSION),
            ] {
                write(resource, 1, key, Value::Text(value));
            }
        });
        scope.message(1, |scope| {
            scope.bytes(1, NAME.as_bytes());
            scope.bytes(2, VERSION.as_bytes());
        });
        Some(Self {
            policy: Arc::clone(policy),
            to: to.clone(),
            slot,
            fields: secret.lines().filter_map(field).collect(),
            sampling: Sampling::of(policy),
            figures: before.map(|before| Arc::clone(&before.figures)).unwrap_or_default(),
            resource: resource.into_bytes(),
            scope: scope.into_bytes(),
        })
    }

    pub fn id(&self) -> &str {
        &self.policy.id
    }

    /// How and where spans are sent.
    pub fn path(&self) -> (&'static str, &'static str) {
        match self.to.protocol {
            OtlpProtocol::Grpc => ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", "application/grpc"),
            OtlpProtocol::Http => ("/v1/traces", "application/x-protobuf"),
        }
    }

    pub fn is_grpc(&self) -> bool {
        self.to.protocol == OtlpProtocol::Grpc
    }

    /// `ExportTraceServiceRequest`; `spans`: each as `ScopeSpans.spans`.
    pub fn message(&self, spans: &[u8]) -> Vec<u8> {
        let scope_spans = self.scope.len() + spans.len();
        let mut message = Writer::default();
        message.begin(1, self.resource.len() + size_of(scope_spans));
        message.raw(&self.resource);
        message.begin(2, scope_spans);
        message.raw(&self.scope);
        message.raw(spans);
        message.into_bytes()
    }
}

/// Of this process; nobody else has the same.
fn instance() -> &'static str {
    static INSTANCE: OnceLock<String> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        let random = || RandomState::new().hash_one(std::process::id());
        format!("{:016x}{:016x}", random(), random())
    })
}

#[cfg(test)]
mod tests {
    use crate::telemetry::samples::{collector, message};
    use serde_json::json;

    /// Who made the spans, and these as they waited.
    #[test]
    fn a_message_has_its_spans() {
        let to = collector(&json!({}));
        let (resource, spans) = message(&to.message(b"\x12\x04\x2a\x02ab\x12\x03\x2a\x01c"));
        assert_eq!(
            (resource["service.name"].as_str(), resource["telemetry.sdk.name"].as_str()),
            ("shop", "sluicegate")
        );
        assert_eq!(resource["service.instance.id"].len(), 32);
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["ab", "c"]);
        assert_eq!(to.path().0, "/v1/traces");
    }
}
