//! What policies have said so far, for Prometheus. Names come from the configuration, so the number of series does too.

use super::{Outcome, Running};
use crate::error::ErrorCode;
use crate::observe::counter::header;
use route::policy::Compiled;
use route::table::Table;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What it is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Pass,
    Deny,
    /// Nobody could say.
    Unavailable,
}

/// Of one stanza, since it is there.
#[derive(Debug, Default)]
pub struct Verdicts {
    pass: AtomicU64,
    deny: AtomicU64,
    unavailable: AtomicU64,
}

impl From<&Outcome> for Word {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Deny(denial) => match denial.code {
                ErrorCode::AuthUnavailable | ErrorCode::AuthBusy | ErrorCode::KeysUnavailable => Self::Unavailable,
                _ => Self::Deny,
            },
        }
    }
}

impl Verdicts {
    fn of(&self, word: Word) -> &AtomicU64 {
        match word {
            Word::Pass => &self.pass,
            Word::Deny => &self.deny,
            Word::Unavailable => &self.unavailable,
        }
    }

    fn all(&self) -> [(&'static str, u64); 3] {
        [("pass", &self.pass), ("deny", &self.deny), ("unavailable", &self.unavailable)]
            .map(|(word, count)| (word, count.load(Relaxed)))
    }
}

/// Count what a policy has said.
pub fn count(policy: &Compiled, word: impl Into<Word>) {
    if let Some(running) = policy.kept.get::<Running>() {
        running.verdicts.of(word.into()).fetch_add(1, Relaxed);
    }
}

/// Write the figures of the policies of a table; each series begins with its first verdict.
pub fn render(table: &Table, text: &mut String) {
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
