use super::{Expression, Failed, Inputs, MAX_LENGTH, Wanted};
use codec::Field;

fn claims() -> serde_json::Map<String, serde_json::Value> {
    match serde_json::json!({"sub": "ann", "groups": ["staff", "admin"], "age": 41, "org": {"id": 7}, "email": null}) {
        serde_json::Value::Object(map) => map,
        _ => unreachable!("an object is written above"),
    }
}

fn holds(text: &str) -> Result<bool, Failed> {
    let claims = claims();
    let scopes = ["read".to_owned(), "write".to_owned()];
    let fields = [
        Field { name: b"X-Role", value: b"user" },
        Field { name: b"x-role", value: b" admin " },
        Field { name: b"user-agent", value: b"curl/8" },
    ];
    let inputs = Inputs {
        method: "POST",
        scheme: "https",
        host: "www.example.com",
        path: "/a/b",
        query: "x=1",
        authority: b"www.example.com:8443",
        fields: &fields,
        address: Some([203, 0, 113, 7].into()),
        user: "ann",
        claims: Some(&claims),
        scopes: &scopes,
        ..Inputs::default()
    };
    Expression::compile(text, Wanted::Condition).unwrap_or_else(|error| panic!("{text}: {error}")).holds(&inputs)
}

#[test]
fn what_holds() {
    for text in [
        "request.method == 'POST' && request.scheme == \"https\"",
        "request.host.endsWith('.example.com') && request.path.startsWith('/a/') && request.query.contains('x=')",
        "'admin' in request.headers['x-role']",
        "request.headers['x-role'] == ['user', 'admin']",
        "request.headers['x-role'].exists(it, it == 'admin') && !request.headers['x-role'].all(it, it == 'admin')",
        "request.headers['x-role'][1] == 'admin'",
        "request.headers.host == ['www.example.com:8443']",
        "has(request.headers.host) && !has(request.headers.cookie) && !('cookie' in request.headers)",
        "size(request.headers) == 3 && request.headers.exists(name, name == 'user-agent')",
        "request.headers['user-agent'][0].matches('^curl/[0-9]+$')",
        "client.address == '203.0.113.7'",
        "identity.user == 'ann' && 'read' in identity.scopes && identity.scopes.size() == 2",
        "identity.claims.sub == 'ann' && identity.claims['age'] >= 18 && identity.claims.org.id == 7.0",
        "identity.claims.groups.exists_one(it, it == 'staff') && identity.claims.email == null",
        "identity.claims.groups.filter(it, it.startsWith('a')) == ['admin']",
        "identity.claims.groups.map(it, it.size()) == [5, 5]",
        "[1, 2, 3].map(it, it > 1, it * 2) == [4, 6]",
        "{'a': 1, 'b': [2]}['b'][0] == 2 && 'a' in {'a': 1}",
        "identity.claims == {'sub': 'ann', 'groups': ['staff', 'admin'], 'age': 41, 'org': {'id': 7}, 'email': null}",
        "1 + 2 * 3 - 4 / 2 == 5 && 7 % 4 == 3 && -7 / 2 == -3 && 1.5 + 1.5 == 3.0",
        "1 < 2 && 2.5 > 2 && 'a' < 'b' && 1 == 1.0 && 1 != 2",
        "'a' + 'b' == 'ab' && [1] + [2] == [1, 2]",
        "int('12') == 12 && int(1.9) == 1 && double('1.5') == 1.5 && string(3) == '3' && string(true) == 'true'",
        "(request.method == 'GET' ? 1 : 2) == 2",
        "!(!true) && !!true && --1 == 1",
        // What decides does so whatever else fails.
        "identity.claims.missing == 1 || true",
        "!(identity.claims.missing == 1 && false)",
        "[1, 2].exists(it, it == 2 || identity.claims.missing == it)",
        "[[1, 2], [3]].exists(outer, outer.exists(inner, inner == 3 && size(outer) == 1))",
        "'\\u00e9'.size() == 1 && r'\\d'.size() == 2",
    ] {
        assert_eq!(holds(text), Ok(true), "{text}");
    }
}

#[test]
fn what_fails() {
    for (text, failed) in [
        ("identity.claims.missing == 1", Failed::NoSuchKey),
        ("request.headers['cookie'][0] == 'a'", Failed::NoSuchKey),
        ("request.headers['x-role'][2] == 'a'", Failed::NoSuchKey),
        ("identity.claims.age == 1 / 0", Failed::OutOfRange),
        ("9223372036854775807 + identity.claims.age > 0", Failed::OutOfRange),
        ("int('x') == 1", Failed::OutOfRange),
        ("identity.claims.sub", Failed::WrongType),
        ("identity.claims.sub.missing == 1", Failed::WrongType),
        ("identity.claims.age.startsWith('4')", Failed::WrongType),
        ("identity.claims.missing == 1 || false", Failed::NoSuchKey),
    ] {
        assert_eq!(holds(text), Err(failed), "{text}");
    }
}

#[test]
fn what_does_not_compile() {
    for (text, wanted, message) in [
        ("", Wanted::Condition, "at byte 1: a value is missing"),
        ("true true", Wanted::Condition, "at byte 6: the expression goes on"),
        ("req.method == 'GET'", Wanted::Condition, "there is no variable req"),
        ("request.verb == 'GET'", Wanted::Condition, "there is no request.verb"),
        ("request == 1", Wanted::Condition, "request is no value by itself"),
        (
            "request.headers['x-role'] == 'admin'",
            Wanted::Condition,
            "a list and a text are never equal; a header field",
        ),
        ("request.headers['X-Role'][0] == 'admin'", Wanted::Condition, "write \"x-role\""),
        ("request.method == 1", Wanted::Condition, "a text and an integer are never equal"),
        ("request.method", Wanted::Condition, "has to come to true or false"),
        ("request.method", Wanted::Number, "has to come to an integer"),
        ("{'a': 1}", Wanted::Key, "has to come to a text"),
        ("request.method && true", Wanted::Condition, "&& and || join what is true or false"),
        ("request.method.matches(request.path)", Wanted::Condition, "compiled once"),
        ("request.method.matches('(')", Wanted::Condition, "the pattern is none"),
        ("request.method.reverse() == 'a'", Wanted::Condition, "there is no method reverse"),
        ("timestamp('x') == 1", Wanted::Condition, "there is no function timestamp"),
        ("has(request)", Wanted::Condition, "by itself"),
        ("[1].all(request, true)", Wanted::Condition, "name the variable otherwise"),
        ("x in 'abc'", Wanted::Condition, "there is no variable x"),
        ("'a' in 'abc'", Wanted::Condition, "in asks a list or a map"),
        ("1 + 'a' == 2", Wanted::Condition, "no such operation"),
        ("9223372036854775808 > 0", Wanted::Condition, "out of range"),
        ("1 < [2]", Wanted::Condition, "have no order"),
        ("true ? 1", Wanted::Condition, "\":\" is missing"),
        ("for == 1", Wanted::Condition, "reserved"),
    ] {
        let error = Expression::compile(text, wanted).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn limits() {
    let compile = |text: &str| Expression::compile(text, Wanted::Condition).map(|_| ()).map_err(|it| it.to_string());
    let long = format!("true || '{}' == ''", "a".repeat(MAX_LENGTH));
    assert!(compile(&long).unwrap_err().contains("4096 is the limit"));
    for open in ["(", "[", "!", "-", "{1:", "true?true:", "[1].all(x,"] {
        let deep = open.repeat(MAX_LENGTH / open.len());
        assert!(compile(&deep).unwrap_err().contains("nested deeper"), "{open}");
    }
    assert!(compile(&format!("1{} > 0", "+1".repeat(100))).unwrap_err().contains("nested deeper"));
    // Many side by side are not deep.
    assert_eq!(compile(&format!("true{}", " || true".repeat(400))), Ok(()));
}

#[test]
fn nothing_costs_much() {
    let numbers = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33]";
    let product = format!("{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a + b + c > 0)))");
    assert_eq!(holds(&product), Err(Failed::TooCostly));
    // A text that doubles: 2 to the power of 40 letters.
    let doubled = format!("['aaaaaaaaaaaaaaaa']{}.size() == 1", ".map(x, x + x)".repeat(40));
    assert_eq!(holds(&doubled), Err(Failed::TooCostly));
    // What is too costly is not absorbed.
    assert_eq!(holds(&format!("{product} || true")), Err(Failed::TooCostly));
}

#[test]
fn all_expressions_of_a_policy_have_one_budget() {
    let text = "a".repeat(60_000);
    let inputs = Inputs { path: &text, ..Inputs::default() };
    let search = Expression::compile("request.path.matches('^a+b$')", Wanted::Condition).unwrap();
    let found: Vec<_> = (0..64).map(|_| search.holds(&inputs)).collect();
    assert_eq!(found[0], Ok(false));
    assert_eq!(found[63], Err(Failed::TooCostly));
    // For the next request it is whole.
    assert_eq!(search.holds(&Inputs { path: &text, ..Inputs::default() }), Ok(false));
}

#[test]
fn what_is_no_text_costs_its_octets() {
    let value = vec![0xff; 60_000];
    let fields = [Field { name: b"x-odd", value: &value }];
    let inputs = Inputs { fields: &fields, ..Inputs::default() };
    let many = format!("[{}].size() > 0", ["request.headers['x-odd']"; 40].join(","));
    let expression = Expression::compile(&many, Wanted::Condition).unwrap();
    assert_eq!(expression.holds(&inputs), Err(Failed::TooCostly));
}

#[test]
fn keys_differ() {
    let key = |text: &str| {
        let mut key = Vec::new();
        let inputs = Inputs { method: "GET", ..Inputs::default() };
        Expression::compile(text, Wanted::Key).unwrap().key(&inputs, &mut key).map(|()| key)
    };
    let all = [
        "'ab'",
        "['a', 'b']",
        "['ab']",
        "'1'",
        "1",
        "true",
        "[]",
        "''",
        "request.method",
        "[['a'], 'b']",
        "[['a', 'b']]",
    ];
    for one in all {
        for two in all {
            assert_eq!(key(one) == key(two), one == two, "{one} {two}");
        }
    }
    let number = Expression::compile("request.headers.size() + 2", Wanted::Number).unwrap();
    assert_eq!(number.number(&Inputs::default()), Ok(2));
}

#[test]
fn who_is_asked() {
    for (text, asks) in [
        ("request.method == 'GET'", false),
        ("client.address == ''", false),
        ("[1].exists(x, identity.user == 'a')", true),
        ("has(identity.claims.a)", true),
        ("{'a': identity.scopes}['a'] == []", true),
    ] {
        assert_eq!(Expression::compile(text, Wanted::Condition).unwrap().asks_identity(), asks, "{text}");
    }
}
