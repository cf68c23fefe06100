//! What has to hold before a request goes to a backend: the chain of its rule, step by step.
//!
//! Here a step is what it says, compiled; it is run where a request is admitted (`request/admit.rs`). Most steps are done at
//! once. One that has to ask somebody waits: only then the head is copied and a future is boxed. A rule without policies
//! costs one branch.

mod body_limit;

pub use body_limit::BodyLimit;

use crate::error::ErrorCode;
use codec::Framing;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a step thinks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    /// The gateway answers with this.
    Deny(ErrorCode),
}

/// A verdict that somebody has to be asked for.
pub type Asked = Pin<Box<dyn Future<Output = Verdict>>>;

/// How far a step came.
pub enum StepResult {
    Done(Verdict),
    #[cfg_attr(not(test), expect(dead_code, reason = "no policy asks anybody yet; tests do"))]
    Wait(Asked),
}

/// What a step may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    pub framing: Framing,
}

/// One step. A closed list: no step is called through a table of functions.
#[derive(Debug)]
pub enum Step {
    BodyLimit(BodyLimit),
    /// Asks a test, which shows that a request survives the wait.
    #[cfg(test)]
    Gate(Gate),
}

impl Step {
    fn run(&self, facts: Facts) -> StepResult {
        match self {
            Self::BodyLimit(limit) => StepResult::Done(limit.check(facts.framing)),
            #[cfg(test)]
            Self::Gate(gate) => StepResult::Wait(gate.clone().pass()),
        }
    }
}

/// The steps of a request, in their order.
#[derive(Debug, Default)]
pub struct Chain {
    steps: Vec<Step>,
    body_limit: Option<BodyLimit>,
}

/// What the chain says, as far as it is known.
pub enum Admission {
    Admitted,
    Denied(ErrorCode),
    /// The step before `next` has asked; the chain goes on behind it with the verdict.
    Asked {
        verdict: Asked,
        next: usize,
    },
}

impl Chain {
    /// `None` where there are no steps.
    pub fn new(steps: Vec<Step>) -> Option<Arc<Self>> {
        let mut body_limit: Option<BodyLimit> = None;
        for step in &steps {
            match step {
                Step::BodyLimit(limit) => body_limit = Some(body_limit.map_or(*limit, |least| least.min(*limit))),
                #[cfg(test)]
                Step::Gate(_) => {}
            }
        }
        (!steps.is_empty()).then(|| Arc::new(Self { steps, body_limit }))
    }

    /// Run the steps from `first` on.
    pub fn run(&self, first: usize, facts: Facts) -> Admission {
        for (place, step) in self.steps.iter().enumerate().skip(first) {
            match step.run(facts) {
                StepResult::Done(Verdict::Continue) => {}
                StepResult::Done(Verdict::Deny(code)) => return Admission::Denied(code),
                StepResult::Wait(verdict) => return Admission::Asked { verdict, next: place + 1 },
            }
        }
        Admission::Admitted
    }

    /// What the body may have while it streams.
    pub fn body_limit(&self) -> Option<BodyLimit> {
        self.body_limit
    }
}

/// Where requests wait until a test lets them through.
#[cfg(test)]
#[derive(Debug, Clone)]
pub struct Gate {
    /// One for each request that has come.
    pub waiting: Arc<tokio::sync::Semaphore>,
    /// One for each request that may go on.
    pub passes: Arc<tokio::sync::Semaphore>,
    pub verdict: Verdict,
}

#[cfg(test)]
impl Gate {
    pub fn new(verdict: Verdict) -> Self {
        let closed = || Arc::new(tokio::sync::Semaphore::new(0));
        Self { waiting: closed(), passes: closed(), verdict }
    }

    fn pass(self) -> Asked {
        Box::pin(async move {
            self.waiting.add_permits(1);
            let _ = self.passes.acquire().await.map(tokio::sync::SemaphorePermit::forget);
            self.verdict
        })
    }

    /// Until a request waits.
    pub async fn wait(&self) {
        let _ = self.waiting.acquire().await.map(tokio::sync::SemaphorePermit::forget);
    }
}
