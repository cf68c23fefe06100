//! What a service has said, for as long as its policy lets that hold.
//!
//! - Who asks for the same, from the same address, with the same credentials gets the same answer; nobody else does. Which
//!   fields those are says the policy; `Authorization` always is one.
//! - That a service gives no answer is never remembered, nor is an answer with a cookie: that is for one client, once.
//! - Each policy remembers by itself.

use crate::policy::ages::{Ages, Most};
use crate::policy::marks::{Mark, Marker};
use crate::policy::{Answered, Outcome};
use route::ir::VerdictCache;
use route::policy::{Facts, Passage};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Answers of one policy, twice at most. Stops clients that are different each time from filling the memory.
const MOST: Most = Most { entries: 4096, bytes: 2 * 1024 * 1024 };

/// Octets that an answer counts for besides its fields and body.
const OVERHEAD: usize = 128;

/// What is remembered of one policy.
#[derive(Debug)]
pub struct Answers {
    headers: Vec<String>,
    ttl: Duration,
    denials: bool,
    known: Mutex<Ages<Mark, (Instant, Answered)>>,
}

impl Answers {
    pub fn new(cache: &VerdictCache) -> Self {
        Self {
            headers: cache.headers.clone(),
            ttl: Duration::from_millis(cache.ttl_ms),
            denials: cache.denials,
            known: Mutex::new(Ages::new(MOST)),
        }
    }

    /// What a request is known by; `set`: fields that the service is given in any case, of which expressions may be.
    pub fn mark(&self, facts: &Facts<'_>, set: &[(&str, Option<Vec<u8>>)]) -> Mark {
        let mut marker = Marker::new();
        for part in [facts.method.as_bytes(), facts.scheme.as_bytes(), facts.authority, facts.path.as_bytes()] {
            marker = marker.part(part);
        }
        for part in [facts.query.map(str::to_owned), facts.address.map(|address| address.to_string())] {
            marker = match part {
                Some(part) => marker.part(part.as_bytes()),
                None => marker.absent(),
            };
        }
        // What a trusted proxy says of where a request comes from is told to the service.
        for field in facts.fields.iter().filter(|field| codec::is_forwarding_name(field.name)) {
            marker = marker.part(field.name).part(field.value);
        }
        for name in std::iter::once("authorization").chain(self.headers.iter().map(String::as_str)) {
            let named = facts.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
            // Behind its values, so that those of one field are not the next one's.
            marker = named.fold(marker, |marker, field| marker.part(field.value)).absent();
        }
        for (_, value) in set {
            marker = match value {
                Some(value) => marker.part(value),
                None => marker.absent(),
            };
        }
        marker.finish()
    }

    pub fn get(&self, mark: &Mark, now: Instant) -> Option<Answered> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(mark).filter(|(until, _)| now < *until).map(|(_, answered)| answered)
    }

    /// Remember what was said, where it is to be.
    pub fn put(&self, mark: Mark, answered: &Answered, now: Instant) {
        let Some(bytes) = self.weight(answered) else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(mark, (now + self.ttl, answered.clone()), bytes);
    }

    /// Octets that an answer counts for; `None`: it is not to be remembered.
    fn weight(&self, answered: &Answered) -> Option<usize> {
        let Passage { forward, respond, respond_to_success, query, .. } = &answered.found;
        let (fields, body) = match &answered.outcome {
            Outcome::Pass => (&[][..], 0),
            Outcome::Deny(denial) if self.denials => (&*denial.fields, denial.body.as_ref().map_or(0, Vec::len)),
            Outcome::Deny(_) => return None,
        };
        let all =
            || forward.iter().chain(respond).chain(respond_to_success.iter().flat_map(|found| &found.0)).chain(fields);
        if all().any(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            return None;
        }
        let body = body + query.as_ref().map_or(0, |edits| edits.bytes());
        let bytes = OVERHEAD + body + all().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        (bytes <= MOST.bytes).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Answers, MOST};
    use crate::error::ErrorCode;
    use crate::policy::{Answered, Denial, Outcome};
    use codec::Field;
    use route::ir::VerdictCache;
    use route::policy::{Facts, Passage, SentHead};
    use std::time::{Duration, Instant};

    fn answers(denials: bool) -> Answers {
        Answers::new(&VerdictCache { ttl_ms: 1000, headers: vec!["cookie".to_owned(), "x-role".to_owned()], denials })
    }

    const FACTS: Facts<'static> = Facts {
        address: None,
        method: "GET",
        scheme: "https",
        host: "a.test",
        authority: b"a.test",
        path: "/a",
        query: None,
        fields: &[
            Field { name: b"Cookie", value: b"a=1" },
            Field { name: b"x-role", value: b"user" },
            Field { name: b"accept", value: b"*/*" },
        ],
        told: None,
        sent: SentHead { fields: &[], taken_out: &[], authority: b"a.test" },
        sni: None,
        listener: "l",
        route: "r",
        rule: "r/0",
        rule_uid: 1,
        grpc: false,
        body_length: Some(0),
        certificate: None,
        assumed: None,
    };

    fn allowed(respond: &[(&'static str, &str)]) -> Answered {
        let respond = respond.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
        Answered { outcome: Outcome::Pass, found: Passage { respond, ..Passage::default() } }
    }

    #[test]
    fn only_the_same_question_has_the_same_answer() {
        let (answers, now) = (answers(false), Instant::now());
        answers.put(answers.mark(&FACTS, &[]), &allowed(&[]), now);
        let fields = |fields: &[(&'static str, &'static str)]| -> &'static [Field<'static>] {
            let all = fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() });
            Vec::leak(all.collect())
        };
        for (facts, known) in [
            (FACTS, true),
            (Facts { fields: fields(&[("x-role", "user"), ("cookie", "a=1"), ("accept", "no")]), ..FACTS }, true),
            (Facts { method: "POST", ..FACTS }, false),
            (Facts { scheme: "http", ..FACTS }, false),
            (Facts { authority: b"b.test", ..FACTS }, false),
            (Facts { path: "/b", ..FACTS }, false),
            (Facts { query: Some(""), ..FACTS }, false),
            (Facts { address: Some([192, 0, 2, 1].into()), ..FACTS }, false),
            (Facts { fields: fields(&[("cookie", "a=2"), ("x-role", "user")]), ..FACTS }, false),
            (Facts { fields: fields(&[("cookie", "a=1")]), ..FACTS }, false),
            (Facts { fields: fields(&[("cookie", "a=1"), ("cookie", "user")]), ..FACTS }, false),
            (Facts { fields: fields(&[("cookie", "a=1"), ("x-role", "user"), ("x-role", "admin")]), ..FACTS }, false),
            (
                Facts { fields: fields(&[("authorization", "x"), ("cookie", "a=1"), ("x-role", "user")]), ..FACTS },
                false,
            ),
        ] {
            assert_eq!(answers.get(&answers.mark(&facts, &[]), now).is_some(), known, "{facts:?}");
        }
        let mark = answers.mark(&FACTS, &[]);
        assert!(answers.get(&mark, now + Duration::from_millis(999)).is_some());
        assert!(answers.get(&mark, now + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn what_is_remembered() {
        let denied = |body: usize| Answered {
            outcome: Outcome::deny(Denial { body: Some(vec![0; body]), ..ErrorCode::Forbidden.into() }),
            found: Passage::default(),
        };
        for (denials, answered, remembered) in [
            (false, allowed(&[("x-user", "ann")]), true),
            (false, allowed(&[("set-cookie", "a=1")]), false),
            (false, denied(10), false),
            (true, denied(10), true),
            (true, denied(MOST.bytes), false),
        ] {
            let (answers, now) = (answers(denials), Instant::now());
            let mark = answers.mark(&FACTS, &[]);
            answers.put(mark, &answered, now);
            assert_eq!(answers.get(&mark, now).is_some(), remembered, "{answered:?}");
        }
    }
}
