//! From a request head to a decision: the routing semantics of ARCHITECTURE.md, sections 3 to 5, as pure functions.
//!
//! The proxy calls the steps one by one; [`decide`] chains them for `explain`, the parity tests and the benchmarks.

mod contract;

pub use contract::{Decision, DecisionRequest, L4Request, Message, Question, Reply, decide, decide_l4};

use crate::ir::{ListenerProtocol, PathModifier, Redirect};
use crate::table::{
    Backend, CorsFilter, EditedFields, Field, Filters, Found, HeaderEdits, L4Candidate, Listener, OriginPattern,
    RequestHead, RuleBackend, Socket, Table, backend_at,
};
use std::borrow::Cow;
use std::sync::Arc;

/// Why no listener serves a request.
#[derive(Debug, Clone, Copy)]
pub enum Unserved<'t> {
    NoListener,
    /// The TLS handshake belongs to another listener than the authority: 421 (GEP-3567).
    Misdirected(&'t Arc<Listener>),
}

/// The listener of a request. `sni`: the server name of the TLS handshake; ignored on sockets without TLS.
///
/// # Errors
/// [`Unserved`].
pub fn listener<'t>(socket: &'t Socket, sni: Option<&str>, host: &str) -> Result<&'t Arc<Listener>, Unserved<'t>> {
    let listener = socket.listener_for_host(host).ok_or(Unserved::NoListener)?;
    match socket.protocol {
        ListenerProtocol::Http => return Ok(listener),
        ListenerProtocol::Https | ListenerProtocol::Tls => {}
        ListenerProtocol::Tcp | ListenerProtocol::Udp => return Err(Unserved::NoListener),
    }
    let presented = socket.listener_for_sni(sni);
    if !presented.is_some_and(|presented| Arc::ptr_eq(presented, listener)) {
        return Err(Unserved::Misdirected(listener));
    }
    if listener.ir.protocol.is_http() { Ok(listener) } else { Err(Unserved::NoListener) }
}

/// Memory for the fields that a listener's filters have edited.
#[derive(Debug, Default)]
pub struct EditedHead<'f> {
    fields: EditedFields<'f>,
    taken_out: EditedFields<'f>,
}

/// The request as the listener's filters leave it; what they change is put together in `space`.
pub fn pre_route<'f: 's, 's>(
    listener: &'f Listener,
    head: RequestHead<'f>,
    space: &'s mut EditedHead<'f>,
) -> RequestHead<'s> {
    if listener.pre_routing.is_empty() {
        return head;
    }
    let EditedHead { fields, taken_out } = space;
    fields.extend(head.fields.iter().copied());
    taken_out.extend(head.taken_out.iter().copied());
    listener.pre_routing.apply(fields, taken_out);
    RequestHead { fields, taken_out, ..head }
}

/// Which listener and rule take a connection, or a client's datagrams.
#[derive(Debug, Clone, Copy)]
pub enum L4Routed<'t> {
    /// None, or one that routes requests.
    NoListener,
    NoRoute(&'t Arc<Listener>),
    Found(&'t Arc<Listener>, &'t L4Candidate),
}

/// `sni`: the server name of the `ClientHello`, lower case; it counts only where connections begin with TLS.
pub fn route_l4<'t>(socket: &'t Socket, sni: Option<&str>) -> L4Routed<'t> {
    let sni = sni.filter(|_| socket.protocol.begins_with_tls());
    let Some(listener) = socket.listener_for_sni(sni).filter(|listener| !listener.ir.protocol.is_http()) else {
        return L4Routed::NoListener;
    };
    match listener.find_l4(sni) {
        Some(found) => L4Routed::Found(listener, found),
        None => L4Routed::NoRoute(listener),
    }
}

/// The backend that takes a request, or why none does.
#[derive(Debug, Clone, Copy)]
pub enum Picked<'t> {
    /// No weight at all: 500.
    NoBackend,
    /// It does not exist, or its TLS policy cannot be honoured: 500.
    Invalid(usize),
    /// It has no endpoint: 503.
    NoEndpoint(usize),
    Backend(usize, &'t RuleBackend, &'t Arc<Backend>),
}

/// `slot`: below the rule's total weight; says whose turn it is.
pub fn pick<'t>(table: &'t Table, found: &Found<'t>, slot: u64) -> Picked<'t> {
    pick_of(table, &found.rule.backends, found.rule.total_weight, slot, true)
}

/// As [`pick`], for an L4 rule. TLS that is passed through is the client's own, and datagrams have none: there the
/// backend's TLS policy means nothing.
pub fn pick_l4<'t>(table: &'t Table, listener: &Listener, found: &'t L4Candidate, slot: u64) -> Picked<'t> {
    pick_of(table, &found.rule.backends, found.rule.total_weight, slot, may_speak_tls(listener))
}

/// Backends of the listener may be spoken to in TLS: it is the gateway that reads what clients send.
pub fn may_speak_tls(listener: &Listener) -> bool {
    match listener.ir.protocol {
        ListenerProtocol::Tls => listener.ir.tls.is_some(),
        ListenerProtocol::Udp => false,
        ListenerProtocol::Http | ListenerProtocol::Https | ListenerProtocol::Tcp => true,
    }
}

fn pick_of<'t>(
    table: &'t Table,
    backends: &'t [RuleBackend],
    total_weight: u64,
    slot: u64,
    speaks_tls: bool,
) -> Picked<'t> {
    if total_weight == 0 {
        return Picked::NoBackend;
    }
    let Some((index, chosen)) = backend_at(backends, slot) else {
        return Picked::NoBackend;
    };
    let Some(backend) = chosen.slot.and_then(|slot| table.backend(slot)) else {
        return Picked::Invalid(index);
    };
    if speaks_tls && backend.tls.as_ref().is_some_and(|policy| policy.invalid) {
        return Picked::Invalid(index);
    }
    if backend.selectable().is_empty() {
        return Picked::NoEndpoint(index);
    }
    Picked::Backend(index, chosen, backend)
}

/// A path after `ReplaceFullPath` or `ReplacePrefixMatch` (`HTTPPathModifier`).
pub fn modify_path<'p>(modifier: &'p PathModifier, path: &'p str, prefix_length: Option<usize>) -> Cow<'p, str> {
    match (modifier, prefix_length) {
        (PathModifier::ReplaceFullPath(replacement), _) => rooted(replacement),
        (PathModifier::ReplacePrefixMatch(_), None) => Cow::Borrowed(path),
        (PathModifier::ReplacePrefixMatch(replacement), Some(length)) => {
            let rest = path.get(length..).unwrap_or_default();
            if rest.is_empty() {
                return rooted(replacement);
            }
            let base = replacement.strip_suffix('/').unwrap_or(replacement);
            let root = if base.is_empty() || base.starts_with('/') { "" } else { "/" };
            Cow::Owned(format!("{root}{base}/{}", rest.strip_prefix('/').unwrap_or(rest)))
        }
    }
}

fn rooted(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) }
}

/// The `Location` of a redirect (`HTTPRequestRedirectFilter`).
pub fn location(
    redirect: &Redirect,
    listener: &Listener,
    head: &RequestHead<'_>,
    prefix_length: Option<usize>,
) -> String {
    let own_scheme = match listener.ir.protocol {
        ListenerProtocol::Https => "https",
        _ => "http",
    };
    let scheme = redirect.scheme.as_deref().unwrap_or(own_scheme);
    let well_known = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = redirect.port.or_else(|| match &redirect.scheme {
        Some(_) => well_known.or(Some(listener.ir.port)),
        None => Some(listener.ir.port),
    });
    let host = redirect.hostname.as_deref().unwrap_or(head.host);
    let path = match &redirect.path {
        Some(modifier) => modify_path(modifier, head.path, prefix_length),
        None => Cow::Borrowed(head.path),
    };
    let mut location = format!("{scheme}://{host}");
    if let Some(port) = port.filter(|port| Some(*port) != well_known) {
        location.push(':');
        location.push_str(itoa::Buffer::new().format(port));
    }
    location.push_str(&path);
    if let Some(query) = head.query {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// The first value of a field, as text.
fn field_text<'a>(head: &RequestHead<'a>, name: &str) -> Option<&'a str> {
    let field = head.all_fields().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(field.value).ok().map(str::trim)
}

/// A CORS request before the one that it asks for.
pub fn is_preflight(head: &RequestHead<'_>) -> bool {
    head.method == "OPTIONS"
        && field_text(head, "origin").is_some()
        && field_text(head, "access-control-request-method").is_some()
}

/// Fields of a CORS answer, in order.
pub type CorsFields = Vec<(&'static str, String)>;

/// The answer to a preflight; only `vary` where the origin is not allowed.
pub fn cors_preflight(cors: &CorsFilter, head: &RequestHead<'_>) -> CorsFields {
    let requested = |name| field_text(head, name).unwrap_or_default().to_owned();
    let Some((mut fields, vary)) = allowed_origin(cors, head) else {
        return vec![("vary", "Origin".to_owned())];
    };
    let credentials = cors.ir.allow_credentials;
    let list = |names: &[String], wildcard: &dyn Fn() -> String| {
        if names.iter().any(|name| name == "*") {
            if credentials { wildcard() } else { "*".to_owned() }
        } else {
            names.join(", ")
        }
    };
    let methods = list(&cors.ir.allow_methods, &|| requested("access-control-request-method"));
    let headers = list(&cors.ir.allow_headers, &|| requested("access-control-request-headers"));
    fields.push(("access-control-allow-methods", methods));
    fields.push(("access-control-allow-headers", headers));
    fields.push(("access-control-expose-headers", exposed(cors)));
    fields.push(("access-control-max-age", cors.ir.max_age.to_string()));
    finish(cors, fields, vary)
}

/// What an ordinary response to an allowed origin carries; nothing where the origin is not allowed.
pub fn cors_response(cors: &CorsFilter, head: &RequestHead<'_>) -> CorsFields {
    let Some((mut fields, vary)) = allowed_origin(cors, head) else {
        return Vec::new();
    };
    fields.push(("access-control-expose-headers", exposed(cors)));
    finish(cors, fields, vary)
}

/// `access-control-allow-origin`, and whether the answer depends on the origin.
fn allowed_origin(cors: &CorsFilter, head: &RequestHead<'_>) -> Option<(CorsFields, bool)> {
    let origin = field_text(head, "origin")?;
    let any = matches!(cors.allows(origin)?, OriginPattern::Any) && !cors.ir.allow_credentials;
    let value = if any { "*".to_owned() } else { origin.to_owned() };
    Some((vec![("access-control-allow-origin", value)], !any))
}

fn exposed(cors: &CorsFilter) -> String {
    if cors.ir.allow_credentials && cors.ir.expose_headers.iter().any(|name| name == "*") {
        // With credentials `*` would be taken for a field of that name.
        return String::new();
    }
    cors.ir.expose_headers.join(", ")
}

/// Replace the CORS fields of a backend's response by ours; without ours (`fields` empty) nothing changes.
pub fn set_cors<'a>(response: &mut EditedFields<'a>, fields: &'a [(&'static str, String)]) {
    const PREFIX: &[u8] = b"access-control-";
    if fields.is_empty() {
        return;
    }
    response.retain(|field| !field.name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)));
    response.extend(fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }));
}

/// What a rule's or backendRef's request filters change besides the fields.
#[derive(Debug, Default)]
pub struct Edited<'f> {
    pub authority: Option<&'f str>,
    pub path: Option<String>,
}

/// Apply the request filters of a rule or of a backendRef: header edits to `fields`, the rest is returned.
///
/// `path` is the one that was matched, also where a filter before has replaced it: the length is that of its prefix.
pub fn edit_request<'f>(
    filters: &'f Filters,
    fields: &mut EditedFields<'f>,
    path: &str,
    prefix_length: Option<usize>,
) -> Edited<'f> {
    let (before, after) = filters.request.split_at(filters.edits_before_rewrite);
    let mut edited = Edited { authority: edit_headers(before, fields), path: None };
    if let Some(rewrite) = &filters.rewrite {
        edited.authority = rewrite.hostname.as_deref().or(edited.authority);
        edited.path = match (&rewrite.path, prefix_length) {
            // No prefix was matched, so there is none to replace.
            (None, _) | (Some(PathModifier::ReplacePrefixMatch(_)), None) => None,
            (Some(modifier), _) => Some(modify_path(modifier, path, prefix_length).into_owned()),
        };
    }
    edited.authority = edit_headers(after, fields).or(edited.authority);
    edited
}

/// Header edits in order; returns the authority that the last edit of `host` asks for.
fn edit_headers<'f>(all: &'f [HeaderEdits], fields: &mut EditedFields<'f>) -> Option<&'f str> {
    let mut authority = None;
    for edits in all {
        edits.apply(fields);
        if let Some(host) = edits.host() {
            // An empty authority would be no request: the one before stays.
            authority = Some(host).filter(|host| !host.is_empty()).or(authority);
            fields.retain(|field| !field.name.eq_ignore_ascii_case(b"host"));
        }
    }
    authority
}

fn finish(cors: &CorsFilter, mut fields: CorsFields, vary: bool) -> CorsFields {
    fields.retain(|(_, value)| !value.is_empty());
    if cors.ir.allow_credentials {
        fields.push(("access-control-allow-credentials", "true".to_owned()));
    }
    if vary {
        fields.push(("vary", "Origin".to_owned()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::modify_path;
    use crate::ir::PathModifier;

    /// The table in the documentation of `HTTPPathModifier.replacePrefixMatch`, and its corners.
    #[test]
    fn replace_prefix_match() {
        for (path, prefix, replacement, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo", "/", "/xyz", "/xyz/foo"),
            ("/", "/", "/xyz", "/xyz"),
            ("/foo/bar", "/foo", "xyz", "/xyz/bar"),
        ] {
            let modifier = PathModifier::ReplacePrefixMatch(replacement.to_owned());
            assert_eq!(modify_path(&modifier, path, Some(prefix.len())), expected, "{path} {prefix} {replacement}");
        }
        let full = PathModifier::ReplaceFullPath("/full".to_owned());
        assert_eq!(modify_path(&full, "/foo/bar", None), "/full");
    }
}
