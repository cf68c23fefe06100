//! What tests of these policies have in common.

use super::Level;
use crate::ir::{Policy, PolicySecret};
use crate::policy::{Compiled, Denial, Facts, Passage, Said, SentHead, judge_all};
use codec::Field;
use serde_json::json;
use std::sync::Arc;

/// Of a plain request.
pub(in crate::policy) const FACTS: Facts<'static> = Facts {
    address: None,
    method: "POST",
    scheme: "https",
    host: "www.example.com",
    authority: b"www.example.com",
    path: "/",
    query: None,
    fields: &[],
    told: None,
    sent: SentHead { fields: &[], taken_out: &[], authority: b"" },
    sni: None,
    listener: "",
    route: "",
    rule: "",
    rule_uid: 0,
    grpc: false,
    body_length: None,
    certificate: None,
    assumed: None,
};

pub(in crate::policy) fn fields<'f>(pairs: &[(&'f str, &'f str)]) -> Vec<Field<'f>> {
    pairs.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect()
}

pub(in crate::policy) fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

pub(in crate::policy) fn from(ir: serde_json::Value) -> Policy {
    serde_json::from_value(ir).expect("a policy")
}

/// What all policies of a place make of a request.
pub(in crate::policy) fn judged(
    policies: &[(Policy, bool)],
    facts: &Facts<'_>,
) -> (Vec<(&'static str, &'static str)>, Option<Denial>, Passage<'static>) {
    let keys = |data: &str| vec![Arc::new(PolicySecret { id: "keys".to_owned(), data: data.to_owned() })];
    let alpha = "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8 ann\n";
    let compiled: Vec<Arc<Compiled>> =
        policies.iter().map(|(policy, _)| Arc::new(Compiled::of(policy.clone(), keys(alpha), Vec::new()))).collect();
    // What they take out is borrowed of them: they live as long as the test.
    let compiled: &'static [Arc<Compiled>] = compiled.leak();
    let place = |of: &Arc<Compiled>| compiled.iter().position(|it| it.object() == of.object());
    let levels: Vec<_> = (policies.iter().zip(compiled).enumerate())
        .map(|(at, ((_, overrides), policy))| Level {
            place: overrides.then_some(at),
            overriding: overrides.then(|| place(policy)).flatten(),
        })
        .collect();
    let mut passage = Passage::default();
    let (said, denial) = judge_all(compiled, &levels, facts, &mut passage);
    (said.into_iter().map(|Said { stanza, verdict, .. }| (stanza, verdict)).collect(), denial, passage)
}

pub(in crate::policy) fn key(optional: bool) -> Policy {
    from(json!({"type": "access_api_key", "id": "AccessPolicy/a/b/apiKey", "optional": optional, "keys": "keys",
        "realm": "r", "forward_header": "x-user", "from": [{"type": "header", "name": "x-api-key"}]}))
}

pub(in crate::policy) fn basic() -> Policy {
    from(json!({"type": "access_basic", "id": "AccessPolicy/a/b/basic", "users": "keys", "realm": "r"}))
}
