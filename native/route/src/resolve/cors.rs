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

#[cfg(test)]
mod tests {
    use super::{CorsFields, cors_preflight, cors_response, is_cors, is_preflight, set_cors};
    use crate::samples::{fields, head, lines, merged};
    use crate::table::{CorsFilter, EditedFields, Filters, RequestHead};
    use serde_json::{Value, json};

    fn filter(changes: Value) -> CorsFilter {
        let cors = json!({"type": "cors", "allow_origins": ["https://a.test"], "allow_methods": ["PUT", "PATCH"],
            "allow_headers": ["x-a", "x-b"], "expose_headers": ["x-c", "x-d"], "max_age": 5});
        Filters::of_one(merged(cors, changes)).cors.unwrap()
    }

    fn text(fields: CorsFields) -> Vec<String> {
        fields.into_iter().map(|(name, value)| format!("{name}: {value}").replace("access-control-", "")).collect()
    }

    #[test]
    fn what_is_a_preflight() {
        let all = fields(&[("Origin", "https://a.test"), ("Access-Control-Request-Method", "PUT")]);
        for (method, fields, expected) in [
            ("OPTIONS", &all[..], true),
            ("GET", &all[..], false),
            ("options", &all[..], false),
            ("OPTIONS", &all[..1], false),
            ("OPTIONS", &all[1..], false),
        ] {
            assert_eq!(is_preflight(&RequestHead { method, ..head("/", fields) }), expected, "{method} {fields:?}");
        }
    }

    /// The Fetch standard, "CORS protocol and credentials": with credentials `*` stands for itself.
    #[test]
    fn answers_to_preflights() {
        let any =
            json!({"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"], "expose_headers": ["*"]});
        let with_credentials = merged(any.clone(), json!({"allow_credentials": true}));
        for (changes, origin, expected) in [
            (
                json!({}),
                "https://a.test",
                &[
                    "allow-origin: https://a.test",
                    "allow-methods: PUT, PATCH",
                    "allow-headers: x-a, x-b",
                    "expose-headers: x-c, x-d",
                    "max-age: 5",
                    "vary: Origin",
                ][..],
            ),
            (
                json!({"allow_methods": [], "allow_headers": [], "expose_headers": [], "allow_credentials": true}),
                "https://a.test",
                &["allow-origin: https://a.test", "max-age: 5", "allow-credentials: true", "vary: Origin"],
            ),
            (json!({}), "https://b.test", &["vary: Origin"]),
            (json!({"allow_credentials": true}), "https://b.test", &["vary: Origin"]),
            (
                any,
                "https://b.test",
                &["allow-origin: *", "allow-methods: *", "allow-headers: *", "expose-headers: *", "max-age: 5"],
            ),
            (
                with_credentials,
                "https://b.test",
                &[
                    "allow-origin: https://b.test",
                    "allow-methods: GET",
                    "allow-headers: x-asked",
                    "max-age: 5",
                    "allow-credentials: true",
                    "vary: Origin",
                ],
            ),
        ] {
            let sent = [
                ("origin", origin),
                ("access-control-request-method", "GET"),
                ("Access-Control-Request-Headers", "x-asked"),
            ];
            let answer = cors_preflight(&filter(changes.clone()), &head("/", &fields(&sent)));
            assert_eq!(text(answer), expected, "{changes} {origin}");
        }
    }

    #[test]
    fn fields_of_other_responses() {
        let open = json!({"allow_origins": ["*"]});
        for (changes, origin, expected) in [
            (
                json!({}),
                Some("https://a.test"),
                &["allow-origin: https://a.test", "expose-headers: x-c, x-d", "vary: Origin"][..],
            ),
            (
                json!({}),
                Some("HTTPS://A.test"),
                &["allow-origin: HTTPS://A.test", "expose-headers: x-c, x-d", "vary: Origin"],
            ),
            // A cache keeps them for those who are allowed.
            (json!({}), Some("https://b.test"), &["vary: Origin"]),
            (json!({}), Some(""), &["vary: Origin"]),
            (json!({}), None, &["vary: Origin"]),
            (open.clone(), None, &["allow-origin: *", "expose-headers: x-c, x-d"]),
            (merged(open, json!({"allow_credentials": true})), None, &["vary: Origin"]),
        ] {
            let sent: Vec<(&str, &str)> = origin.map(|origin| ("origin", origin)).into_iter().collect();
            let answer = cors_response(&filter(changes.clone()), &head("/", &fields(&sent)));
            assert_eq!(text(answer), expected, "{changes} {origin:?}");
        }
    }

    /// A backend has no say where there is a filter; what a response varies by stays.
    #[test]
    fn ours_stand_in_place_of_those_of_the_backend() {
        let ours = [("access-control-allow-origin", "https://a.test".to_owned()), ("vary", "Origin".to_owned())];
        let own = "access-control-allow-origin: https://a.test";
        for (sent, ours, expected) in [
            (
                &[("Access-Control-Allow-Origin", "*"), ("ACCESS-CONTROL-X", "1"), ("x", "1")][..],
                &ours[..],
                &["x: 1", own, "vary: Origin"][..],
            ),
            (&[("Vary", "accept")], &ours, &["Vary: accept", own, "vary: Origin"]),
            (&[("Vary", "accept, ORIGIN")], &ours, &["Vary: accept, ORIGIN", own]),
            (&[("vary", "*")], &ours, &["vary: *", own]),
            (&[("Access-Control-Allow-Origin", "*")], &ours[1..], &["vary: Origin"]),
            (&[("Access-Control-Allow-Origin", "*")], &[], &["Access-Control-Allow-Origin: *"]),
        ] {
            let mut response: EditedFields<'_> = fields(sent).into();
            set_cors(&mut response, ours);
            assert_eq!(lines(&response), expected, "{sent:?}");
        }
        for (name, expected) in [
            ("Access-Control-Max-Age", true),
            ("access-control-", true),
            ("access-control", false),
            ("x-access-control-a", false),
        ] {
            assert_eq!(is_cors(name.as_bytes()), expected, "{name}");
        }
    }
}
