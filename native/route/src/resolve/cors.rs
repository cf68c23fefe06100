//! CORS (`HTTPCORSFilter`, the Fetch standard): preflights, and the fields of other responses.

use crate::table::{CorsFilter, EditedFields, RequestHead};
use codec::Field;

const VARY: &str = "vary";

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
    let Some(mut fields) = allowed_origin(cors, head) else {
        return finish(cors, Vec::new());
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
    finish(cors, fields)
}

/// What an ordinary response carries; only `vary` where the origin is not allowed, or there is none.
pub fn cors_response(cors: &CorsFilter, head: &RequestHead<'_>) -> CorsFields {
    let Some(mut fields) = allowed_origin(cors, head) else {
        return finish(cors, Vec::new());
    };
    fields.push(("access-control-expose-headers", exposed(cors)));
    finish(cors, fields)
}

/// `access-control-allow-origin`, where the request may have it.
fn allowed_origin(cors: &CorsFilter, head: &RequestHead<'_>) -> Option<CorsFields> {
    let value = if cors.is_open() {
        "*"
    } else {
        field_text(head, "origin").filter(|origin| !origin.is_empty() && cors.allows(origin))?
    };
    Some(vec![("access-control-allow-origin", value.to_owned())])
}

fn exposed(cors: &CorsFilter) -> String {
    if cors.ir.allow_credentials && cors.ir.expose_headers.iter().any(|name| name == "*") {
        // With credentials `*` would be taken for a field of that name.
        return String::new();
    }
    cors.ir.expose_headers.join(", ")
}

/// Put ours into a response, in place of those that its backend has: of an origin that the filter does not allow a backend
/// might think otherwise, and browsers would believe it.
pub fn set_cors<'a>(response: &mut EditedFields<'a>, fields: &'a [(&'static str, String)]) {
    // A rule with a CORS filter has one of ours for every request.
    if fields.is_empty() {
        return;
    }
    response.retain(|field| !is_cors(field.name));
    let varies = varies_by_origin(response);
    let ours = fields.iter().filter(|(name, _)| !(varies && *name == VARY));
    response.extend(ours.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }));
}

/// Whether a field of a response is one of those that browsers take for the word of CORS.
pub fn is_cors(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// The response says so already (RFC 9110 section 12.5.5).
fn varies_by_origin(response: &[Field<'_>]) -> bool {
    let fields = response.iter().filter(|field| field.name.eq_ignore_ascii_case(VARY.as_bytes()));
    fields
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

/// `vary` is on every answer that another origin, or none, would have had otherwise, also where this one is not allowed: a
/// cache would give it to those that are (the Fetch standard, "CORS protocol and HTTP caches").
fn finish(cors: &CorsFilter, mut fields: CorsFields) -> CorsFields {
    fields.retain(|(_, value)| !value.is_empty());
    if cors.ir.allow_credentials && !fields.is_empty() {
        fields.push(("access-control-allow-credentials", "true".to_owned()));
    }
    if !cors.is_open() {
        fields.push((VARY, "Origin".to_owned()));
    }
    fields
}
