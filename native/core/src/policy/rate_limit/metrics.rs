//! What limits refused, for Prometheus. Names come from the configuration, so the number of series does too.

use super::PLACES;
use super::step::limits_of;
use crate::observe::counter::header;
use route::table::Table;
use std::fmt::Write;

/// Write the figures of the limits of a table.
pub fn render(table: &Table, text: &mut String) {
    let mut policies: Vec<_> = table.policies.values().filter_map(|policy| limits_of(policy)).collect();
    policies.sort_by(|(_, one), (_, two)| one.policy.cmp(&two.policy));
    header(
        text,
        "rate_limited_total",
        "counter",
        "Requests, connections and datagrams that a limit refused, or would have.",
    );
    for (policy, limit, mode, count) in policies.iter().flat_map(|(_, limits)| limits.refused()) {
        let labels = format!("policy=\"{policy}\",limit=\"{limit}\",mode=\"{mode}\"");
        let _ = writeln!(text, "sluicegate_rate_limited_total{{{labels}}} {count}");
    }
    header(
        text,
        "rate_limit_expression_faults_total",
        "counter",
        "Requests for which an expression of a limit came to nothing that it can use.",
    );
    for (policy, limit, reason, count) in policies.iter().flat_map(|(compiled, limits)| limits.faults(compiled)) {
        let labels = format!("policy=\"{policy}\",limit=\"{limit}\",reason=\"{reason}\"");
        let _ = writeln!(text, "sluicegate_rate_limit_expression_faults_total{{{labels}}} {count}");
    }
    header(text, "rate_limit_keys", "gauge", "Clients, values and the like that have a budget of their own.");
    let _ = writeln!(text, "sluicegate_rate_limit_keys {}", PLACES.taken());
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::policy::Held;
    use crate::policy::samples::{FACTS, chain, table};
    use route::policy::Passage;
    use serde_json::json;

    /// What a request makes of a limit that the operator did not think of: each is counted by what became of it.
    #[test]
    fn what_expressions_came_to() {
        let limit = |name: &str, rest: serde_json::Value| {
            let mut limit = json!({"name": name, "requests": 20, "per_milliseconds": 86_400_000, "burst": 20});
            limit.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            limit
        };
        let key = json!([{"type": "cel", "expression": "request.headers['x'][0]"}]);
        let limits = json!([
            limit("plain", json!({})),
            limit("negative", json!({"cost": "size(request.path) - 50"})),
            limit(
                "failing",
                json!({"cost": "int(request.method)", "when": "request.headers['x'][0] == '1'", "key": key})
            ),
        ]);
        let policies = json!([{"type": "rate_limits", "id": "RateLimitPolicy/a/p/local", "limits": limits}]);
        let table = table(&policies, "");
        for _ in 0..2 {
            chain(&table).run(0, &FACTS, &mut Passage::default(), &mut Held::new());
        }
        let mut text = String::new();
        render(&table, &mut text);
        let name = "sluicegate_rate_limit_expression_faults_total";
        let found: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
        let series = |limit: &str, reason: &str, count: u64| {
            format!("{name}{{policy=\"RateLimitPolicy/a/p\",limit=\"{limit}\",reason=\"{reason}\"}} {count}")
        };
        let expected = [
            series("negative", "cost_failed", 0),
            series("negative", "cost_negative", 2),
            series("negative", "cost_above_burst", 0),
            series("failing", "when_failed", 2),
            series("failing", "key_failed", 2),
            series("failing", "cost_failed", 2),
            series("failing", "cost_negative", 0),
            series("failing", "cost_above_burst", 0),
        ];
        assert_eq!(found, expected);
    }

    /// A series for each limit of each policy, named as the operator wrote it and in an order that stays, also where nothing was
    /// refused yet; one that only counts says that it does.
    #[test]
    fn what_limits_refused() {
        let limit = |name: &str, requests: u32, shadow: bool| json!({"name": name, "requests": requests, "per_milliseconds": 86_400_000, "burst": requests, "shadow": shadow});
        let local = json!({"type": "rate_limits", "id": "RateLimitPolicy/a/p/local",
            "limits": [limit("two", 2, false), limit("one", 1, true), limit("many", 99, false)]});
        let body = json!({"type": "client_body", "id": "ClientPolicy/a/p/body"});
        let table = table(&json!([body, local]), "");
        for asked in [0_u64, 3] {
            for _ in 0..asked {
                chain(&table).run(0, &FACTS, &mut Passage::default(), &mut Held::new());
            }
            let mut text = String::new();
            render(&table, &mut text);
            let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let series = |limit: &str, mode: &str, count: u64| {
                let labels = format!("policy=\"RateLimitPolicy/a/p\",limit=\"{limit}\",mode=\"{mode}\"");
                format!("sluicegate_rate_limited_total{{{labels}}} {count}")
            };
            let (refused, shadow) = if asked == 0 { (0, 0) } else { (1, 1) };
            let expected =
                [series("two", "Enforce", refused), series("one", "Shadow", shadow), series("many", "Enforce", 0)];
            assert_eq!(lines[..3], expected, "{asked}");
            // Of the process: how many there are depends on who else counts.
            let keys = lines[3].strip_prefix("sluicegate_rate_limit_keys ").unwrap();
            assert!(lines.len() == 4 && keys.parse::<u64>().is_ok(), "{lines:?}");
        }
    }
}
