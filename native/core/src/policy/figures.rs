//! What policies have said and done so far, for Prometheus. Names come from the configuration, so the number of series does too.

use super::Running;
use super::faults::faults_of;
use crate::observe::counter::header;
use route::policy::Compiled;
use route::table::Table;
use std::fmt::Write;

/// Write the figures of the policies of a table; each series begins with its first verdict.
pub fn render_verdicts(table: &Table, text: &mut String) {
    let of = |policy: &'_ Compiled| Some((policy.ir.stanza()?, policy.kept.get::<Running>()?.verdicts.all()));
    let mut all: Vec<_> = table.policies.iter().filter_map(|(id, policy)| Some((&**id, of(policy)?))).collect();
    all.sort_by_key(|(id, _)| *id);
    header(text, "policy_verdicts_total", "counter", "What the parts of policies said of requests and connections.");
    for (id, (stanza, counts)) in all {
        let policy = id.strip_suffix(stanza.name).and_then(|id| id.strip_suffix('/')).unwrap_or(id);
        for (verdict, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let labels = format!("policy=\"{policy}\",part=\"{}\",verdict=\"{verdict}\"", stanza.name);
            let _ = writeln!(text, "sluicegate_policy_verdicts_total{{{labels}}} {count}");
        }
    }
}

/// Write how many requests were held up and refused, of each filter.
pub fn render_faults(table: &Table, text: &mut String) {
    let mut all: Vec<_> = table.policies.iter().filter_map(|(id, policy)| Some((id, faults_of(policy)?.1))).collect();
    all.sort_by_key(|(id, _)| *id);
    header(text, "faults_total", "counter", "Requests that a filter held up or refused on purpose.");
    for (id, faults) in all {
        let rule = id.strip_suffix("/fault").unwrap_or(id);
        for (kind, hits) in faults.hits() {
            let _ = writeln!(text, "sluicegate_faults_total{{rule=\"{rule}\",fault=\"{kind}\"}} {hits}");
        }
    }
}
