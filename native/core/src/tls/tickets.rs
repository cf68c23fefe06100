//! Session tickets (RFC 8446 section 4.6.1, RFC 5077): their keys, shared by the replicas of a Gateway, and what they are
//! good for.
//!
//! Rules:
//! - The keys of a Gateway come with the configuration, the same to all of its replicas. Where there are none, or the
//!   newest is too old (nobody renewed it: the controller is away), this process has its own, which it makes and rotates
//!   itself and keeps over reloads.
//! - The newest key makes tickets, older ones are good for what they made, and no key is used once it is [`KEY_LIFE`] old:
//!   whoever learns a key can read the sessions of that time, not more.
//! - A ticket is good at its own listener, for as long as that validates clients in the same way: both go into the key
//!   that it is encrypted with. A session never crosses to a listener that would not have taken its client.
//! - A listener that takes validated clients only makes no tickets (`server::config`): each resumption renews the ticket
//!   and looks at no certificate, so a client could outlive its own.

use super::provider;
use ahash::AHashMap;
use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use route::ir;
use rustls::pki_types::UnixTime;
use rustls::server::ProducesTickets;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Seconds after which a key of this process is followed by a new one; the controller does the same with those of Gateways.
const ROTATION: u64 = 12 * 60 * 60;

/// Keys that are kept: one makes tickets, the two before are good for theirs.
const KEPT: usize = 3;

/// Seconds after which a key is not used any more, whoever made it.
const KEY_LIFE: u64 = KEPT as u64 * ROTATION;

/// Seconds that clients are told to keep a ticket: what the youngest key of a rotation grants at the least.
const TICKET_LIFE: u32 = 24 * 60 * 60;

/// Bytes of the name of a key, at the front of a ticket.
const NAME_LENGTH: usize = 16;

/// What a key is made from.
#[derive(Clone)]
struct Secret {
    /// Of HMAC-SHA-256; what encrypts is made from it for each listener.
    key: hmac::Key,
    /// Seconds since 1970.
    created: u64,
}

/// The keys of all Gateways, and of this process; lives as long as the process.
#[derive(Default)]
pub struct TicketKeys {
    /// By Gateway, `<namespace>/<name>`; newest first.
    shared: ArcSwap<AHashMap<Box<str>, Vec<Secret>>>,
    /// Newest first.
    own: Mutex<Vec<Secret>>,
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TicketKeys")
    }
}

impl Secret {
    fn is_alive(&self, now: u64) -> bool {
        now < self.created.saturating_add(KEY_LIFE)
    }

    /// The name and the key of tickets with a purpose (HMAC as a pseudo-random function: RFC 5869 section 2.3).
    fn derive(&self, purpose: &[u8]) -> Option<([u8; NAME_LENGTH], LessSafeKey)> {
        let part = |label: &[u8]| {
            let mut context = hmac::Context::with_key(&self.key);
            context.update(label);
            context.update(purpose);
            context.sign()
        };
        let name = part(b"sluicegate ticket name").as_ref().first_chunk().copied()?;
        let key = UnboundKey::new(&AES_256_GCM, part(b"sluicegate ticket key").as_ref()).ok()?;
        Some((name, LessSafeKey::new(key)))
    }
}

impl TicketKeys {
    /// Take over the keys of a table; those of this process stay.
    pub(super) fn share<'t>(&self, all: impl Iterator<Item = &'t Arc<ir::SessionTickets>>) {
        let secrets = |tickets: &ir::SessionTickets| {
            let mut secrets: Vec<Secret> = tickets.keys.iter().filter_map(read).collect();
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.created));
            secrets.truncate(KEPT);
            secrets
        };
        self.shared.store(Arc::new(all.map(|tickets| (tickets.id.as_str().into(), secrets(tickets))).collect()));
    }

    /// The keys that may be used now, the one that makes tickets first.
    fn alive(&self, gateway: &str, now: u64) -> Vec<Secret> {
        let shared = self.shared.load();
        let shared = shared.get(gateway).into_iter().flatten().filter(|secret| secret.is_alive(now));
        let mut alive: Vec<Secret> = shared.cloned().collect();
        let Ok(mut own) = self.own.lock() else {
            return alive;
        };
        own.retain(|secret| secret.is_alive(now));
        let due = own.first().is_none_or(|secret| now >= secret.created.saturating_add(ROTATION));
        if alive.is_empty() && due {
            let mut bytes = [0; 32];
            // Without randomness there are no tickets.
            if provider().secure_random.fill(&mut bytes).is_ok() {
                own.insert(0, Secret { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), created: now });
                own.truncate(KEPT);
            }
        }
        alive.extend(own.iter().cloned());
        alive
    }
}

fn read(key: &ir::TicketKey) -> Option<Secret> {
    let created = u64::try_from(key.created).ok()?;
    Some(Secret { key: hmac::Key::new(hmac::HMAC_SHA256, &key.bytes()?), created })
}

/// Encrypts for one purpose of a Gateway with the newest of its keys, and reads what older ones of them have made.
#[derive(Debug)]
pub struct Sealer {
    keys: Arc<TicketKeys>,
    gateway: Box<str>,
    /// What is made for one purpose is good for no other.
    purpose: Box<[u8]>,
}

/// Makes and reads the tickets of one listener.
#[derive(Debug)]
pub(super) struct Ticketer(Sealer);

impl Ticketer {
    pub(super) fn new(keys: &Arc<TicketKeys>, listener: &ir::Listener, trust: &[Arc<ir::Trust>]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        // Every part with its length, so that no two listeners give the same bytes.
        let mut add = |part: &[u8]| {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        };
        add(listener.id.as_bytes());
        if let Some(validation) = listener.tls.as_ref().and_then(|tls| tls.client_validation.as_ref()) {
            add(format!("{:?}", validation.mode).as_bytes());
            for trust in trust {
                add(trust.pem.as_bytes());
            }
        }
        let purpose = context.finish().as_ref().into();
        Self(Sealer { keys: Arc::clone(keys), gateway: listener.gateway.as_str().into(), purpose })
    }

    fn encrypt_at(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        self.0.seal(plain, now)
    }

    fn decrypt_at(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        self.0.open(ticket, now).map(|(plain, _)| plain)
    }
}

impl Sealer {
    /// Of the sessions that one cookie or header of a Gateway's responses keeps.
    pub fn of_sessions(keys: &Arc<TicketKeys>, gateway: &str, session: &ir::Session) -> Self {
        let (kind, name) = match &session.carrier {
            ir::SessionCarrier::Cookie { name, .. } => ("cookie", name),
            ir::SessionCarrier::Header { name } => ("header", name),
        };
        // The purposes of listeners are digests, which no such text is. Gateways may have one key, of this process.
        let purpose = format!("session {gateway} {kind} {name}").into_bytes().into();
        Self { keys: Arc::clone(keys), gateway: gateway.into(), purpose }
    }

    /// `None`: there is no randomness. `now`: seconds since 1970.
    pub fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let (name, key) = self.keys.alive(&self.gateway, now).first()?.derive(&self.purpose)?;
        let mut nonce = [0; NONCE_LEN];
        // Random, as a counter would link the tickets of a client; 2^32 tickets of one listener and key are safe.
        provider().secure_random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut sealed).ok()?;
        Some([&name[..], &nonce, &sealed].concat())
    }

    /// What was sealed, and whether the newest key has done it. `None`: none of the keys has, or not for this.
    pub fn open(&self, ticket: &[u8], now: u64) -> Option<(Vec<u8>, bool)> {
        let (name, rest) = ticket.split_first_chunk::<NAME_LENGTH>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.alive(&self.gateway, now);
        let mut keys = keys.iter().filter_map(|secret| secret.derive(&self.purpose)).enumerate();
        let (place, (_, key)) = keys.find(|(_, (own, _))| own == name)?;
        let mut bytes = sealed.to_vec();
        let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(*name), &mut bytes).ok()?;
        Some((plain.to_vec(), place == 0))
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_LIFE
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.encrypt_at(plain, UnixTime::now().as_secs())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.decrypt_at(ticket, UnixTime::now().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::{KEY_LIFE, ROTATION, TicketKeys, Ticketer};
    use route::ir;
    use serde_json::json;
    use std::sync::Arc;

    const NOW: u64 = 1_800_000_000;

    fn listener(id: &str, gateway: &str) -> ir::Listener {
        let listener = json!({"id": id, "gateway": gateway, "port": 1, "bind_port": 1, "protocol": "HTTPS"});
        serde_json::from_value(listener).expect("a listener")
    }

    /// Keys as a controller sends them: a digit that all of the secret is made of, and the age in seconds.
    fn share(keys: &TicketKeys, gateway: &str, of: &[(char, u64)]) {
        let of: Vec<_> = of.iter().map(|(digit, age)| (digit.to_string().repeat(64), NOW - age)).collect();
        let of: Vec<_> = of.iter().map(|(secret, created)| json!({"secret": secret, "created": created})).collect();
        let tickets: ir::SessionTickets =
            serde_json::from_value(json!({"id": gateway, "keys": of})).expect("keys of a Gateway");
        keys.share([Arc::new(tickets)].iter());
    }

    #[test]
    fn rotation_of_shared_keys() {
        let made_with = |keys: &[(char, u64)]| {
            let all = Arc::default();
            share(&all, "g", keys);
            Ticketer::new(&all, &listener("a", "g"), &[])
        };
        let ticket = made_with(&[('1', 10)]).encrypt_at(b"session", NOW).expect("a ticket");
        let opens = |keys: &[(char, u64)], later: u64| made_with(keys).decrypt_at(&ticket, NOW + later).is_some();
        assert!(opens(&[('1', 10)], 0));
        // In whatever order they come.
        assert!(opens(&[('2', 5), ('1', 10)], 0) && opens(&[('1', 10), ('2', 5)], 0));
        assert!(opens(&[('3', 0), ('2', 5), ('1', 10)], ROTATION));
        assert!(!opens(&[('4', 0), ('3', 0), ('2', 5), ('1', 10)], 0));
        assert!(!opens(&[('2', 5)], 0) && !opens(&[], 0));
        assert!(opens(&[('1', 10)], KEY_LIFE - 11) && !opens(&[('1', 10)], KEY_LIFE - 10));
        // The newest makes them.
        let other = made_with(&[('1', 10), ('2', 5)]).encrypt_at(b"session", NOW).expect("a ticket");
        assert!(made_with(&[('2', 5)]).decrypt_at(&other, NOW).is_some());
        assert!(made_with(&[('1', 10)]).decrypt_at(&other, NOW).is_none());
    }

    /// Keys of the process: where there are no others, and where those are too old.
    #[test]
    fn rotation_of_own_keys() {
        let all = Arc::default();
        let ticketer = Ticketer::new(&all, &listener("a", "g"), &[]);
        let ticket = ticketer.encrypt_at(b"session", NOW).expect("a ticket");
        let mut last = ticket.clone();
        for at in 1..=KEY_LIFE / ROTATION {
            let alive = at * ROTATION < KEY_LIFE;
            let next = ticketer.encrypt_at(b"session", NOW + at * ROTATION).expect("a ticket");
            assert_ne!(next[..16], last[..16]);
            assert_eq!(ticketer.decrypt_at(&ticket, NOW + at * ROTATION).is_some(), alive);
            last = next;
        }
        share(&all, "g", &[('1', KEY_LIFE)]);
        let own = ticketer.encrypt_at(b"session", NOW).expect("a ticket");
        let other = Arc::default();
        share(&other, "g", &[('1', 0)]);
        let elsewhere = Ticketer::new(&other, &listener("a", "g"), &[]);
        assert!(elsewhere.decrypt_at(&own, NOW).is_none());
        // A key that came meanwhile makes the next one; what was made before is still good.
        share(&all, "g", &[('1', 0)]);
        let shared = ticketer.encrypt_at(b"session", NOW).expect("a ticket");
        assert_eq!(elsewhere.decrypt_at(&shared, NOW).as_deref(), Some(&b"session"[..]));
        assert!(ticketer.decrypt_at(&own, NOW).is_some());
    }

    #[test]
    fn tickets_that_are_not_ours() {
        let all = Arc::default();
        share(&all, "g", &[('1', 0)]);
        let ticketer = Ticketer::new(&all, &listener("a", "g"), &[]);
        let ticket = ticketer.encrypt_at(b"session", NOW).expect("a ticket");
        for length in 0..ticket.len() {
            assert!(ticketer.decrypt_at(&ticket[..length], NOW).is_none());
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert!(ticketer.decrypt_at(&changed, NOW).is_none());
        }
        // Another listener, another Gateway with other keys.
        assert!(Ticketer::new(&all, &listener("b", "g"), &[]).decrypt_at(&ticket, NOW).is_none());
        assert!(Ticketer::new(&all, &listener("a", "h"), &[]).decrypt_at(&ticket, NOW).is_none());
        assert_ne!(ticketer.encrypt_at(b"session", NOW), Some(ticket));
    }
}
