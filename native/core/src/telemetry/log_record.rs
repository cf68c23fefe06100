//! A line of the access log as it is sent (`LogRecord` of `opentelemetry/proto/logs/v1/logs.proto`; numbers of fields are those
//! of that file). Names are of the semantic conventions for HTTP; those that are not theirs begin with `sluicegate.`.

use super::attributes::{Value, text, write as write_attribute};
use super::context::Context;
use super::trace::{host_and_port, path_of};
use crate::observe::access_record::Record;
use crate::observe::method::Method;
use crate::protobuf::Writer;
use smallvec::SmallVec;
use std::borrow::Cow;

/// `ScopeLogs.log_records`.
const IN_SCOPE: u64 = 2;

/// `SeverityNumber`: INFO, and WARN.
const INFORMATION: (u64, &[u8]) = (9, b"INFO");
const WARNING: (u64, &[u8]) = (13, b"WARN");

/// What is known of a line besides what it says.
#[derive(Debug)]
pub struct Logged<'l> {
    /// Where the listener is traced.
    pub context: Option<&'l Context>,
    /// The path of the match.
    pub path: Option<&'l str>,
    /// `network.protocol.version`.
    pub version: &'static str,
    pub failed: bool,
}

/// Write a line, as it waits for its collector.
pub fn write(record: &Record<'_>, logged: &Logged<'_>) -> Vec<u8> {
    let method = Method::of(record.method.as_bytes());
    let (host, port) = host_and_port(record.authority.as_bytes());
    let path = text(path_of(record.path.as_bytes()));
    let query = record.path.split_once('?').map(|(_, query)| cut(query));
    let original = method.is_other().then(|| cut(record.method));
    let status_text = record.status.to_string();
    let error_type = logged.failed.then(|| record.error.unwrap_or(&status_text));
    let texts = [record.user_agent, record.request_id, record.user, record.sni, record.error_detail]
        .map(|value| value.map(cut));
    let [user_agent, request_id, user, sni, detail] = &texts;
    let all = [
        ("http.request.method", Some(method.name())),
        ("http.request.method_original", original.as_deref()),
        ("url.scheme", Some(record.scheme)),
        ("url.path", Some(&*path)),
        ("url.query", query.as_deref()),
        ("http.route", logged.path),
        ("server.address", Some(&*host).filter(|host| !host.is_empty())),
        ("client.address", Some(record.client)),
        ("network.peer.address", Some(record.peer)),
        ("network.protocol.version", Some(logged.version)),
        ("user_agent.original", user_agent.as_deref()),
        ("error.type", error_type),
        ("tls.client.server_name", sni.as_deref()),
        ("sluicegate.request_id", request_id.as_deref()),
        ("sluicegate.user", user.as_deref()),
        ("sluicegate.authenticated_by", record.authenticated_by),
        ("sluicegate.listener", record.listener),
        ("sluicegate.route", record.route),
        ("sluicegate.rule", record.rule),
        ("sluicegate.backend", record.backend),
        ("sluicegate.endpoint", record.endpoint),
        ("sluicegate.error", record.error),
        ("sluicegate.error_detail", detail.as_deref()),
    ];
    let mut attributes: SmallVec<[(&str, Value<'_>); 32]> =
        all.into_iter().filter_map(|(key, value)| Some((key, Value::Text(value?)))).collect();
    attributes.extend([
        ("http.response.status_code", Value::Number(record.status.into())),
        ("http.request.body.size", Value::Number(record.request_bytes)),
        ("http.response.body.size", Value::Number(record.response_bytes)),
        ("sluicegate.duration_ms", Value::Fraction(record.duration_ms)),
        ("sluicegate.retries", Value::Number(record.retries.into())),
    ]);
    attributes.extend(port.map(|port| ("server.port", Value::Number(port.into()))));
    attributes.extend(record.grpc_status.map(|status| ("rpc.grpc.status_code", Value::Number(status.into()))));
    let (severity, name) = if record.status >= 500 { WARNING } else { INFORMATION };
    let body = format!("{} {path} {}", original.as_deref().unwrap_or(method.name()), record.status);
    let mut line = Writer::default();
    line.fixed64(1, nanoseconds(record.time));
    line.number(2, severity);
    line.bytes(3, name);
    line.message(5, |any| any.bytes(1, body.as_bytes()));
    for (key, value) in attributes {
        write_attribute(&mut line, 6, key, value);
    }
    if let Some(context) = logged.context {
        line.fixed32(8, context.to_flags().into());
        line.bytes(9, &context.trace.0);
        line.bytes(10, &context.span.0);
    }
    line.fixed64(11, nanoseconds(record.time + record.duration_ms / 1000.0));
    let mut written = Writer::default();
    written.written(IN_SCOPE, &line.into_bytes());
    written.into_bytes()
}

/// A text that a client has a say in.
fn cut(value: &str) -> Cow<'_, str> {
    text(value.as_bytes())
}

/// Seconds since 1970.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is after 1970, and what is not becomes 0"
)]
fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::{Logged, write};
    use crate::observe::access_record::Record;
    use crate::protobuf::Value;
    use crate::telemetry::context::Context;
    use crate::telemetry::ids::{SpanId, TraceId};
    use crate::telemetry::samples::{fields, pair, text};
    use route::table::Formats;
    use std::collections::BTreeMap;

    type Line = (BTreeMap<u64, String>, BTreeMap<String, String>);

    /// Texts of a line by their numbers, and its attributes but for the duration.
    fn read(written: &[u8]) -> Line {
        let [(2, line)] = fields(written)[..] else { panic!("one line") };
        let (mut texts, mut attributes) = (BTreeMap::new(), BTreeMap::new());
        for (number, value) in fields(line.bytes().unwrap()) {
            match (number, value) {
                (6, value) => {
                    let pairs = fields(value.bytes().unwrap());
                    if text(pairs[0].1) != "sluicegate.duration_ms" {
                        let (key, value) = pair(value);
                        assert_eq!(attributes.insert(key, value), None);
                    }
                }
                (5, body) => drop(texts.insert(5, text(fields(body.bytes().unwrap())[0].1))),
                (number, Value::Bytes(bytes)) => drop(texts.insert(number, bytes.escape_ascii().to_string())),
                (number, value) => drop(texts.insert(number, value.number().unwrap_or_default().to_string())),
            }
        }
        (texts, attributes)
    }

    fn logged(context: Option<&Context>, failed: bool) -> Logged<'_> {
        Logged { context, path: Some("/a"), version: "1.1", failed }
    }

    #[test]
    fn a_line_has_the_names_of_the_conventions() {
        let record = Record {
            time: 2.5,
            duration_ms: 500.0,
            client: "192.0.2.1",
            peer: "192.0.2.2",
            scheme: "https",
            method: "BREW",
            authority: "shop.test:8443",
            path: "/a/b?card=***",
            user_agent: Some("x"),
            listener: Some("l"),
            status: 503,
            error: Some("upstream_connect"),
            request_bytes: 7,
            grpc_status: Some(14),
            ..Record::default()
        };
        let (trace, span) = (TraceId([1; 16]), SpanId([2; 8]));
        let context = Context {
            trace,
            span,
            parent: None,
            sampled: true,
            debug: false,
            random: false,
            state: String::new(),
            formats: Formats::default(),
        };
        let (texts, attributes) = read(&write(&record, &logged(Some(&context), true)));
        assert_eq!(texts[&3], "WARN");
        assert_eq!(texts[&5], "BREW /a/b 503");
        assert_eq!(
            (texts[&9].as_str(), texts[&10].as_str()),
            ("\\x01".repeat(16).as_str(), "\\x02".repeat(8).as_str())
        );
        let expected = [
            ("client.address", "192.0.2.1"),
            ("error.type", "upstream_connect"),
            ("http.request.body.size", "7"),
            ("http.request.method", "_OTHER"),
            ("http.request.method_original", "BREW"),
            ("http.response.body.size", "0"),
            ("http.response.status_code", "503"),
            ("http.route", "/a"),
            ("network.peer.address", "192.0.2.2"),
            ("network.protocol.version", "1.1"),
            ("rpc.grpc.status_code", "14"),
            ("server.address", "shop.test"),
            ("server.port", "8443"),
            ("sluicegate.error", "upstream_connect"),
            ("sluicegate.listener", "l"),
            ("sluicegate.retries", "0"),
            ("url.path", "/a/b"),
            ("url.query", "card=***"),
            ("url.scheme", "https"),
            ("user_agent.original", "x"),
        ];
        let expected: BTreeMap<_, _> =
            expected.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(attributes, expected);
    }

    #[test]
    fn what_is_no_failure_is_information() {
        let record = Record { method: "GET", path: "/", status: 404, error: Some("no_route"), ..Record::default() };
        let (texts, attributes) = read(&write(&record, &logged(None, false)));
        assert_eq!((texts[&3].as_str(), texts[&5].as_str()), ("INFO", "GET / 404"));
        assert!(!texts.contains_key(&9) && !attributes.contains_key("error.type"));
        assert_eq!(attributes["sluicegate.error"], "no_route");
    }

    /// However much a client sends.
    #[test]
    fn a_line_has_an_end() {
        let long = "x".repeat(100_000);
        let record = Record {
            method: &long,
            authority: &long,
            path: &long,
            user_agent: Some(&long),
            request_id: Some(&long),
            ..Record::default()
        };
        assert!(write(&record, &logged(None, false)).len() < 12 * 1024);
    }
}
