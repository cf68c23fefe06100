//! What holds for the requests of a rule at a listener: the policies that both name, joined by stanza.
//!
//! A listener names what holds for its Gateway, its `ListenerSet` and itself, a rule what holds for its route and itself; each
//! is merged already (`translate/policies/effective.py`, which says the rules). What is left is one step of the same merge.

use crate::ir::{Percentage, Policy, PolicyPlace, Stanza, TraceFormat};
use crate::policy::{Compiled, Kept, Level, OwnedFields};
use ahash::AHashMap;
use std::sync::Arc;

/// The policies of a rule at a listener, or of a listener by itself, in the order in which they act.
#[derive(Debug)]
pub struct Joined {
    pub policies: Vec<Arc<Compiled>>,
    /// Of each of them, how high it stands here.
    pub levels: Vec<Level>,
    /// How many of them, the first ones, act before a rule is looked for.
    pub preceding: usize,
    /// One of them cannot be honoured: what they hold for is refused.
    pub invalid: bool,
    pub traces: Traces,
    /// What the owner of the table makes of it.
    pub kept: Kept,
}

/// What they say of traces, where there are any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traces {
    /// Which requests have spans, in place of what the policy of traces says.
    pub sampling: Option<Percentage>,
    pub formats: Formats,
}

/// How backends are told of a trace besides by `traceparent`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Formats {
    /// By the one field of B3.
    pub b3: bool,
    /// By its several fields.
    pub b3_multi: bool,
}

impl Traces {
    fn of(policies: &[Arc<Compiled>]) -> Self {
        let mut traces = Self::default();
        for policy in policies.iter().filter(|policy| !policy.is_invalid()) {
            match &policy.ir {
                Policy::FilterTelemetry(filter) => traces.sampling = Some(filter.sampling),
                Policy::ClientTracing(client) => {
                    let has = |format| client.propagation.contains(&format);
                    traces.formats = Formats { b3: has(TraceFormat::B3), b3_multi: has(TraceFormat::B3Multi) };
                }
                _ => {}
            }
        }
        traces
    }
}

impl Joined {
    /// `place`: what the policies are to hold for; those that mean nothing there are left out.
    fn of(listener: &[Arc<Compiled>], rule: &[Arc<Compiled>], place: PolicyPlace) -> Option<Arc<Self>> {
        let policies: Vec<_> =
            join(listener, rule).into_iter().filter(|policy| policy.ir.holds_below(place)).cloned().collect();
        let invalid = policies.iter().any(|policy| policy.is_invalid());
        let level = |policy: &Arc<Compiled>| {
            let place = listener.iter().position(|it| Arc::ptr_eq(it, policy));
            let object = || listener.iter().position(|it| it.object() == policy.object());
            let overrides = place.is_some() && policy.ir.stanza().is_some_and(|stanza| stanza.overrides);
            Level { place, overriding: overrides.then(object).flatten() }
        };
        let mut all: Vec<_> = policies.into_iter().map(|policy| (level(&policy), policy)).collect();
        let precedes = |(level, policy): &(Level, Arc<Compiled>)| {
            level.place.is_some() && policy.ir.precedes_rules(level.overriding.is_some())
        };
        // Where nobody is asked then, all of them act once the rule is known.
        let asks = all.iter().any(|each| precedes(each) && matches!(each.1.ir, Policy::ExternalAuth(_)));
        let preceding = if asks { all.iter().filter(|each| precedes(each)).count() } else { 0 };
        if asks {
            all.sort_by_key(|each| !precedes(each));
        }
        let (levels, policies): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        let traces = Traces::of(&policies);
        let kept = Kept::default();
        (!policies.is_empty()).then(|| Arc::new(Self { policies, levels, preceding, invalid, traces, kept }))
    }

    /// Fields that those may set who are asked before a rule is looked for.
    pub fn owned_before(&self) -> OwnedFields {
        OwnedFields::of(self.policies.iter().take(self.preceding))
    }

    /// Fields that policies may set once the rule is known; what was said before stays unless one of these may say it.
    pub fn owned_behind(&self) -> OwnedFields {
        let all = self.policies.iter().enumerate();
        let behind =
            all.filter(|(place, policy)| *place >= self.preceding || !matches!(policy.ir, Policy::ExternalAuth(_)));
        OwnedFields::of(behind.map(|(_, policy)| policy))
    }

    /// Both are made of the very same policies.
    fn is_same(&self, other: &Self) -> bool {
        self.policies.len() == other.policies.len()
            && self.levels == other.levels
            && self.policies.iter().zip(&other.policies).all(|(one, two)| Arc::ptr_eq(one, two))
    }
}

/// Join what a listener and a rule name. A stanza of the rule replaces the listener's, whole; one of the listener that
/// overrides holds in its place; of one that can only be tightened both do. What is off then is gone.
fn join<'p>(listener: &'p [Arc<Compiled>], rule: &'p [Arc<Compiled>]) -> Vec<&'p Arc<Compiled>> {
    let mut joined: Vec<&Arc<Compiled>> = Vec::with_capacity(listener.len() + rule.len());
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for stanza in listener.iter().chain(rule).filter_map(|policy| policy.ir.stanza()) {
        if !seen.contains(&key(stanza)) {
            seen.push(key(stanza));
            let of = |named: &'p [Arc<Compiled>]| of_stanza(named, stanza);
            joined.extend(join_stanza(stanza.tightens, of(listener), of(rule)));
        }
    }
    joined.sort_by_key(|policy| policy.ir.rank());
    joined
}

/// A policy with what it says of merging.
type Named<'p> = (&'p Arc<Compiled>, Stanza);

fn key(stanza: Stanza) -> (&'static str, &'static str) {
    (stanza.kind, stanza.name)
}

fn of_stanza(named: &[Arc<Compiled>], wanted: Stanza) -> Vec<Named<'_>> {
    let all = named.iter().filter_map(|policy| policy.ir.stanza().map(|stanza| (policy, stanza)));
    all.filter(|(_, stanza)| key(*stanza) == key(wanted)).collect()
}

/// One stanza: at most one policy of the rule, and of the listener more than one only where it tightens.
fn join_stanza<'p>(tightens: bool, listener: Vec<Named<'p>>, rule: Vec<Named<'p>>) -> Vec<&'p Arc<Compiled>> {
    let (overriding, defaults): (Vec<_>, Vec<_>) = listener.into_iter().partition(|(_, stanza)| stanza.overrides);
    let lower = if rule.is_empty() { defaults } else { rule };
    let holding: Vec<Named<'p>> = match overriding.first() {
        None => lower,
        Some(_) if tightens => overriding.into_iter().chain(lower).collect(),
        Some(first) => vec![*first],
    };
    let mut found: Vec<&Arc<Compiled>> = Vec::with_capacity(holding.len());
    for (policy, _) in holding.into_iter().filter(|(_, stanza)| !stanza.off) {
        if !found.iter().any(|other| other.ir.id() == policy.ir.id()) {
            found.push(policy);
        }
    }
    found
}

/// Of a list of policies that rules name; 0 is the empty one.
pub type ListNumber = u64;

/// What holds at one listener: for itself, and for the rules attached to it by the list that they name.
#[derive(Debug, Clone, Default)]
pub struct Joins {
    own: Option<Arc<Joined>>,
    /// For rules that name nothing.
    inherited: Option<Arc<Joined>>,
    lists: AHashMap<ListNumber, Arc<Joined>>,
    /// Who traces what comes to the listener: no stanza, so nothing is merged with it.
    tracing: Option<Arc<Compiled>>,
}

impl Joins {
    /// Of the listener by itself.
    pub fn own(&self) -> Option<&Arc<Joined>> {
        self.own.as_ref()
    }

    /// Who traces what comes to it; nothing where nothing is traced.
    pub fn tracing(&self) -> Option<&Arc<Compiled>> {
        self.tracing.as_ref()
    }

    /// Of a rule that names this list.
    pub fn of(&self, list: ListNumber) -> Option<&Arc<Joined>> {
        if list == 0 { self.inherited.as_ref() } else { self.lists.get(&list) }
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Joined>> {
        self.own.iter().chain(&self.inherited).chain(self.lists.values())
    }

    /// Join anew for the listener itself and rules that name nothing. What is as before stays the very same.
    pub(super) fn put_own(&mut self, listener: &[Arc<Compiled>], rules: PolicyPlace) {
        let traces =
            |policy: &&Arc<Compiled>| matches!(&policy.ir, Policy::TelemetryTracing(it) if it.collector.is_some());
        self.tracing = listener.iter().find(traces).cloned();
        self.own = renewed(self.own.take(), Joined::of(listener, &[], PolicyPlace::Listener));
        self.inherited = renewed(self.inherited.take(), Joined::of(listener, &[], rules));
    }

    /// As [`Self::put_own`], for rules that name a list.
    pub(super) fn put(
        &mut self,
        list: ListNumber,
        listener: &[Arc<Compiled>],
        rule: &[Arc<Compiled>],
        rules: PolicyPlace,
    ) {
        if let Some(joined) = renewed(self.lists.remove(&list), Joined::of(listener, rule, rules)) {
            self.lists.insert(list, joined);
        }
    }

    pub(super) fn drop_list(&mut self, list: ListNumber) {
        self.lists.remove(&list);
    }
}

fn renewed(before: Option<Arc<Joined>>, now: Option<Arc<Joined>>) -> Option<Arc<Joined>> {
    match (before, now) {
        (Some(before), Some(now)) if before.is_same(&now) => Some(before),
        (_, now) => now,
    }
}

#[cfg(test)]
mod tests {
    use super::{Compiled, Formats, Joined, Joins, Traces};
    use crate::ir::{ClientBody, Percentage, Policy, PolicyPlace};
    use std::sync::Arc;

    fn body(id: &str, overrides: bool, off: bool) -> Arc<Compiled> {
        let ir = ClientBody { id: id.to_owned(), overrides, off, invalid: false, max_bytes: 1, timeout_ms: 0 };
        Arc::new(Compiled::of(Policy::ClientBody(Arc::new(ir)), Vec::new(), Vec::new()))
    }

    fn joined(listener: &[Arc<Compiled>], rule: &[Arc<Compiled>]) -> Vec<String> {
        let joined = Joined::of(listener, rule, PolicyPlace::HttpRule);
        joined.iter().flat_map(|joined| &joined.policies).map(|policy| policy.ir.id().to_owned()).collect()
    }

    #[test]
    fn the_rule_replaces_the_listener_unless_that_overrides() {
        let (above, below) = (body("above", false, false), body("below", false, false));
        let (over, over_off, off) = (body("over", true, false), body("over-off", true, true), body("off", false, true));
        let cases: [(&[&Arc<Compiled>], &[&Arc<Compiled>], &[&str]); 8] = [
            (&[], &[], &[]),
            (&[&above], &[], &["above"]),
            (&[], &[&below], &["below"]),
            (&[&above], &[&below], &["below"]),
            (&[&over], &[&below], &["over"]),
            (&[&above], &[&off], &[]),
            (&[&over_off], &[&below], &[]),
            (&[&off], &[&below], &["below"]),
        ];
        for (listener, rule, expected) in cases {
            let named =
                |named: &[&Arc<Compiled>]| -> Vec<_> { named.iter().map(|&policy| Arc::clone(policy)).collect() };
            assert_eq!(joined(&named(listener), &named(rule)), expected, "{listener:?} {rule:?}");
        }
        assert_eq!(joined(&[Arc::clone(&above)], &[Arc::clone(&above)]), ["above"]);
    }

    /// A rule's share stands in place of its listener's; how backends are told is the listener's alone.
    #[test]
    fn what_is_said_of_traces() {
        let compiled = |json: serde_json::Value| {
            Arc::new(Compiled::of(serde_json::from_value(json).unwrap(), Vec::new(), Vec::new()))
        };
        let share = |id: &str, numerator: u32| {
            let sampling = serde_json::json!({"numerator": numerator, "denominator": 100});
            compiled(serde_json::json!({"type": "filter_telemetry", "id": id, "sampling": sampling}))
        };
        let told = |json: serde_json::Value| {
            let id = "ClientPolicy/a/p/tracing";
            compiled(serde_json::json!({"type": "client_tracing", "id": id, "propagation": json}))
        };
        let none = Traces::default();
        for (listener, rule, own, of_rule) in [
            (vec![], vec![], none, none),
            (vec![share("l", 1)], vec![], (Some(1), false, false).into(), (Some(1), false, false).into()),
            (vec![share("l", 1)], vec![share("r", 2)], (Some(1), false, false).into(), (Some(2), false, false).into()),
            (
                vec![told(serde_json::json!(["B3", "B3Multi"]))],
                vec![share("r", 0)],
                (None, true, true).into(),
                (Some(0), true, true).into(),
            ),
            (
                vec![told(serde_json::json!(["B3Multi"]))],
                vec![],
                (None, false, true).into(),
                (None, false, true).into(),
            ),
        ] {
            let traces =
                |rule: &[Arc<Compiled>], place| Joined::of(&listener, rule, place).map_or(none, |joined| joined.traces);
            assert_eq!(traces(&[], PolicyPlace::Listener), own, "{listener:?}");
            assert_eq!(traces(&rule, PolicyPlace::HttpRule), of_rule, "{listener:?} {rule:?}");
        }
    }

    impl From<(Option<u32>, bool, bool)> for Traces {
        fn from((share, b3, b3_multi): (Option<u32>, bool, bool)) -> Self {
            let sampling = share.map(|numerator| Percentage { numerator, denominator: 100 });
            Self { sampling, formats: Formats { b3, b3_multi } }
        }
    }

    #[test]
    fn what_did_not_change_stays_the_very_same() {
        let (above, below) = (body("above", false, false), body("below", false, false));
        let mut joins = Joins::default();
        for _ in 0..2 {
            let before = joins.clone();
            joins.put_own(&[Arc::clone(&above)], PolicyPlace::HttpRule);
            joins.put(1, &[Arc::clone(&above)], &[Arc::clone(&below)], PolicyPlace::HttpRule);
            for list in [0, 1] {
                let (Some(before), Some(now)) = (before.of(list), joins.of(list)) else { continue };
                assert!(Arc::ptr_eq(before, now), "{list}");
            }
        }
        let before = joins.clone();
        joins.put(1, &[], &[body("below", false, false)], PolicyPlace::HttpRule);
        assert!(!Arc::ptr_eq(before.of(1).unwrap(), joins.of(1).unwrap()));
        joins.drop_list(1);
        assert!(joins.of(1).is_none());
    }
}
