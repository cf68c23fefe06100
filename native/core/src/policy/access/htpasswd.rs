//! Users and passwords of an htpasswd file: which hashes are taken, and whether a password is right.
//!
//! bcrypt and argon2id are what such a file should have; SHA-1, apr1 and sha-crypt are taken too, and told. What would keep a
//! thread busy for long is not taken: whoever writes a Secret decides how much work a request is.

use argon2::password_hash::{Encoding, PasswordHash};
use argon2::{Algorithm, Argon2, PasswordVerifier};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use md5::{Digest, Md5};
use serde::Serialize;

/// Users of one file.
pub const MAX_USERS: usize = 4096;
/// A quarter of a second on a machine of these days; each one more doubles it.
const MAX_BCRYPT_COST: u32 = 12;
const MAX_ARGON2_KIBIBYTES: u32 = 65_536;
const MAX_ARGON2_PASSES: u32 = 10;
const MAX_ROUNDS: u32 = 200_000;

/// How a password is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hash {
    Bcrypt(String),
    Argon2(String),
    Sha1(Vec<u8>),
    /// Salt and digest, as they are written.
    Apr1(String, String),
    Sha256Crypt(String),
    Sha512Crypt(String),
}

impl Hash {
    /// # Errors
    /// What is wrong with it; never the hash itself.
    fn read(text: &str) -> Result<Self, String> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let cost = text.get(4..6).and_then(|cost| cost.parse().ok());
            // `$2b$`, the cost and `$`, then 128 bits of salt and 184 of the digest, without bits over.
            let is_decoded = |part: Option<&str>| part.and_then(|part| decode(Encoding::Bcrypt, part)).is_some();
            let is_whole = text.len() == 60 && is_decoded(text.get(7..29)) && is_decoded(text.get(29..));
            return match cost {
                Some(4..=MAX_BCRYPT_COST) if is_whole => Ok(Self::Bcrypt(text.to_owned())),
                Some(4..=31) if is_whole => Err(format!("its bcrypt cost is over {MAX_BCRYPT_COST}")),
                _ => Err("its bcrypt hash is none".to_owned()),
            };
        }
        if text.starts_with("$argon2") {
            return Self::argon2(text);
        }
        if let Some(encoded) = text.strip_prefix("{SHA}") {
            let digest = base64(encoded).filter(|it| it.len() == 20);
            return digest.map(Self::Sha1).ok_or_else(|| "its SHA-1 hash is none".to_owned());
        }
        if let Some(rest) = text.strip_prefix("$apr1$") {
            return match rest.split_once('$') {
                Some((salt, digest)) if (1..=8).contains(&salt.len()) && digest.len() == 22 => {
                    Ok(Self::Apr1(salt.to_owned(), digest.to_owned()))
                }
                _ => Err("its apr1 hash is none".to_owned()),
            };
        }
        for (prefix, length, kind) in
            [("$5$", 43, Self::Sha256Crypt as fn(String) -> Self), ("$6$", 86, Self::Sha512Crypt as fn(String) -> Self)]
        {
            if let Some(rest) = text.strip_prefix(prefix) {
                let rounds =
                    rest.strip_prefix("rounds=").map(|it| it.split('$').next().and_then(|it| it.parse::<u32>().ok()));
                return match (rounds, rest.rsplit('$').next()) {
                    (Some(Some(rounds)), _) if rounds > MAX_ROUNDS => {
                        Err(format!("its hash takes more than {MAX_ROUNDS} rounds"))
                    }
                    (Some(None), _) => Err("its sha-crypt hash is none".to_owned()),
                    (_, Some(digest)) if digest.len() == length => Ok(kind(text.to_owned())),
                    _ => Err("its sha-crypt hash is none".to_owned()),
                };
            }
        }
        Err("its password is not hashed in a way that is known: bcrypt (htpasswd -B) or argon2id".to_owned())
    }

    fn argon2(text: &str) -> Result<Self, String> {
        let none = || "its argon2 hash is none".to_owned();
        let hash = PasswordHash::new(text).map_err(|_| none())?;
        if Algorithm::try_from(hash.algorithm) != Ok(Algorithm::Argon2id) {
            return Err("of argon2 only argon2id is taken".to_owned());
        }
        let parameters = argon2::Params::try_from(&hash).map_err(|_| none())?;
        if parameters.m_cost() > MAX_ARGON2_KIBIBYTES || parameters.t_cost() > MAX_ARGON2_PASSES {
            return Err(format!(
                "its argon2 hash takes more than {MAX_ARGON2_KIBIBYTES} KiB of memory or {MAX_ARGON2_PASSES} passes"
            ));
        }
        if hash.salt.is_none() || hash.hash.is_none() { Err(none()) } else { Ok(Self::Argon2(text.to_owned())) }
    }

    /// Whether it can be guessed at speed by whoever gets the file.
    fn is_weak(&self) -> bool {
        !matches!(self, Self::Bcrypt(_) | Self::Argon2(_))
    }

    /// What tells it from other hashes, for the cache of what was verified.
    pub fn id(&self) -> &[u8] {
        match self {
            Self::Bcrypt(text) | Self::Argon2(text) | Self::Sha256Crypt(text) | Self::Sha512Crypt(text) => {
                text.as_bytes()
            }
            Self::Sha1(digest) => digest,
            Self::Apr1(_, digest) => digest.as_bytes(),
        }
    }

    /// Whether a password is this one: milliseconds of work.
    pub fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => {
                PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
            }
            Self::Sha1(expected) => {
                let found = digest(&SHA1_FOR_LEGACY_USE_ONLY, password);
                verify_slices_are_equal(found.as_ref(), expected).is_ok()
            }
            Self::Apr1(salt, expected) => {
                verify_slices_are_equal(apr1(password, salt.as_bytes()).as_bytes(), expected.as_bytes()).is_ok()
            }
            Self::Sha256Crypt(hash) => text(password).is_some_and(|it| sha_crypt::sha256_check(it, hash).is_ok()),
            Self::Sha512Crypt(hash) => text(password).is_some_and(|it| sha_crypt::sha512_check(it, hash).is_ok()),
        }
    }
}

fn text(password: &[u8]) -> Option<&str> {
    std::str::from_utf8(password).ok()
}

/// What there is to say of a file before it is used.
#[derive(Debug, Default, Serialize)]
pub struct Inspection {
    /// Why none of it is taken.
    pub error: Option<String>,
    pub users: usize,
    /// Users with weak hashes.
    pub weak: Vec<String>,
}

/// Look at a file.
pub fn inspect(text: &str) -> Inspection {
    match read(text) {
        Ok(users) => Inspection {
            error: None,
            users: users.len(),
            weak: users.iter().filter(|(_, hash)| hash.is_weak()).map(|(user, _)| user.clone()).collect(),
        },
        Err(error) => Inspection { error: Some(error), ..Inspection::default() },
    }
}

/// The users of a file: a line each, `user:hash`; empty lines and those that begin with `#` are none.
///
/// # Errors
/// Which line cannot be used, and why. Nothing of the file is used then: a user who is missing is easier to see than one
/// who has another's password.
pub fn read(text: &str) -> Result<Vec<(String, Hash)>, String> {
    let mut users: Vec<(String, Hash)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |message: String| format!("line {}: {message}", number + 1);
        let (user, hash) = line.split_once(':').ok_or_else(|| at("a line is user:hash".to_owned()))?;
        if user.is_empty() || user.chars().any(char::is_control) {
            return Err(at("the user has no name, or one with control characters".to_owned()));
        }
        // What stands behind a second colon is a comment of htdigest's relatives.
        let hash = hash.split(':').next().unwrap_or_default();
        let hash = Hash::read(hash).map_err(|message| at(format!("user {user}: {message}")))?;
        users.push((user.to_owned(), hash));
        if users.len() > MAX_USERS {
            return Err(format!("there are more than {MAX_USERS} users"));
        }
    }
    let mut names: Vec<&str> = users.iter().map(|(user, _)| user.as_str()).collect();
    names.sort_unstable();
    if let Some([user, ..]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("user {user} is there twice"));
    }
    if users.is_empty() { Err("there is no user in it".to_owned()) } else { Ok(users) }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    decode(Encoding::B64, text.trim_end_matches('='))
}

fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    let mut space = [0; 64];
    encoding.decode(text, &mut space).ok().map(<[u8]>::to_vec)
}

/// Apache's variant of MD5-crypt.
fn apr1(password: &[u8], salt: &[u8]) -> String {
    const ROUNDS: usize = 1000;
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for place in (0..password.len()).step_by(16) {
        outer.update(&inner[..16.min(password.len() - place)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut found = outer.finalize();
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &found[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &found[..] } else { password });
        found = next.finalize();
    }
    let mut text = String::with_capacity(22);
    for [high, middle, low] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        write64(&mut text, u32::from(found[high]) << 16 | u32::from(found[middle]) << 8 | u32::from(found[low]), 4);
    }
    write64(&mut text, u32::from(found[11]), 2);
    text
}

fn write64(to: &mut String, mut value: u32, digits: usize) {
    const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..digits {
        to.push(char::from(DIGITS[(value & 63) as usize]));
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::{Hash, MAX_USERS, inspect, read};

    /// Each made by `htpasswd` or `openssl passwd`, or from a page that specifies it.
    const KNOWN: [(&str, &str); 6] = [
        // bcrypt: OpenBSD's test vector.
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
        // Apache's page on password formats.
        ("myPassword", "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"),
        ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
        (
            "Hello world!",
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ),
        // RFC 9106's reference implementation: argon2id, 16 bytes of salt.
        ("password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"),
    ];

    #[test]
    fn every_hash_is_of_its_password_alone() {
        for (password, text) in KNOWN {
            let hash = Hash::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(hash.is_of(password.as_bytes()), "{text}");
            for other in ["", "Password", "passwor", "password ", "hello world!"] {
                assert!(!hash.is_of(other.as_bytes()), "{text} {other}");
            }
        }
    }

    #[test]
    fn what_is_not_taken() {
        for (text, message) in [
            ("ann", "a line is user:hash"),
            ("ann:", "not hashed in a way that is known"),
            ("ann:secret", "not hashed in a way that is known"),
            ("ann:$2y$13$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "cost is over 12"),
            ("ann:$2y$05$short", "its bcrypt hash is none"),
            ("ann:$2a$05$CCCCCCCCCCCCCCCCCCCCCzE5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "its bcrypt hash is none"),
            ("ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvy=eW", "its bcrypt hash is none"),
            (
                "ann:$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY",
                "only argon2id",
            ),
            (
                "ann:$argon2id$v=19$m=1048576,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
                "more than 65536 KiB",
            ),
            ("ann:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ", "its argon2 hash is none"),
            ("ann:{SHA}W6ph5Mm5Pz8=", "its SHA-1 hash is none"),
            ("ann:$apr1$toolongsalt$HqJZimcKQFAMYayBlzkrA/", "its apr1 hash is none"),
            ("ann:$5$rounds=9999999$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "more than 200000 rounds"),
            (":{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "has no name"),
            ("# nobody\n\n", "there is no user in it"),
            ("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "twice"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
            assert!(!error.contains("W6ph") && !error.contains("secret"), "{error}");
        }
        let many: Vec<String> = (0..=MAX_USERS).map(|n| format!("u{n}:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=")).collect();
        assert!(read(&many.join("\n")).unwrap_err().contains("more than 4096 users"));
    }

    #[test]
    fn what_is_told_of_a_file() {
        let file: Vec<String> = KNOWN.iter().enumerate().map(|(n, (_, hash))| format!("u{n}:{hash}")).collect();
        let found = inspect(&file.join("\n"));
        assert_eq!((found.error, found.users), (None, 6));
        assert_eq!(found.weak, ["u1", "u2", "u3", "u4"]);
        assert!(inspect("x").error.is_some());
    }
}
