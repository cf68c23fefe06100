//! IR transactions: JSON documents, one after the other, on one `State`.
//!
//! A refused one leaves the table as it was. After an accepted one, the table is the same as one that is compiled from
//! nothing out of all that the transactions so far said, in what it shows and in what it decides.

mod model;

use crate::verdict::{Outcome, Violation, ensure};
use model::Model;
use route::ir::{Transaction, Transport, VERSION};
use route::path_normalization::PathNormalization;
use route::resolve::{Decision, DecisionRequest, L4Request, decide, decide_l4};
use route::table::{NoTags, State, Table};
use serde_json::{Deserializer, Value, json};
use std::net::IpAddr;

pub const TOKENS: &[&[u8]] = &[
    b"id",
    b"listeners",
    b"attachments",
    b"http_rules",
    b"l4_rules",
    b"backends",
    b"endpoints",
    b"policies",
    b"backend_tls",
    b"trust",
    b"certificates",
    b"hostname",
    b"hostnames",
    b"matches",
    b"filters",
    b"full",
    b"remove",
    b"upsert",
    b"http",
    b"https",
    b"a/b:80",
    b"*.example.com",
    b"www.example.com",
    b"PathPrefix",
    b"Exact",
    b"RegularExpression",
    b"GrpcMethod",
    b"/a",
    b"/a/",
    b"/",
    b"(?i)a+",
    b"HTTP",
    b"HTTPS",
    b"TLS",
    b"TCP",
    b"UDP",
];

/// Sockets that are asked, and names for each of them.
const MAX_ASKED: usize = 3;

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let mut state = State::default();
    let mut model = Model::default();
    let mut table = Table::default();
    let mut outcomes = Vec::new();
    for document in Deserializer::from_slice(input).into_iter::<Transaction>() {
        let Ok(transaction) = document else {
            outcomes.push("no transaction");
            break;
        };
        match state.apply(transaction.clone(), &NoTags) {
            Ok(accepted) => {
                model.apply(transaction);
                table = accepted;
                check_against(&table, &model)?;
                outcomes.push("accepted");
            }
            Err(refused) => {
                ensure!(!refused.0.is_empty(), "who refuses says why");
                check_unchanged(&mut state, &table)?;
                outcomes.push(refused.0[0].kind);
            }
        }
    }
    let accepted = outcomes.iter().filter(|outcome| **outcome == "accepted").count();
    let decided = decisions(&table);
    let mut reasons: Vec<&str> = decided.iter().map(|decision| decision.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    Ok(format!("{} accepted, last {:?} {reasons:?}", accepted.min(2), outcomes.last()))
}

/// A transaction that says nothing shows the state as it is.
fn check_unchanged(state: &mut State, before: &Table) -> Result<(), Violation> {
    let nothing = json!({"version": VERSION, "generation": before.generation});
    let after = serde_json::from_value(nothing).ok().and_then(|nothing| state.apply(nothing, &NoTags).ok());
    ensure!(after.is_some(), "a transaction that says nothing is accepted");
    let after = after.unwrap_or_default();
    ensure!(shown(&after) == shown(before), "a refused transaction changes nothing", "{}", differ(&after, before));
    ensure!(decisions(&after) == decisions(before), "a refused transaction changes nothing", "in what is decided");
    Ok(())
}

/// All that was said, in one full transaction, makes the same table.
fn check_against(table: &Table, model: &Model) -> Result<(), Violation> {
    const RULE: &str = "a table that was changed is one that is compiled from nothing";
    let (mut fresh, all) = (State::default(), model.transaction());
    let compiled = fresh.apply(all, &NoTags);
    ensure!(compiled.is_ok(), "what was accepted bit by bit is accepted at once", "{:?}", compiled.err());
    let compiled = compiled.unwrap_or_default();
    ensure!(shown(&compiled) == shown(table), RULE, "{}", differ(table, &compiled));
    let (ours, fresh) = (decisions(table), decisions(&compiled));
    let different = ours.iter().zip(&fresh).find(|(ours, fresh)| ours != fresh);
    ensure!(ours == fresh || !model.has_an_order(), RULE, "{different:?}");
    // What is shown is a transaction again.
    let again = serde_json::from_str::<Transaction>(&table.to_json());
    ensure!(again.is_ok(), "what is shown is a transaction", "{again:?}");
    Ok(())
}

/// The whole configuration; the order of trust bundles means nothing.
fn shown(table: &Table) -> Value {
    let mut shown: Value = serde_json::from_str(&table.to_json()).unwrap_or_default();
    if let Some(bundles) = shown["upsert"]["trust"].as_array_mut() {
        bundles.sort_by_key(|bundle| bundle["id"].to_string());
    }
    shown
}

fn differ(one: &Table, other: &Table) -> String {
    let (one, other) = (shown(one), shown(other));
    let kinds = one["upsert"].as_object().into_iter().flatten();
    let different = kinds.filter(|(kind, items)| **items != other["upsert"][*kind]);
    let texts = different.map(|(kind, items)| format!("{kind}: {items}, not {}", other["upsert"][kind]));
    texts.collect::<Vec<_>>().join("; ")
}

/// What a table makes of requests and connections to its own ports and names.
fn decisions(table: &Table) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for socket in table.sockets().take(MAX_ASKED) {
        let mut names = vec!["a.b.example.com".to_owned()];
        let mut own: Vec<String> = socket.listeners().map(|listener| listener.ir.hostname.replace('*', "a")).collect();
        let rules = socket.listeners().flat_map(|listener| listener.hosts.rules());
        own.extend(rules.flat_map(|rule| &rule.ir.hostnames).map(|name| name.replace('*', "b")));
        own.sort_unstable();
        own.dedup();
        names.extend(own.into_iter().take(MAX_ASKED));
        let address = socket.key.address;
        for name in names {
            if !socket.protocol.is_http() || socket.carries_flows {
                let request = L4Request {
                    transport: socket.key.transport,
                    bind_port: socket.key.port,
                    address,
                    sni: Some(name.clone()),
                    entropy: 3,
                    certificate: None,
                    from: None,
                };
                decisions.push(decide_l4(table, &request));
            }
            if socket.key.transport == Transport::Tcp {
                decisions.extend(requests(address, socket.key.port, &name).map(|request| decide(table, &request)));
            }
        }
    }
    decisions
}

fn requests(address: Option<IpAddr>, port: u16, name: &str) -> impl Iterator<Item = DecisionRequest> {
    let request = DecisionRequest {
        bind_port: port,
        address,
        sni: Some(name.to_owned()),
        scheme: None,
        method: "GET".to_owned(),
        authority: name.to_owned(),
        target: String::new(),
        headers: vec![("x-a".to_owned(), "b".to_owned()), ("origin".to_owned(), "https://www.example.com".to_owned())],
        entropy: 5,
        certificate: None,
        from: None,
        identity: None,
        response: None,
        path_normalization: PathNormalization::Strict,
    };
    [("GET", "/"), ("GET", "/a"), ("POST", "/a/b?x=1"), ("OPTIONS", "/a/"), ("POST", "/pkg.Service/Method")]
        .into_iter()
        .map(move |(method, target)| DecisionRequest {
            method: method.to_owned(),
            target: target.to_owned(),
            ..request.clone()
        })
}
