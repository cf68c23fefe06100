//! A step for tests.

use super::{Answered, Asked, Outcome};
use route::policy::Passage;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Where requests wait until a test lets them through.
#[derive(Debug, Clone)]
pub struct Gate {
    /// One for each request that has come.
    waiting: Arc<Semaphore>,
    /// One for each request that may go on.
    pub passes: Arc<Semaphore>,
    outcome: Outcome,
    /// What it finds out.
    found: Passage<'static>,
}

impl Gate {
    pub fn new(outcome: Outcome) -> Self {
        Self::finding(outcome, Passage::default())
    }

    pub fn finding(outcome: Outcome, found: Passage<'static>) -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        Self { waiting: closed(), passes: closed(), outcome, found }
    }

    pub fn pass(self) -> Asked {
        Box::pin(async move {
            self.waiting.add_permits(1);
            let _ = self.passes.acquire().await.map(SemaphorePermit::forget);
            Answered { outcome: self.outcome, found: self.found }
        })
    }

    /// Until a request waits.
    pub async fn wait(&self) {
        let _ = self.waiting.acquire().await.map(SemaphorePermit::forget);
    }
}
