//! What expressions may cost: steps of one evaluation, and of all that are asked of one request by one policy.

use super::Failed;
use std::cell::Cell;

/// What one evaluation may cost: a step is a part of the expression that is evaluated, an element that is looked at, or 16
/// bytes of a text. It is a millisecond at most, and a few hundred kilobytes; a search for a pattern that is given up is two
/// more, and the end.
const MAX_STEPS: usize = 20_000;

/// What all evaluations over the same inputs may cost together: the rules of a policy are many.
const MAX_STEPS_TOGETHER: usize = 3 * MAX_STEPS;

/// What is left for the expressions of one policy and one request.
#[derive(Debug, Clone)]
pub struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(MAX_STEPS_TOGETHER))
    }
}

/// What is left for one evaluation. What it took is gone from the budget, however it ended.
#[derive(Debug)]
pub(super) struct Steps<'b> {
    left: usize,
    budget: &'b Budget,
}

impl<'b> Steps<'b> {
    pub fn of(budget: &'b Budget) -> Self {
        Self { left: MAX_STEPS, budget }
    }

    /// # Errors
    /// Nothing is left.
    pub fn take(&mut self, steps: usize) -> Result<(), Failed> {
        self.left = self.left.checked_sub(steps).ok_or(Failed::TooCostly)?;
        let together = self.budget.0.get().checked_sub(steps).ok_or(Failed::TooCostly)?;
        self.budget.0.set(together);
        Ok(())
    }

    /// Something took too long: nothing is left, for any of them.
    pub fn end(&mut self) -> Failed {
        self.budget.0.set(0);
        Failed::TooCostly
    }

    /// For work on so many bytes.
    ///
    /// # Errors
    /// As `take`.
    pub fn take_bytes(&mut self, bytes: usize) -> Result<(), Failed> {
        self.take(bytes / 16)
    }
}
