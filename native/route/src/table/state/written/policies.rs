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
