//! Inputs as they are kept: `corpus/<target>/*.txt`, one input a line.
//!
//! Printable ASCII stands for itself; `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` for the rest. Lines that begin with `#` say why
//! the inputs below are there. Empty lines are nothing: the empty input is tried in any case.

use super::Violation;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Where an input stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    pub input: Vec<u8>,
}

/// The folder of all corpora: that of this source tree.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// All inputs kept for a target, in the order of file names and lines.
///
/// # Errors
/// A file cannot be read, or a line is not in the form above; says which.
pub fn read(target: &str) -> io::Result<Vec<Entry>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join(target))?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut entries = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
            let input = unescape(text).ok_or_else(|| {
                let place = format!("{}:{line}: write bytes as \\r \\n \\t \\0 \\\\ or \\xHH", file.display());
                io::Error::new(io::ErrorKind::InvalidData, place)
            })?;
            entries.push(Entry { file: file.clone(), line, input });
        }
    }
    Ok(entries)
}

/// Keep an input that broke a rule, in a file of its own. Returns the file.
///
/// # Errors
/// It cannot be written.
pub fn keep(target: &str, input: &[u8], violation: &Violation) -> io::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let file = folder().join(target).join(format!("found-{:016x}.txt", hasher.finish()));
    fs::create_dir_all(folder().join(target))?;
    fs::write(&file, format!("# {}\n{}\n", escape(violation.rule.as_bytes()), escape(input)))?;
    Ok(file)
}

pub fn escape(input: &[u8]) -> String {
    let mut text = String::with_capacity(input.len() + 16);
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            0 => text.push_str("\\0"),
            b'\\' => text.push_str("\\\\"),
            // At the start it would make a comment.
            b'#' if at == 0 => text.push_str("\\x23"),
            0x20..=0x7e => text.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                text.push_str("\\x");
                text.push(char::from(DIGITS[usize::from(byte >> 4)]));
                text.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    text
}

/// `None`: not in the form above.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut input = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            input.push(*byte);
            continue;
        }
        let [kind, after @ ..] = rest else {
            return None;
        };
        rest = after;
        input.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(input)
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape};

    #[test]
    fn every_byte_is_written_and_read() {
        let all: Vec<u8> = (0..=255).collect();
        for input in [&all[..], b"#a#", b"\\", b"GET / HTTP/1.1\r\n\r\n"] {
            let text = escape(input);
            assert!(text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) && !text.starts_with('#'), "{text}");
            assert_eq!(unescape(&text).as_deref(), Some(input), "{text}");
        }
        for text in ["\\", "\\q", "\\x1", "\\xzz"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }
}
