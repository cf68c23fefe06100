use super::{EditedFields, Filters, ListenerFilters, MAX_MADE, Slots, compile_parts, made_value};
use crate::expression::{Expression, Inputs, Wanted};
use crate::ir;
use crate::samples::{fields, lines};
use serde_json::{Value, json};

impl Filters {
    /// Of what is written as IR.
    pub(crate) fn of_all(written: Value) -> Self {
        let written: Vec<ir::Filter> = serde_json::from_value(written).expect("filters");
        let mut parts = compile_parts(written.iter()).expect("patterns and expressions");
        Self::compile(&written, &mut Slots::default(), &mut parts)
    }

    pub(crate) fn of_one(written: Value) -> Self {
        Self::of_all(json!([written]))
    }
}

fn edits(set: Value, add: Value, remove: Value) -> Value {
    json!({"type": "request_headers", "set": set, "add": add, "remove": remove})
}

fn field(name: &str, value: &str) -> Value {
    json!([{"name": name, "value": value}])
}

/// What edits of a request leave, and what they say of its authority.
fn edited(filters: &Filters, sent: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
    let made = filters.make(Inputs::default);
    let mut left: EditedFields<'_> = fields(sent).into();
    for edits in &filters.request {
        edits.apply(&mut left, &made);
    }
    (lines(&left), filters.request.iter().filter_map(|edits| edits.host()).next_back().map(str::to_owned))
}

/// Set, then add, then remove; `X-A` is `x-a`. What belongs to one connection nobody writes.
#[test]
fn edits_of_fields() {
    let sent = [("X-A", "1"), ("x-b", "1"), ("x-A", "2")];
    for (written, expected) in [
        (edits(field("x-a", "new"), json!([]), json!([])), &["x-b: 1", "x-a: new"][..]),
        (edits(json!([]), field("x-a", " new\t"), json!([])), &["X-A: 1", "x-b: 1", "x-A: 2", "x-a: new"]),
        (edits(json!([]), json!([]), json!(["x-a"])), &["x-b: 1"]),
        (edits(field("x-c", "1"), field("x-c", "2"), json!(["x-a", "x-b"])), &["x-c: 1", "x-c: 2"]),
        (edits(field("x-c", "1"), field("x-c", "2"), json!(["X-C", "x-a"])), &["x-b: 1"]),
        (
            edits(field("Connection", "close"), field("content-length", "9"), json!(["x-a", "Transfer-Encoding"])),
            &["x-b: 1"],
        ),
    ] {
        let filters = Filters::of_one(written.clone());
        assert_eq!(edited(&filters, &sent), (expected.iter().map(|&it| it.to_owned()).collect(), None), "{written}");
    }
    let wire = Filters::of_one(edits(json!([]), json!([]), json!(["connection"])));
    assert_eq!(edited(&wire, &[("connection", "close")]).0, ["connection: close"]);
}

/// The last edit of it counts, whoever sets or adds.
#[test]
fn edits_of_the_authority() {
    for (written, expected) in [
        (json!([edits(field("Host", "a.test"), json!([]), json!([]))]), Some("a.test")),
        (json!([edits(field("host", "a.test"), field("HOST", "b.test"), json!([]))]), Some("b.test")),
        (json!([edits(json!([]), json!([]), json!(["host"]))]), None),
        (json!([edits(field("x-host", "a.test"), json!([]), json!([]))]), None),
    ] {
        assert_eq!(edited(&Filters::of_all(written.clone()), &[]).1.as_deref(), expected, "{written}");
    }
}

/// Each finds its own among those of all edits. Where an expression comes to nothing, what it was to replace is gone all the
/// same.
#[test]
fn values_of_expressions() {
    let made = |name: &str, expression: &str| json!({"name": name, "expression": expression});
    let filters = Filters::of_all(json!([
        edits(json!([made("connection", "'close'"), made("x-a", "'one'")]), json!([{"name": "x-b", "value": "fixed"}, made("x-b", "'two'")]), json!([])),
        {"type": "response_headers", "set": [made("x-r", "'three'")]},
        edits(json!([made("x-c", "request.query")]), json!([]), json!([])),
    ]));
    assert!(filters.has_expressions());
    let sent = [("x-c", "client"), ("x-a", "client")];
    assert_eq!(edited(&filters, &sent).0, ["x-a: one", "x-b: fixed", "x-b: two"]);
    let values = filters.make(Inputs::default);
    let mut response = EditedFields::new();
    filters.response[0].apply(&mut response, &values);
    assert_eq!(lines(&response), ["x-r: three"]);
    let plain = Filters::of_one(edits(field("x-a", "1"), json!([]), json!([])));
    let made = plain.make(|| panic!("nothing is asked"));
    assert!(made.is_empty() && !plain.has_expressions());
}

/// Nothing in it ends a line or makes a head one that backends refuse.
#[test]
fn what_an_expression_may_come_to() {
    let long = "a".repeat(MAX_MADE);
    let longer = format!("{long}a");
    for (query, expected) in [
        ("a b", Some("a b")),
        (" \ta ", Some("a")),
        ("\u{e9}", Some("\u{e9}")),
        ("", None),
        (" \t", None),
        ("a\r\nb: c", None),
        ("a\0", None),
        (&long, Some(&*long)),
        (&longer, None),
    ] {
        let expression = Expression::compile("request.query", Wanted::Text).unwrap();
        let made = made_value(&expression, &Inputs { query, ..Inputs::default() });
        assert_eq!(made.as_deref(), expected.map(str::as_bytes), "{}", query.len());
    }
    let failing = Expression::compile("request.headers['x']", Wanted::Text).unwrap();
    assert_eq!(made_value(&failing, &Inputs::default()), None);
}

#[test]
fn whose_fields_clients_cannot_send() {
    let filters = Filters::of_all(json!([
        edits(field("X-Set", "1"), field("x-add", "1"), json!(["x-gone", "connection"])),
        {"type": "response_headers", "set": field("x-own", "1")},
    ]));
    for (name, of_request, of_response) in [
        ("x-set", true, false),
        ("X-GONE", true, false),
        ("x-add", false, false),
        ("connection", false, false),
        ("x-own", false, true),
        ("x", false, false),
    ] {
        let found = (filters.replaces(name.as_bytes()), filters.replaces_of_response(name.as_bytes()));
        assert_eq!(found, (of_request, of_response), "{name}");
    }
}

/// Each kind has its place, and the rewrite knows how many edits stand before it.
#[test]
fn filters_are_sorted_by_what_they_act_on() {
    let edit = edits(field("x-a", "1"), json!([]), json!([]));
    let rewrite = json!({"type": "rewrite", "substitution": {"pattern": "a", "replacement": "b"}});
    for (written, before) in
        [(json!([edit, rewrite, edit]), 1), (json!([rewrite, edit, edit]), 0), (json!([edit, edit, rewrite]), 2)]
    {
        let filters = Filters::of_all(written.clone());
        assert_eq!((filters.request.len(), filters.edits_before_rewrite), (2, before), "{written}");
        let substitution = filters.rewrite.unwrap().substitution.unwrap();
        assert_eq!(substitution.apply("/a").as_deref(), Some("/b"), "{written}");
    }
    assert!(Filters::default().is_empty());
    for written in [
        edit.clone(),
        rewrite,
        json!({"type": "response_headers", "remove": ["x"]}),
        json!({"type": "response_rewrite"}),
        json!({"type": "redirect", "status": 302}),
        json!({"type": "mirror", "backend": "b", "percentage": {"numerator": 1, "denominator": 1}}),
        json!({"type": "cors", "max_age": 1}),
        json!({"type": "respond", "status": 200}),
    ] {
        assert!(!Filters::of_one(written.clone()).is_empty(), "{written}");
    }
    for written in [
        json!({"type": "rewrite", "substitution": {"pattern": "(", "replacement": "b"}}),
        json!({"type": "response_headers", "set": [{"name": "x", "expression": "("}]}),
    ] {
        let written: ir::Filter = serde_json::from_value(written).unwrap();
        assert!(compile_parts(std::iter::once(&written)).is_err(), "{written:?}");
    }
}

fn of_listener(written: Value) -> Result<ListenerFilters, String> {
    ListenerFilters::compile(&serde_json::from_value::<Vec<ir::Filter>>(written).unwrap())
}

/// The listener was chosen by the authority, so nothing before its rules changes that.
#[test]
fn what_a_listener_may_edit() {
    let host = json!([{"name": "Host", "value": "b.test"}, {"name": ":Authority", "value": "b.test"}, {"name": "x-a", "value": "1"}]);
    let filters = of_listener(json!([edits(host.clone(), host, json!(["host", "X-B"]))])).unwrap();
    assert!(filters.own.is_none() && !filters.pre_routing.is_empty());
    let mut sent: EditedFields<'_> = fields(&[("x-c", "1"), ("x-b", "1"), ("X-A", "0")]).into();
    let mut taken_out: EditedFields<'_> = fields(&[("x-a", "0"), ("x-d", "1")]).into();
    let left = filters.pre_routing.apply(&mut sent, &mut taken_out);
    assert_eq!(lines(&sent), ["x-c: 1", "x-a: 1", "x-a: 1"]);
    assert_eq!((left, lines(&taken_out)), (1, vec!["x-d: 1".to_owned()]));
    for (name, expected) in [("X-a", true), ("x-b", true), ("host", false), ("x-c", false)] {
        assert_eq!(filters.pre_routing.replaces(name.as_bytes()), expected, "{name}");
    }
    let answering = of_listener(json!([{"type": "respond", "status": 200}])).unwrap();
    assert!(answering.pre_routing.is_empty() && answering.own.unwrap().respond.is_some());
    for (written, expected) in [
        (json!([{"type": "redirect", "status": 302}]), "filters[0]: a listener cannot have a filter of this kind"),
        (
            json!([{"type": "respond", "status": 200}, edits(json!([{"name": "x", "expression": "'a'"}]), json!([]), json!([]))]),
            "filters[1]: what comes before a rule is chosen has no expressions",
        ),
    ] {
        assert_eq!(of_listener(written).err().as_deref(), Some(expected));
    }
}

/// The Gateway API's table of `allowOrigins`, and what is no host in place of a `*`.
#[test]
fn origins() {
    for (allowed, origin, expected) in [
        ("*", "https://a.test", true),
        ("https://a.test", "https://a.test", true),
        ("https://A.test", "HTTPS://a.TEST", true),
        ("https://a.test", "http://a.test", false),
        ("https://a.test", "https://a.test:8443", false),
        ("https://a.test", "https://a.test.evil", false),
        ("https://*.test", "https://a.test", true),
        ("https://*.test", "https://b.a.test", true),
        ("https://*.test:8443", "https://a.test:8443", true),
        ("https://*.test:8443", "https://a.test", false),
        ("https://*.test", "https://.test", false),
        ("https://*.test", "https://evil/.test", false),
        ("https://*.test", "https://evil:1.test", false),
        ("https://*.test", "https://user@a.test", false),
        ("https://*", "https://a.test", true),
    ] {
        let cors = Filters::of_one(json!({"type": "cors", "allow_origins": [allowed], "max_age": 1})).cors.unwrap();
        assert_eq!(cors.allows(origin), expected, "{allowed} {origin}");
    }
    for (origins, credentials, expected) in [
        (json!(["*"]), false, true),
        (json!(["https://a.test", "*"]), false, true),
        (json!(["*"]), true, false),
        (json!(["https://*"]), false, false),
        (json!([]), false, false),
    ] {
        let cors = json!({"type": "cors", "allow_origins": origins, "allow_credentials": credentials, "max_age": 1});
        assert_eq!(Filters::of_one(cors).cors.unwrap().is_open(), expected, "{origins} {credentials}");
    }
}
