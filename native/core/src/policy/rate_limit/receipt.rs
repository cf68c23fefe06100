//! What a limit has taken of a request that a later one may still refuse.
//!
//! Of a debt only what has not come back by itself is given back, so that nobody has it twice. Debts come back one after the
//! other: one that is given back lets those behind it come back earlier than they were to. So where any was given back meanwhile
//! a debt is taken to have stood alone, the earliest that it can have come back: never too much is given back, in whatever
//! order, and sometimes too little.

use super::gcra::{Rate, Standing};
use super::key::Key;
use super::limit::{Budget, Budgets};
use super::{Held, Part};
use std::sync::Arc;

/// What was taken from one budget. It is given back at most once.
#[derive(Debug)]
pub struct Receipt {
    budgets: Arc<Budgets>,
    /// Whose budget it is; `None`: everybody's.
    key: Option<Key>,
    /// Nanoseconds of debt.
    debt: u64,
    /// When it was taken, and when it will have come back by itself unless one before it is given back.
    taken: u64,
    until: u64,
    /// How often this limit had given back before.
    seen: u64,
}

impl Receipt {
    /// `None`: it is given back by other means. `standing`: of the budget, after `cost` units were taken at `now`; `seen`: how often
    /// the limit had given back before that.
    pub fn of(
        budgets: &Arc<Budgets>,
        budget: Budget<'_>,
        rate: Rate,
        (cost, standing): (u32, Standing),
        now: u64,
        seen: u64,
    ) -> Option<Self> {
        let key = match budget {
            Budget::Common(_) => None,
            Budget::Own(_, key) => Some(key),
            Budget::UnderWay(..) => return None,
        };
        let until = now.saturating_add(standing.whole_in);
        Some(Self { budgets: Arc::clone(budgets), key, debt: rate.debt(cost), taken: now, until, seen })
    }

    fn give_back(&self, now: u64) {
        let alone = self.taken.saturating_add(self.debt);
        let until = if self.budgets.times_given_back() == self.seen { self.until } else { self.until.min(alone) };
        self.budgets.give_back(self.key, self.debt.min(until.saturating_sub(now)));
    }
}

/// A limit refuses a request: those that let it pass before get back what they took of it.
pub fn give_back(held: &mut Held, now: u64) {
    held.retain(|part| match part {
        Part::UnderWay(_) => true,
        Part::Spent(receipt) => {
            receipt.give_back(now);
            false
        }
    });
}
