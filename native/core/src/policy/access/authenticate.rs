//! The credentials of a request, of all kinds of one group: which one is looked at says `route::policy`.

use super::threads;
use super::users::{Known, Users};
use crate::error::ErrorCode;
use crate::observe::l4::L4Reason;
use crate::policy::access::Unbelieved;
use crate::policy::verdicts::Word;
use crate::policy::{Answered, Denial, Outcome, Pending, Running, State, StepResult, part_of};
use route::policy::{
    Basic, Compiled, ConnectionFacts, Facts, Group, Identity, Judge, Level, Member, Passage, Progress, Proof, Verdict,
    accept, authenticate, unauthenticated,
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

    pub fn run<'g>(&'g self, facts: &Facts<'_>, passage: &mut Passage<'g>) -> StepResult {
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
                let why = if place.is_some() { "not valid" } else { "no credential" };
                StepResult::Done(Outcome::deny(self.signed(place, denial, why)))
            }
            Progress::Ask { place, forgiven } => {
                let refuse = |why: &str| {
                    if forgiven {
                        return Outcome::Pass;
                    }
                    Outcome::deny(self.signed(Some(place), unauthenticated(&members), why))
                };
                self.ask(place, &refuse, facts, passage)
            }
        }
    }

    /// A denial with the kind of credential that it is about, and why; where there was none with the first kind.
    fn signed(&self, place: Option<usize>, denial: impl Into<Denial>, why: &str) -> Denial {
        let member = self.members.get(place.unwrap_or_default());
        Denial { detail: member.map(|(policy, _)| format!("{}: {why}", part_of(policy))), ..denial.into() }
    }

    /// Count a verdict for the kind of credential that it is about; where there was none for the first kind.
    fn count(&self, place: Option<usize>, word: Word) {
        if let Some((policy, _)) = self.members.get(place.unwrap_or_default()) {
            Running::count(policy, word);
        }
    }

    /// As [`Self::run`], of a connection: a certificate is all that it can have.
    pub fn admit_connection(&self, facts: &ConnectionFacts<'_>) -> Result<(), L4Reason> {
        let refuses = |(policy, _): &(Arc<Compiled>, _)| {
            matches!(policy.judge_connection(Level::default(), facts), Verdict::Deny(_))
        };
        match self.members.iter().position(refuses) {
            None => Ok(()),
            Some(place) => {
                self.count(Some(place), Word::Deny);
                Err(L4Reason::Unauthenticated)
            }
        }
    }

    /// Have a credential looked at; `refuse`: what an invalid one comes to, by why it is.
    fn ask(
        &self,
        place: usize,
        refuse: &dyn Fn(&str) -> Outcome,
        facts: &Facts<'_>,
        passage: &mut Passage<'_>,
    ) -> StepResult {
        let (policy, at) = &self.members[place];
        let result = match (&policy.judge, State::of_policy(policy)) {
            (Judge::Basic(basic), Some(State::Users(users))) => match Basic::credentials(facts) {
                Some(Some(credentials)) => {
                    let identity = Arc::new(Identity::of(Proof::Basic, &credentials.user));
                    let mut accepted = Passage::default();
                    accept(Member { kind: basic, place: *at }, identity, &mut accepted);
                    let found = Found { policy: Arc::clone(policy), accepted };
                    verify(users, credentials, found, refuse, facts.address, passage)
                }
                _ => StepResult::Done(refuse("not valid")),
            },
            (Judge::Jwt(jwt), Some(State::Tokens(tokens))) => {
                let looked_at = jwt.token(facts).flatten().map(|token| tokens.look_at(&token, *at, passage));
                StepResult::Done(match looked_at {
                    Some(Ok(())) => Outcome::Pass,
                    Some(Err(Unbelieved::Invalid(why))) => refuse(why.name()),
                    Some(Err(Unbelieved::NoKeys)) => unverified(policy, ErrorCode::KeysUnavailable, refuse),
                    None => refuse("not valid"),
                })
            }
            // A chain with something that cannot run lets nothing through; this is behind it.
            _ => StepResult::Done(Outcome::deny(Denial::from(ErrorCode::PolicyInvalid).by(policy))),
        };
        if let StepResult::Done(outcome) = &result {
            Running::count(policy, outcome);
        }
        result
    }
}

/// What comes of a password that is right.
struct Found {
    policy: Arc<Compiled>,
    accepted: Passage<'static>,
}

fn verify(
    users: &Arc<Users>,
    credentials: route::policy::Credentials,
    Found { policy, accepted }: Found,
    refuse: &dyn Fn(&str) -> Outcome,
    client: Option<IpAddr>,
    passage: &mut Passage<'_>,
) -> StepResult {
    let work = match users.ask(credentials) {
        Known::Right => {
            passage.add(accepted);
            return StepResult::Done(Outcome::Pass);
        }
        Known::Work(work) => work,
    };
    let busy = unverified(&policy, ErrorCode::AuthBusy, refuse);
    let Some(answer) = threads::run(client, work) else { return StepResult::Done(busy) };
    let refused = refuse("wrong user or password");
    StepResult::Wait(Pending::Answer(Box::pin(async move {
        let answered = match answer.await {
            Ok(true) => Answered { outcome: Outcome::Pass, found: accepted },
            Ok(false) => Answered { outcome: refused, found: Passage::default() },
            // Nobody will say: the thread panicked.
            Err(_) => Answered { outcome: busy, found: Passage::default() },
        };
        Running::count(&policy, &answered.outcome);
        answered
    })))
}

/// What a credential comes to at which nobody can look now: whom none is asked of is let through with it, as with a wrong one.
fn unverified(policy: &Compiled, code: ErrorCode, refuse: &dyn Fn(&str) -> Outcome) -> Outcome {
    match refuse("nobody can verify it") {
        Outcome::Pass => Outcome::Pass,
        Outcome::Deny(_) => Outcome::deny(Denial::from(code).by(policy)),
    }
}

#[cfg(test)]
mod tests {
    use crate::error::ErrorCode;
    use crate::policy::samples::{FACTS, KEYS, USERS, api_key, basic, chain, counts, table};
    use crate::policy::{Admission, Held, Outcome, Pending};
    use codec::Field;
    use route::policy::{Facts, Passage, SentHead};
    use route::table::Table;
    use serde_json::json;

    /// What a request with this field comes to: who it is or why not, and whether that took work.
    async fn asked(table: &Table, name: &str, value: &str) -> (String, bool) {
        let fields = [Field { name: name.as_bytes(), value: value.as_bytes() }];
        let facts = Facts { fields: &fields, sent: SentHead { fields: &fields, ..FACTS.sent }, ..FACTS };
        let mut passage = Passage::default();
        let (admission, worked) = match chain(table).run(0, &facts, &mut passage, &mut Held::new()) {
            Admission::Asked { answer: Pending::Answer(answer), next } => {
                let answered = answer.await;
                passage.add(answered.found);
                match answered.outcome {
                    Outcome::Pass => (Admission::Admitted, true),
                    Outcome::Deny(denial) => (Admission::Denied(chain(table).refused(next, *denial)), true),
                }
            }
            admission => (admission, false),
        };
        let said = match admission {
            Admission::Denied(denial) => {
                assert_eq!(denial.code, ErrorCode::Unauthenticated);
                denial.detail.unwrap()
            }
            Admission::Admitted => passage.identity.map_or("nobody".to_owned(), |identity| identity.user.clone()),
            Admission::Asked { .. } => panic!("nobody else is asked"),
        };
        (said, worked)
    }

    const RIGHT: &str = "Basic YW5uOnBhc3N3b3Jk";
    const WRONG: &str = "Basic YW5uOlBhc3N3b3Jk";

    /// The operator is told of which kind the credential was, and what was wrong; a password that was right is remembered,
    /// one that was wrong is work again.
    #[tokio::test]
    async fn what_a_password_comes_to() {
        let table = table(&json!([basic()]), USERS);
        let wrong = "basic of AccessPolicy/a/p: wrong user or password";
        for (name, value, expected, counted) in [
            ("x", "", ("basic of AccessPolicy/a/p: no credential", false), [0, 1, 0]),
            ("authorization", "Basic !", ("basic of AccessPolicy/a/p: not valid", false), [0, 2, 0]),
            ("authorization", WRONG, (wrong, true), [0, 3, 0]),
            ("authorization", RIGHT, ("ann", true), [1, 3, 0]),
            ("authorization", RIGHT, ("ann", false), [2, 3, 0]),
            ("authorization", WRONG, (wrong, true), [2, 4, 0]),
        ] {
            let (said, worked) = asked(&table, name, value).await;
            assert_eq!((said.as_str(), worked), expected, "{name}: {value}");
            assert_eq!(counts(&table, "AccessPolicy/a/p/basic"), counted, "{name}: {value}");
        }
    }

    #[tokio::test]
    async fn what_a_key_comes_to() {
        let table = table(&json!([api_key()]), KEYS);
        for (name, value, expected, counted) in [
            ("x", "alpha", "apiKey of AccessPolicy/a/p: no credential", [0, 1, 0]),
            ("x-api-key", "beta", "apiKey of AccessPolicy/a/p: not valid", [0, 2, 0]),
            ("x-api-key", "alpha", "ann", [1, 2, 0]),
        ] {
            assert_eq!(asked(&table, name, value).await, (expected.to_owned(), false), "{name}: {value}");
            assert_eq!(counts(&table, "AccessPolicy/a/p/apiKey"), counted, "{name}: {value}");
        }
    }

    /// Whom none is asked of goes on as nobody, even with one that is wrong.
    #[tokio::test]
    async fn who_is_exempt() {
        for (when, wrong, none) in [
            ("request.path == '/'", "nobody", "nobody"),
            (
                "request.path == '/other'",
                "basic of AccessPolicy/a/p: wrong user or password",
                "basic of AccessPolicy/a/p: no credential",
            ),
        ] {
            let exempt = json!({"type": "access_exempt", "id": "AccessPolicy/a/p/exempt", "when": when});
            let table = table(&json!([exempt, basic()]), USERS);
            assert_eq!(asked(&table, "x", "").await.0, none, "{when}");
            assert_eq!(asked(&table, "authorization", WRONG).await.0, wrong, "{when}");
            assert_eq!(asked(&table, "authorization", RIGHT).await.0, "ann", "{when}");
        }
    }
}
