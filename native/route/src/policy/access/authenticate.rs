//! Who asks: the credentials of a request, of all kinds that hold for its rule.
//!
//! The first kind of credential that is present decides: a valid one authenticates, an invalid one is 401 at once, whatever else
//! there is. None is 401, with a challenge of each kind, unless all of them are optional. What overrides is asked by itself,
//! before what does not: somebody below cannot weaken it by credentials of their own.

use super::Exempt;
use crate::policy::{AnswerField, Denial, Facts, Identity, Passage, Proof, Reason};
use std::borrow::Cow;

/// What a request has of one kind of credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    Absent,
    Invalid,
    Valid(Identity),
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

    /// The field that tells the backend the user; empty: none.
    fn forward_header(&self) -> &str;

    /// What else the backend is told of somebody; nothing but of a token.
    fn told(&self, _: &Identity) -> Vec<AnswerField> {
        Vec::new()
    }

    /// What the backend does not get to see.
    fn remove(&self, passage: &mut Passage);
}

impl<T: Authenticator + ?Sized> Authenticator for &T {
    fn proof(&self) -> Proof {
        (**self).proof()
    }

    fn present(&self, facts: &Facts<'_>) -> Presented {
        (**self).present(facts)
    }

    fn challenge(&self) -> String {
        (**self).challenge()
    }

    fn is_optional(&self) -> bool {
        (**self).is_optional()
    }

    fn forward_header(&self) -> &str {
        (**self).forward_header()
    }

    fn told(&self, identity: &Identity) -> Vec<AnswerField> {
        (**self).told(identity)
    }

    fn remove(&self, passage: &mut Passage) {
        (**self).remove(passage);
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
pub fn authenticate<A: Authenticator>(
    all: &[A],
    exempt: Option<&Exempt>,
    facts: &Facts<'_>,
    passage: &mut Passage,
) -> Progress {
    for each in all {
        each.remove(passage);
    }
    let forgiven = exempt.is_some_and(|exempt| exempt.holds(facts));
    for (place, each) in all.iter().enumerate() {
        let presented = match facts.assumed {
            Some(identity) if identity.proof == each.proof() => Presented::Valid(identity.clone()),
            _ => each.present(facts),
        };
        match presented {
            Presented::Absent => {}
            Presented::Invalid if forgiven => return Progress::Pass(None),
            Presented::Invalid => return Progress::Deny(Some(place), unauthenticated(all)),
            Presented::Valid(identity) => {
                accept(each, identity, passage);
                return Progress::Pass(Some(place));
            }
            Presented::Ask => return Progress::Ask { place, forgiven },
        }
    }
    if forgiven || all.iter().all(Authenticator::is_optional) {
        Progress::Pass(None)
    } else {
        Progress::Deny(None, unauthenticated(all))
    }
}

/// Somebody proved who they are. The first proof counts: an overriding one comes before all others.
pub fn accept(by: &impl Authenticator, identity: Identity, passage: &mut Passage) {
    let header = by.forward_header();
    if !header.is_empty() {
        passage.tell(Cow::Owned(header.to_owned()), identity.user.clone().into_bytes());
    }
    for (name, value) in by.told(&identity) {
        passage.tell(name, value);
    }
    passage.identity.get_or_insert(identity);
}

/// 401, with what a client may try.
pub fn unauthenticated<A: Authenticator>(all: &[A]) -> Denial {
    let fields = all.iter().map(|each| (Cow::Borrowed("www-authenticate"), each.challenge().into_bytes()));
    Denial { fields: fields.collect(), ..Reason::Unauthenticated.into() }
}

/// A challenge of a scheme (RFC 9110 section 11.6.1).
pub fn challenge(scheme: &str, realm: &str) -> String {
    format!("{scheme} realm=\"{}\"", realm.replace('\\', "\\\\").replace('"', "\\\""))
}
