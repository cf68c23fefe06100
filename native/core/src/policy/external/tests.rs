//! What a service is asked, and what becomes of its answers; those of hostile services among them.

use super::{Answer, Ask, Message};
use crate::error::ErrorCode;
use crate::policy::{Answered, Denial, Outcome};
use crate::protobuf::{Value, Writer, read};
use codec::Field;
use route::ir::{ExternalProtocol, ExternalService, HeaderValue};
use route::policy::{External, Facts, Passage, Removal, SentHead};
use std::sync::Arc;

fn service(protocol: ExternalProtocol) -> ExternalService {
    ExternalService {
        backend: Some("b".to_owned()),
        protocol,
        path: String::new(),
        method: String::new(),
        host: String::new(),
        exact_path: false,
        allowed_headers: Vec::new(),
        allowed_response_headers: Vec::new(),
        set_headers: Vec::new(),
        client_headers: Vec::new(),
        cookies_with_success: false,
        any_success: false,
        forward_body_bytes: 0,
        timeout_ms: 1000,
        allow_unavailable: false,
    }
}

const SENT: [(&str, &str); 7] = [
    ("Authorization", "Bearer x"),
    ("Cookie", "a=1"),
    ("cookie", "b=2"),
    ("X-Role", "user"),
    ("x-role", "admin"),
    ("X-Forwarded-For", "6.6.6.6"),
    ("Content-Type", "text/plain"),
];

fn facts<'r>(path: &'r str, query: Option<&'r str>, fields: &'r [Field<'r>]) -> Facts<'r> {
    Facts {
        address: Some([203, 0, 113, 7].into()),
        method: "POST",
        scheme: "https",
        host: "shop.test",
        authority: b"shop.test:8443",
        path,
        query,
        fields,
        told: None,
        sent: SentHead { fields, taken_out: &[], authority: b"shop.test:8443" },
        sni: None,
        listener: "l",
        route: "r",
        rule: "r/0",
        rule_uid: 1,
        grpc: false,
        body_length: Some(0),
        certificate: None,
        assumed: None,
    }
}

fn ask(service: ExternalService, path: &str, query: Option<&str>) -> Ask {
    let fields = SENT.map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
    Ask::new(&Arc::new(service), Some(3), &facts(path, query, &fields))
}

fn named(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name).to_ascii_lowercase(), text(value))).collect()
}

fn names(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    named(fields).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn what_is_asked_over_http() {
    let plain = ask(service(ExternalProtocol::Http), "/a%2Fb", Some("c=d")).message(Vec::new());
    let Message { method, path, query, authority, .. } = &plain;
    assert_eq!((method.as_str(), path.as_str(), query.as_deref()), ("POST", "/a%2Fb", Some("c=d")));
    assert_eq!(authority, b"shop.test:8443");
    // Where the client says that it comes from is looked at by who sends this, which believes trusted proxies only.
    assert_eq!(names(&plain.fields), ["authorization", "x-forwarded-for"]);
    let own = [("x-forwarded-method", "POST"), ("x-forwarded-uri", "/a%2Fb?c=d")];
    assert_eq!(named(&plain.own), own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let more = ExternalService {
        path: "/check/".to_owned(),
        allowed_headers: vec!["x-role".to_owned()],
        forward_body_bytes: 10,
        ..service(ExternalProtocol::Http)
    };
    let asked = ask(more, "*", None).message(b"body".to_vec());
    assert_eq!(asked.path, "/check/");
    assert_eq!(asked.body, b"body");
    // Every value, so that none hides behind another one.
    assert_eq!(names(&asked.fields), ["authorization", "x-role", "x-role", "x-forwarded-for", "content-type"]);
}

/// The one field of a message, and what is within it.
fn within<'m>(message: &'m [u8], numbers: &[u64]) -> Vec<(u64, Value<'m>)> {
    let mut message = message;
    for number in numbers {
        let fields = read(message).expect("a message");
        message = fields.iter().find(|(field, _)| field == number).expect("the field").1.bytes().expect("a message");
    }
    read(message).expect("a message")
}

fn texts(fields: &[(u64, Value<'_>)], number: u64) -> Vec<String> {
    let found = fields.iter().filter(|(field, _)| *field == number);
    found.map(|(_, value)| String::from_utf8(value.bytes().unwrap().to_vec()).unwrap()).collect()
}

fn headers(fields: &[(u64, Value<'_>)]) -> Vec<(String, String)> {
    let entries =
        fields.iter().filter(|(field, _)| *field == 3).map(|(_, entry)| read(entry.bytes().unwrap()).unwrap());
    entries.map(|entry| (texts(&entry, 1).concat(), texts(&entry, 2).concat())).collect()
}

#[test]
fn what_is_asked_over_grpc() {
    let asked = ask(service(ExternalProtocol::Grpc), "/a", Some("c=d")).message(b"\xff".to_vec());
    assert!(asked.grpc && asked.fields.is_empty());
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/envoy.service.auth.v3.Authorization/Check"));
    let (frame, check) = asked.body.split_at(5);
    assert_eq!(frame, [&[0], &u32::try_from(check.len()).unwrap().to_be_bytes()[..]].concat());
    assert_eq!(texts(&within(check, &[1, 1, 1, 1]), 2), ["203.0.113.7"]);
    let http = within(check, &[1, 4, 2]);
    for (number, value) in [(2, "POST"), (4, "/a?c=d"), (5, "shop.test:8443"), (6, "https")] {
        assert_eq!(texts(&http, number), [value], "{number}");
    }
    let expected = [
        ("authorization", "Bearer x"),
        ("cookie", "a=1; b=2"),
        ("x-role", "user,admin"),
        ("content-type", "text/plain"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.test:8443"),
    ];
    assert_eq!(headers(&http), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    // A body that is no text goes as bytes.
    assert!(http.contains(&(12, Value::Bytes(b"\xff"))) && texts(&http, 11).is_empty());
    let named = ExternalService { allowed_headers: vec!["x-role".to_owned()], ..service(ExternalProtocol::Grpc) };
    let asked = ask(named, "/", None).message(b"text".to_vec());
    let http = within(&asked.body[5..], &[1, 4, 2]);
    assert_eq!(headers(&http)[0], ("x-role".to_owned(), "user,admin".to_owned()));
    assert_eq!(headers(&http).len(), 4);
    assert_eq!(texts(&http, 11), ["text"]);
}

/// What the policy says of the question holds whatever the client sends.
#[test]
fn what_the_service_is_told_in_any_case() {
    let field =
        |name: &str, value: &str| HeaderValue { name: name.to_owned(), value: value.to_owned(), expression: None };
    let made = |name: &str, text: &str| HeaderValue { expression: Some(text.to_owned()), ..field(name, "") };
    let told = ExternalService {
        method: "GET".to_owned(),
        host: "auth.test".to_owned(),
        allowed_headers: vec!["x-role".to_owned(), "x_site".to_owned()],
        set_headers: vec![
            field("X-Site", "shop"),
            made("X-Original-Url", "request.scheme + '://' + request.host + request.path"),
            made("x-forwarded-uri", "request.path"),
            made("x-role", "request.headers['x-none'][0]"),
        ],
        ..service(ExternalProtocol::Http)
    };
    let fields = [Field { name: b"x_site", value: b"evil" }, Field { name: b"x-role", value: b"admin" }];
    let external = External::compile(&Arc::new(told)).expect("a service");
    let facts = facts("/a", Some("b=c"), &fields);
    let set = external.set_fields(&facts, None);
    let asked = Ask::new(&external.service, Some(3), &facts).setting(set).message(Vec::new());
    assert_eq!((asked.method.as_str(), asked.authority.as_slice()), ("GET", &b"auth.test"[..]));
    assert_eq!(asked.asked_for.as_deref(), Some(&b"shop.test:8443"[..]));
    assert!(asked.fields.is_empty(), "{:?}", named(&asked.fields));
    let own = [
        ("x-forwarded-method", "POST"),
        ("x-site", "shop"),
        ("x-original-url", "https://shop.test/a"),
        ("x-forwarded-uri", "/a"),
    ];
    assert_eq!(named(&asked.own), own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(
        External::compile(&Arc::new(ExternalService {
            set_headers: vec![made("x", "request.")],
            ..service(ExternalProtocol::Http)
        }))
        .is_err()
    );
}

fn heard(service: &ExternalService, status: u16, fields: &[(&str, &str)], body: Option<&[u8]>) -> Answered {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let answer = Answer { status, fields: &fields, body, grpc_status: None };
    ask(service.clone(), "/", None).hear(Some(answer), "https")
}

fn pairs(fields: &[route::policy::AnswerField]) -> Vec<(&str, &str)> {
    fields.iter().map(|(name, value)| (&**name, std::str::from_utf8(value).unwrap())).collect()
}

fn denial(answered: Answered) -> Denial {
    match answered.outcome {
        Outcome::Deny(denial) => *denial,
        Outcome::Pass => panic!("it passes"),
    }
}

/// What a service says of itself and of its connection, and what could not stand in a head, goes nowhere.
const HOSTILE: [(&str, &str); 14] = [
    ("x-user", "ada"),
    ("x-group", "a"),
    ("x-group", "b"),
    ("set-cookie", "s=1"),
    ("content-type", "text/html"),
    ("content-length", "5"),
    ("transfer-encoding", "chunked"),
    ("connection", "close"),
    ("host", "evil.test"),
    (":path", "/evil"),
    ("x-forwarded-for", "6.6.6.6"),
    ("x bad", "1"),
    ("x-bad", "a\r\nb: c"),
    ("", "1"),
];

#[test]
fn who_may_pass() {
    let all = service(ExternalProtocol::Http);
    let Answered { outcome, found } = heard(&all, 200, &HOSTILE, Some(b"ignored"));
    assert!(matches!(outcome, Outcome::Pass));
    assert_eq!(pairs(&found.forward), [("x-user", "ada"), ("x-group", "a"), ("x-group", "b")]);
    assert_eq!(pairs(&found.respond), [("set-cookie", "s=1")]);
    assert!(found.removed.iter().any(|it| *it == Removal::Field("x-user".into())));
    let careful = ExternalService { cookies_with_success: true, ..all.clone() };
    let found = heard(&careful, 200, &HOSTILE, None).found;
    let of_success = found.respond_to_success.unwrap_or_default().0;
    assert_eq!((pairs(&found.respond), pairs(&of_success)), (vec![], vec![("set-cookie", "s=1")]));
    let named = ExternalService {
        allowed_response_headers: vec!["x-user".to_owned(), "content-length".to_owned(), "host".to_owned()],
        ..all
    };
    let found = heard(&named, 200, &HOSTILE, None).found;
    assert_eq!(pairs(&found.forward), [("x-user", "ada")]);
    assert!(found.respond.is_empty());
    let told = ExternalService { client_headers: vec!["x-group".to_owned(), "connection".to_owned()], ..named };
    let found = heard(&told, 200, &HOSTILE, None).found;
    assert_eq!(pairs(&found.respond), [("x-group", "a"), ("x-group", "b")]);
}

#[test]
fn who_may_not() {
    let all = service(ExternalProtocol::Http);
    for (status, given, code) in [
        (401, 401, ErrorCode::Unauthenticated),
        (403, 403, ErrorCode::Forbidden),
        (302, 302, ErrorCode::Forbidden),
        (429, 429, ErrorCode::Forbidden),
        // What looks like an answer to the request itself is none.
        (204, 403, ErrorCode::Forbidden),
        (304, 403, ErrorCode::Forbidden),
    ] {
        let fields = [("location", "https://login.test/"), ("www-authenticate", "Bearer"), ("connection", "close")];
        let denial = denial(heard(&all, status, &fields, Some(b"why")));
        assert_eq!((denial.status, denial.code), (Some(given), code), "{status}");
        assert_eq!(pairs(&denial.fields), [("location", "https://login.test/"), ("www-authenticate", "Bearer")]);
        assert_eq!(denial.body.as_deref(), Some(&b"why"[..]));
    }
    let any = ExternalService { any_success: true, ..all.clone() };
    for status in [200, 202, 204] {
        assert!(matches!(heard(&any, status, &[], None).outcome, Outcome::Pass), "{status}");
    }
    assert!(matches!(heard(&any, 302, &[], None).outcome, Outcome::Deny(_)));
    // What a framework answers by itself.
    let options = ExternalService { method: "OPTIONS".to_owned(), ..any };
    assert!(matches!(heard(&options, 200, &[], None).outcome, Outcome::Pass));
    assert!(matches!(heard(&options, 204, &[], None).outcome, Outcome::Deny(_)));
    let long = denial(heard(&all, 403, &[("content-type", "text/html"), ("x", "1")], None));
    assert_eq!((pairs(&long.fields), long.body), (vec![("x", "1")], None));
}

#[test]
fn who_cannot_say() {
    let all = service(ExternalProtocol::Http);
    for status in [500, 502, 503, 599] {
        let denial = denial(heard(&all, status, &[("x", "1")], Some(b"trouble")));
        assert_eq!((denial.code, denial.status, denial.body), (ErrorCode::AuthUnavailable, None, None), "{status}");
    }
    let nobody = |service: &ExternalService| ask(service.clone(), "/", None).hear(None, "https");
    assert_eq!(denial(nobody(&all)).code, ErrorCode::AuthUnavailable);
    let open = ExternalService { allow_unavailable: true, ..all };
    assert!(matches!(nobody(&open).outcome, Outcome::Pass));
    assert!(matches!(heard(&open, 503, &[], None).outcome, Outcome::Pass));
    assert!(matches!(heard(&open, 403, &[], None).outcome, Outcome::Deny(_)));
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

fn heard_grpc(body: &[u8], status: u16, grpc_status: Option<u32>) -> Answered {
    let answer = Answer { status, fields: &[], body: Some(body), grpc_status };
    ask(service(ExternalProtocol::Grpc), "/", None).hear(Some(answer), "https")
}

fn option(writer: &mut Writer, number: u64, name: &str, value: &[u8]) {
    writer.message(number, |option| {
        option.message(1, |header| {
            header.bytes(1, name.as_bytes());
            header.bytes(2, value);
        });
    });
}

#[test]
fn what_grpc_says() {
    let mut allowed = Writer::default();
    allowed.message(1, |_| {});
    allowed.message(3, |ok| {
        option(ok, 2, "X-User", b"ada");
        option(ok, 2, "Host", b"evil.test");
        option(ok, 2, "x-bad", b"a\nb");
        ok.bytes(5, b"X-Secret");
        ok.bytes(5, b"host");
        option(ok, 6, "x-told", b"1");
    });
    let Answered { outcome, found } = heard_grpc(&frame(&allowed.into_bytes()), 200, Some(0));
    assert!(matches!(outcome, Outcome::Pass));
    assert_eq!(pairs(&found.forward), [("x-user", "ada")]);
    assert_eq!(pairs(&found.respond), [("x-told", "1")]);
    let removed = [Removal::Field("x-user".into()), Removal::Field("x-secret".into())];
    assert!(found.removed.iter().eq(&removed));
    // A message without content is OK, as this language has it.
    assert!(matches!(heard_grpc(&frame(b""), 200, Some(0)).outcome, Outcome::Pass));
    for (code, http, status) in
        [(7, 0, 403), (16, 0, 401), (7, 302, 302), (7, 200, 403), (16, 429, 429), (7, 70_000, 403)]
    {
        let mut denied = Writer::default();
        denied.message(1, |status| status.number(1, code));
        denied.message(2, |response| {
            response.message(1, |status| status.number(1, http));
            option(response, 2, "Location", b"https://login.test/");
            response.bytes(3, b"why");
        });
        let denial = denial(heard_grpc(&frame(&denied.into_bytes()), 200, Some(0)));
        assert_eq!(denial.status, Some(status), "{code} {http}");
        assert_eq!(pairs(&denial.fields), [("location", "https://login.test/")]);
        assert_eq!(denial.body.as_deref(), Some(&b"why"[..]));
    }
}

/// What it wants changed of the query is changed on the way to the backend; so much that nobody would take it is nonsense.
#[test]
fn what_grpc_says_of_the_query() {
    let parameter = |writer: &mut Writer, name: &str, value: &str| {
        writer.message(7, |parameter| {
            parameter.bytes(1, name.as_bytes());
            parameter.bytes(2, value.as_bytes());
        });
    };
    let heard = |write: &dyn Fn(&mut Writer)| {
        let mut message = Writer::default();
        message.message(3, write);
        heard_grpc(&frame(&message.into_bytes()), 200, Some(0))
    };
    let Answered { outcome, found } = heard(&|ok| {
        parameter(ok, "tenant", "a b&c");
        parameter(ok, "", "1");
        parameter(ok, "gone", "1");
        ok.bytes(8, b"debug");
        ok.bytes(8, b"gone");
    });
    assert!(matches!(outcome, Outcome::Pass));
    let edits = found.query.clone().unwrap();
    assert_eq!(edits.apply(Some("tenant=root&a=1&debug&gone")).as_deref(), Some("a=1&tenant=a%20b%26c"));
    // Another service that is asked behind it has the last word.
    let mut passage = Passage::default();
    passage.add(found);
    passage.add(heard(&|ok| parameter(ok, "tenant", "other")).found);
    assert_eq!(passage.query.unwrap().apply(Some("gone")).as_deref(), Some("tenant=other"));
    assert!(heard(&|_| ()).found.query.is_none());
    let long = "&".repeat(8 * 1024);
    let nonsense: [&dyn Fn(&mut Writer); 4] =
        [&|ok| parameter(ok, "a", &long), &|ok| ok.bytes(8, b"\xff"), &|ok| ok.number(7, 1), &|ok| {
            ok.message(7, |parameter| parameter.number(2, 1));
        }];
    for nonsense in nonsense {
        assert_eq!(denial(heard(nonsense)).code, ErrorCode::AuthUnavailable);
    }
}

/// `error_response`: the service could not look, whatever else it says.
#[test]
fn trouble_that_grpc_tells_is_no_refusal() {
    for code in [0, 7, 13] {
        let mut message = Writer::default();
        message.message(1, |status| status.number(1, code));
        message.message(5, |error| error.message(1, |status| status.number(1, 500)));
        let heard = heard_grpc(&frame(&message.into_bytes()), 200, Some(0));
        assert_eq!(denial(heard).code, ErrorCode::AuthUnavailable, "{code}");
    }
}

#[test]
fn nonsense_of_grpc_is_no_answer() {
    let good = frame(b"");
    for (body, status, grpc_status) in [
        (&good[..], 200, None),
        (&good, 200, Some(14)),
        (&good, 503, Some(0)),
        (b"", 200, Some(0)),
        (&good[..4], 200, Some(0)),
        (&[&good[..], b"x"].concat(), 200, Some(0)),
        (&[1, 0, 0, 0, 0], 200, Some(0)),
        (&frame(b"\x0a"), 200, Some(0)),
        (&frame(b"<html>"), 200, Some(0)),
        // A status that is a number, and one whose code is a text.
        (&frame(&[0x08, 7]), 200, Some(0)),
        (&frame(&[0x0a, 3, 0x0a, 1, b'7']), 200, Some(0)),
    ] {
        let code = denial(heard_grpc(body, status, grpc_status)).code;
        assert_eq!(code, ErrorCode::AuthUnavailable, "{body:?} {status} {grpc_status:?}");
    }
}

/// A refusal that is too long to keep is one, also where trouble of the service is forgiven.
#[test]
fn what_is_too_long_of_grpc_is_a_refusal() {
    let open = ExternalService { allow_unavailable: true, ..service(ExternalProtocol::Grpc) };
    let long = Answer { status: 200, fields: &[], body: None, grpc_status: None };
    let denial = denial(ask(open, "/", None).hear(Some(long), "https"));
    assert_eq!((denial.code, denial.status), (ErrorCode::Forbidden, Some(403)));
}
