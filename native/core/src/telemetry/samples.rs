//! What tests of traces have in common: collectors, and spans as their receivers read them.

use super::{Collector, Destination};
use crate::protobuf::{self, Value};
use route::ir::Policy;
use route::policy::Compiled;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A policy of tracing; `more`: what it says otherwise than to sample everything.
pub fn policy(more: &Json) -> Json {
    let mut policy = json!({"type": "telemetry_tracing", "id": "XTelemetryPolicy/a/p", "service_name": "shop",
        "collector": {"backend": "b", "protocol": "http", "service": "otel.a.svc"},
        "sampling": {"numerator": 1, "denominator": 1}});
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

pub fn collector(more: &Json) -> Arc<Collector> {
    let ir: Policy = serde_json::from_value(policy(more)).unwrap();
    Arc::new(Collector::of(&Compiled::of(ir, Vec::new(), vec![0]), None).unwrap())
}

pub fn destination(more: &Json) -> Arc<Destination> {
    Arc::clone(&collector(more).destination)
}

/// A span that was received.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Received {
    pub trace: Vec<u8>,
    pub span: Vec<u8>,
    pub parent: Vec<u8>,
    pub state: String,
    pub name: String,
    /// 2: of a server, 3: of a client.
    pub kind: u64,
    pub attributes: BTreeMap<String, String>,
    /// Names of events, with what they have.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    pub failed: bool,
}

impl Received {
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

pub fn text(value: Value<'_>) -> String {
    String::from_utf8(value.bytes().unwrap().to_vec()).unwrap()
}

pub fn fields(message: &[u8]) -> Vec<(u64, Value<'_>)> {
    protobuf::read(message).unwrap()
}

pub fn pair(value: Value<'_>) -> (String, String) {
    let pair = fields(value.bytes().unwrap());
    let (kind, any) = fields(pair[1].1.bytes().unwrap())[0];
    let any = if kind == 1 { text(any) } else { any.number().unwrap().to_string() };
    (text(pair[0].1), any)
}

/// The spans of a list as it waits (`ScopeSpans.spans`).
pub fn spans(list: &[u8]) -> Vec<Received> {
    let found = fields(list).into_iter().map(|(number, span)| {
        assert_eq!(number, 2);
        let mut received = Received::default();
        for (number, value) in fields(span.bytes().unwrap()) {
            match number {
                1 => received.trace = value.bytes().unwrap().to_vec(),
                2 => received.span = value.bytes().unwrap().to_vec(),
                3 => received.state = text(value),
                4 => received.parent = value.bytes().unwrap().to_vec(),
                5 => received.name = text(value),
                6 => received.kind = value.number().unwrap(),
                9 => {
                    let (key, value) = pair(value);
                    assert_eq!(received.attributes.insert(key.clone(), value), None, "{key} twice");
                }
                11 => {
                    let event = fields(value.bytes().unwrap());
                    let attributes = event.iter().filter(|(it, _)| *it == 3).map(|(_, value)| pair(*value)).collect();
                    received.events.push((text(event[1].1), attributes));
                }
                15 => received.failed = true,
                _ => {}
            }
        }
        received
    });
    found.collect()
}

/// What a message to a collector has: attributes of its resource, and its spans.
pub fn message(message: &[u8]) -> (BTreeMap<String, String>, Vec<Received>) {
    let resource_spans = fields(message);
    let [(1, of_resource)] = resource_spans[..] else { panic!("{resource_spans:?}") };
    let of_resource = fields(of_resource.bytes().unwrap());
    let [(1, resource), (2, scope)] = of_resource[..] else { panic!("{of_resource:?}") };
    let resource = fields(resource.bytes().unwrap()).into_iter().map(|(_, value)| pair(value)).collect();
    let scope = scope.bytes().unwrap();
    // Behind what it is of.
    let length = fields(scope)[0].1.bytes().unwrap().len();
    (resource, spans(&scope[length + 2..]))
}
