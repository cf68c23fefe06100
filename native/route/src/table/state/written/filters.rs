//! Filters of rules, of their backends and of listeners.

use super::{Fault, check_names, check_path_part, fault};
use crate::ir::{self, Filter, PathModifier};
use crate::table::authority;
use codec::{is_value, without_blanks};

/// # Errors
/// As [`check_rule`](super::check_rule); `owner` is written before the place.
pub(in crate::table::state) fn check_filters(owner: &str, filters: &[Filter]) -> Result<(), String> {
    for (index, filter) in filters.iter().enumerate() {
        check_filter(filter).map_err(|(field, reason)| format!("{owner}filters[{index}].{field}: {reason}"))?;
    }
    Ok(())
}

fn check_filter(filter: &Filter) -> Result<(), Fault> {
    match filter {
        Filter::RequestHeaders(edit) => {
            check_edit(edit)?;
            check_authorities("set", &edit.set)?;
            check_authorities("add", &edit.add)
        }
        Filter::ResponseHeaders(edit) => check_edit(edit),
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
        Filter::Mirror { hostname, .. } if hostname.is_empty() => Ok(()),
        Filter::Mirror { hostname, .. } => check_hostname(Some(hostname)),
        Filter::Cors(cors) => {
            // They are compared and never written: an answer has the origin of its request, which is a value.
            if let Some(index) = cors.allow_origins.iter().position(|origin| !is_value(origin.as_bytes())) {
                return fault(&format!("allow_origins[{index}]"), "it has a control character".to_owned());
            }
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

pub(super) fn check_values(list: &str, values: &[ir::HeaderValue]) -> Result<(), Fault> {
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

/// `Host` of a request is no field but its authority: what an edit writes there begins the head of HTTP/2.
fn check_authorities(list: &str, values: &[ir::HeaderValue]) -> Result<(), Fault> {
    let is_none = |field: &ir::HeaderValue| {
        is_authority(&field.name) && authority::parse(without_blanks(&field.value).as_bytes()).is_none()
    };
    match values.iter().position(is_none) {
        Some(index) => fault(
            &format!("{list}[{index}].value"),
            format!("{:?} is no host with or without a port", values[index].value),
        ),
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

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::check_filters;
    use crate::ir::Filter;
    use serde_json::{Value, json};

    fn refused(filter: Value) -> Option<String> {
        let filters: Vec<Filter> = serde_json::from_value(json!([{"type": "respond", "status": 200}, filter])).unwrap();
        check_filters("backends[2].", &filters).err()
    }

    /// Who reads the log finds the very place. What each kind may have is in the tests of the folder.
    #[test]
    fn the_place_is_told() {
        let cookie = |cookie: Value| json!({"type": "response_rewrite", "cookies": [{}, cookie]});
        let set = |name: &str, value: &str| json!([{"name": "x", "value": "1"}, {"name": name, "value": value}]);
        for (filter, place) in [
            (json!({"type": "request_headers", "set": set("x y", "1")}), "set[1]"),
            (json!({"type": "request_headers", "add": set("x", "\n")}), "add[1].value"),
            (json!({"type": "request_headers", "remove": ["x", ""]}), "remove[1]"),
            (json!({"type": "request_headers", "set": set("host", "a b")}), "set[1].value"),
            (json!({"type": "redirect", "status": 302, "hostname": ""}), "hostname"),
            (json!({"type": "redirect", "status": 300, "scheme": "a:b"}), "scheme"),
            (json!({"type": "redirect", "status": 400}), "status"),
            (json!({"type": "rewrite", "path": {"type": "ReplaceFullPath", "value": "/\u{e9}"}}), "path"),
            (
                json!({"type": "mirror", "backend": "b", "percentage": {"numerator": 0, "denominator": 0}}),
                "percentage.denominator",
            ),
            (
                json!({"type": "mirror", "backend": "b", "percentage": {"numerator": 1, "denominator": 1}, "hostname": "a b"}),
                "hostname",
            ),
            (json!({"type": "cors", "max_age": 1, "expose_headers": ["*", "x y"]}), "expose_headers[1]"),
            (json!({"type": "respond", "status": 304, "body": "a"}), "body"),
            (cookie(json!({"domain": {"value": "a;b"}})), "cookies[1]"),
            (cookie(json!({"same_site": "Lax; Secure"})), "cookies[1]"),
        ] {
            let error = refused(filter.clone()).unwrap_or_default();
            assert!(error.starts_with(&format!("backends[2].filters[1].{place}: ")), "{filter}: {error}");
        }
    }

    #[test]
    fn what_may_be_written() {
        for filter in [
            json!({"type": "request_headers", "set": [{"name": "Host", "value": " a.test:80 "}], "remove": [":authority"]}),
            json!({"type": "response_headers", "add": [{"name": "host", "value": "no host"}]}),
            json!({"type": "redirect", "status": 399, "scheme": "coap+tcp", "path": {"type": "ReplacePrefixMatch", "value": ""}}),
            json!({"type": "rewrite", "host_from": "x-host", "substitution": {"pattern": "a", "replacement": r"\0"}}),
            json!({"type": "mirror", "backend": "b", "percentage": {"numerator": 9, "denominator": 1}, "hostname": "a.test"}),
            json!({"type": "respond", "status": 204}),
            json!({"type": "respond", "status": 599, "body": "\u{0}"}),
            json!({"type": "response_rewrite", "location": [{"prefix": "a", "replacement": ""}], "cookies": [{"path": {"value": "/a,b"}}]}),
        ] {
            assert_eq!(refused(filter.clone()), None, "{filter}");
        }
    }
}
