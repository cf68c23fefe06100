//! What of a transaction is written into heads, looked at before it takes effect: nothing in it may end a line, a field or a
//! head before it is meant to end. The controller says the same to the owner of a route, in words; this holds whoever wrote
//! the transaction.

use crate::ir::{self, Filter, PathModifier};
use crate::table::authority;
use codec::{is_token, is_value};

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

/// # Errors
/// As [`check_rule`], of a policy.
pub(super) fn check_policy(policy: &ir::Policy) -> Result<(), String> {
    check_client(policy)?;
    if let Some(traffic) = policy.backend_traffic() {
        if let Some(session) = &traffic.session {
            check_session(session).map_err(|(field, reason)| format!("session.{field}: {reason}"))?;
        }
        let budget = traffic.retry_budget.map_or((0, 0), |budget| (budget.interval_ms, budget.min_interval_ms));
        check_times(&[("retry_budget.interval_ms", budget.0), ("retry_budget.min_interval_ms", budget.1)])?;
    }
    match policy {
        ir::Policy::FilterFault(policy) => check_fault(policy)?,
        ir::Policy::FilterErrorPages(policy) => {
            for (index, page) in policy.pages.iter().enumerate() {
                check_page(page).map_err(|(field, reason)| format!("pages[{index}].{field}: {reason}"))?;
            }
        }
        _ => {}
    }
    let Some(policy) = policy.backend() else {
        return Ok(());
    };
    check_times(&[
        ("slow_start_ms", policy.slow_start_ms),
        ("timeouts.connect_ms", policy.timeouts.connect_ms),
        ("timeouts.idle_ms", policy.timeouts.idle_ms),
        ("timeouts.first_byte_ms", policy.timeouts.first_byte_ms),
        ("passive.eject_for_ms", policy.passive.map_or(0, |passive| passive.eject_for_ms)),
        ("active.interval_ms", policy.active.as_ref().map_or(0, |active| active.interval_ms)),
        ("active.timeout_ms", policy.active.as_ref().map_or(0, |active| active.timeout_ms)),
    ])?;
    policy.active.as_ref().map_or(Ok(()), |active| check_question(&active.question))
}

/// A path and a host are written as they are.
fn check_question(question: &ir::HealthQuestion) -> Result<(), String> {
    let ir::HealthQuestion::Http { path, host, .. } = question else {
        return Ok(());
    };
    if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(format!("active.question.path: {path:?} is no path"));
    }
    if !host.is_empty() && authority::parse(host.as_bytes()).is_none() {
        return Err(format!("active.question.host: {host:?} is no host"));
    }
    Ok(())
}

fn check_fault(policy: &ir::FilterFault) -> Result<(), String> {
    let percentages = [policy.delay.map(|delay| delay.percentage), policy.abort.map(|abort| abort.percentage)];
    if percentages.into_iter().flatten().any(|percentage| percentage.denominator == 0) {
        return Err("percentage.denominator: 0 parts make no whole".to_owned());
    }
    match policy.abort {
        Some(abort) if !(200..600).contains(&abort.status) => {
            Err(format!("abort.status: {} is no status of an answer", abort.status))
        }
        _ => check_times(&[("delay.milliseconds", policy.delay.map_or(0, |delay| delay.milliseconds))]),
    }
}

fn check_page(page: &ir::ErrorPage) -> Result<(), Fault> {
    if let Some(status) = page.status.filter(|status| !(200..600).contains(status) || matches!(status, 204 | 205 | 304))
    {
        return fault("status", format!("{status} is no status of a page"));
    }
    match &page.content {
        ir::PageContent::Body { content_type, .. } if content_type.is_empty() || !is_value(content_type.as_bytes()) => {
            fault("content.content_type", format!("{content_type:?} is no value of a field"))
        }
        ir::PageContent::Body { .. } => Ok(()),
        ir::PageContent::Service { path, .. } if !path.starts_with('/') => {
            fault("content.path", format!("{path:?} is no path"))
        }
        ir::PageContent::Service { path, .. } => check_path_part("content.path", path),
    }
}

/// What says how clients are spoken to.
fn check_client(policy: &ir::Policy) -> Result<(), String> {
    match policy {
        ir::Policy::ClientCertificateHeader(it) if !it.off && !it.invalid && !is_name(&it.header) => {
            Err(format!("header: {:?} is no name of a field", it.header))
        }
        ir::Policy::ClientConnections(it) => check_times(&[("max_duration_ms", it.max_duration_ms)]),
        ir::Policy::ClientTimeouts(it) => {
            check_times(&[("head_ms", it.head_ms), ("idle_ms", it.idle_ms), ("request_ms", it.request_ms)])
        }
        ir::Policy::ClientBody(it) => check_times(&[("timeout_ms", it.timeout_ms)]),
        _ => Ok(()),
    }
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

/// # Errors
/// As [`check_rule`]; `owner` is written before the place.
pub(super) fn check_filters(owner: &str, filters: &[Filter]) -> Result<(), String> {
    for (index, filter) in filters.iter().enumerate() {
        check_filter(filter).map_err(|(field, reason)| format!("{owner}filters[{index}].{field}: {reason}"))?;
    }
    Ok(())
}

/// A field of a filter and what is wrong with it.
type Fault = (String, String);

fn check_filter(filter: &Filter) -> Result<(), Fault> {
    match filter {
        Filter::RequestHeaders(edit) | Filter::ResponseHeaders(edit) => check_edit(edit),
        Filter::Redirect(redirect) => {
            if let Some(scheme) = &redirect.scheme
                && (scheme.is_empty() || !scheme.bytes().all(is_scheme_byte))
            {
                return fault("scheme", format!("{scheme:?} is no scheme"));
            }
            if !(300..400).contains(&redirect.status) {
                return fault("status", format!("{} is no redirect", redirect.status));
            }
            check_hostname(redirect.hostname.as_deref())?;
            check_path(redirect.path.as_ref())
        }
        Filter::Rewrite(rewrite) => {
            check_hostname(rewrite.hostname.as_deref())?;
            check_names("host_from", rewrite.host_from.iter().map(String::as_str))?;
            if let Some(wanted) = &rewrite.substitution {
                if rewrite.path.is_some() {
                    return fault("substitution", "stands beside a path".to_owned());
                }
                check_path_part("substitution.replacement", &wanted.replacement.replace('\\', ""))?;
            }
            check_path(rewrite.path.as_ref())
        }
        Filter::ResponseRewrite(rewrite) => check_response_rewrite(rewrite),
        Filter::Respond(respond) => check_respond(respond),
        Filter::Mirror { percentage, .. } if percentage.denominator == 0 => {
            fault("percentage.denominator", "0 parts make no whole".to_owned())
        }
        Filter::Mirror { .. } => Ok(()),
        // Allowed origins are compared and never written: an answer has the origin of its request.
        Filter::Cors(cors) => {
            let lists = [
                ("allow_methods", &cors.allow_methods),
                ("allow_headers", &cors.allow_headers),
                ("expose_headers", &cors.expose_headers),
            ];
            for (name, values) in lists {
                check_names(name, values.iter().map(String::as_str))?;
            }
            Ok(())
        }
    }
}

fn check_edit(edit: &ir::HeaderEdit) -> Result<(), Fault> {
    check_values("set", &edit.set)?;
    check_values("add", &edit.add)?;
    check_names("remove", edit.remove.iter().map(String::as_str))
}

fn check_values(list: &str, values: &[ir::HeaderValue]) -> Result<(), Fault> {
    check_names(list, values.iter().map(|field| field.name.as_str()))?;
    if let Some(index) = values.iter().position(|field| field.expression.is_some() && is_authority(&field.name)) {
        return fault(&format!("{list}[{index}].expression"), "the authority is no value of an expression".to_owned());
    }
    match values.iter().position(|field| !is_value(field.value.as_bytes())) {
        Some(index) => {
            let name = &values[index].name;
            fault(&format!("{list}[{index}].value"), format!("the value of {name} has a control character"))
        }
        None => Ok(()),
    }
}

/// An answer that may have a body, or has none (RFC 9110 section 6.4.1).
fn check_respond(respond: &ir::Respond) -> Result<(), Fault> {
    if !(200..600).contains(&respond.status) {
        return fault("status", format!("{} is no status of an answer", respond.status));
    }
    if matches!(respond.status, 204 | 205 | 304) && !respond.body.is_empty() {
        return fault("body", format!("an answer of status {} has none", respond.status));
    }
    if respond.headers.iter().any(|field| field.expression.is_some()) {
        return fault("headers", "an answer has no expressions".to_owned());
    }
    check_values("headers", &respond.headers)
}

fn check_response_rewrite(rewrite: &ir::ResponseRewrite) -> Result<(), Fault> {
    for (index, location) in rewrite.location.iter().enumerate() {
        if location.prefix.is_empty() || !is_value(location.replacement.as_bytes()) {
            return fault(
                &format!("location[{index}]"),
                "what stands before is empty, or what stands after is no value".to_owned(),
            );
        }
    }
    for (index, cookie) in rewrite.cookies.iter().enumerate() {
        let parts = [&cookie.domain, &cookie.path].into_iter().flatten().map(|part| &part.value);
        let is_plain = |text: &String| is_value(text.as_bytes()) && !text.contains(';');
        if !parts.chain(&cookie.same_site).all(is_plain) {
            return fault(&format!("cookies[{index}]"), "an attribute ends before its value does".to_owned());
        }
    }
    Ok(())
}

fn check_names<'n>(list: &str, names: impl Iterator<Item = &'n str>) -> Result<(), Fault> {
    match names.enumerate().find(|(_, name)| !is_name(name)) {
        Some((index, name)) => fault(&format!("{list}[{index}]"), format!("{name:?} is no name of a field or method")),
        None => Ok(()),
    }
}

fn check_hostname(hostname: Option<&str>) -> Result<(), Fault> {
    match hostname.filter(|hostname| authority::parse(hostname.as_bytes()).is_none()) {
        Some(hostname) => fault("hostname", format!("{hostname:?} is no host")),
        None => Ok(()),
    }
}

/// What stands before a query: printable, and neither query nor fragment.
fn check_path(modifier: Option<&PathModifier>) -> Result<(), Fault> {
    let Some(PathModifier::ReplaceFullPath(path) | PathModifier::ReplacePrefixMatch(path)) = modifier else {
        return Ok(());
    };
    check_path_part("path", path)
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

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
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
                for name in ["Transfer-Encoding", "content-length", "Connection", "Host", "x-a!#$%&'*+-.^_`|~0"] {
                    assert_eq!(apply(json!([edit(kind, list, name, "a\tb \u{fc}")]), json!([]), json!({})), Ok(()));
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
