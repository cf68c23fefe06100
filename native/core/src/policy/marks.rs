//! What something that a client sent is known by, where nothing of it is to be kept: a digest with a key of this process alone.

use aws_lc_rs::hmac;
use std::sync::OnceLock;

/// A digest.
pub type Mark = [u8; 32];

/// A mark in the making. Each part carries its length: `ab`, `c` is another one than `a`, `bc`.
pub struct Marker(hmac::Context);

impl Marker {
    pub fn new() -> Self {
        Self(hmac::Context::with_key(key()))
    }

    #[must_use]
    pub fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// What is not there: another part than one that is empty.
    #[must_use]
    pub fn absent(mut self) -> Self {
        self.0.update(&u64::MAX.to_be_bytes());
        self
    }

    pub fn finish(self) -> Mark {
        self.0.sign().as_ref().try_into().unwrap_or_default()
    }
}

fn key() -> &'static hmac::Key {
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut secret = [0; 32];
        // Without random numbers nobody could guess the address of this array either; TLS would not run at all.
        let _ = aws_lc_rs::rand::fill(&mut secret);
        hmac::Key::new(hmac::HMAC_SHA256, &secret)
    })
}

#[cfg(test)]
mod tests {
    use super::Marker;
    use std::collections::HashSet;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of =
            |parts: &[&str]| parts.iter().fold(Marker::new(), |marker, part| marker.part(part.as_bytes())).finish();
        let parts: [&[&str]; 6] = [&[], &[""], &["a", "bc"], &["ab", "c"], &["abc"], &["abc", ""]];
        let mut marks: HashSet<_> = parts.iter().map(|parts| of(parts)).collect();
        marks.insert(Marker::new().absent().finish());
        assert_eq!(marks.len(), parts.len() + 1);
        assert_eq!(of(&["a", "bc"]), of(&["a", "bc"]));
    }
}
