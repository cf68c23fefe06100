//! The users of one policy: whether a password is theirs, from memory or by work on a thread.

use super::htpasswd::{self, Hash};
use crate::policy::ages::{Ages, Most};
use crate::policy::marks::{Mark, Marker};
use ahash::AHashMap;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use route::policy::Credentials;
use std::sync::{Arc, Mutex, PoisonError};

/// Passwords that were right and are remembered, twice at most. Nothing of them is kept but a mark.
const MOST: Most = Most { entries: 4096, bytes: usize::MAX };

#[derive(Debug)]
pub struct Users {
    hashes: Vec<Hash>,
    by_name: AHashMap<String, usize>,
    /// Chooses whose hash stands in for a name that nobody has.
    strangers: hmac::Key,
    remembered: Mutex<Ages<Mark, ()>>,
}

/// What is known of a password at once.
pub enum Known {
    Right,
    /// This has to be run on a thread.
    Work(Box<dyn FnOnce() -> bool + Send>),
}

impl Users {
    /// # Errors
    /// As [`htpasswd::read`].
    pub fn compile(text: &str) -> Result<Self, String> {
        let users = htpasswd::read(text)?;
        let by_name = users.iter().enumerate().map(|(place, (user, _))| (user.clone(), place)).collect();
        // Known to whoever knows the file, which nobody does; each pod has the same, so that asking two tells nothing.
        let strangers = hmac::Key::new(hmac::HMAC_SHA256, digest(&SHA256, text.as_bytes()).as_ref());
        let hashes = users.into_iter().map(|(_, hash)| hash).collect();
        Ok(Self { hashes, by_name, strangers, remembered: Mutex::new(Ages::new(MOST)) })
    }

    /// Whether a password is its user's.
    pub fn ask(self: &Arc<Self>, credentials: Credentials) -> Known {
        let known = self.by_name.get(&credentials.user).copied();
        // Somebody who is no user costs what a user costs: the hash of one, chosen by the name, always the same.
        let place = known.unwrap_or_else(|| self.stand_in(&credentials.user));
        let Some(hash) = self.hashes.get(place) else { return Known::Work(Box::new(|| false)) };
        let mark = mark(&credentials, hash);
        if known.is_some() && self.remembers(&mark) {
            return Known::Right;
        }
        let users = self.clone();
        Known::Work(Box::new(move || {
            let is_right =
                users.hashes.get(place).is_some_and(|hash| hash.is_of(&credentials.password)) && known.is_some();
            if is_right {
                users.remember(mark);
            }
            is_right
        }))
    }

    fn stand_in(&self, name: &str) -> usize {
        let tag = hmac::sign(&self.strangers, name.as_bytes());
        let number = tag.as_ref().iter().take(4).fold(0usize, |sum, octet| sum << 8 | usize::from(*octet));
        number % self.hashes.len().max(1)
    }

    fn remembers(&self, mark: &Mark) -> bool {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(mark).is_some()
    }

    fn remember(&self, mark: Mark) {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).put(mark, (), 0);
    }
}

/// Of this process alone, and of the hash as well: a password that was changed is not remembered.
fn mark(credentials: &Credentials, hash: &Hash) -> Mark {
    let Credentials { user, password } = credentials;
    Marker::new().part(user.as_bytes()).part(password).part(hash.id()).finish()
}

#[cfg(test)]
mod tests {
    use super::{Known, Users};
    use route::policy::Credentials;
    use std::sync::Arc;

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.to_owned(), password: password.into() }
    }

    /// Whether the password is right, and whether that took work.
    fn ask(users: &Arc<Users>, user: &str, password: &str) -> (bool, bool) {
        match users.ask(credentials(user, password)) {
            Known::Right => (true, false),
            Known::Work(work) => (work(), true),
        }
    }

    #[test]
    fn right_passwords_are_remembered_and_nothing_else_is() {
        let users = Arc::new(
            Users::compile("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nbob:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=").unwrap(),
        );
        assert_eq!(ask(&users, "ann", "password"), (true, true));
        assert_eq!(ask(&users, "ann", "password"), (true, false));
        for _ in 0..2 {
            assert_eq!(ask(&users, "ann", "Password"), (false, true));
            assert_eq!(ask(&users, "bob", "password"), (false, true));
            // Whoever stands in for nobody: its password is nobody's.
            assert_eq!(ask(&users, "eve", "password"), (false, true));
            assert_eq!(ask(&users, "eve", ""), (false, true));
        }
        // Another file: nothing is known of it.
        let changed = Arc::new(Users::compile("ann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=").unwrap());
        assert_eq!(ask(&changed, "ann", "password"), (false, true));
        assert_eq!(ask(&changed, "ann", ""), (true, true));
    }
}
