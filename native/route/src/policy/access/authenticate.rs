//! Who asks: the credentials of a request, of all kinds that hold for its rule.
//!
//! The first kind of credential that is present decides: a valid one authenticates, an invalid one is 401 at once, whatever else
//! there is. None is 401, with a challenge of each kind, unless all of them are optional. What overrides is asked by itself,
//! before what does not: somebody below cannot weaken it by credentials of their own.

use super::Exempt;
use crate::policy::{AnswerField, Compiled, Denial, Facts, ForwardField, Identity, Passage, Proof, Reason, Removal};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// What a request has of one kind of credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    Absent,
    Invalid,
    Valid(Arc<Identity>),
    /// One is there; only a clock, a thread or somebody else can say whether it is valid.
    Ask,
}

/// One kind of credential.
pub trait Authenticator {
    fn proof(&self) -> Proof;

    fn present(&self, facts: &Facts<'_>) -> Presented;

    /// For `WWW-Authenticate`.
    fn challenge(&self) -> String;

    /// Whether requests without any credential may go on.
    fn is_optional(&self) -> bool;

    /// The field that tells the backend the user; `None`: there is none.
    fn forward_field(&self) -> Option<&ForwardField>;

    /// What else the backend is told of somebody; nothing but of a token.
    fn told(&self, _: &Identity) -> Vec<AnswerField> {
        Vec::new()
    }

    /// Whether one that was looked at goes on to the backend.
    fn is_kept(&self) -> bool;

    /// What clients send of it: the backend does not get to see that.
    fn removed(&self) -> &[Removal];
}

/// One kind of credential in its group.
#[derive(Clone, Copy)]
pub struct Member<'p> {
    pub kind: &'p dyn Authenticator,
    /// Its place at the listener ([`Level::place`](super::Level::place)).
    pub place: Option<usize>,
}

impl<'p> Member<'p> {
    /// Of policies that are kinds of credentials, with their places. On the stack: there are only so many kinds.
    pub fn all(policies: impl Iterator<Item = (&'p Arc<Compiled>, Option<usize>)>) -> SmallVec<[Self; 4]> {
        policies.filter_map(|(policy, place)| Some(Self { kind: policy.judge.authenticator()?, place })).collect()
    }
}

/// How far the kinds of one group came; places are those of the kinds.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// By the credential of this kind; `None`: without one.
    Pass(Option<usize>),
    /// For the credential of this kind; `None`: for want of one.
    Deny(Option<usize>, Denial),
    /// The credential of this kind has to be looked at; `forgiven`: the request goes on where it is invalid.
    Ask { place: usize, forgiven: bool },
}

/// Authenticate a request by the kinds of one group.
pub fn authenticate<'p>(
    all: &[Member<'p>],
    exempt: Option<&Exempt>,
    facts: &Facts<'_>,
    passage: &mut Passage<'p>,
) -> Progress {
    for each in all.iter().filter(|each| !each.kind.is_kept()) {
        passage.removed.extend(each.kind.removed());
    }
    let forgiven = exempt.is_some_and(|exempt| exempt.holds(facts));
    for (place, each) in all.iter().enumerate() {
        let presented = match facts.assumed {
            Some(identity) if identity.proof == each.kind.proof() => Presented::Valid(Arc::new(identity.clone())),
            _ => each.kind.present(facts),
        };
        match presented {
            Presented::Absent => {}
            Presented::Invalid if forgiven => return Progress::Pass(None),
            Presented::Invalid => return Progress::Deny(Some(place), unauthenticated(all)),
            Presented::Valid(identity) => {
                remove_others(all, place, passage);
                accept(*each, identity, passage);
                return Progress::Pass(Some(place));
            }
            Presented::Ask => {
                remove_others(all, place, passage);
                return Progress::Ask { place, forgiven };
            }
        }
    }
    if forgiven || all.iter().all(|each| each.kind.is_optional()) {
        Progress::Pass(None)
    } else {
        Progress::Deny(None, unauthenticated(all))
    }
}

/// Nobody looks at what stands beside the credential that decides: of that a backend which believes what comes from here gets
/// nothing, whatever is to be kept.
fn remove_others<'p>(all: &[Member<'p>], decides: usize, passage: &mut Passage<'p>) {
    for (place, each) in all.iter().enumerate() {
        if place != decides && each.kind.is_kept() {
            passage.removed.extend(each.kind.removed());
        }
    }
}

/// Somebody proved who they are.
pub fn accept(by: Member<'_>, identity: Arc<Identity>, passage: &mut Passage<'_>) {
    passage.tell_user(by.kind.forward_field(), &identity.user);
    for (name, value) in by.kind.told(&identity) {
        passage.tell(name, value);
    }
    passage.prove(identity, by.place);
}

/// 401, with what a client may try.
pub fn unauthenticated(all: &[Member<'_>]) -> Denial {
    let fields = all.iter().map(|each| (Cow::Borrowed("www-authenticate"), each.kind.challenge().into_bytes()));
    Denial { fields: fields.collect(), ..Reason::Unauthenticated.into() }
}

/// A challenge of a scheme (RFC 9110 section 11.6.1).
pub fn challenge(scheme: &str, realm: &str) -> String {
    format!("{scheme} realm=\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\""))
}
