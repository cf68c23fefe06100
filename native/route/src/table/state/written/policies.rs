//! Policies: how sessions, clients, backends, faults and error pages are spoken of in heads, and how long anything may take.

use super::filters::check_values;
use super::{Fault, check_path_part, check_session, check_times, fault, is_name};
use crate::ir;
use crate::table::authority;
use codec::{is_token, is_value};

/// # Errors
/// As [`check_rule`](super::check_rule), of a policy.
pub(in crate::table::state) fn check_policy(policy: &ir::Policy) -> Result<(), String> {
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
        ir::Policy::ExternalAuth(policy) => check_service(&policy.service)?,
        ir::Policy::AccessExternal(policy) => policy.service.as_deref().map_or(Ok(()), check_service)?,
        ir::Policy::TelemetryTracing(policy) => check_tracing(policy)?,
        ir::Policy::FilterTelemetry(filter) if filter.sampling.denominator == 0 => {
            return Err("sampling.denominator: 0 parts make no whole".to_owned());
        }
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
        ("retry_within_ms", policy.retry_within_ms),
        ("timeouts.connect_ms", policy.timeouts.connect_ms),
        ("timeouts.idle_ms", policy.timeouts.idle_ms),
        ("timeouts.first_byte_ms", policy.timeouts.first_byte_ms),
        ("passive.eject_for_ms", policy.passive.map_or(0, |passive| passive.eject_for_ms)),
        ("active.interval_ms", policy.active.as_ref().map_or(0, |active| active.interval_ms)),
        ("active.timeout_ms", policy.active.as_ref().map_or(0, |active| active.timeout_ms)),
    ])?;
    if let Some(cookie) = &policy.session_cookie {
        check_cookie(cookie)?;
    }
    policy.active.as_ref().map_or(Ok(()), |active| check_question(&active.question))
}

/// A cookie is written with its domain.
fn check_cookie(cookie: &ir::SessionCookieAttributes) -> Result<(), String> {
    let is_plain = cookie.domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if !is_plain {
        return Err(format!("session_cookie.domain: {:?} is no domain", cookie.domain));
    }
    check_times(&[("session_cookie.max_age_seconds", cookie.max_age_seconds.saturating_mul(1000))])
}

/// What a service is asked by is written as it is.
fn check_service(service: &ir::ExternalService) -> Result<(), String> {
    if !service.method.is_empty() && !is_token(service.method.as_bytes()) {
        return Err(format!("service.method: {:?} is no method", service.method));
    }
    if !service.host.is_empty() && authority::parse(service.host.as_bytes()).is_none() {
        return Err(format!("service.host: {:?} is no host", service.host));
    }
    check_values("set_headers", &service.set_headers).map_err(|(field, reason)| format!("service.{field}: {reason}"))
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

/// Shares have a whole, and attributes a name.
fn check_tracing(policy: &ir::TelemetryTracing) -> Result<(), String> {
    if [Some(policy.sampling), policy.parent_sampling].into_iter().flatten().any(|share| share.denominator == 0) {
        return Err("sampling.denominator: 0 parts make no whole".to_owned());
    }
    if policy.attributes.iter().any(|attribute| attribute.name.is_empty()) {
        return Err("attributes: one has no name".to_owned());
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::super::MAX_MILLISECONDS;
    use super::check_policy;
    use crate::samples::merged;
    use serde_json::{Value, json};

    fn refused(kind: &str, changes: Value) -> Option<String> {
        let policy = merged(json!({"type": kind, "id": "p"}), changes);
        check_policy(&serde_json::from_value(policy).expect("a policy")).err()
    }

    fn active(question: Value) -> Value {
        json!({"question": question, "interval_ms": 1, "timeout_ms": 1, "unhealthy_after": 1, "healthy_after": 1})
    }

    /// One that no clock reaches is told by its name, wherever it stands.
    #[test]
    fn times() {
        let traffic = |interval: u64, least: u64| json!({"retry_budget": {"percent": 1, "interval_ms": interval, "min_count": 1, "min_interval_ms": least}});
        let passive = |time: u64| json!({"consecutive_errors": 1, "eject_for_ms": time, "max_ejected_percent": 1});
        let asked = |interval: u64, timeout: u64| {
            merged(active(json!({"type": "tcp"})), json!({"interval_ms": interval, "timeout_ms": timeout}))
        };
        let delay =
            |time: u64| json!({"delay": {"milliseconds": time, "percentage": {"numerator": 1, "denominator": 1}}});
        let rows = |time: u64| {
            [
                ("backend_policy", json!({"slow_start_ms": time}), "slow_start_ms"),
                ("backend_policy", json!({"retry_within_ms": time}), "retry_within_ms"),
                ("backend_policy", json!({"timeouts": {"connect_ms": time}}), "timeouts.connect_ms"),
                ("backend_policy", json!({"timeouts": {"idle_ms": time}}), "timeouts.idle_ms"),
                ("backend_policy", json!({"timeouts": {"first_byte_ms": time}}), "timeouts.first_byte_ms"),
                ("backend_policy", json!({"passive": passive(time)}), "passive.eject_for_ms"),
                ("backend_policy", json!({"active": asked(time, 1)}), "active.interval_ms"),
                ("backend_policy", json!({"active": asked(1, time)}), "active.timeout_ms"),
                ("backend_traffic", traffic(time, 1), "retry_budget.interval_ms"),
                ("backend_traffic", traffic(1, time), "retry_budget.min_interval_ms"),
                ("client_connections", json!({"max_duration_ms": time}), "max_duration_ms"),
                ("client_timeouts", json!({"head_ms": time}), "head_ms"),
                ("client_timeouts", json!({"idle_ms": time}), "idle_ms"),
                ("client_timeouts", json!({"request_ms": time}), "request_ms"),
                ("client_body", json!({"timeout_ms": time}), "timeout_ms"),
                ("filter_fault", delay(time), "delay.milliseconds"),
            ]
        };
        for (kind, changes, name) in rows(MAX_MILLISECONDS + 1) {
            let expected = format!("{name}: {} is more than {MAX_MILLISECONDS}", MAX_MILLISECONDS + 1);
            assert_eq!(refused(kind, changes), Some(expected));
        }
        for (kind, changes, name) in rows(MAX_MILLISECONDS) {
            assert_eq!(refused(kind, changes), None, "{kind} {name}");
        }
    }

    /// Nothing ends the line, the field or the attribute that it is written into.
    #[test]
    fn what_is_written() {
        let http =
            |path: &str, host: &str| json!({"active": active(json!({"type": "http", "path": path, "host": host}))});
        let session = |carrier: Value| json!({"session": {"carrier": carrier}});
        let cookie = |path: &str| session(json!({"type": "Cookie", "name": "s", "path": path}));
        let service = |changes: Value| json!({"service": merged(json!({"backend": "b", "protocol": "http", "timeout_ms": 1}), changes)});
        let fault = |status: u16, parts: u32| json!({"abort": {"status": status, "percentage": {"numerator": 1, "denominator": parts}}});
        let page = |page: Value| json!({"pages": [merged(json!({"statuses": [], "content": {"type": "body", "content_type": "text/html", "body": ""}}), page)]});
        let elsewhere =
            |path: &str| page(json!({"content": {"type": "service", "backend": "b", "path": path, "timeout_ms": 1}}));
        let of_type = |text: &str| page(json!({"content": {"type": "body", "content_type": text, "body": ""}}));
        for (kind, changes, place) in [
            ("backend_policy", http("/a?b=c", "a.test"), None),
            ("backend_policy", http("a", ""), Some("active.question.path: ")),
            ("backend_policy", http("/a b", ""), Some("active.question.path: ")),
            ("backend_policy", http("/a#b", ""), Some("active.question.path: ")),
            ("backend_policy", http("/", "a b"), Some("active.question.host: ")),
            ("backend_policy", json!({"session_cookie": {"domain": "a.test"}}), None),
            ("backend_policy", json!({"session_cookie": {"domain": "a;b"}}), Some("session_cookie.domain: ")),
            ("backend_traffic", cookie("/a"), None),
            ("backend_traffic", cookie("a"), Some("session.carrier.path: ")),
            ("backend_traffic", cookie("/;a"), Some("session.carrier.path: ")),
            ("backend_traffic", session(json!({"type": "Header", "name": "x y"})), Some("session.carrier.name[0]: ")),
            ("external_auth", service(json!({"method": "HEAD", "host": "a.test:80"})), None),
            ("external_auth", service(json!({"method": "G T"})), Some("service.method: ")),
            ("external_auth", service(json!({"host": "a b"})), Some("service.host: ")),
            (
                "external_auth",
                service(json!({"set_headers": [{"name": "x", "value": "\n"}]})),
                Some("service.set_headers[0].value: "),
            ),
            ("access_external", service(json!({"method": "G T"})), Some("service.method: ")),
            ("access_external", json!({}), None),
            ("filter_fault", fault(503, 1), None),
            ("filter_fault", fault(199, 1), Some("abort.status: ")),
            ("filter_fault", fault(600, 1), Some("abort.status: ")),
            ("filter_fault", fault(503, 0), Some("percentage.denominator: ")),
            ("filter_error_pages", page(json!({"status": 503})), None),
            ("filter_error_pages", page(json!({"status": 204})), Some("pages[0].status: ")),
            ("filter_error_pages", page(json!({"status": 600})), Some("pages[0].status: ")),
            ("filter_error_pages", of_type(""), Some("pages[0].content.content_type: ")),
            ("filter_error_pages", of_type("a\r\nb: c"), Some("pages[0].content.content_type: ")),
            ("filter_error_pages", elsewhere("/a"), None),
            ("filter_error_pages", elsewhere("a"), Some("pages[0].content.path: ")),
            ("filter_error_pages", elsewhere("/a b"), Some("pages[0].content.path: ")),
            ("filter_telemetry", json!({"sampling": {"numerator": 0, "denominator": 1}}), None),
            (
                "filter_telemetry",
                json!({"sampling": {"numerator": 0, "denominator": 0}}),
                Some("sampling.denominator: "),
            ),
            ("client_certificate_header", json!({"header": "x-cert"}), None),
            ("client_certificate_header", json!({"header": "x cert"}), Some("header: ")),
            ("client_certificate_header", json!({"header": "", "off": true}), None),
        ] {
            let error = refused(kind, changes.clone());
            assert_eq!(error.is_some(), place.is_some(), "{kind} {changes}: {error:?}");
            assert!(error.unwrap_or_default().starts_with(place.unwrap_or_default()), "{kind} {changes}");
        }
    }
}
