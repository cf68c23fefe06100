//! gRPC methods of one hostname (`GRPCMethodMatch`): more characters of the service first, then of the method, Exact
//! before an expression of the same lengths.
//!
//! Lookup cost: at most four hashes, whatever the number of routes, and every expression that ranks before what they find.

use super::RequestHead;
use super::candidate::{Bucket, Candidate, first, insert_bucket, remove_bucket};
use super::method_pattern::{MethodExpression, MethodPattern};
use crate::ir::ValueMatchKind;
use ahash::AHashMap;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
pub(super) struct MethodTable {
    /// By `/service/method`, `/service/`, `/method`, or `/` for any.
    exact: AHashMap<Arc<str>, Bucket>,
    /// By length, then as in a bucket.
    expressions: Arc<[(MethodExpression, Candidate)]>,
}

impl MethodTable {
    /// The first candidate for a path of exactly two segments; other paths are no gRPC methods.
    pub fn find(&self, head: &RequestHead<'_>) -> Option<&Candidate> {
        let path = head.path;
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        if service.is_empty() || method.is_empty() || method.contains('/') {
            return None;
        }
        let slash = service.len() + 1;
        let keys = [
            (path, (service.len(), method.len())),
            (&path[..=slash], (service.len(), 0)),
            (&path[slash..], (0, method.len())),
            ("/", (0, 0)),
        ];
        let mut expressions = &*self.expressions;
        for (key, lengths) in keys {
            while let [(expression, candidate), rest @ ..] = expressions
                && expression.lengths > lengths
            {
                expressions = rest;
                if expression.holds(service, method) && candidate.predicates.hold(head) {
                    return Some(candidate);
                }
            }
            if let Some(bucket) = self.exact.get(key)
                && let Some(candidate) = first(bucket, head)
            {
                return Some(candidate);
            }
        }
        None
    }

    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        let exact = self.exact.values().flat_map(|bucket| bucket.iter());
        exact.chain(self.expressions.iter().map(|(_, candidate)| candidate))
    }

    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.expressions.is_empty()
    }

    pub fn insert(&mut self, candidate: Candidate, pattern: MethodPattern<'_>, expression: Option<&MethodExpression>) {
        let Some(expression) = expression else {
            insert_bucket(&mut self.exact, &Arc::from(pattern.key()), candidate);
            return;
        };
        let at = self.expressions.partition_point(|(_, other)| other.rank() <= candidate.rank());
        let mut expressions = self.expressions.to_vec();
        expressions.insert(at, (expression.clone(), candidate));
        self.expressions = expressions.into();
    }

    /// Take out what a rule put in under `pattern`.
    pub fn remove(&mut self, rule: &str, kind: ValueMatchKind, pattern: MethodPattern<'_>) {
        if pattern.is_expression(kind) {
            self.expressions = self.expressions.iter().filter(|(_, other)| !other.is_of(rule)).cloned().collect();
        } else {
            remove_bucket(&mut self.exact, &pattern.key(), rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::resolve::{Decision, DecisionRequest, decide};
    use crate::table::NoTags;
    use crate::table::{State, Table};
    use serde_json::{Value, json};

    /// A rule for each match, named by its place; `a.b/c` is a service and method, `~` before it makes expressions.
    fn table(matches: &[Value], filters: &Value) -> Result<Table, String> {
        let rules: Vec<Value> = (0..)
            .zip(matches)
            .map(|(index, path)| {
                json!({"id": format!("{index}"), "route": "route",
            "index": index, "listeners": ["listener"], "matches": [{"path": path}], "grpc": true,
            "backends": [{"backend": "backend", "weight": 1}]})
            })
            .collect();
        let transaction = json!({"version": crate::ir::VERSION, "generation": 1, "full": true, "upsert": {
            "listeners": [{"id": "listener", "gateway": "default/gateway", "port": 80, "bind_port": 80,
                "protocol": "HTTP", "filters": filters}],
            "http_rules": rules,
            "backends": [{"id": "backend"}],
            "endpoints": [{"id": "endpoint", "backend": "backend", "address": "127.0.0.1", "port": 1}]}});
        let transaction = serde_json::from_value(transaction).map_err(|error| error.to_string())?;
        State::default().apply(transaction, &NoTags).map_err(|error| error.to_string())
    }

    fn ask(table: &Table, path: &str, headers: &Value) -> Decision {
        let request =
            json!({"bind_port": 80, "method": "POST", "authority": "a.test", "target": path, "headers": headers});
        decide(table, &serde_json::from_value::<DecisionRequest>(request).unwrap())
    }

    fn exact(service: Option<&str>, method: Option<&str>) -> Value {
        json!({"type": "GrpcMethod", "service": service, "method": method})
    }

    fn expression(service: Option<&str>, method: Option<&str>) -> Value {
        json!({"type": "GrpcMethod", "kind": "RegularExpression", "service": service, "method": method})
    }

    /// Against the rules in whatever order they come, and what they are when some of them go.
    #[test]
    fn the_longer_service_wins_then_the_longer_method_then_exact() {
        let paths = [
            exact(None, None),
            exact(None, Some("Get")),
            exact(Some("pkg.Shop"), None),
            exact(Some("pkg.Shop"), Some("Get")),
            expression(Some("pkg.*hop"), Some("G.t")),
            expression(Some("pkg.Longer[a-z]+"), None),
            expression(None, Some("Li.*")),
            json!({"type": "Exact", "value": "/pkg.Shop/Exact"}),
            json!({"type": "PathPrefix", "value": "/pkg.Shop"}),
            json!({"type": "RegularExpression", "value": "/pkg.Shop/.*"}),
            expression(Some("pkg.Shop"), Some("[a-z]")),
        ];
        let expected = [
            ("/pkg.Shop/Get", "3"),
            ("/pkg.Shop/Got", "4"),
            ("/pkg.xhop/Get", "4"),
            ("/pkg.Shop/Put", "2"),
            ("/pkg.Shop/x", "10"),
            ("/pkg.Shop/Exact", "7"),
            ("/other/Get", "1"),
            ("/other/List", "6"),
            ("/other/Li", "6"),
            ("/other/x", "0"),
            ("/pkg.Longername/Get", "5"),
            ("/pkg.shop/get", "0"),
            ("/pkg.Shop", "8"),
            ("/pkg.Shop/", "9"),
            ("/pkg.Shop/a/b", "9"),
        ];
        let decisions = |table: &Table| -> Vec<Option<String>> {
            expected.iter().map(|(path, _)| ask(table, path, &json!([])).rule).collect()
        };
        let found = decisions(&table(&paths, &json!([])).unwrap());
        for ((path, rule), found) in expected.iter().zip(&found) {
            assert_eq!(found.as_deref(), Some(*rule), "{path}");
        }
        for (path, rule) in [("/a", None), ("/a/b/c", None), ("/a/", None), ("/a/b", Some("0"))] {
            let only_any = table(&[expression(Some(""), None)], &json!([])).unwrap();
            assert_eq!(ask(&only_any, path, &json!([])).rule.as_deref(), rule, "{path}");
        }
        let mut state = State::default();
        let full = |rules: &[usize]| {
            let ids = rules.iter().map(ToString::to_string);
            let rules: Vec<Value> = ids
                .zip(rules)
                .map(|(id, at)| {
                    json!({"id": id, "route": "route", "index": at,
                "listeners": ["listener"], "matches": [{"path": paths[*at]}]})
                })
                .collect();
            json!({"version": crate::ir::VERSION, "generation": 1, "upsert": {"http_rules": rules, "listeners": [{"id": "listener",
                "gateway": "default/gateway", "port": 80, "bind_port": 80, "protocol": "HTTP"}]}})
        };
        let mut apply =
            |transaction: Value| state.apply(serde_json::from_value(transaction).unwrap(), &NoTags).unwrap();
        apply(full(&[10, 9, 8, 7, 6]));
        assert_eq!(decisions(&apply(full(&[0, 1, 2, 5, 4, 3]))), found, "one after the other, in another order");
        let all: Vec<String> = (1..paths.len()).map(|at| at.to_string()).collect();
        let rest = apply(json!({"version": crate::ir::VERSION, "generation": 2, "remove": {"http_rules": all}}));
        for (path, _) in &expected {
            let rule = ask(&rest, path, &json!([])).rule;
            assert!(matches!(rule.as_deref(), None | Some("0")), "{path}: {rule:?}");
        }
    }

    #[test]
    fn expressions_are_checked() {
        let error = table(&[expression(Some("a"), Some("("))], &json!([])).unwrap_err();
        assert!(error.starts_with("http_rule 0: matches[0]: "), "{error}");
        let long = "a".repeat(2000);
        assert!(table(&[expression(Some(&long), None)], &json!([])).unwrap_err().contains("1024 is the limit"));
    }

    #[test]
    fn a_listener_edits_before_the_rule_is_chosen() {
        let set = |name: &str, value: &str| json!({"type": "request_headers", "set": [{"name": name, "value": value}]});
        let filters =
            json!([set("x-tenant", "one"), set("Host", "b.test"), set(":authority", "b.test"), set("X-Tenant", "two")]);
        let table = table(&[exact(None, None)], &filters).unwrap();
        let request = ask(&table, "/a/b", &json!([["x-tenant", "none"], ["x", "y"]])).request.unwrap();
        assert_eq!(request.authority, "a.test");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(request.headers, [pair("x", "y"), pair("X-Tenant", "two")]);
        let refused = super::tests::table(&[], &json!([{"type": "rewrite", "hostname": "x"}])).unwrap_err();
        assert_eq!(refused, "listener listener: filters[0]: a listener cannot have a filter of this kind");
    }

    /// Of what has no rule, and of what has one; whether the rule answers itself or not.
    #[test]
    fn a_listener_edits_what_answers_and_answers_itself() {
        let filters = json!([
            {"type": "response_headers", "set": [{"name": "x-by", "value": "edge"}, {"name": "x-asked", "expression": "request.path"}]},
        ]);
        let edited = table(&[exact(Some("a"), Some("b"))], &filters).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let no_rule = ask(&edited, "/none", &json!([]));
        assert_eq!((no_rule.reason, no_rule.response.unwrap().headers), ("no_route", vec![pair("x-by", "edge")]));
        let failed = ask(&edited, "/a/b", &json!([]));
        assert_eq!(
            failed.response.map(|answer| answer.headers),
            (failed.outcome == "respond").then(|| vec![pair("x-by", "edge"), pair("x-asked", "/a/b")])
        );
        let filters = json!([
            filters[0],
            {"type": "respond", "status": 503, "headers": [{"name": "retry-after", "value": "9"}], "body": "away"},
        ]);
        let answering = table(&[exact(Some("a"), Some("b"))], &filters).unwrap();
        let answered = ask(&answering, "/a/b", &json!([]));
        assert_eq!((answered.reason, answered.status), ("respond", 503));
        let fields = [pair("retry-after", "9"), pair("x-by", "edge"), pair("x-asked", "/a/b")];
        assert_eq!(answered.response.unwrap().headers, fields);
        assert_eq!(ask(&answering, "/none", &json!([])).reason, "no_route");
        let error = table(&[], &json!([{"type": "response_headers", "set": [{"name": "a", "expression": "("}]}]));
        assert!(error.unwrap_err().starts_with("listener listener: headers, a: "));
    }
}
