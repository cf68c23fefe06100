//! The question and the answer as `envoy.service.auth.v3.Authorization/Check` has them (`external_auth.proto`,
//! `attribute_context.proto` of Envoy's API). Numbers of fields are those of these files.

use super::{Answer, Ask, Meaning, Message, belongs_to_message, is_field, is_named, refusing};
use crate::protobuf::{Value, Writer, framed, read, unframed};
use codec::Field;
use route::ir::ExternalService;
use route::policy::{AnswerField, QueryEdits};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Octets of the query that an answer sets: with more no backend would take the target.
const MAX_QUERY: usize = 16 * 1024;

/// Parameters of a query that one answer may set and remove.
const MAX_QUERY_EDITS: usize = 256;

/// What a service is given of a request (`GRPCAuthConfig.allowedHeaders`). Where it comes from is told by us.
pub(super) fn is_given(service: &ExternalService, field: &Field<'_>) -> bool {
    !codec::is_forwarding_name(field.name) && (service.allowed_headers.is_empty() || is_named(service, field))
}

pub(super) fn message(ask: &Ask, body: &[u8]) -> Message {
    let mut request = Writer::default();
    request.message(1, |attributes| {
        if let Some(address) = ask.address {
            attributes.message(1, |source| {
                source
                    .message(1, |wrapped| wrapped.message(1, |socket| socket.bytes(2, address.to_string().as_bytes())));
            });
        }
        attributes.message(4, |request| request.message(2, |http| write_http(http, ask, body)));
    });
    Message {
        method: "POST".to_owned(),
        path: CHECK.to_owned(),
        query: None,
        authority: ask.host.clone(),
        asked_for: None,
        fields: Vec::new(),
        own: vec![(b"content-type".to_vec(), b"application/grpc".to_vec())],
        body: framed(&request.into_bytes()),
        grpc: true,
    }
}

/// `AttributeContext.HttpRequest`.
fn write_http(http: &mut Writer, ask: &Ask, body: &[u8]) {
    http.bytes(2, ask.method.as_bytes());
    for (name, value) in joined(&ask.fields) {
        http.entry(3, name.as_bytes(), &value);
    }
    if let Some(address) = ask.address {
        http.entry(3, b"x-forwarded-for", address.to_string().as_bytes());
    }
    http.entry(3, b"x-forwarded-proto", ask.scheme.as_bytes());
    http.entry(3, b"x-forwarded-host", &ask.host);
    let query = ask.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
    http.bytes(4, format!("{}{query}", ask.path).as_bytes());
    http.bytes(5, &ask.host);
    http.bytes(6, ask.scheme.as_bytes());
    http.number(9, body.len() as u64);
    // Texts have to be UTF-8; what is not goes as bytes.
    http.bytes(if std::str::from_utf8(body).is_ok() { 11 } else { 12 }, body);
}

/// Every value of a name in one: a map has each name once, and the last one alone is how a role was hidden from a service
/// (CVE-2026-26308). What is no UTF-8 could not stand in a text.
fn joined(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = String::from_utf8_lossy(value).into_owned().into_bytes();
        let between: &[u8] = if name == "cookie" { b"; " } else { b"," };
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.extend([between, &value].concat()),
            None => found.push((name, value)),
        }
    }
    found
}

pub(super) fn meaning(answer: &Answer<'_>) -> Meaning {
    // More than is kept of it: nobody says yes at such length, and trouble might be let through.
    if answer.status == 200 && answer.body.is_none() {
        return Meaning::Denied { status: 403, fields: Vec::new(), body: None };
    }
    let message = answer.body.filter(|_| answer.status == 200 && answer.grpc_status == Some(0)).and_then(unframed);
    message.and_then(check_response).unwrap_or(Meaning::Nothing)
}

/// `CheckResponse`. Without a status it is `OK`, as of any message of this language.
fn check_response(message: &[u8]) -> Option<Meaning> {
    let fields = read(message)?;
    // `error_response`: it could not look, which is no refusal.
    if last(&fields, 5)?.is_some() {
        return None;
    }
    let code = match last(&fields, 1)? {
        None => 0,
        Some(status) => number(&read(status)?, 1)?,
    };
    if code == 0 { allowed(last(&fields, 3)?) } else { denied(last(&fields, 2)?, code) }
}

/// `OkHttpResponse`.
fn allowed(response: Option<&[u8]>) -> Option<Meaning> {
    let fields = read(response.unwrap_or_default())?;
    let mut removed = Vec::new();
    for (_, name) in fields.iter().filter(|(field, _)| *field == 5) {
        let name = std::str::from_utf8(name.bytes()?).ok()?.to_ascii_lowercase();
        if !belongs_to_message(&name) {
            removed.push(name);
        }
    }
    let (forward, respond, query) = (headers(&fields, 2)?, headers(&fields, 6)?, query_edits(&fields)?);
    Some(Meaning::Allowed { forward, respond, removed, query })
}

/// `query_parameters_to_set`, then `query_parameters_to_remove`, as Envoy does it. One without a name is none.
fn query_edits(fields: &[(u64, Value<'_>)]) -> Option<QueryEdits> {
    // Each is compared with all others.
    if fields.iter().filter(|(field, _)| matches!(field, 7 | 8)).count() > MAX_QUERY_EDITS {
        return None;
    }
    let mut edits = QueryEdits::default();
    for (_, parameter) in fields.iter().filter(|(field, _)| *field == 7) {
        let parameter = read(parameter.bytes()?)?;
        let part = |number| std::str::from_utf8(last(&parameter, number)?.unwrap_or_default()).ok();
        let (name, value) = (part(1)?, part(2)?);
        if !name.is_empty() {
            edits.set(name, value);
        }
    }
    for (_, name) in fields.iter().filter(|(field, _)| *field == 8) {
        edits.remove(std::str::from_utf8(name.bytes()?).ok()?);
    }
    (edits.bytes() <= MAX_QUERY).then_some(edits)
}

/// `DeniedHttpResponse`. Without a status it is 403.
fn denied(response: Option<&[u8]>, code: u64) -> Option<Meaning> {
    const UNAUTHENTICATED: u64 = 16;
    let fields = read(response.unwrap_or_default())?;
    let status = match last(&fields, 1)? {
        None => 0,
        Some(status) => number(&read(status)?, 1)?,
    };
    let status = match status {
        0 if code == UNAUTHENTICATED => 401,
        status => u16::try_from(status).map_or(403, refusing),
    };
    let body = last(&fields, 3)?.filter(|body| !body.is_empty()).map(<[u8]>::to_vec);
    Some(Meaning::Denied { status, fields: headers(&fields, 2)?, body })
}

/// The `HeaderValueOption`s of a field.
fn headers(fields: &[(u64, Value<'_>)], number: u64) -> Option<Vec<AnswerField>> {
    let mut found = Vec::new();
    for (_, option) in fields.iter().filter(|(field, _)| *field == number) {
        let option = read(option.bytes()?)?;
        for (_, header) in option.iter().filter(|(field, _)| *field == 1) {
            let header = read(header.bytes()?)?;
            let part = |number: u64| header.iter().rev().find(|(field, _)| *field == number)?.1.bytes();
            let name = std::str::from_utf8(part(1)?).ok()?.to_ascii_lowercase();
            let value = part(2).filter(|value| !value.is_empty()).or_else(|| part(3)).unwrap_or_default();
            if !belongs_to_message(&name) && is_field(&name, value) {
                found.push((name.into(), value.to_vec()));
            }
        }
    }
    Some(found)
}

/// The last field of a number that is a message or a text. The outer `None`: it is something else, so nonsense.
#[allow(clippy::option_option)]
fn last<'m>(fields: &[(u64, Value<'m>)], number: u64) -> Option<Option<&'m [u8]>> {
    let found = fields.iter().rev().find(|(field, _)| *field == number);
    found.map_or(Some(None), |(_, value)| value.bytes().map(Some))
}

/// A number of a message, 0 where it is absent. `None`: it is none.
fn number(fields: &[(u64, Value<'_>)], number: u64) -> Option<u64> {
    let found = fields.iter().rev().find(|(field, _)| *field == number);
    found.map_or(Some(0), |(_, value)| value.number())
}
