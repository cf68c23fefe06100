//! What a limit has taken of a request that a later one may still refuse.

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
    /// When it will have come back by itself.
    until: u64,
}

impl Receipt {
    /// `None`: it is given back by other means. `standing`: of the budget, after `cost` units were taken at `now`.
    pub fn of(
        budgets: &Arc<Budgets>,
        budget: Budget<'_>,
        rate: Rate,
        cost: u32,
        standing: Standing,
        now: u64,
    ) -> Option<Self> {
        let key = match budget {
            Budget::Common(_) => None,
            Budget::Own(_, key) => Some(key),
            Budget::UnderWay(..) => return None,
        };
        let until = now.saturating_add(standing.whole_in);
        Some(Self { budgets: Arc::clone(budgets), key, debt: rate.debt(cost), until })
    }

    /// Give back what has not come back by itself: nobody has it twice.
    fn give_back(&self, now: u64) {
        self.budgets.give_back(self.key, self.debt.min(self.until.saturating_sub(now)));
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
