//! Parts of an `HTTPFilter` that are policies of a rule or a listener: faults, credentials, pages that stand in for errors.

use super::{Denial, Facts, Identity, Passage, Reason, Verdict, inputs};
use crate::expression::{Expression, Wanted};
use crate::ir::{self, ErrorPage, ErrorsOf, PageContent, Percentage};
use std::sync::Arc;

/// What `decide` shows of a credential.
const SHOWN: &[u8] = b"(credential)";

/// Requests that are held up or refused on purpose.
#[derive(Debug)]
pub struct Fault {
    pub ir: Arc<ir::FilterFault>,
    when: Option<Expression>,
}

impl Fault {
    /// # Errors
    /// What is wrong with its expression.
    pub fn compile(ir: &Arc<ir::FilterFault>) -> Result<Self, String> {
        let when = ir.when.as_deref().map(|text| Expression::compile(text, Wanted::Condition)).transpose();
        Ok(Self { ir: Arc::clone(ir), when: when.map_err(|error| error.to_string())? })
    }

    /// Whether a request is one of those; where that cannot be said it is not.
    pub fn concerns(&self, facts: &Facts<'_>, identity: Option<&Identity>) -> bool {
        self.when.as_ref().is_none_or(|when| when.holds(&inputs(facts, identity)).unwrap_or(false))
    }

    /// Whether it asks what header fields say.
    pub fn asks_fields(&self) -> bool {
        self.when.as_ref().is_some_and(Expression::asks_fields)
    }

    /// What is certain without a draw.
    pub fn judge(&self, facts: &Facts<'_>, identity: Option<&Identity>) -> Verdict {
        if !self.concerns(facts, identity) {
            return Verdict::Pass;
        }
        match self.ir.abort {
            Some(abort) if is_certain(abort.percentage) => Verdict::Deny(Self::denial(abort.status)),
            _ => Verdict::Ask,
        }
    }

    pub fn denial(status: u16) -> Denial {
        Denial { status: Some(status), ..Reason::Fault.into() }
    }
}

fn is_certain(percentage: Percentage) -> bool {
    percentage.numerator >= percentage.denominator
}

/// A field with which the gateway proves itself to the backend. What the client sent under its name goes, in any spelling.
#[derive(Debug)]
pub struct Credential {
    header: String,
    value: Secret,
    /// Place of the one backend that gets it.
    backend: Option<usize>,
}

/// What is in no text for people.
struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("(secret)")
    }
}

impl Credential {
    /// `None`: it cannot be written.
    pub fn compile(ir: &ir::FilterCredential, secret: &str) -> Option<Self> {
        let secret = codec::without_blanks(secret);
        let is_usable = !secret.is_empty() && codec::is_value(secret.as_bytes());
        let is_name = codec::is_token(ir.header.as_bytes()) && !codec::is_wire_field(ir.header.as_bytes());
        (is_usable && is_name).then(|| Self {
            header: ir.header.clone(),
            value: Secret(secret.into()),
            backend: ir.backend,
        })
    }

    /// Towards the backend.
    pub fn give(&self, passage: &mut Passage<'_>) {
        self.put(passage, &self.value.0);
    }

    /// For people: that there is one.
    pub fn show(&self, passage: &mut Passage<'_>) {
        self.put(passage, SHOWN);
    }

    fn put(&self, passage: &mut Passage<'_>, value: &[u8]) {
        let field = (self.header.clone().into(), value.to_vec());
        match self.backend {
            None => passage.give(field),
            Some(backend) => passage.of_backends.push((backend, field)),
        }
    }
}

/// What stands in for errors.
#[derive(Debug)]
pub struct ErrorPages(Vec<Page>);

/// One page; `slot`: of who is asked for it, among the policy's backends.
#[derive(Debug)]
pub struct Page {
    pub ir: ErrorPage,
    pub slot: Option<usize>,
}

impl ErrorPages {
    pub fn compile(ir: &ir::FilterErrorPages) -> Self {
        let mut slots = 0..;
        let page = |ir: &ErrorPage| {
            let is_asked = matches!(&ir.content, PageContent::Service { backend: Some(_), .. });
            Page { ir: ir.clone(), slot: if is_asked { slots.next() } else { None } }
        };
        Self(ir.pages.iter().map(page).collect())
    }

    /// What stands in for an answer; `own`: the gateway gives it.
    pub fn of(&self, status: u16, own: bool) -> Option<&Page> {
        self.0.iter().find(|page| {
            let is_meant = match page.ir.of {
                ErrorsOf::Any => true,
                ErrorsOf::Gateway => own,
                ErrorsOf::Backend => !own,
            };
            is_meant && page.ir.statuses.iter().any(|range| (range.first..=range.last).contains(&status))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Credential, ErrorPages, Fault, Passage};
    use crate::ir::{FilterCredential, FilterErrorPages, FilterFault};
    use crate::policy::access::samples::FACTS;
    use crate::policy::{Removal, Verdict};
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn fault(rest: Value) -> Fault {
        let mut all = json!({"id": "r/fault"});
        all.as_object_mut().expect("a map").extend(rest.as_object().expect("a map").clone());
        let ir: FilterFault = serde_json::from_value(all).expect("a fault");
        Fault::compile(&Arc::new(ir)).expect("an expression")
    }

    #[test]
    fn faults_that_are_certain() {
        let abort = |numerator: u32| json!({"status": 418, "percentage": {"numerator": numerator, "denominator": 4}});
        for (ir, wanted) in [
            (json!({"abort": abort(4)}), Verdict::Deny(Fault::denial(418))),
            (json!({"abort": abort(3)}), Verdict::Ask),
            (json!({"delay": {"milliseconds": 1, "percentage": {"numerator": 1, "denominator": 1}}}), Verdict::Ask),
            (json!({"abort": abort(4), "when": "request.method == 'TRACE'"}), Verdict::Pass),
            (json!({"abort": abort(4), "when": "request.headers['none'][0] == '1'"}), Verdict::Pass),
        ] {
            assert_eq!(fault(ir.clone()).judge(&FACTS, None), wanted, "{ir}");
        }
    }

    #[test]
    fn credentials_stand_alone_under_their_name() {
        let ir: FilterCredential =
            serde_json::from_value(json!({"id": "a", "header": "Authorization", "secret": "s"})).expect("a credential");
        let credential = Credential::compile(&ir, "Bearer 1").expect("one that can be written");
        assert!(!format!("{credential:?}").contains("Bearer"));
        let mut passage = Passage { forward: vec![("authorization".into(), b"2".to_vec())], ..Passage::default() };
        credential.give(&mut passage);
        assert_eq!(passage.forward, [("Authorization".into(), b"Bearer 1".to_vec())]);
        let removed = |passage: &Passage<'_>| passage.removed.iter().cloned().collect::<Vec<_>>();
        let authorization = Removal::Field("Authorization".into());
        assert_eq!(removed(&passage), std::slice::from_ref(&authorization));
        credential.show(&mut passage);
        assert_eq!(passage.forward, [("Authorization".into(), b"(credential)".to_vec())]);
        let of_one = FilterCredential { header: "X-Key".to_owned(), backend: Some(1), ..ir.clone() };
        Credential::compile(&of_one, "2").expect("one that can be written").give(&mut passage);
        let mut other = passage.clone();
        other.chosen(0);
        assert_eq!(removed(&other), [authorization.clone(), authorization]);
        passage.chosen(1);
        assert_eq!(passage.forward[1..], [("X-Key".into(), b"2".to_vec())]);
        assert_eq!(removed(&passage)[2..], [Removal::Field("X-Key".into())]);
        for secret in ["", "a\r\nb: c", "a\0"] {
            assert!(Credential::compile(&ir, secret).is_none(), "{secret:?}");
        }
        for header in ["", "a b", "Connection", "content-length"] {
            let ir = FilterCredential { header: header.to_owned(), ..ir.clone() };
            assert!(Credential::compile(&ir, "1").is_none(), "{header}");
        }
    }

    #[test]
    fn the_first_page_that_is_meant() {
        let body = |text: &str| json!({"type": "body", "content_type": "text/plain", "body": text});
        let service = |backend: &str| json!({"type": "service", "backend": backend, "path": "/", "timeout_ms": 1});
        let ir: FilterErrorPages = serde_json::from_value(json!({"id": "a", "pages": [
            {"statuses": [{"first": 404, "last": 404}], "of": "gateway", "content": body("none")},
            {"statuses": [{"first": 500, "last": 599}], "of": "backend", "content": service("one")},
            {"statuses": [{"first": 400, "last": 499}, {"first": 503, "last": 503}], "content": service("two")},
        ]}))
        .expect("pages");
        let pages = ErrorPages::compile(&ir);
        for (status, own, slot) in [
            (404, true, Some(None)),
            (404, false, Some(Some(1))),
            (500, false, Some(Some(0))),
            (500, true, None),
            (503, true, Some(Some(1))),
            (399, true, None),
            (200, false, None),
        ] {
            assert_eq!(pages.of(status, own).map(|page| page.slot), slot, "{status} {own}");
        }
    }
}
