//! What will be done about a request, and where in its chain of policies it stands.

use super::ask::Whence;
use crate::dispatch::Forward;
use crate::error::ErrorCode;
use crate::message::head::OwnedHead;
use crate::message::local_reply::Answer;
use crate::message::response_filters::ResponseEdits;
use crate::policy::{Denial, Outcome, Pending};
use route::policy::Passage;
use std::time::Duration;

/// What will be done about a request.
pub enum Plan<'g> {
    /// Boxed, as is all that most requests do not need: what they carry around stays small.
    Answer(Box<(Answer, ResponseEdits<'g>)>),
    Forward(Box<Forward<'g>>),
    Wait(Box<Waiting<'g>>),
}

impl<'g> Plan<'g> {
    pub fn answer(answer: Answer, edits: ResponseEdits<'g>) -> Self {
        Self::Answer(Box::new((answer, edits)))
    }
}

/// A request about which somebody was asked.
pub struct Waiting<'g> {
    pub answer: Pending,
    pub whence: Whence<'g>,
    pub head: OwnedHead,
    /// Step of the chain that comes next.
    pub next: usize,
    pub passage: Passage<'g>,
    /// Of the whole request, from its start (`HTTPRouteTimeouts.request`).
    pub limit: Option<Duration>,
    pub buffer: Vec<u8>,
}

/// Where in the chain a request stands.
#[derive(Debug)]
pub struct Place<'g> {
    /// Steps that were run.
    pub step: usize,
    /// What the last one of them said.
    pub outcome: Outcome,
    /// What they left behind.
    pub passage: Passage<'g>,
}

impl Place<'_> {
    /// Of a request that has just come.
    pub fn start() -> Self {
        Self { step: 0, outcome: Outcome::Pass, passage: Passage::default() }
    }
}

/// Why a request is not forwarded, and what its rule, where it has one, does to such an answer.
pub struct Failed<'g> {
    pub denial: Denial,
    pub edits: ResponseEdits<'g>,
}

impl From<ErrorCode> for Box<Failed<'_>> {
    fn from(code: ErrorCode) -> Self {
        Self::new(Failed { denial: code.into(), edits: ResponseEdits::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Failed, Place};
    use crate::error::ErrorCode;
    use crate::policy::{Admission, Chain, Held, Outcome, Step, samples::FACTS};
    use route::policy::{BodyLimit, Facts};

    /// A request that has just come has every step before it, and nothing was found out of it.
    #[test]
    fn where_a_request_begins() {
        let Place { step, outcome, mut passage } = Place::start();
        assert!(matches!(outcome, Outcome::Pass) && passage.identity.is_none());
        assert!(passage.forward.is_empty() && passage.respond.is_empty());
        let chain = Chain::new(vec![Step::BodyLimit(BodyLimit::new(1).unwrap())]);
        let facts = Facts { body_length: Some(2), ..FACTS };
        let said = chain.run(step, &facts, &mut passage, &mut Held::new());
        assert!(matches!(said, Admission::Denied(denial) if denial.code == ErrorCode::BodyTooLarge));
    }

    /// What no rule has taken part in is answered as the error is, by nobody's edits.
    #[test]
    fn what_fails_without_a_rule() {
        let Failed { denial, edits } = *Box::<Failed<'_>>::from(ErrorCode::NoListener);
        assert_eq!((denial.code, denial.status, denial.detail), (ErrorCode::NoListener, None, None));
        assert!(denial.fields.is_empty() && denial.body.is_none() && edits.pages().is_none());
        edits.with(404, &[], |fields| assert!(fields.is_empty()));
    }
}
