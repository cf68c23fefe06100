//! Who takes telemetry: which backend that is, how it is asked, and what every message to it says.

use super::attributes::{Value, write};
use super::figures::{Figures, Signal};
use crate::protobuf::{Writer, size_of};
use ahash::RandomState;
use route::ir::{OtlpCollector, OtlpProtocol};
use route::policy::Compiled;
use std::sync::{Arc, OnceLock};

/// Who made it, for collectors.
pub const NAME: &str = "sluicegate";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Made once for each policy of a table.
#[derive(Debug)]
pub struct Destination {
    /// Of the policy.
    id: String,
    pub signal: Signal,
    pub to: OtlpCollector,
    /// Slot of the backend that takes it.
    pub slot: u32,
    /// Fields of requests to it.
    pub fields: Vec<(String, String)>,
    pub figures: Arc<Figures>,
    /// `ResourceSpans.resource` and `ScopeSpans.scope`, or those of logs, as they are written.
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Destination {
    /// `None`: the policy has none. `before`: of the same policy as it was.
    pub fn of(
        compiled: &Compiled,
        (signal, to): (Signal, &OtlpCollector),
        service_name: &str,
        before: Option<&Self>,
    ) -> Option<Self> {
        let slot = *compiled.backends.first()?;
        let secret = compiled.secrets.first().map_or("", |secret| secret.data.as_str());
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (mut resource, mut scope) = (Writer::default(), Writer::default());
        resource.message(1, |resource| {
            for (key, value) in [
                ("service.name", service_name),
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
            id: compiled.ir.id().to_owned(),
            signal,
            to: to.clone(),
            slot,
            fields: secret.lines().filter_map(field).collect(),
            figures: before.map(|before| Arc::clone(&before.figures)).unwrap_or_default(),
            resource: resource.into_bytes(),
            scope: scope.into_bytes(),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// How and where it is sent.
    pub fn path(&self) -> (&'static str, &'static str) {
        let path = match (self.signal, self.to.protocol) {
            (Signal::Traces, OtlpProtocol::Grpc) => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            (Signal::Logs, OtlpProtocol::Grpc) => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            (Signal::Traces, OtlpProtocol::Http) => "/v1/traces",
            (Signal::Logs, OtlpProtocol::Http) => "/v1/logs",
        };
        (path, if self.is_grpc() { "application/grpc" } else { "application/x-protobuf" })
    }

    pub fn is_grpc(&self) -> bool {
        self.to.protocol == OtlpProtocol::Grpc
    }

    /// `ExportTraceServiceRequest`, or `ExportLogsServiceRequest`; `items`: each as `ScopeSpans.spans`, or
    /// `ScopeLogs.log_records`.
    pub fn message(&self, items: &[u8]) -> Vec<u8> {
        let in_scope = self.scope.len() + items.len();
        let mut message = Writer::default();
        message.begin(1, self.resource.len() + size_of(in_scope));
        message.raw(&self.resource);
        message.begin(2, in_scope);
        message.raw(&self.scope);
        message.raw(items);
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
    use crate::telemetry::samples::{destination, message};
    use serde_json::json;

    /// Who made the spans, and these as they waited.
    #[test]
    fn a_message_has_its_spans() {
        let to = destination(&json!({}));
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
