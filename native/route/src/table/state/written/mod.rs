//! What of a transaction is written into heads, looked at before it takes effect: nothing in it may end a line, a field or a
//! head before it is meant to end. The controller says the same to the owner of a route, in words; this holds whoever wrote
//! the transaction.

mod filters;
mod policies;

pub(super) use filters::check_filters;
pub(super) use policies::check_policy;

use crate::ir;
use codec::is_token;

/// A field of something and what is wrong with it.
type Fault = (String, String);

/// Longest time of a rule, in milliseconds: what a Duration of the Gateway API can say is less (GEP-2257), and clocks reach it.
const MAX_MILLISECONDS: u64 = 10_000_000_000_000;

/// # Errors
/// The first part of a rule that cannot be written or counted with, with its place.
pub(super) fn check_rule(rule: &ir::HttpRule) -> Result<(), String> {
    check_filters("", &rule.filters)?;
    for (index, backend) in rule.backends.iter().enumerate() {
        check_filters(&format!("backends[{index}]."), &backend.filters)?;
    }
    if let Some(session) = &rule.session {
        check_session(session).map_err(|(field, reason)| format!("session.{field}: {reason}"))?;
    }
    let times = [
        ("timeouts.request_ms", rule.timeouts.request_ms),
        ("timeouts.backend_request_ms", rule.timeouts.backend_request_ms),
        ("retry.backoff_ms", rule.retry.as_ref().map_or(0, |retry| retry.backoff_ms)),
    ];
    check_times(&times)
}

fn check_times(times: &[(&str, u64)]) -> Result<(), String> {
    match times.iter().find(|(_, time)| *time > MAX_MILLISECONDS) {
        Some((name, time)) => Err(format!("{name}: {time} is more than {MAX_MILLISECONDS}")),
        None => Ok(()),
    }
}

/// A cookie is written with its name and path, a header with its name.
fn check_session(session: &ir::Session) -> Result<(), Fault> {
    if session.absolute_timeout_ms > MAX_MILLISECONDS {
        return fault(
            "absolute_timeout_ms",
            format!("{} is more than {MAX_MILLISECONDS}", session.absolute_timeout_ms),
        );
    }
    match &session.carrier {
        ir::SessionCarrier::Header { name } => check_names("carrier.name", std::iter::once(name.as_str())),
        ir::SessionCarrier::Cookie { name, path, .. } => {
            check_names("carrier.name", std::iter::once(name.as_str()))?;
            let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
            if is_plain && path.starts_with('/') {
                Ok(())
            } else {
                fault("carrier.path", format!("{path:?} is no path"))
            }
        }
    }
}

fn check_names<'n>(list: &str, names: impl Iterator<Item = &'n str>) -> Result<(), Fault> {
    match names.enumerate().find(|(_, name)| !is_name(name)) {
        Some((index, name)) => fault(&format!("{list}[{index}]"), format!("{name:?} is no name of a field or method")),
        None => Ok(()),
    }
}

fn check_path_part(field: &str, path: &str) -> Result<(), Fault> {
    if path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'?')) {
        return Ok(());
    }
    fault(field, format!("{path:?} is no path"))
}

fn fault(field: &str, reason: String) -> Result<(), Fault> {
    Err((field.to_owned(), reason))
}

/// A token (RFC 9110 section 5.6.2), or `:authority`, which listeners know and leave out as they do `host`.
fn is_name(name: &str) -> bool {
    is_token(name.as_bytes()) || name.eq_ignore_ascii_case(":authority")
}

#[cfg(test)]
mod tests {
    use crate::ir::Transaction;
    use crate::table::{NoTags, State};
    use serde_json::{Value, json};

    /// What becomes of a rule with one filter, in the rule itself or in its backend.
    fn apply(filters: Value, backend_filters: Value, timeouts: Value) -> Result<(), String> {
        let transaction: Transaction = serde_json::from_value(json!({
            "version": crate::ir::VERSION, "generation": 1,
            "upsert": {
                "listeners": [{"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP"}],
                "backends": [{"id": "b"}],
                "http_rules": [{
                    "id": "HTTPRoute/a/r/0", "route": "HTTPRoute/a/r", "index": 0, "listeners": ["l"],
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "filters": filters, "timeouts": timeouts,
                    "backends": [{"backend": "b", "weight": 1, "filters": backend_filters}],
                }],
            },
        }))
        .expect("a transaction");
        State::default().apply(transaction, &NoTags).map(drop).map_err(|refused| refused.to_string())
    }

    fn edit(kind: &str, list: &str, name: &str, value: &str) -> Value {
        let entry = if list == "remove" { json!(name) } else { json!({"name": name, "value": value}) };
        json!({"type": kind, list: [entry]})
    }

    #[test]
    fn fields_that_end_a_line_or_have_no_name() {
        for kind in ["request_headers", "response_headers"] {
            for list in ["set", "add"] {
                for value in ["a\r\nx-evil: 1", "a\rb", "a\nb", "a\0b", "a\x0bb", "\x7f"] {
                    let expected = format!("filters[0].{list}[0].value: the value of x-a has a control character");
                    let filters = json!([edit(kind, list, "x-a", value)]);
                    let error = apply(filters.clone(), json!([]), json!({})).expect_err("a refusal");
                    assert_eq!(error, format!("http_rule HTTPRoute/a/r/0: {expected}"));
                    let error = apply(json!([]), filters, json!({})).expect_err("a refusal");
                    assert_eq!(error, format!("http_rule HTTPRoute/a/r/0: backends[0].{expected}"));
                }
            }
            for list in ["set", "add", "remove"] {
                for name in ["", "x a", "x:a", "x\r\na", "x\0", "\u{fc}", "x(a)", ":path"] {
                    let error = apply(json!([edit(kind, list, name, "1")]), json!([]), json!({})).expect_err(name);
                    assert!(error.contains(&format!("filters[0].{list}[0]: ")), "{error}");
                }
                // They are left out, as ever.
                for name in ["Transfer-Encoding", "content-length", "Connection", "x-a!#$%&'*+-.^_`|~0"] {
                    assert_eq!(apply(json!([edit(kind, list, name, "a\tb \u{fc}")]), json!([]), json!({})), Ok(()));
                }
            }
        }
    }

    /// `Host` of a request is its authority; of a response it is a field as any other.
    #[test]
    fn edits_of_the_authority() {
        for name in ["Host", "host", "HOST"] {
            for list in ["set", "add"] {
                for value in
                    ["a b", "", " ", "a/b", "x@y", "a:b:c", "\u{e9}", "a,b", ":80", "[::1", "a..", "a:99999", "a%20b"]
                {
                    let applied = apply(json!([edit("request_headers", list, name, value)]), json!([]), json!({}));
                    let expected = format!("filters[0].{list}[0].value: {value:?} is no host with or without a port");
                    assert_eq!(applied, Err(format!("http_rule HTTPRoute/a/r/0: {expected}")));
                    let filters = json!([edit("request_headers", list, name, value)]);
                    let error = apply(json!([]), filters, json!({})).expect_err("a refusal");
                    assert_eq!(error, format!("http_rule HTTPRoute/a/r/0: backends[0].{expected}"));
                    assert_eq!(
                        apply(json!([edit("response_headers", list, name, value)]), json!([]), json!({})),
                        Ok(())
                    );
                }
                for value in ["a.test", "a.test:80", "a.test:", "A_b.Test.", "[::1]:8080", "10.0.0.1", " a.test\t"] {
                    assert_eq!(
                        apply(json!([edit("request_headers", list, name, value)]), json!([]), json!({})),
                        Ok(())
                    );
                }
            }
        }
    }

    #[test]
    fn other_parts_of_a_head() {
        let path = |path: &str| json!({"type": "ReplaceFullPath", "value": path});
        let cors = |list: &str, value: &str| json!({"type": "cors", "max_age": 5, list: [value]});
        let mirror = |parts: u32| json!({"type": "mirror", "backend": "b", "percentage": {"numerator": 1, "denominator": parts}});
        let substitution = |replacement: &str| json!({"pattern": "^/a(.*)$", "replacement": replacement});
        for (filter, field) in [
            (json!({"type": "redirect", "status": 302, "scheme": "http\r\n"}), "scheme"),
            (json!({"type": "redirect", "status": 302, "scheme": ""}), "scheme"),
            (json!({"type": "redirect", "status": 302, "hostname": "a\r\nb"}), "hostname"),
            (json!({"type": "redirect", "status": 302, "hostname": "a/b"}), "hostname"),
            (json!({"type": "redirect", "status": 302, "path": path("/a\r\nb")}), "path"),
            (json!({"type": "redirect", "status": 99}), "status"),
            (json!({"type": "redirect", "status": 200}), "status"),
            (json!({"type": "rewrite", "hostname": "a b"}), "hostname"),
            (json!({"type": "rewrite", "path": path("/a HTTP/1.1\r\n")}), "path"),
            (json!({"type": "rewrite", "path": {"type": "ReplacePrefixMatch", "value": "/a?b"}}), "path"),
            (cors("allow_methods", "GET\r\n"), "allow_methods[0]"),
            (cors("allow_headers", "x a"), "allow_headers[0]"),
            (cors("expose_headers", "x\n"), "expose_headers[0]"),
            (cors("allow_origins", "https://a.test\r\nx-evil: 1"), "allow_origins[0]"),
            (cors("allow_origins", "https://a.test\0"), "allow_origins[0]"),
            (mirror(0), "percentage.denominator"),
            (json!({"type": "rewrite", "path": path("/a"), "substitution": substitution("b")}), "substitution"),
            (json!({"type": "rewrite", "substitution": substitution("b?c")}), "substitution.replacement"),
            (json!({"type": "rewrite", "host_from": "x a"}), "host_from[0]"),
            (
                json!({"type": "request_headers", "set": [{"name": "Host", "expression": "request.path"}]}),
                "set[0].expression",
            ),
            (json!({"type": "respond", "status": 200, "headers": [{"name": "a", "expression": "1"}]}), "headers"),
            (json!({"type": "response_rewrite", "location": [{"prefix": "", "replacement": "a"}]}), "location[0]"),
            (json!({"type": "response_rewrite", "location": [{"prefix": "a", "replacement": "\r\n"}]}), "location[0]"),
            (json!({"type": "response_rewrite", "cookies": [{"path": {"value": "/; Secure"}}]}), "cookies[0]"),
            (json!({"type": "response_rewrite", "cookies": [{"same_site": "a\n"}]}), "cookies[0]"),
            (json!({"type": "respond", "status": 199}), "status"),
            (json!({"type": "respond", "status": 204, "body": "a"}), "body"),
            (
                json!({"type": "respond", "status": 200, "headers": [{"name": "a", "value": "b\r\nc"}]}),
                "headers[0].value",
            ),
        ] {
            let error = apply(json!([filter]), json!([]), json!({})).expect_err(field);
            assert!(error.starts_with(&format!("http_rule HTTPRoute/a/r/0: filters[0].{field}: ")), "{error}");
        }
        for filter in [
            json!({"type": "redirect", "status": 308, "scheme": "https", "hostname": "a.test", "path": path("/%20;a=b")}),
            json!({"type": "rewrite", "hostname": "[::1]", "path": path("")}),
            cors("allow_methods", "*"),
            cors("allow_origins", "https://*.test"),
            mirror(3),
            json!({"type": "rewrite", "host_from": "x-host", "substitution": substitution(r"\1")}),
            json!({"type": "respond", "status": 200, "headers": [{"name": "a", "value": "b"}], "body": "c"}),
        ] {
            assert_eq!(apply(json!([filter]), json!([]), json!({})), Ok(()));
        }
    }

    #[test]
    fn times_that_no_clock_reaches() {
        for name in ["request_ms", "backend_request_ms"] {
            let error = apply(json!([]), json!([]), json!({name: u64::MAX})).expect_err("a refusal");
            assert!(error.contains(&format!("timeouts.{name}: ")), "{error}");
            assert_eq!(apply(json!([]), json!([]), json!({name: 1_440_000_000_000_u64})), Ok(()));
        }
    }
}
