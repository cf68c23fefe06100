use super::{BackendState, Slots};
use crate::ir::HttpRule;
use crate::samples::{apply, endpoint, merged, rule, site};
use crate::table::{Backend, Locality, NoTags, State, Table, Tag, Tags};
use serde_json::{Value, json};
use std::sync::Arc;

/// Ids never share one, and there are no more than there were ids at a time.
#[test]
fn slots_are_used_again() {
    let mut slots = Slots::default();
    assert_eq!([slots.of("a"), slots.of("b"), slots.of("a")], [0, 1, 0]);
    assert_eq!((slots.release("a"), slots.release("a"), slots.release("x")), (Some(0), None, None));
    assert_eq!(slots.len(), 2);
    assert_eq!([slots.of("c"), slots.of("a"), slots.of("b")], [0, 2, 1]);
    assert_eq!(slots.len(), 3);
}

fn backend(table: &Table, id: &str) -> Option<Arc<Backend>> {
    table.backends().find(|backend| backend.id == id).cloned()
}

fn ready(table: &Table, id: &str) -> Vec<String> {
    backend(table, id).map_or_else(Vec::new, |backend| backend.ready.iter().map(|it| it.id.clone()).collect())
}

fn of(id: &str, backend: &str, port: u16) -> Value {
    merged(endpoint(id, port, json!({})), json!({"backend": backend}))
}

/// An endpoint is of one backend: where it moves the other one is made anew.
#[test]
fn endpoints_come_move_and_go() {
    let mut state = State::default();
    let mut change = |change: Value| apply(&mut state, change).unwrap();
    let both = json!({"backends": [{"id": "b"}, {"id": "c"}], "endpoints": [of("f", "b", 2), of("e", "b", 1), of("g", "c", 3)]});
    let first = change(site(json!([]), both));
    assert_eq!((ready(&first, "b"), ready(&first, "c")), (vec!["e".to_owned(), "f".to_owned()], vec!["g".to_owned()]));
    let moved = change(json!({"upsert": {"endpoints": [of("e", "c", 1)]}}));
    assert_eq!((ready(&moved, "b"), ready(&moved, "c")), (vec!["f".to_owned()], vec!["e".to_owned(), "g".to_owned()]));
    let gone = change(json!({"remove": {"endpoints": ["e", "f"]}}));
    assert_eq!((ready(&gone, "b"), ready(&gone, "c")), (Vec::new(), vec!["g".to_owned()]));
    // With a backend its endpoints go: one that comes back has none of them.
    change(json!({"remove": {"backends": ["c"]}}));
    let back = change(json!({"upsert": {"backends": [{"id": "c"}]}}));
    assert_eq!(ready(&back, "c"), Vec::<String>::new());
}

/// What is not touched is the very same, and what is keeps the uids of its addresses.
#[test]
fn only_what_was_touched_is_made_anew() {
    let mut state = State::default();
    let both = json!({"backends": [{"id": "b"}, {"id": "c"}], "endpoints": [of("e", "b", 1), of("g", "c", 3)]});
    let before = apply(&mut state, site(json!([]), both)).unwrap();
    let after = apply(&mut state, json!({"upsert": {"endpoints": [of("f", "b", 2)]}})).unwrap();
    let same = |id: &str| Arc::ptr_eq(&backend(&before, id).unwrap(), &backend(&after, id).unwrap());
    assert!(same("c") && !same("b"));
    let uid = |table: &Table| backend(table, "b").unwrap().ready[0].uid;
    assert_eq!(uid(&before), uid(&after));
    let moved = apply(&mut state, json!({"upsert": {"endpoints": [of("e", "b", 9)]}})).unwrap();
    assert_ne!(uid(&before), uid(&moved));
    let untouched = apply(&mut state, json!({"upsert": {"http_rules": [rule("r", json!({}))]}})).unwrap();
    assert!(Arc::ptr_eq(moved.backend_slots(), untouched.backend_slots()));
}

/// Who is in this zone, on this node.
#[derive(Debug)]
struct Here;

impl Tags for Here {
    fn of_rule(&self, listener: &str, rule: &HttpRule) -> Tag {
        NoTags.of_rule(listener, rule)
    }

    fn of_l4_route(&self, listener: &str, route: &str) -> Tag {
        NoTags.of_l4_route(listener, route)
    }

    fn of_backend(&self, backend: &Backend) -> Option<Tag> {
        Some(Arc::new(backend.id.clone()))
    }

    fn locality(&self) -> Locality {
        Locality { zone: "z".to_owned(), node: "n".to_owned() }
    }
}

/// The node, then the zone with it; where one of them is no smaller than what is around it, it is left out.
#[test]
fn endpoints_that_are_near() {
    let (node, zone, far) = (json!({"nodes": ["n"]}), json!({"zones": ["z"]}), json!({"zones": ["y"]}));
    let draining = json!({"zones": ["z"], "state": "draining"});
    for (places, expected) in [
        (vec![&far, &far], &[][..]),
        (vec![&zone, &far], &[1]),
        (vec![&node, &zone, &far], &[1, 2]),
        (vec![&node, &node, &far], &[2]),
        (vec![&node, &zone], &[1]),
        (vec![&node, &node], &[]),
        (vec![&zone, &zone], &[]),
        (vec![&draining, &far], &[]),
    ] {
        let endpoints: Vec<Value> =
            (1..).zip(&places).map(|(port, place)| endpoint(&port.to_string(), port, (*place).clone())).collect();
        let mut change = merged(
            site(json!([]), json!({"endpoints": endpoints})),
            json!({"version": crate::ir::VERSION, "generation": 1}),
        );
        change["upsert"]["backends"] = json!([{"id": "b"}]);
        let table = State::default().apply(serde_json::from_value(change).unwrap(), &Here).unwrap();
        let near: Vec<usize> = backend(&table, "b").unwrap().near.iter().map(|near| near.endpoints.len()).collect();
        assert_eq!(near, expected, "{places:?}");
    }
}

/// Something is kept for a backend with policies that need it, each has its seeds where it is chosen by hash, and who names a
/// policy is known as long as somebody does.
#[test]
fn what_policies_make_of_backends() {
    let hash = json!({"type": "Hash", "key": [{"type": "host"}]});
    for (policies, seeds, kept) in [
        (json!([]), 0, false),
        (json!([{"type": "backend_tls", "id": "p", "hostname": "b"}]), 0, false),
        (json!([{"type": "backend_policy", "id": "p"}]), 0, true),
        (json!([{"type": "backend_traffic", "id": "p"}]), 0, true),
        (json!([{"type": "backend_policy", "id": "p", "load_balancing": hash}]), 1, true),
    ] {
        let named: Vec<&Value> = policies.as_array().into_iter().flatten().map(|policy| &policy["id"]).collect();
        let backends = json!([{"id": "b", "policies": named}]);
        let change = merged(
            site(json!([]), json!({"backends": backends, "policies": policies})),
            json!({"version": crate::ir::VERSION, "generation": 1}),
        );
        let table = State::default().apply(serde_json::from_value(change).unwrap(), &Here).unwrap();
        let backend = backend(&table, "b").unwrap();
        assert_eq!((backend.seeds.len(), backend.kept.is_some()), (seeds, kept), "{policies}");
    }
    let mut state = BackendState::default();
    let named = |id: &str, policies: Value| serde_json::from_value(json!({"id": id, "policies": policies})).unwrap();
    state.put(named("b", json!(["p", "q"])));
    state.put(named("c", json!(["p"])));
    assert_eq!((state.named_by("p").count(), state.named_by("q").count()), (2, 1));
    state.put(named("b", json!(["q"])));
    state.remove("c");
    assert_eq!((state.named_by("p").count(), state.named_by("q").count()), (0, 1));
    assert_eq!(state.named_by.len(), 1);
}
