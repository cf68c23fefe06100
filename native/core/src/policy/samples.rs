//! What tests of policies have in common.

use super::access::KeySets;
use super::{Chain, Running, prepare};
use route::ir::Transport;
use route::policy::{Compiled, Facts, SentHead};
use route::table::{NoTags, SocketKey, State, Table};
use serde_json::{Value, json};
use std::sync::Arc;

/// Of a plain request that a rule takes.
pub const FACTS: Facts<'static> = Facts {
    address: None,
    method: "GET",
    scheme: "http",
    host: "a.test",
    authority: b"a.test",
    path: "/",
    query: None,
    fields: &[],
    told: None,
    sent: SentHead { fields: &[], taken_out: &[], authority: b"a.test" },
    sni: None,
    listener: "l",
    route: "route",
    rule: "rule",
    rule_uid: 1,
    grpc: false,
    body_length: Some(0),
    certificate: None,
    assumed: None,
};

/// The table of a listener that names these policies, of which nothing runs yet; `secret`: the data of all that they need.
pub fn unprepared(policies: &Value, secret: &str) -> Table {
    let ids: Vec<&Value> = policies.as_array().unwrap().iter().map(|policy| &policy["id"]).collect();
    let listener =
        json!({"id": "l", "gateway": "a/g", "port": 80, "bind_port": 80, "protocol": "HTTP", "policies": ids});
    let transaction = json!({"version": route::ir::VERSION, "generation": 1, "full": true,
        "upsert": {"listeners": [listener], "policies": policies, "backends": [{"id": "b"}, {"id": "c"}]},
        "secrets": {"policy_secrets": [{"id": "secret", "data": secret}]}});
    State::default().apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap()
}

/// The same, ready to run in place of another one.
pub fn table_after(before: &Table, policies: &Value, secret: &str) -> Table {
    let table = unprepared(policies, secret);
    prepare(&table, before, None, &KeySets::default());
    table
}

/// The same in place of nothing.
pub fn table(policies: &Value, secret: &str) -> Table {
    table_after(&Table::default(), policies, secret)
}

/// The chain of the listener's rules.
pub fn chain(table: &Table) -> &Chain {
    let socket = table.socket(SocketKey { transport: Transport::Tcp, address: None, port: 80 }).unwrap();
    let listener = socket.listeners().next().unwrap();
    listener.policies_without_rule().unwrap().kept.get().unwrap()
}

pub fn policy<'t>(table: &'t Table, id: &str) -> &'t Arc<Compiled> {
    &table.policies[id]
}

/// How often a policy has said what: pass, deny, that nobody could say.
pub fn counts(table: &Table, id: &str) -> [u64; 3] {
    policy(table, id).kept.get::<Running>().unwrap().verdicts.all().map(|(_, count)| count)
}

/// A key that is asked for; the secret is [`KEYS`].
pub fn api_key() -> Value {
    json!({"type": "access_api_key", "id": "AccessPolicy/a/p/apiKey", "keys": "secret", "realm": "r",
        "forward_header": "x-user", "from": [{"type": "header", "name": "x-api-key"}]})
}

/// The key `alpha`, of Ann.
pub const KEYS: &str = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 ann\n";

/// A password that is asked for; the secret is [`USERS`].
pub fn basic() -> Value {
    json!({"type": "access_basic", "id": "AccessPolicy/a/p/basic", "users": "secret", "realm": "r"})
}

/// Ann, whose password is `password`.
pub const USERS: &str = "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";

/// Every request is held up for so long, or none; and is refused, or is not.
pub fn fault(milliseconds: Option<u64>, refuses: bool) -> Value {
    let every = json!({"numerator": 1, "denominator": 1});
    let mut fault = json!({"type": "filter_fault", "id": "rule/fault"});
    if let Some(milliseconds) = milliseconds {
        fault["delay"] = json!({"milliseconds": milliseconds, "percentage": every});
    }
    if refuses {
        fault["abort"] = json!({"status": 418, "percentage": every});
    }
    fault
}

/// One request a day is let through.
pub fn one_a_day() -> Value {
    json!({"type": "rate_limits", "id": "RateLimitPolicy/a/p/local", "told": true,
        "limits": [{"name": "one", "requests": 1, "per_milliseconds": 86_400_000, "burst": 1}]})
}
