//! What a policy has besides what it says, the same for all workers: what it counted, whom it knows by now.

use super::RateLimits;
use super::access::{KeySets, Tokens, Users};
use super::draws::Faults;
use super::external::Answers;
use super::verdicts::{Verdicts, Word};
use crate::telemetry::{self, Collector, Destination, NAME, Signal};
use route::ir::Policy;
use route::policy::{Compiled, Judge};
use route::table::Table;
use std::sync::Arc;

/// Made once for each policy. It lives as long as a generation has the policy.
#[derive(Debug)]
pub struct Running {
    pub state: State,
    /// Of this policy, and of those of its name before it.
    pub verdicts: Arc<Verdicts>,
}

/// What it knows.
#[derive(Debug)]
pub enum State {
    /// Nothing: it judges by what is before it.
    Stateless,
    /// It cannot run: what it holds for is refused.
    Unusable,
    Users(Arc<Users>),
    Tokens(Arc<Tokens>),
    RateLimits(RateLimits),
    Faults(Arc<Faults>),
    /// What a service has said.
    Answers(Arc<Answers>),
    /// Who takes spans.
    Tracing(Arc<Collector>),
    /// Who takes lines of the log.
    Logs(Arc<Destination>),
}

impl Running {
    /// `before`: of the same policy as it was, to take over what is still right; `sets`: of keys that are fetched.
    pub fn of(policy: &Compiled, before: Option<&Self>, sets: &KeySets) -> Self {
        let verdicts = before.map(|before| Arc::clone(&before.verdicts)).unwrap_or_default();
        let state = State::of(policy, before.map(|before| &before.state), sets);
        Self { state, verdicts }
    }

    /// Count what a policy has said.
    pub fn count(policy: &Compiled, word: impl Into<Word>) {
        if let Some(running) = policy.kept.get::<Self>() {
            running.verdicts.count(word.into());
        }
    }

    pub fn is_unusable(policy: &Compiled) -> bool {
        !matches!(policy.kept.get::<Self>(), Some(running) if !matches!(running.state, State::Unusable))
    }
}

impl State {
    /// Of a policy that runs.
    pub fn of_policy(policy: &Compiled) -> Option<&Self> {
        policy.kept.get::<Running>().map(|running| &running.state)
    }

    fn of(policy: &Compiled, before: Option<&Self>, sets: &KeySets) -> Self {
        match (&policy.ir, &policy.judge) {
            (Policy::RateLimits(ir), Judge::RateLimits(compiled)) => {
                let before = before.and_then(|before| match before {
                    Self::RateLimits(limits) => Some(limits),
                    _ => None,
                });
                Self::RateLimits(RateLimits::new(ir, compiled, before))
            }
            (_, Judge::Fault(_)) => Self::Faults(match before {
                Some(Self::Faults(faults)) => Arc::clone(faults),
                _ => Arc::default(),
            }),
            (Policy::AccessBasic(basic), _) if !basic.off && !basic.invalid => {
                let file = policy.secrets.first().map_or("", |secret| secret.data.as_str());
                Users::compile(file).map_or(Self::Unusable, |users| Self::Users(Arc::new(users)))
            }
            (Policy::AccessJwt(jwt), _) if !jwt.off && !jwt.invalid => {
                Tokens::compile(jwt, sets).map_or(Self::Unusable, |tokens| Self::Tokens(Arc::new(tokens)))
            }
            (Policy::AccessExternal(external), Judge::External(_)) => {
                let answers = external.cache.as_ref().map(|cache| Self::Answers(Arc::new(Answers::new(cache))));
                answers.unwrap_or(Self::Stateless)
            }
            (Policy::TelemetryTracing(_), _) => {
                let before = before.and_then(|before| match before {
                    Self::Tracing(collector) => Some(&**collector),
                    _ => None,
                });
                Collector::of(policy, before).map_or(Self::Stateless, |collector| Self::Tracing(Arc::new(collector)))
            }
            (Policy::ClientAccessLog(log), _) => {
                let before = before.and_then(Self::destination);
                let to = log.collector.as_ref().map(|to| (Signal::Logs, to));
                let found = to.and_then(|to| Destination::of(policy, to, NAME, before.map(|before| &**before)));
                found.map_or(Self::Stateless, |found| Self::Logs(Arc::new(found)))
            }
            _ => Self::Stateless,
        }
    }

    /// Where its telemetry goes.
    pub fn destination(&self) -> Option<&Arc<Destination>> {
        match self {
            Self::Tracing(collector) => Some(&collector.destination),
            Self::Logs(destination) => Some(destination),
            _ => None,
        }
    }
}

/// Write what became of spans and log records, for Prometheus.
pub fn render_telemetry(table: &Table, text: &mut String) {
    let of = |policy| State::of_policy(policy).and_then(State::destination);
    let all: Vec<_> = table.policies.iter().filter_map(|(id, policy)| Some((&**id, of(policy)?))).collect();
    for signal in [Signal::Traces, Signal::Logs] {
        let own = all.iter().filter(|(_, to)| to.signal == signal);
        telemetry::render(signal, own.map(|(id, to)| (*id, &*to.figures)), text);
    }
}

#[cfg(test)]
mod tests {
    use super::{Running, State};
    use crate::policy::samples::{
        FACTS, KEYS, USERS, api_key, basic, chain, counts, fault, one_a_day, policy, table, table_after, unprepared,
    };
    use crate::policy::verdicts::Word;
    use crate::policy::{Admission, Held};
    use route::policy::Passage;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn with(mut policy: Value, more: &Value) -> Value {
        policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        policy
    }

    /// What cannot run says so; what is off, or invalid anyway, has nothing that could be wrong.
    #[test]
    fn what_each_kind_knows() {
        let token = |keys: &str| {
            let provider = json!({"name": "one", "issuer": "i", "audiences": ["*"], "keys": keys});
            let from = json!([{"type": "header", "name": "authorization"}]);
            json!({"type": "access_jwt", "id": "AccessPolicy/a/p/jwt", "providers": [provider], "from": from})
        };
        let service = json!({"protocol": "http", "backend": "b", "timeout_ms": 1});
        let external = json!({"type": "access_external", "id": "AccessPolicy/a/p/external", "service": service});
        let log = json!({"type": "client_access_log", "id": "ClientPolicy/a/p/accessLog"});
        let collector = json!({"backend": "b", "protocol": "http", "service": "otel.a.svc"});
        for (policy, secret, expected) in [
            (api_key(), KEYS, "stateless"),
            (basic(), USERS, "users"),
            (basic(), "no line of a file of users", "unusable"),
            (with(basic(), &json!({"off": true})), "no line", "stateless"),
            (with(basic(), &json!({"invalid": true})), "no line", "stateless"),
            (token("no keys"), "", "unusable"),
            (with(token("no keys"), &json!({"off": true})), "", "stateless"),
            (one_a_day(), "", "limits"),
            (fault(None, true), "", "faults"),
            (external, "", "stateless"),
            (log.clone(), "", "stateless"),
            (with(log, &json!({"collector": collector})), "", "logs"),
        ] {
            let table = table(&json!([policy]), secret);
            let (_, policy) = table.policies.iter().next().unwrap();
            let found = match State::of_policy(policy).unwrap() {
                State::Stateless => "stateless",
                State::Unusable => "unusable",
                State::Users(_) => "users",
                State::Tokens(_) => "tokens",
                State::RateLimits(_) => "limits",
                State::Faults(_) => "faults",
                State::Answers(_) => "answers",
                State::Tracing(_) => "tracing",
                State::Logs(_) => "logs",
            };
            assert_eq!(found, expected, "{:?} {secret}", policy.ir);
            assert_eq!(Running::is_unusable(policy), expected == "unusable", "{:?}", policy.ir);
        }
        // Nobody has made it run.
        let table = unprepared(&json!([api_key()]), KEYS);
        assert!(Running::is_unusable(policy(&table, "AccessPolicy/a/p/apiKey")));
    }

    /// A policy of the same name goes on from where it was, whatever it says now; one of another name begins anew.
    #[test]
    fn what_outlives_a_change() {
        let id = "RateLimitPolicy/a/p/local";
        let before = table(&json!([one_a_day(), fault(None, true)]), "");
        let passes = |table| {
            let said = chain(table).run(0, &FACTS, &mut Passage::default(), &mut Held::new());
            matches!(said, Admission::Admitted)
        };
        assert!(!passes(&before), "the fault refuses it, behind the limit");
        let changed = with(one_a_day(), &json!({"status": 430}));
        let after = table_after(&before, &json!([changed, with(fault(None, false), &json!({"when": "true"}))]), "");
        assert_eq!(counts(&after, id), [1, 0, 0]);
        assert!(!passes(&after), "nothing is left of the day");
        assert_eq!(counts(&after, id), [1, 1, 0]);
        let hits = |table| match State::of_policy(policy(table, "rule/fault")).unwrap() {
            State::Faults(faults) => Arc::clone(faults),
            other => panic!("{other:?}"),
        };
        assert!(Arc::ptr_eq(&hits(&before), &hits(&after)));
        // A word that comes late, of a request that still has the table before, counts.
        Running::count(policy(&before, id), Word::Unavailable);
        assert_eq!(counts(&after, id), [1, 1, 1]);
        let other = with(one_a_day(), &json!({"id": "RateLimitPolicy/a/q/local"}));
        let after = table_after(&before, &json!([other]), "");
        assert_eq!(counts(&after, "RateLimitPolicy/a/q/local"), [0, 0, 0]);
        assert!(passes(&after));
    }
}
