//! Published keys in a file, so that a start while a provider is away verifies what the process before it did.
//!
//! Written beside and renamed: a crash leaves the old one or the new one. Only its owner may write it: whoever could would
//! sign what he likes.

use super::set::{Fetched, MAX_AGE};
use super::since_1970;
use ahash::AHashMap;
use jwt::KeySet;
use route::ir::RemoteKeys;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const NAME: &str = "identity-keys.json";

/// Octets of the file: two of them find room beside two snapshots on the volume of a pod. What finds none is fetched anew.
const MAX_BYTES: usize = 960 * 1024;

/// Of what a file says, this build reads this.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    sets: Vec<Set>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    source: RemoteKeys,
    /// Seconds since 1970.
    at: u64,
    keys: String,
}

pub fn path_in(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// What is kept there, but for what is too old. Nothing where there is no file.
///
/// # Errors
/// Why it cannot be used; for people.
pub fn read(path: &Path) -> Result<AHashMap<RemoteKeys, Arc<Fetched>>, String> {
    let file = match OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(AHashMap::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() > MAX_BYTES {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    let kept: Kept = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if kept.version != VERSION {
        return Err(format!("it is of version {}", kept.version));
    }
    let now = since_1970();
    let usable = kept.sets.into_iter().filter_map(|Set { source, at, keys }| {
        // A clock that was ahead makes nothing younger than now.
        let at = Duration::from_secs(at).min(now);
        let keys_read = KeySet::read_published(keys.as_bytes()).ok()?;
        let left = MAX_AGE.checked_sub(now.saturating_sub(at)).filter(|left| !left.is_zero())?;
        let fetched = Fetched { keys: Arc::new(keys_read), text: keys.into_bytes(), at, until: Instant::now() + left };
        Some((source, Arc::new(fetched)))
    });
    Ok(usable.collect())
}

/// Keep the youngest of them that find room.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, all: &[(RemoteKeys, Arc<Fetched>)]) -> io::Result<()> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|(_, fetched)| std::cmp::Reverse(fetched.at));
    let mut kept = Kept { version: VERSION, sets: Vec::new() };
    let mut left = MAX_BYTES - serde_json::to_vec(&kept)?.len();
    for (source, fetched) in sorted {
        let Ok(keys) = String::from_utf8(fetched.text.clone()) else { continue };
        let set = Set { source: source.clone(), at: fetched.at.as_secs(), keys };
        // And a comma.
        let Some(rest) = left.checked_sub(serde_json::to_vec(&set)?.len() + 1) else { continue };
        left = rest;
        kept.sets.push(set);
    }
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, path_in, read, since_1970, write};
    use crate::policy::access::key_sets::set::{Fetched, MAX_AGE};
    use jwt::KeySet;
    use route::ir::RemoteKeys;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::Instant;

    const KEYS: &str =
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn fetched(number: usize, age: Duration, padding: usize) -> (RemoteKeys, Arc<Fetched>) {
        let source = RemoteKeys {
            backend: "b".to_owned(),
            path: format!("/{number}"),
            hostname: String::new(),
            service: "s".to_owned(),
            refresh_ms: 1000,
        };
        let text = format!("{KEYS}{}", " ".repeat(padding)).into_bytes();
        let keys = Arc::new(KeySet::read_published(&text).expect("a set"));
        let at = since_1970().saturating_sub(age);
        (source, Arc::new(Fetched { keys, text, at, until: Instant::now() + MAX_AGE }))
    }

    /// A folder of this test's own.
    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sluicegate-keys-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    #[test]
    fn what_was_written_is_read_but_for_what_is_old() {
        let folder = folder("read");
        let path = path_in(&folder);
        assert!(read(&path).expect("nothing").is_empty());
        let all = [fetched(1, Duration::from_secs(5), 0), fetched(2, MAX_AGE, 0)];
        for _ in 0..2 {
            write(&path, &all).expect("a file");
        }
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let found = read(&path).expect("keys");
        assert_eq!(found.keys().map(|source| source.path.as_str()).collect::<Vec<_>>(), ["/1"]);
        assert_eq!(found[&all[0].0].text, all[0].1.text);
        fs::remove_dir_all(folder).expect("gone");
    }

    #[test]
    fn the_youngest_find_room() {
        let folder = folder("room");
        let path = path_in(&folder);
        let all: Vec<_> = (1..=4).map(|age| fetched(age, Duration::from_secs(age as u64 * 60), 400_000)).collect();
        write(&path, &all).expect("a file");
        assert!(fs::metadata(&path).expect("a file").len() <= MAX_BYTES as u64);
        let mut found: Vec<_> = read(&path).expect("keys").into_keys().map(|source| source.path).collect();
        found.sort();
        assert_eq!(found, ["/1", "/2"]);
        fs::remove_dir_all(folder).expect("gone");
    }

    #[test]
    fn what_is_no_such_file_is_said_and_ignored() {
        let folder = folder("bad");
        let path = path_in(&folder);
        for text in ["", "{", r#"{"version": 2, "sets": []}"#, r#"{"version": 1, "sets": [], "more": 1}"#] {
            fs::write(&path, text).expect("a file");
            assert!(read(&path).is_err(), "{text}");
        }
        fs::write(&path, " ".repeat(MAX_BYTES + 1)).expect("a file");
        assert!(read(&path).expect_err("too large").contains("larger"));
        fs::remove_file(&path).expect("gone");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a link");
        assert!(read(&path).is_err());
        fs::remove_dir_all(folder).expect("gone");
    }
}
