//! The question and the answer over HTTP: the head of the request, under a prefix; 200 is yes.

use super::{Answer, Ask, Meaning, Message, belongs_to_message, is_field, is_named, refusing};
use codec::Field;
use route::ir::ExternalService;
use route::policy::{AnswerField, QueryEdits, same_field};

/// What a service is given of a request besides method, path and host: credentials in any case
/// (`HTTPAuthConfig.allowedHeaders`), where it comes from, of which kind its body is, and what the policy names.
pub(super) fn is_given(service: &ExternalService, field: &Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(b"authorization")
        || codec::is_forwarding_name(field.name)
        || (service.forward_body_bytes > 0 && field.name.eq_ignore_ascii_case(b"content-type"))
        || is_named(service, field)
}

/// What says of which kind the answer's own body is: not the request's.
const OF_A_BODY: [&str; 8] = [
    "content-type",
    "content-encoding",
    "content-language",
    "content-location",
    "content-range",
    "etag",
    "last-modified",
    "accept-ranges",
];

pub(super) fn message(ask: &Ask, body: Vec<u8>) -> Message {
    let prefix = ask.service.path.trim_end_matches('/');
    // `OPTIONS *` is about the server, which has no path below another one.
    let path = if ask.path.starts_with('/') { ask.path.as_str() } else { "/" };
    let uri = ask.query.as_ref().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let told = [("x-forwarded-method", ask.method.clone()), ("x-forwarded-uri", uri)];
    let service = &ask.service;
    let is_set = |name: &[u8]| service.set_headers.iter().any(|own| same_field(own.name.as_bytes(), name));
    let told = told.into_iter().filter(|(name, _)| !is_set(name.as_bytes()));
    let told = told.map(|(name, value)| (name.into(), value.into()));
    let host = &service.host;
    let (path, query) = if ask.service.exact_path {
        (if ask.service.path.is_empty() { "/".to_owned() } else { ask.service.path.clone() }, None)
    } else {
        (format!("{prefix}{path}"), ask.query.clone())
    };
    Message {
        method: ask.asked_by().to_owned(),
        path,
        query,
        authority: if host.is_empty() { ask.host.clone() } else { host.clone().into_bytes() },
        asked_for: (!host.is_empty()).then(|| ask.host.clone()),
        fields: ask.fields.iter().filter(|(name, _)| !is_set(name)).cloned().collect(),
        own: told.chain(ask.set.iter().cloned()).collect(),
        body,
        grpc: false,
    }
}

pub(super) fn meaning(ask: &Ask, answer: &Answer<'_>) -> Meaning {
    let service = &ask.service;
    // Frameworks answer OPTIONS by themselves, some with 204: that says nothing of who asks.
    let any_success = service.any_success && ask.asked_by() != "OPTIONS";
    match answer.status {
        status if status == 200 || (any_success && (200..300).contains(&status)) => Meaning::Allowed {
            forward: forwarded(service, answer),
            respond: told_to_client(service, answer),
            removed: Vec::new(),
            query: QueryEdits::default(),
        },
        500.. => Meaning::Nothing,
        status => {
            let passes = |(name, value): &&(String, Vec<u8>)| {
                !belongs_to_message(name) && is_field(name, value) && (answer.body.is_some() || !is_of_a_body(name))
            };
            let fields = answer.fields.iter().filter(passes).map(owned).collect();
            let body = answer.body.filter(|body| !body.is_empty()).map(<[u8]>::to_vec);
            Meaning::Denied { status: refusing(status), fields, body }
        }
    }
}

fn forwarded(service: &ExternalService, answer: &Answer<'_>) -> Vec<AnswerField> {
    let allowed = &service.allowed_response_headers;
    let goes = |(name, value): &&(String, Vec<u8>)| {
        let named = if allowed.is_empty() {
            !is_of_a_body(name) && name != "set-cookie" && !codec::is_forwarding_name(name.as_bytes())
        } else {
            allowed.contains(name)
        };
        named && !belongs_to_message(name) && is_field(name, value)
    };
    answer.fields.iter().filter(goes).map(owned).collect()
}

/// A service that renews a session tells so in cookies, and only the client can keep these; what else it is told the policy names.
fn told_to_client(service: &ExternalService, answer: &Answer<'_>) -> Vec<AnswerField> {
    let allowed = &service.allowed_response_headers;
    let gets_cookies = allowed.is_empty() || allowed.iter().any(|name| name == "set-cookie");
    let goes = |(name, value): &&(String, Vec<u8>)| {
        let named = if name == "set-cookie" { gets_cookies } else { service.client_headers.contains(name) };
        named && !belongs_to_message(name) && is_field(name, value)
    };
    answer.fields.iter().filter(goes).map(owned).collect()
}

fn is_of_a_body(name: &str) -> bool {
    OF_A_BODY.contains(&name)
}

fn owned((name, value): &(String, Vec<u8>)) -> AnswerField {
    (name.clone().into(), value.clone())
}
