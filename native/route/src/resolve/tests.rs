use super::{Action, OwnAnswer, Refused, Request, Workspace, resolve};
use crate::ir::Transport;
use crate::path_normalization::PathNormalization;
use crate::samples::{Somewhere, fields, lines, listener, rule, table};
use crate::table::Table;
use serde_json::{Value, json};

fn request<'r>(target: &'r str, authority: Option<&'r str>) -> Request<'r> {
    Request {
        method: "GET",
        target: target.as_bytes(),
        paths: PathNormalization::default(),
        authority: authority.map(str::as_bytes),
        may_lack_authority: false,
        sni: None,
        fields: &[],
        taken_out: &[],
        whence: &Somewhere,
    }
}

/// What comes of it at a port, in a word and what it names.
fn outcome(table: &Table, port: u16, request: &Request<'_>) -> String {
    let mut space = Workspace::default();
    let socket = table.socket_on_port(Transport::Tcp, port);
    match resolve(socket.map(|socket| &**socket), request, &mut space) {
        Err(Refused::Connect) => "connect".to_owned(),
        Err(Refused::BadRequest) => "bad request".to_owned(),
        Err(Refused::NoListener) => "no listener".to_owned(),
        Err(Refused::Misdirected(listener)) => format!("misdirected {}", listener.id()),
        Err(Refused::Asks(unrouted)) => format!("asks {}", unrouted.listener.id()),
        Err(Refused::NoRoute(unrouted)) => format!("no route {} {}", unrouted.listener.id(), unrouted.head.path),
        Ok(routed) => {
            let head = routed.head;
            let query = head.query.unwrap_or("-");
            format!("{} {:?} {} {query}", routed.found.rule.ir.id, head.host, head.path)
        }
    }
}

#[test]
fn a_request_is_read_before_its_listener_is_looked_for() {
    let only = json!([{"path": {"type": "PathPrefix", "value": "/a"}}]);
    let table = table(json!([rule("r", json!({"matches": only}))]), json!({}));
    let some = Some("A.Test:80");
    for (request, port, expected) in [
        (request("/a//b/../c?d=e", some), 80, "r \"a.test\" /a/c d=e"),
        (request("/a", some), 80, "r \"a.test\" /a -"),
        (request("/b", some), 80, "no route l /b"),
        (request("/a", some), 81, "no listener"),
        // The target of an absolute form names the host; what stands beside it must be one as well.
        (request("http://B.test/a", some), 80, "r \"b.test\" /a -"),
        (request("http://B.test/a", Some("a b")), 80, "bad request"),
        (request("/a", Some("a b")), 80, "bad request"),
        (request("/a", Some("")), 80, "bad request"),
        (request("/a", None), 80, "bad request"),
        (request("a", some), 81, "bad request"),
        (Request { method: "CONNECT", ..request("a b", None) }, 81, "connect"),
        (Request { may_lack_authority: true, ..request("/a", None) }, 80, "r \"\" /a -"),
        // It has one, and that is none.
        (Request { may_lack_authority: true, ..request("/a", Some("")) }, 80, "bad request"),
    ] {
        assert_eq!(outcome(&table, port, &request), expected, "{request:?}");
    }
}

/// GEP-3567: where the handshake had another certificate than the authority's, the client is to come again.
#[test]
fn a_handshake_and_its_requests_are_of_one_listener() {
    let tls = json!({"certificates": ["c"]});
    let https = |id: &str, hostname: &str, protocol: &str| {
        listener(id, 443, json!({"hostname": hostname, "protocol": protocol, "tls": tls}))
    };
    let listeners = json!([
        https("a", "a.test", "HTTPS"),
        https("any", "*.test", "HTTPS"),
        https("flows", "flows.test", "TLS"),
        listener("plain", 80, json!({"hostname": "a.test"})),
    ]);
    let rules = json!([rule("r", json!({"listeners": ["a", "any", "plain"]}))]);
    let table = table(rules, json!({"listeners": listeners}));
    for (sni, authority, port, expected) in [
        (Some("a.test"), "a.test", 443, "r \"a.test\" / -"),
        (Some("x.test"), "y.test", 443, "r \"y.test\" / -"),
        (Some("x.test"), "a.test", 443, "misdirected a"),
        (Some("a.test"), "x.test", 443, "misdirected any"),
        (None, "a.test", 443, "misdirected a"),
        (Some("a.test"), "a.other", 443, "no listener"),
        (Some("a.test"), "flows.test", 443, "misdirected flows"),
        (Some("flows.test"), "flows.test", 443, "no listener"),
        // Where no handshake was a name of one says nothing.
        (Some("x.test"), "a.test", 80, "r \"a.test\" / -"),
    ] {
        let asked = Request { sni, ..request("/", Some(authority)) };
        assert_eq!(outcome(&table, port, &asked), expected, "{sni:?} {authority} {port}");
    }
}

/// GEP-5224: matches see what the filters of a listener leave, and what is theirs is told from what the client sent.
#[test]
fn filters_of_a_listener_come_before_its_rules() {
    let edits = json!([{"type": "request_headers", "set": [{"name": "x-tenant", "value": "one"}], "remove": ["x-no"]}]);
    let matched = |value: &str| {
        let headers = json!([{"name": "x-tenant", "value": value}]);
        json!([{"path": {"type": "PathPrefix", "value": "/"}, "headers": headers}])
    };
    let rules =
        json!([rule("two", json!({"matches": matched("two")})), rule("one", json!({"matches": matched("one")}))]);
    let table = table(rules, json!({"listeners": [listener("l", 80, json!({"filters": edits}))]}));
    let (sent, taken_out) =
        (fields(&[("x-a", "1"), ("X-No", "1"), ("X-Tenant", "two")]), fields(&[("x-tenant", "two")]));
    let asked = Request { fields: &sent, taken_out: &taken_out, ..request("/", Some("a.test")) };
    let mut space = Workspace::default();
    let socket = table.socket_on_port(Transport::Tcp, 80).map(|socket| &**socket);
    let routed = resolve(socket, &asked, &mut space).unwrap();
    assert_eq!(routed.found.rule.ir.id, "one");
    assert_eq!(lines(routed.head.fields), ["x-a: 1", "x-tenant: one"]);
    assert_eq!((routed.sent_fields, routed.head.taken_out.len()), (1, 0));
}

fn action(rule_filters: Value, listener_filters: Value, method: &str, invalid: bool) -> String {
    let rules = json!([rule("r", json!({"filters": rule_filters, "invalid": invalid}))]);
    let table = table(rules, json!({"listeners": [listener("l", 80, json!({"filters": listener_filters}))]}));
    let sent = fields(&[("origin", "https://a.test"), ("access-control-request-method", "PUT")]);
    let asked = Request { method, fields: &sent, ..request("/a", Some("a.test")) };
    let mut space = Workspace::default();
    let socket = table.socket_on_port(Transport::Tcp, 80).map(|socket| &**socket);
    match resolve(socket, &asked, &mut space).unwrap().action() {
        Action::Invalid => "invalid".to_owned(),
        Action::Preflight(_) => "preflight".to_owned(),
        Action::Answer(OwnAnswer { reason, status, fields, body }) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            format!("{reason} {status} {} {}", fields.join(","), body.as_deref().unwrap_or("-"))
        }
        Action::Forward => "forward".to_owned(),
    }
}

/// ARCHITECTURE.md, section 5: each row would be another one if a step came earlier or later.
#[test]
fn what_answers_in_place_of_a_backend() {
    let cors = json!({"type": "cors", "allow_origins": ["*"], "max_age": 5});
    let redirect = json!({"type": "redirect", "status": 302, "hostname": "b.test"});
    let respond = |body: &str| json!({"type": "respond", "status": 403, "body": body});
    for (of_rule, of_listener, method, invalid, expected) in [
        (json!([]), json!([]), "GET", false, "forward"),
        (json!([]), json!([]), "OPTIONS", false, "forward"),
        (json!([cors]), json!([]), "GET", false, "forward"),
        (json!([cors, redirect]), json!([respond("l")]), "OPTIONS", false, "preflight"),
        (json!([cors, redirect]), json!([respond("l")]), "OPTIONS", true, "invalid"),
        (json!([cors, redirect]), json!([]), "GET", false, "redirect 302 location: http://b.test/a -"),
        (json!([redirect]), json!([]), "OPTIONS", false, "redirect 302 location: http://b.test/a -"),
        (json!([respond("r")]), json!([]), "GET", false, "respond 403  r"),
        (json!([respond("r")]), json!([respond("l")]), "GET", false, "respond 403  l"),
        (json!([redirect]), json!([respond("l")]), "GET", false, "respond 403  l"),
        (json!([]), json!([respond("l")]), "GET", false, "respond 403  l"),
    ] {
        assert_eq!(action(of_rule.clone(), of_listener.clone(), method, invalid), expected, "{of_rule} {of_listener}");
    }
}
