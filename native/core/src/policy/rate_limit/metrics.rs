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
    header(text, "rate_limit_keys", "gauge", "Clients, values and the like that have a budget of their own.");
    let _ = writeln!(text, "sluicegate_rate_limit_keys {}", PLACES.taken());
}
