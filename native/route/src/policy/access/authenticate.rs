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

#[cfg(test)]
mod tests {
    use super::{Authenticator, Member, Presented, Progress, accept, authenticate, challenge, unauthenticated};
    use crate::ir::AccessExempt;
    use crate::policy::access::Exempt;
    use crate::policy::access::samples::FACTS;
    use crate::policy::{AnswerField, Facts, ForwardField, Identity, Passage, Proof, Reason, Removal};
    use serde_json::json;
    use std::sync::Arc;

    /// A kind of credential that says what it is told to.
    struct Kind {
        name: &'static str,
        proof: Proof,
        presented: Presented,
        optional: bool,
        keep: bool,
        field: Option<ForwardField>,
        removed: Vec<Removal>,
    }

    impl Kind {
        fn of(name: &'static str, proof: Proof, presented: Presented) -> Self {
            let removed = vec![Removal::Field(name.into())];
            Self { name, proof, presented, optional: false, keep: false, field: ForwardField::of("x-user"), removed }
        }
    }

    impl Authenticator for Kind {
        fn proof(&self) -> Proof {
            self.proof
        }

        fn present(&self, _: &Facts<'_>) -> Presented {
            self.presented.clone()
        }

        fn challenge(&self) -> String {
            challenge(self.name, "r")
        }

        fn is_optional(&self) -> bool {
            self.optional
        }

        fn forward_field(&self) -> Option<&ForwardField> {
            self.field.as_ref()
        }

        fn told(&self, identity: &Identity) -> Vec<AnswerField> {
            vec![(format!("x-{}", self.name).into(), identity.user.clone().into_bytes())]
        }

        fn is_kept(&self) -> bool {
            self.keep
        }

        fn removed(&self) -> &[Removal] {
            &self.removed
        }
    }

    fn members(kinds: &[Kind]) -> Vec<Member<'_>> {
        kinds.iter().enumerate().map(|(at, kind)| Member { kind, place: Some(at + 10) }).collect()
    }

    fn valid(user: &str) -> Presented {
        Presented::Valid(Arc::new(Identity::of(Proof::ApiKey, user)))
    }

    /// Of two kinds what is said, by what a request has of them, where they have to be there, are optional, and are not asked for.
    #[test]
    fn the_first_kind_that_is_present_decides() {
        use Presented::{Absent, Ask, Invalid};
        let nobody: AccessExempt = serde_json::from_value(json!({"id": "e", "methods": ["POST"]})).unwrap();
        let nobody = Exempt::compile(&nobody).unwrap();
        for (presented, expected, optional, exempt) in [
            ([Absent, Absent], "deny None", "pass None", "pass None"),
            ([Invalid, valid("b")], "deny Some(0)", "deny Some(0)", "pass None"),
            ([Absent, Invalid], "deny Some(1)", "deny Some(1)", "pass None"),
            ([valid("a"), Invalid], "pass Some(0)", "pass Some(0)", "pass Some(0)"),
            ([Absent, valid("b")], "pass Some(1)", "pass Some(1)", "pass Some(1)"),
            ([Absent, Ask], "ask 1 false", "ask 1 false", "ask 1 true"),
            ([Ask, Invalid], "ask 0 false", "ask 0 false", "ask 0 true"),
        ] {
            for (are_optional, exempted, expected) in
                [(false, None, expected), (true, None, optional), (false, Some(&nobody), exempt)]
            {
                let [one, two] = presented.clone();
                let mut kinds = [Kind::of("one", Proof::ApiKey, one), Kind::of("two", Proof::Basic, two)];
                for kind in &mut kinds {
                    kind.optional = are_optional;
                }
                let members = members(&kinds);
                let said = match authenticate(&members, exempted, &FACTS, &mut Passage::default()) {
                    Progress::Pass(place) => format!("pass {place:?}"),
                    Progress::Deny(place, denial) => {
                        assert_eq!(denial, unauthenticated(&members));
                        format!("deny {place:?}")
                    }
                    Progress::Ask { place, forgiven } => format!("ask {place} {forgiven}"),
                };
                assert_eq!(said, expected, "{presented:?} {are_optional} {exempted:?}");
            }
        }
    }

    /// Of several that may be absent one that may not is enough.
    #[test]
    fn all_have_to_be_optional() {
        for (optional, passes) in [([true, true], true), ([true, false], false), ([false, true], false)] {
            let mut kinds = ["one", "two"].map(|name| Kind::of(name, Proof::ApiKey, Presented::Absent));
            kinds.iter_mut().zip(optional).for_each(|(kind, optional)| kind.optional = optional);
            let progress = authenticate(&members(&kinds), None, &FACTS, &mut Passage::default());
            assert_eq!(matches!(progress, Progress::Pass(None)), passes, "{optional:?}");
        }
    }

    /// What nobody looked at goes on to no backend, though it is to be kept; what was looked at goes on where it is to be kept.
    #[test]
    fn what_the_backend_does_not_get() {
        for (keep, presented, expected) in [
            ([false, false], [valid("a"), Presented::Absent], &["one", "two"][..]),
            ([true, true], [valid("a"), Presented::Absent], &["two"]),
            ([true, true], [Presented::Absent, Presented::Ask], &["one"]),
            ([false, true], [Presented::Absent, Presented::Ask], &["one"]),
            ([true, false], [valid("a"), Presented::Absent], &["two"]),
            // Nobody decided.
            ([true, false], [Presented::Absent, Presented::Absent], &["two"]),
        ] {
            let [one, two] = presented.clone();
            let mut kinds = [Kind::of("one", Proof::ApiKey, one), Kind::of("two", Proof::Basic, two)];
            kinds.iter_mut().zip(keep).for_each(|(kind, keep)| (kind.keep, kind.optional) = (keep, true));
            let mut passage = Passage::default();
            authenticate(&members(&kinds), None, &FACTS, &mut passage);
            let mut removed: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            removed.retain(|name| passage.removed.iter().any(|removal| removal.takes(name.as_bytes())));
            assert_eq!(removed, expected, "{keep:?} {presented:?}");
        }
    }

    /// Who is only assumed to have proved it is taken for it by that kind alone, whatever the request has.
    #[test]
    fn whoever_is_assumed_proved_it_by_one_kind() {
        let kinds = [Kind::of("one", Proof::Jwt, Presented::Absent), Kind::of("two", Proof::Basic, Presented::Invalid)];
        for (proof, expected) in [(Proof::Basic, Some(1)), (Proof::Jwt, Some(0))] {
            let assumed = Identity::of(proof, "eve");
            let facts = Facts { assumed: Some(&assumed), ..FACTS };
            let (members, mut passage) = (members(&kinds), Passage::default());
            assert_eq!(authenticate(&members, None, &facts, &mut passage), Progress::Pass(expected));
            assert_eq!(passage.identity.as_deref(), Some(&assumed));
        }
        let assumed = Identity::of(Proof::ApiKey, "eve");
        let facts = Facts { assumed: Some(&assumed), ..FACTS };
        let progress = authenticate(&members(&kinds), None, &facts, &mut Passage::default());
        assert!(matches!(progress, Progress::Deny(Some(1), _)), "{progress:?}");
    }

    /// The user first, then what the kind tells besides; and by which credentials at the listener it was proved.
    #[test]
    fn what_is_told_of_who_proved_it() {
        let mut kinds = [Kind::of("one", Proof::ApiKey, Presented::Absent)];
        for (field, expected) in [(ForwardField::of("x-user"), &["x-user", "x-one"][..]), (None, &["x-one"])] {
            kinds[0].field = field;
            let mut passage = Passage::default();
            accept(members(&kinds)[0], Arc::new(Identity::of(Proof::ApiKey, "ann")), &mut passage);
            let names: Vec<_> = passage.forward.iter().map(|(name, _)| &**name).collect();
            assert_eq!(names, expected);
            assert!(passage.forward.iter().all(|(_, value)| value == b"ann"));
            assert_eq!((passage.identity.unwrap().user.as_str(), passage.proved_by), ("ann", Some(10)));
        }
    }

    /// RFC 9110 section 11.6.1: a challenge of each kind, in their order; a quote in a realm does not end it.
    #[test]
    fn what_a_client_may_try() {
        let kinds = ["one", "two"].map(|name| Kind::of(name, Proof::ApiKey, Presented::Absent));
        let denial = unauthenticated(&members(&kinds));
        assert_eq!((denial.reason, denial.status), (Reason::Unauthenticated, None));
        let fields: Vec<_> = denial.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let name = "www-authenticate";
        assert_eq!(fields, [(name, &b"one realm=\"r\""[..]), (name, b"two realm=\"r\"")]);
        assert_eq!(challenge("Bearer", r#"a"b\c"#), r#"Bearer realm="a\"b\\c""#);
    }
}
