//! Session persistence (GEP-1619): a client's requests go to the endpoint that its first one went to.
//!
//! - What a client keeps is encrypted, with keys that all replicas of the Gateway have (`tls/tickets.rs`): it learns nothing
//!   of endpoints and cannot choose one. What cannot be read, or is too old, is as good as nothing: a new session begins.
//! - A backend is chosen by weight first, unless a policy has clients stay with theirs (`request/select.rs`), and a session
//!   is of one rule and one backend; a cookie has room for [`MAX_SESSIONS`], so that those of several do not drive each
//!   other out.
//! - An endpoint that is gone, or does badly, is replaced: the client is told of the new one with the response. A policy may
//!   have it come back to one that only does badly.
//! - What belongs to the gateway does not reach the backend (`route::session`).

pub use super::session_cookie::CookieTerms;

use crate::tls::tickets::Sealer;
use codec::Field;
use route::ir;
use route::rendezvous::{hash, seed_of};
use route::session::sent;
use route::table::{EditedFields, Endpoint};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Sessions that one cookie or header holds, the one that was used last first; stops it from growing with the rules that
/// share its name.
const MAX_SESSIONS: usize = 8;

const SET_COOKIE: &str = "set-cookie";

/// Of what is encrypted.
const VERSION: u8 = 1;

/// Bytes of a session: its rule and backend, its endpoint, when it began.
const ENTRY: usize = 24;

/// Clocks of replicas may differ by so many seconds.
const SKEW: u64 = 60;

/// A session of one rule and backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    place: u64,
    endpoint: u64,
    /// Seconds since 1970.
    began: u64,
}

/// The session of a request, as its client told it.
#[derive(Debug)]
pub struct Session<'g> {
    terms: &'g ir::Session,
    sealer: Sealer,
    /// Of this rule and backend.
    place: u64,
    now: u64,
    known: SmallVec<[Entry; 2]>,
    /// What the client has was made with a key that others will follow: it gets it anew.
    is_old: bool,
    /// Of the cookie, where it is one.
    cookie: CookieTerms<'g>,
}

/// A field of a response that tells a client of its session.
#[derive(Debug)]
pub struct SessionField {
    pub name: String,
    pub value: Vec<u8>,
}

impl SessionField {
    /// Call `then` with the fields of a response and this one; what else of its name a backend says goes, but for cookies.
    pub fn among<R>(&self, fields: &[Field<'_>], then: impl FnOnce(&[Field<'_>]) -> R) -> R {
        let own = Field { name: self.name.as_bytes(), value: &self.value };
        let is_cookie = self.name == SET_COOKIE;
        let others = fields.iter().filter(|field| is_cookie || !field.name.eq_ignore_ascii_case(own.name));
        let all: EditedFields<'_> = others.copied().chain(std::iter::once(own)).collect();
        then(&all)
    }
}

impl<'g> Session<'g> {
    /// What the fields of a request say of it.
    pub fn read(
        terms: &'g ir::Session,
        cookie: CookieTerms<'g>,
        sealer: Sealer,
        (rule, backend): (&str, &str),
        fields: &[Field<'_>],
    ) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self::read_at(terms, cookie, sealer, (rule, backend), fields, now)
    }

    fn read_at(
        terms: &'g ir::Session,
        cookie: CookieTerms<'g>,
        sealer: Sealer,
        (rule, backend): (&str, &str),
        fields: &[Field<'_>],
        now: u64,
    ) -> Self {
        let place = hash(hash(0, rule.as_bytes()), backend.as_bytes());
        let mut session = Self { terms, sealer, place, now, known: SmallVec::new(), is_old: false, cookie };
        if let Some((plain, is_newest)) = sent(terms, fields).find_map(|value| session.open(value)) {
            session.known = entries(&plain).filter(|entry| session.is_alive(entry)).collect();
            session.is_old = !is_newest;
        }
        session
    }

    fn open(&self, value: &[u8]) -> Option<(Vec<u8>, bool)> {
        self.sealer.open(&decode(value)?, self.now)
    }

    fn is_alive(&self, entry: &Entry) -> bool {
        let limit = self.terms.absolute_timeout_ms;
        let age = self.now.saturating_sub(entry.began);
        entry.began <= self.now + SKEW && (limit == 0 || age.saturating_mul(1000) < limit)
    }

    /// The seed of the endpoint that the session is with.
    pub fn endpoint(&self) -> Option<u64> {
        self.known.iter().find(|entry| entry.place == self.place).map(|entry| entry.endpoint)
    }

    /// What the client is told where this endpoint has answered; `None`: it knows already, or is to come back to its own,
    /// which is among `all`.
    pub fn tell(&self, endpoint: &Endpoint, all: &[Arc<Endpoint>]) -> Option<SessionField> {
        let seed = seed_of(endpoint.address);
        if self.endpoint() == Some(seed) && !self.is_old {
            return None;
        }
        let is_there = |own: u64| all.iter().any(|endpoint| seed_of(endpoint.address) == own);
        if self.cookie.keeps_endpoint() && self.endpoint().is_some_and(|own| own != seed && is_there(own)) {
            return None;
        }
        let began = self.known.iter().find(|entry| entry.place == self.place).map_or(self.now, |entry| entry.began);
        let own = Entry { place: self.place, endpoint: seed, began };
        let others = self.known.iter().filter(|entry| entry.place != self.place);
        let all: SmallVec<[Entry; MAX_SESSIONS]> =
            std::iter::once(&own).chain(others).take(MAX_SESSIONS).copied().collect();
        let sealed = self.sealer.seal(&written(&all), self.now)?;
        let value = encode(&sealed);
        Some(match &self.terms.carrier {
            ir::SessionCarrier::Header { name } => SessionField { name: name.clone(), value: value.into_bytes() },
            ir::SessionCarrier::Cookie { name, path, permanent } => {
                let timeout = self.terms.absolute_timeout_ms;
                let left = (timeout > 0).then(|| (timeout / 1000).saturating_sub(self.now.saturating_sub(began)));
                let mut cookie = format!("{name}={value}; Path={path}");
                self.cookie.write(&mut cookie, left, *permanent);
                SessionField { name: SET_COOKIE.to_owned(), value: cookie.into_bytes() }
            }
        })
    }
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(1 + entries.len() * ENTRY);
    plain.push(VERSION);
    for entry in entries {
        for part in [entry.place, entry.endpoint, entry.began] {
            plain.extend_from_slice(&part.to_be_bytes());
        }
    }
    plain
}

fn entries(plain: &[u8]) -> impl Iterator<Item = Entry> {
    let known = plain.split_first().filter(|(version, _)| **version == VERSION).map_or(&[][..], |(_, rest)| rest);
    known.chunks_exact(ENTRY).take(MAX_SESSIONS).filter_map(|chunk| {
        let part = |at: usize| chunk.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        Some(Entry { place: part(0)?, endpoint: part(8)?, began: part(16)? })
    })
}

/// RFC 4648 section 5, without padding.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Characters of what is worth a look: one that is longer is not ours.
const MAX_ENCODED: usize = 512;

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(word);
        for place in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > MAX_ENCODED || text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.chunks(4) {
        let mut bits = 0_u32;
        for (place, digit) in chunk.iter().enumerate() {
            bits |= value_of(*digit)? << (18 - 6 * place);
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

fn value_of(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::{CookieTerms, MAX_SESSIONS, Sealer, Session, decode, encode};
    use crate::tls::tickets::TicketKeys;
    use codec::Field;
    use route::ir::{self, SessionCarrier};
    use route::table::Endpoint;
    use std::sync::Arc;

    const NOW: u64 = 1_800_000_000;

    fn endpoint(number: u8) -> Endpoint {
        let address = ([10, 0, 0, number], 80).into();
        Endpoint { id: String::new(), address, uid: number.into(), state: ir::EndpointState::Ready }
    }

    fn cookie(absolute_timeout_ms: u64, permanent: bool) -> ir::Session {
        let carrier = SessionCarrier::Cookie { name: "s".to_owned(), path: "/".to_owned(), permanent };
        ir::Session { carrier, absolute_timeout_ms }
    }

    struct World {
        keys: Arc<TicketKeys>,
        gateway: &'static str,
    }

    impl World {
        fn session<'g>(&self, terms: &'g ir::Session, place: (&str, &str), sent: &str, now: u64) -> Session<'g> {
            let sealer = Sealer::of_sessions(&self.keys, self.gateway, terms);
            let name: &[u8] = if matches!(terms.carrier, SessionCarrier::Cookie { .. }) { b"cookie" } else { b"x-s" };
            let fields = [Field { name, value: sent.as_bytes() }];
            Session::read_at(terms, CookieTerms { attributes: None, over_tls: true }, sealer, place, &fields, now)
        }

        /// What a client has after it was answered by an endpoint.
        fn told(&self, terms: &ir::Session, place: (&str, &str), sent: &str, number: u8, now: u64) -> Option<String> {
            let field = self.session(terms, place, sent, now).tell(&endpoint(number), &[])?;
            let value = String::from_utf8(field.value).unwrap();
            Some(value.split(';').next().unwrap_or_default().to_owned())
        }
    }

    fn world() -> World {
        World { keys: Arc::default(), gateway: "a/g" }
    }

    #[test]
    fn a_session_is_of_one_rule_and_backend_and_knows_its_endpoint() {
        let (world, terms) = (world(), cookie(0, false));
        let first = world.told(&terms, ("r", "b"), "", 1, NOW).expect("a new session");
        let at = |place, sent: &str| world.session(&terms, place, sent, NOW).endpoint();
        assert!(at(("r", "b"), &first).is_some());
        assert_eq!(at(("r", "b"), &format!("x=1; s=nonsense; {first}")), at(("r", "b"), &first));
        assert_eq!((at(("r", "c"), &first), at(("q", "b"), &first), at(("r", "b"), "")), (None, None, None));
        assert_eq!(world.told(&terms, ("r", "b"), &first, 1, NOW), None, "it knows");
        // Another endpoint, and another backend beside it.
        let second = world.told(&terms, ("r", "b"), &first, 2, NOW).expect("another endpoint");
        assert_ne!(at(("r", "b"), &second), at(("r", "b"), &first));
        let both = world.told(&terms, ("r", "c"), &second, 3, NOW).expect("another session");
        assert_eq!(at(("r", "b"), &both), at(("r", "b"), &second));
        assert!(at(("r", "c"), &both).is_some());
    }

    /// A policy may have a client come back to an endpoint that is only away for a while: it is told of no other one.
    #[test]
    fn an_endpoint_that_is_there_may_be_kept() {
        let (world, terms) = (world(), cookie(0, false));
        let sent = world.told(&terms, ("r", "b"), "", 1, NOW).unwrap();
        let keeping = ir::SessionCookieAttributes { keeps_endpoint: true, ..ir::SessionCookieAttributes::default() };
        let all = [1, 2].map(|number| Arc::new(endpoint(number)));
        for (attributes, all, sent, is_told) in [
            (None, &all[..], &*sent, true),
            (Some(&keeping), &all[..], &*sent, false),
            (Some(&keeping), &all[1..], &*sent, true),
            (Some(&keeping), &all[..], "", true),
        ] {
            let mut session = world.session(&terms, ("r", "b"), sent, NOW);
            session.cookie.attributes = attributes;
            assert_eq!(session.tell(&endpoint(2), all).is_some(), is_told);
        }
    }

    #[test]
    fn what_is_foreign_old_or_too_much_begins_anew() {
        let (world, terms) = (world(), cookie(10_000, false));
        let sent = world.told(&terms, ("r", "b"), "", 1, NOW).unwrap();
        let at = |world: &World, terms: &ir::Session, sent: &str, now| {
            world.session(terms, ("r", "b"), sent, now).endpoint()
        };
        assert!(at(&world, &terms, &sent, NOW + 9).is_some());
        assert_eq!(at(&world, &terms, &sent, NOW + 10), None);
        assert_eq!(at(&world, &terms, &sent, NOW - 61), None, "from the future");
        // What goes on is the session: another endpoint makes it no younger.
        let moved = world.told(&terms, ("r", "b"), &sent, 2, NOW + 5).unwrap();
        assert_eq!(at(&world, &terms, &moved, NOW + 10), None);
        let other = World { keys: Arc::clone(&world.keys), gateway: "a/other" };
        assert_eq!(at(&other, &terms, &sent, NOW), None);
        let name = |name: &str| ir::Session {
            carrier: SessionCarrier::Cookie { name: name.to_owned(), path: "/".to_owned(), permanent: false },
            absolute_timeout_ms: 0,
        };
        assert_eq!(at(&world, &name("t"), &sent.replacen('s', "t", 1), NOW), None, "of another name");
        let mut flipped = sent.clone().into_bytes();
        let last = flipped.len() - 5;
        flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
        assert_eq!(at(&world, &terms, &String::from_utf8(flipped).unwrap(), NOW), None);
        assert_eq!(at(&world, &terms, &format!("s={}", "A".repeat(100_000)), NOW), None);
        let mut many = String::new();
        for rule in 0..20 {
            many = world.told(&terms, (&rule.to_string(), "b"), &many, 1, NOW).unwrap();
        }
        let known = |rule: u32| world.session(&terms, (&rule.to_string(), "b"), &many, NOW).endpoint().is_some();
        assert_eq!((0..20).filter(|rule| known(*rule)).count(), MAX_SESSIONS);
        assert!(known(19) && !known(0) && many.len() < 400, "{}", many.len());
    }

    #[test]
    fn attributes_of_cookies_and_headers() {
        let world = world();
        let tell = |terms: &ir::Session, sent: &str, now| {
            let field = world.session(terms, ("r", "b"), sent, now).tell(&endpoint(1), &[]).unwrap();
            (field.name, String::from_utf8(field.value).unwrap())
        };
        let (name, value) = tell(&cookie(0, false), "", NOW);
        assert_eq!(name, "set-cookie");
        assert!(value.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{value}");
        let permanent = cookie(3_600_000, true);
        assert!(tell(&permanent, "", NOW).1.ends_with("; Max-Age=3600"));
        let sent = world.told(&permanent, ("r", "b"), "", 2, NOW).unwrap();
        assert!(tell(&permanent, &sent, NOW + 600).1.ends_with("; Max-Age=3000"), "what is left of it");
        let header = ir::Session { carrier: SessionCarrier::Header { name: "x-s".to_owned() }, absolute_timeout_ms: 0 };
        let (name, value) = tell(&header, "", NOW);
        assert_eq!(name, "x-s");
        assert!(world.session(&header, ("r", "b"), &value, NOW).endpoint().is_some());
    }

    #[test]
    fn base64_as_in_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{3ff}?", "z78_")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        for text in ["A", "Zg==", "Zm9v+", "Z g"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
