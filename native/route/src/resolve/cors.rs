//! CORS (`HTTPCORSFilter`, the Fetch standard): preflights, and the fields of other responses.

use crate::table::{CorsFilter, EditedFields, OriginPattern, RequestHead};
use codec::Field;

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
