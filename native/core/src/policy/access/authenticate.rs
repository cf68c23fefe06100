//! The credentials of a request, of all kinds of one group: which one is looked at says `route::policy`.

use super::threads;
use super::users::{Known, Users};
use crate::error::ErrorCode;
use crate::observe::l4::L4Reason;
use crate::policy::access::Unbelieved;
use crate::policy::verdicts::{self, Word};
use crate::policy::{Answered, Denial, Outcome, Pending, State, StepResult};
use route::policy::{
    Basic, Compiled, ConnectionFacts, Facts, Group, Identity, Judge, Member, Passage, Progress, Proof, Verdict, accept,
    authenticate, unauthenticated,
};
use route::table::Joined;
use std::net::IpAddr;
use std::sync::Arc;

/// One group: one of its kinds has to be content.
#[derive(Debug)]
pub struct Authenticate {
    /// Each with its place at the listener.
    members: Vec<(Arc<Compiled>, Option<usize>)>,
    exempt: Option<Arc<Compiled>>,
}

impl Authenticate {
    /// The groups of policies that hold together, in their order.
    pub fn all(joined: &Joined) -> Vec<Self> {
        let of = |group: Group<'_>| Self {
            members: group.members.into_iter().map(|(policy, place)| (Arc::clone(policy), place)).collect(),
            exempt: group.exempt.cloned(),
        };
        Group::all(&joined.policies, &joined.levels).into_iter().map(of).collect()
    }

    pub fn run(&self, facts: &Facts<'_>, passage: &mut Passage) -> StepResult {
        let members = Member::all(self.members.iter().map(|(policy, place)| (policy, *place)));
        let exempt = self.exempt.as_ref().and_then(|policy| match &policy.judge {
            Judge::Exempt(exempt) => Some(exempt),
            _ => None,
        });
        match authenticate(&members, exempt, facts, passage) {
            Progress::Pass(place) => {
                self.count(place, Word::Pass);
                StepResult::Done(Outcome::Pass)
            }
            Progress::Deny(place, denial) => {
                self.count(place, Word::Deny);
                StepResult::Done(Outcome::deny(denial))
            }
            Progress::Ask { place, forgiven } => {
                let refused = if forgiven { Outcome::Pass } else { Outcome::deny(unauthenticated(&members)) };
                self.ask(place, refused, facts, passage)
            }
        }
    }

    /// Count a verdict for the kind of credential that it is about; where there was none for the first kind.
    fn count(&self, place: Option<usize>, word: Word) {
        if let Some((policy, _)) = self.members.get(place.unwrap_or_default()) {
            verdicts::count(policy, word);
        }
    }

    /// As [`Self::run`], of a connection: a certificate is all that it can have.
    pub fn admit_connection(&self, facts: &ConnectionFacts<'_>) -> Result<(), L4Reason> {
        let refuses = |(policy, _): &(Arc<Compiled>, _)| matches!(policy.judge_connection(facts), Verdict::Deny(_));
        match self.members.iter().position(refuses) {
            None => Ok(()),
            Some(place) => {
                self.count(Some(place), Word::Deny);
                Err(L4Reason::Unauthenticated)
            }
        }
    }

    /// Have a credential looked at; `refused`: what an invalid one comes to.
    fn ask(&self, place: usize, refused: Outcome, facts: &Facts<'_>, passage: &mut Passage) -> StepResult {
        let (policy, at) = &self.members[place];
        let result = match (&policy.judge, State::of_policy(policy)) {
            (Judge::Basic(basic), Some(State::Users(users))) => match Basic::credentials(facts) {
                Some(Some(credentials)) => {
                    let identity = Identity {
                        proof: Proof::Basic,
                        user: credentials.user.clone(),
                        claims: Arc::default(),
                        scopes: Vec::new(),
                    };
                    let mut found = Passage::default();
                    accept(Member { kind: basic, place: *at }, identity, &mut found);
                    let accepted = Found { policy: Arc::clone(policy), refused, accepted: found };
                    verify(users, credentials, accepted, facts.address, passage)
                }
                _ => StepResult::Done(refused),
            },
            (Judge::Jwt(jwt), Some(State::Tokens(tokens))) => {
                let looked_at = jwt.token(facts).flatten().map(|token| tokens.look_at(&token, *at, passage));
                StepResult::Done(match looked_at {
                    Some(Ok(())) => Outcome::Pass,
                    // Whom no credentials are asked of is let through with one that nobody can verify, too.
                    Some(Err(Unbelieved::NoKeys)) if !matches!(refused, Outcome::Pass) => {
                        Outcome::deny(ErrorCode::KeysUnavailable)
                    }
                    Some(Err(_)) | None => refused,
                })
            }
            // A chain with something that cannot run lets nothing through; this is behind it.
            _ => StepResult::Done(Outcome::deny(ErrorCode::PolicyInvalid)),
        };
        if let StepResult::Done(outcome) = &result {
            verdicts::count(policy, outcome);
        }
        result
    }
}

/// What comes of a password: one that is wrong, or one that is right.
struct Found {
    policy: Arc<Compiled>,
    refused: Outcome,
    accepted: Passage,
}

fn verify(
    users: &Arc<Users>,
    credentials: route::policy::Credentials,
    Found { policy, refused, accepted }: Found,
    client: Option<IpAddr>,
    passage: &mut Passage,
) -> StepResult {
    let work = match users.ask(credentials) {
        Known::Right => {
            passage.add(accepted);
            return StepResult::Done(Outcome::Pass);
        }
        Known::Work(work) => work,
    };
    let Some(answer) = threads::run(client, work) else { return StepResult::Done(busy()) };
    StepResult::Wait(Pending::Answer(Box::pin(async move {
        let answered = match answer.await {
            Ok(true) => Answered { outcome: Outcome::Pass, found: accepted },
            Ok(false) => Answered { outcome: refused, found: Passage::default() },
            // Nobody will say: the thread panicked.
            Err(_) => Answered { outcome: busy(), found: Passage::default() },
        };
        verdicts::count(&policy, &answered.outcome);
        answered
    })))
}

fn busy() -> Outcome {
    Outcome::deny(Denial::from(ErrorCode::AuthBusy))
}
