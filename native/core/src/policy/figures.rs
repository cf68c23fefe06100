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

#[cfg(test)]
mod tests {
    use super::{render_faults, render_verdicts};
    use crate::policy::Running;
    use crate::policy::samples::{FACTS, chain, fault, one_a_day, policy, table};
    use crate::policy::verdicts::Word;
    use crate::policy::{Admission, Held};
    use route::policy::Passage;
    use route::table::Table;
    use serde_json::json;

    fn series(render: fn(&Table, &mut String), table: &Table) -> Vec<String> {
        let mut text = String::new();
        render(table, &mut text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    /// One series for each word that was said, named as the operator wrote the policy, in an order that stays.
    #[test]
    fn verdicts_of_policies() {
        let of = |name: &str| json!({"type": "client_body", "id": format!("ClientPolicy/a/{name}/body")});
        let table = table(&json!([of("p"), one_a_day(), of("b")]), "");
        assert_eq!(series(render_verdicts, &table), [""; 0]);
        for (id, word, times) in [
            ("ClientPolicy/a/p/body", Word::Deny, 2),
            ("ClientPolicy/a/b/body", Word::Unavailable, 1),
            ("ClientPolicy/a/p/body", Word::Pass, 3),
            ("RateLimitPolicy/a/p/local", Word::Deny, 1),
        ] {
            (0..times).for_each(|_| Running::count(policy(&table, id), word));
        }
        let expected = [
            r#"{policy="ClientPolicy/a/b",part="body",verdict="unavailable"} 1"#,
            r#"{policy="ClientPolicy/a/p",part="body",verdict="pass"} 3"#,
            r#"{policy="ClientPolicy/a/p",part="body",verdict="deny"} 2"#,
            r#"{policy="RateLimitPolicy/a/p",part="local",verdict="deny"} 1"#,
        ];
        assert_eq!(
            series(render_verdicts, &table),
            expected.map(|line| format!("sluicegate_policy_verdicts_total{line}"))
        );
    }

    /// Those that hit nothing are there, so that a filter that does nothing is seen.
    #[test]
    fn faults_of_rules() {
        let table = table(&json!([fault(None, true), one_a_day()]), "");
        let expected = |hits: u32| {
            [("delay", 0), ("abort", hits)]
                .map(|(kind, hits)| format!(r#"sluicegate_faults_total{{rule="rule",fault="{kind}"}} {hits}"#))
        };
        assert_eq!(series(render_faults, &table), expected(0));
        let said = chain(&table).run(0, &FACTS, &mut Passage::default(), &mut Held::new());
        assert!(matches!(said, Admission::Denied(_)));
        assert_eq!(series(render_faults, &table), expected(1));
    }
}
