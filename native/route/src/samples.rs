//! What tests of tables and of decisions have in common.

use crate::ir::VERSION;
use crate::resolve::{Decision, Origin, Question, Whence};
use crate::table::{Listener, NoTags, RequestHead, State, Table};
use codec::Field;
use serde_json::{Value, json};

/// An object with these members in place of its own.
pub fn merged(mut base: Value, changes: Value) -> Value {
    if let (Some(base), Value::Object(changes)) = (base.as_object_mut(), changes) {
        base.extend(changes);
    }
    base
}

/// What comes of a change of a state, or why it is refused.
pub fn apply(state: &mut State, change: Value) -> Result<Table, String> {
    let change = merged(json!({"version": VERSION, "generation": 1}), change);
    let transaction = serde_json::from_value(change).expect("a transaction");
    state.apply(transaction, &NoTags).map_err(|refused| refused.to_string())
}

/// A listener of HTTP for every host.
pub fn listener(id: &str, port: u16, changes: Value) -> Value {
    merged(json!({"id": id, "gateway": "a/g", "port": port, "bind_port": port, "protocol": "HTTP"}), changes)
}

/// A rule at the listener `l` for every path, with the backend `b`.
pub fn rule(id: &str, changes: Value) -> Value {
    let matches = json!([{"path": {"type": "PathPrefix", "value": "/"}}]);
    let backends = json!([{"backend": "b", "weight": 1}]);
    let rule = json!({"id": id, "route": id, "index": 0, "listeners": ["l"], "matches": matches, "backends": backends});
    merged(rule, changes)
}

/// An endpoint of the backend `b`, on this port.
pub fn endpoint(id: &str, port: u16, changes: Value) -> Value {
    merged(json!({"id": id, "backend": "b", "address": "127.0.0.1", "port": port}), changes)
}

/// The listener `l` on port 80, the backend `b` with the endpoint `e`, and these rules.
pub fn site(rules: Value, changes: Value) -> Value {
    let listeners = json!([listener("l", 80, json!({}))]);
    let (backends, endpoints) = (json!([{"id": "b"}]), json!([endpoint("e", 1, json!({}))]));
    let site = json!({"listeners": listeners, "http_rules": rules, "backends": backends, "endpoints": endpoints});
    json!({"full": true, "upsert": merged(site, changes)})
}

/// The table of a [`site`].
pub fn table(rules: Value, changes: Value) -> Table {
    apply(&mut State::default(), site(rules, changes)).expect("a table")
}

/// The decision on `GET http://a.test/`, changed.
pub fn ask(table: &Table, changes: Value) -> Decision {
    let request = json!({"bind_port": 80, "method": "GET", "authority": "a.test", "target": "/"});
    question(merged(request, changes)).decide(table)
}

pub fn question(question: Value) -> Question {
    Question::parse(question.to_string().as_bytes()).expect("a question")
}

/// The head of `GET http://a.test/`, with these fields.
pub fn head<'f>(path: &'f str, fields: &'f [Field<'f>]) -> RequestHead<'f> {
    let authority = b"a.test";
    RequestHead { method: "GET", path, query: None, host: "a.test", authority, fields, taken_out: &[] }
}

pub fn fields<'f>(pairs: &[(&'f str, &'f str)]) -> Vec<Field<'f>> {
    pairs.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect()
}

/// Fields as they are written in a head.
pub fn lines(fields: &[Field<'_>]) -> Vec<String> {
    fields.iter().map(|it| format!("{}: {}", it.name.escape_ascii(), it.value.escape_ascii())).collect()
}

pub fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Who says that all requests come from 192.0.2.1.
#[derive(Debug)]
pub struct Somewhere;

impl Whence for Somewhere {
    fn origin<'f>(&'f self, _: &Listener, _: &[Field<'f>], authority: &'f [u8], _: &'f mut Vec<u8>) -> Origin<'f> {
        Origin { addresses: Some(b"192.0.2.1"), scheme: b"http", host: authority }
    }
}
