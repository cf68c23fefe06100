//! One limit with its budgets.

use super::gcra::{Exceeded, Rate, SharedRate, Standing};
use super::key::{Key, KeyHasher, KeySecret};
use super::table::{self, Table};
use super::under_way::{Slot, UnderWay};
use super::{PLACES, Subject, Turn, told};
use route::ir::{self, RateLimitKey, RateLimitScope};
use route::policy::{ExpressionFault, RateLimit, named_claim};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// A limit.
#[derive(Debug)]
pub struct Limit {
    ir: ir::RateLimit,
    rate: SharedRate,
    /// How much may be under way at once in this pod.
    most: AtomicU32,
    /// In `RateLimit-Policy`.
    described: String,
    budgets: Arc<Budgets>,
}

/// What outlives a generation.
#[derive(Debug)]
pub struct Budgets {
    buckets: Buckets,
    /// What it refused, or would have in the mode Shadow.
    refused: AtomicU64,
    /// Requests for which an expression came to nothing that can be used, in the order of [`ExpressionFault::ALL`].
    faults: [AtomicU64; ExpressionFault::ALL.len()],
    /// How often something was given back, of whatever key.
    given_back: AtomicU64,
}

#[derive(Debug)]
enum Buckets {
    Common(AtomicU64),
    Keyed(KeySecret, Table),
    UnderWay(KeySecret, Arc<UnderWay>),
}

/// Where the budget of one subject is.
#[derive(Debug, Clone, Copy)]
pub enum Budget<'l> {
    Common(&'l AtomicU64),
    Own(&'l Table, Key),
    UnderWay(&'l Arc<UnderWay>, Key, u32),
}

/// What was taken.
#[derive(Debug)]
pub enum Taken {
    /// It comes back by itself.
    Spent(Standing),
    /// It is given back by dropping it.
    Held(Slot),
}

/// Whether a limit is asked then.
pub fn has_turn(limit: &RateLimit, turn: Turn) -> bool {
    match turn {
        Turn::BeforeAuthentication => !limit.asks_identity(),
        Turn::BehindAuthentication => limit.asks_identity(),
        Turn::Connection => limit.holds_for_connections(),
    }
}

impl Limit {
    /// `known`: those of the policy as it was.
    pub fn new(limit: &RateLimit, max_keys: NonZeroU32, known: &[Self]) -> Self {
        let ir = limit.ir.clone();
        let same = known.iter().find(|other| other.keeps_budgets_of(&ir));
        let budgets = same.map_or_else(|| Arc::new(Budgets::new(&ir, max_keys)), |same| Arc::clone(&same.budgets));
        Self {
            rate: SharedRate::new(rate(&ir, NonZeroU32::MIN)),
            most: AtomicU32::new(ir.requests.get()),
            described: told::described(&ir),
            ir,
            budgets,
        }
    }

    /// So many pods share it from now on.
    pub fn share(&self, pods: NonZeroU32) {
        if !self.ir.each_pod {
            self.rate.set(rate(&self.ir, pods));
            // A pod that could let nothing through would take a request away for good.
            self.most.store((self.ir.requests.get() / pods).max(1), Relaxed);
        }
    }

    /// A debt is a time, so it means the same where the budget is shared by other pods, or is no longer only a shadow. What is
    /// under way is, whatever may be.
    fn keeps_budgets_of(&self, other: &ir::RateLimit) -> bool {
        let ir::RateLimit { name, key, requests, per_milliseconds, burst, scope, concurrent, .. } = &self.ir;
        (name, key, scope, concurrent) == (&other.name, &other.key, &other.scope, &other.concurrent)
            && (*concurrent
                || (requests, per_milliseconds, burst) == (&other.requests, &other.per_milliseconds, &other.burst))
    }

    pub fn name(&self) -> &str {
        &self.ir.name
    }

    pub fn described(&self) -> &str {
        &self.described
    }

    pub fn is_shadow(&self) -> bool {
        self.ir.shadow
    }

    /// Clients can be told when there is more: of what is under way nobody knows.
    pub fn is_told(&self) -> bool {
        !self.ir.concurrent
    }

    pub fn rate(&self) -> Rate {
        self.rate.get()
    }

    pub fn count_refused(&self) {
        self.budgets.refused.fetch_add(1, Relaxed);
    }

    pub fn refused(&self) -> u64 {
        self.budgets.refused.load(Relaxed)
    }

    pub fn count_fault(&self, fault: ExpressionFault) {
        self.budgets.faults[fault as usize].fetch_add(1, Relaxed);
    }

    pub fn faults(&self, fault: ExpressionFault) -> u64 {
        self.budgets.faults[fault as usize].load(Relaxed)
    }

    /// What outlives this limit where the next one says the same.
    pub fn budgets(&self) -> &Arc<Budgets> {
        &self.budgets
    }

    pub fn budget(&self, compiled: &RateLimit, subject: &Subject<'_>) -> Budget<'_> {
        match &self.budgets.buckets {
            Buckets::Common(figure) => Budget::Common(figure),
            Buckets::Keyed(secret, table) => Budget::Own(table, self.key(compiled, secret.begin(), subject)),
            Buckets::UnderWay(secret, table) => {
                Budget::UnderWay(table, self.key(compiled, secret.begin(), subject), self.most.load(Relaxed))
            }
        }
    }

    fn key(&self, compiled: &RateLimit, mut key: KeyHasher, subject: &Subject<'_>) -> Key {
        let inputs = &subject.inputs;
        match self.ir.scope {
            RateLimitScope::Target => {}
            RateLimitScope::Route => key.part(subject.route.as_bytes()),
            RateLimitScope::Rule => key.part(subject.rule.as_bytes()),
        }
        let mut expressions = compiled.expressions.iter();
        for part in &self.ir.key {
            match part {
                RateLimitKey::Client => match inputs.address {
                    Some(address) => key.address(address),
                    None => key.absent(),
                },
                RateLimitKey::Host => text(&mut key, inputs.host),
                RateLimitKey::Header { name } => {
                    let named = |field: &&codec::Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
                    inputs.fields.iter().filter(named).for_each(|field| key.part(field.value));
                    key.absent();
                }
                RateLimitKey::User => text(&mut key, inputs.user),
                RateLimitKey::Claim { name } => match inputs.claims.and_then(|claims| named_claim(claims, name)) {
                    Some(claim) => key.part(claim.to_string().as_bytes()),
                    None => key.absent(),
                },
                RateLimitKey::Cel { .. } => {
                    let mut bytes = Vec::new();
                    if let Some(Ok(())) = expressions.next().map(|expression| expression.key(inputs, &mut bytes)) {
                        key.part(&bytes);
                    } else {
                        self.count_fault(ExpressionFault::Key);
                        key.absent();
                    }
                }
            }
        }
        key.finish()
    }
}

/// A text that is empty where there is none.
fn text(key: &mut KeyHasher, text: &str) {
    if text.is_empty() { key.absent() } else { key.part(text.as_bytes()) }
}

fn rate(limit: &ir::RateLimit, pods: NonZeroU32) -> Rate {
    let per = std::time::Duration::from_millis(limit.per_milliseconds.get());
    Rate::new(limit.requests, per, limit.burst, pods)
}

impl Budget<'_> {
    pub fn look(self, rate: Rate, now: u64, cost: u32) -> Result<Standing, Exceeded> {
        match self {
            Self::Common(figure) => rate.take(figure.load(Relaxed), now, cost).map(|after| rate.standing(after, now)),
            Self::Own(table, key) => table.look(rate, key, now, cost),
            Self::UnderWay(table, key, most) if table.has_room(key, most) => Ok(Standing { left: 0, whole_in: 0 }),
            Self::UnderWay(..) => Err(Exceeded(u64::MAX)),
        }
    }

    /// Count what nobody refuses although there is too much of it.
    pub fn hold_anyway(self) -> Option<Slot> {
        match self {
            Self::UnderWay(table, key, _) => table.enter(key, u32::MAX),
            Self::Common(_) | Self::Own(..) => None,
        }
    }

    pub fn take(self, rate: Rate, now: u64, cost: u32) -> Result<Taken, Exceeded> {
        match self {
            Self::Common(figure) => table::take(figure, rate, now, cost).map(Taken::Spent),
            Self::Own(table, key) => table.take(rate, key, now, cost).map(Taken::Spent),
            Self::UnderWay(table, key, most) => table.enter(key, most).map(Taken::Held).ok_or(Exceeded(u64::MAX)),
        }
    }
}

impl Budgets {
    /// How often something was given back: asked before something is taken.
    pub fn times_given_back(&self) -> u64 {
        self.given_back.load(Acquire)
    }

    /// Give back to a key, or to everybody.
    pub fn give_back(&self, key: Option<Key>, debt: u64) {
        if debt == 0 {
            return;
        }
        match (&self.buckets, key) {
            (Buckets::Common(figure), None) => table::give_back(figure, debt),
            (Buckets::Keyed(_, table), Some(key)) => table.give_back(key, debt),
            // What is under way is given back by dropping it.
            _ => {}
        }
        // Behind it: who takes meanwhile sees another number in the end.
        self.given_back.fetch_add(1, Release);
    }

    fn new(ir: &ir::RateLimit, max_keys: NonZeroU32) -> Self {
        let most = usize::try_from(max_keys.get()).unwrap_or(usize::MAX);
        let buckets = if ir.concurrent {
            Buckets::UnderWay(KeySecret::default(), Arc::new(UnderWay::new(most, PLACES.clone())))
        } else if ir.key.is_empty() && ir.scope == RateLimitScope::Target {
            Buckets::Common(AtomicU64::default())
        } else {
            Buckets::Keyed(KeySecret::default(), Table::new(most, PLACES.clone()))
        };
        Self { buckets, refused: AtomicU64::default(), faults: Default::default(), given_back: AtomicU64::default() }
    }
}
