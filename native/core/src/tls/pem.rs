//! PEM (RFC 7468): the blocks of a text. The same rules as `controller/translate/pem.py`, tested by the same table,
//! `tests/unit/pem_cases.json`.
//!
//! - Text before, between and after blocks is ignored; blocks may be indented, and need no line end between them.
//! - What looks like a block and cannot be read is an error: a certificate is never left out in silence.

use regex::Regex;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::sync::OnceLock;

const BEGIN: &str = "-----BEGIN ";
const HYPHENS: &str = "-----";

/// Bytes of a label; the longest in use has 21.
const MAX_LABEL: usize = 64;

/// Labels of certificates; the second is what old versions of OpenSSL wrote.
const CERTIFICATE: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];

/// Labels of containers that may hold certificates, in a form that is not read.
const CONTAINERS: [&str; 3] = ["PKCS7", "PKCS #7 SIGNED DATA", "CMS"];

/// A boundary that lost hyphens, or its other half; between blocks there is to be none.
const STRAY: &str = r"(?i)(?:begin|end)[ \t]+(?:[a-z0-9]+[ \t]+){0,2}certificate[ \t]*(?-i:[-\x{80}-\x{10ffff}])";

/// A block as it stands in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'t> {
    /// From 1, over the blocks of any label.
    pub number: usize,
    pub label: &'t str,
    body: &'t str,
}

/// A certificate of a text, and the number of its block.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    pub block: usize,
    pub der: Vec<u8>,
}

/// All blocks, in order.
///
/// # Errors
/// The first boundary that is not whole.
pub fn blocks(text: &str) -> Result<Vec<Block<'_>>, String> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut rest = text;
    loop {
        let number = found.len() + 1;
        let Some(at) = rest.find(BEGIN) else {
            no_stray(rest, number)?;
            return Ok(found);
        };
        no_stray(&rest[..at], number)?;
        rest = &rest[at + BEGIN.len()..];
        let label = rest.find(HYPHENS).map(|end| &rest[..end]);
        let label = label.filter(|label| label.len() <= MAX_LABEL && !label.contains(['\r', '\n']));
        let label = label.ok_or_else(|| format!("block {number}: its BEGIN line does not end in five hyphens"))?;
        rest = &rest[label.len() + HYPHENS.len()..];
        let end_line = format!("-----END {label}-----");
        let end = rest.find(&end_line).filter(|end| !rest[..*end].contains(BEGIN));
        let end = end.ok_or_else(|| format!("block {number}: it has no line {end_line}"))?;
        found.push(Block { number, label, body: &rest[..end] });
        rest = &rest[end + end_line.len()..];
    }
}

fn no_stray(between: &str, number: usize) -> Result<(), String> {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| Regex::new(STRAY).ok());
    if pattern.as_ref().is_some_and(|pattern| pattern.is_match(between)) {
        return Err(format!(
            "block {number}: a boundary that is not whole: write -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"
        ));
    }
    Ok(())
}

/// The certificates among the blocks.
///
/// # Errors
/// The first block that cannot be read, or that may hold certificates in another form; a text without a certificate.
pub fn certificates(text: &str) -> Result<Vec<Certificate>, String> {
    let mut found = Vec::new();
    let mut others: Vec<&str> = Vec::new();
    for block in blocks(text)? {
        let Block { number, label, .. } = block;
        if CERTIFICATE.contains(&label) {
            found.push(Certificate { block: number, der: block.decode()? });
        } else if label == "TRUSTED CERTIFICATE" {
            return Err(format!(
                "block {number}: TRUSTED CERTIFICATE is OpenSSL's own form: convert it with openssl x509"
            ));
        } else if CONTAINERS.contains(&label) || (label.contains("CERTIFICATE") && !label.contains("REQUEST")) {
            return Err(format!("block {number}: {label} is not supported, only CERTIFICATE"));
        } else if !others.contains(&label) {
            others.push(label);
        }
    }
    match (found.is_empty(), others.is_empty()) {
        (false, _) => Ok(found),
        (true, true) => Err("no certificate in it".to_owned()),
        (true, false) => Err(format!("no certificate in it, only {}", others.join(", "))),
    }
}

/// The first private key among the blocks.
///
/// # Errors
/// There is none, or it is encrypted or in a form that is not supported.
pub fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    let mut others: Vec<&str> = Vec::new();
    for block in blocks(text)? {
        let Block { number, label, body } = block;
        if label == "ENCRYPTED PRIVATE KEY" || (label.ends_with("PRIVATE KEY") && body.contains("ENCRYPTED")) {
            return Err(format!("block {number}: the key is encrypted: decrypt it, for example with openssl pkey"));
        }
        return Ok(match label {
            "PRIVATE KEY" => PrivatePkcs8KeyDer::from(block.decode()?).into(),
            "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(block.decode()?).into(),
            "EC PRIVATE KEY" => PrivateSec1KeyDer::from(block.decode()?).into(),
            _ if label.ends_with("PRIVATE KEY") => {
                return Err(format!("block {number}: {label} is not supported: {SUPPORTED_KEYS}"));
            }
            _ => {
                others.push(label);
                continue;
            }
        });
    }
    Err(match others.as_slice() {
        [] => "no private key in it".to_owned(),
        others => format!("no private key in it, only {}", others.join(", ")),
    })
}

/// What the provider of cryptography signs with.
pub const SUPPORTED_KEYS: &str =
    "supported are RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519, as PKCS #8, PKCS #1 or SEC 1";

/// The block of a certificate.
pub fn of_certificate(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // A line has 64 digits (RFC 7468 section 2).
    const LINE: usize = 48;
    let mut text = format!("{BEGIN}{}{HYPHENS}\n", CERTIFICATE[0]);
    for line in der.chunks(LINE) {
        for three in line.chunks(3) {
            let mut word = [0; 4];
            word[1..=three.len()].copy_from_slice(three);
            let bits = u32::from_be_bytes(word);
            let digits = [18, 12, 6, 0].map(|shift| char::from(DIGITS[(bits >> shift & 63) as usize]));
            text.extend(&digits[..=three.len()]);
            text.extend(std::iter::repeat_n('=', 3 - three.len()));
        }
        text.push('\n');
    }
    text + &format!("-----END {}{HYPHENS}\n", CERTIFICATE[0])
}

impl Block<'_> {
    /// The bytes of the body (RFC 4648 section 4), whatever white space is in it.
    fn decode(&self) -> Result<Vec<u8>, String> {
        let number = self.number;
        let mut bytes = Vec::with_capacity(self.body.len() / 4 * 3);
        let (mut bits, mut count, mut padding) = (0_u32, 0_usize, 0_usize);
        for character in self.body.chars().filter(|character| !character.is_ascii_whitespace() && *character != '\x0b')
        {
            let value = match character {
                'A'..='Z' => u32::from(character) - 65,
                'a'..='z' => u32::from(character) - 71,
                '0'..='9' => u32::from(character) + 4,
                '+' => 62,
                '/' => 63,
                '=' if padding < 2 => 0,
                _ => return Err(format!("block {number}: it is not base64")),
            };
            if character == '=' {
                padding += 1;
            } else if padding > 0 {
                return Err(format!("block {number}: it is not base64"));
            }
            bits = bits << 6 | value;
            count += 1;
            if count.is_multiple_of(4) {
                bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
                bits = 0;
            }
        }
        if count == 0 || !count.is_multiple_of(4) {
            return Err(format!("block {number}: its base64 is cut short"));
        }
        bytes.truncate(bytes.len() - padding);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, blocks, certificates, of_certificate, private_key};

    #[test]
    fn what_is_written_can_be_read() {
        for length in [1_usize, 2, 3, 47, 48, 49, 500] {
            let der: Vec<u8> = (0..length).map(|octet| u8::try_from(octet % 251).unwrap()).collect();
            let text = of_certificate(&der);
            let lines: Vec<usize> = text.lines().map(str::len).collect();
            assert!(lines.iter().all(|line| *line <= 64), "{text}");
            let read = blocks(&text).unwrap();
            assert_eq!((read.len(), read[0].decode().unwrap()), (1, der));
        }
    }

    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        text: String,
        certificates: Option<Vec<String>>,
        error: Option<String>,
    }

    /// The table that the Python side reads too.
    #[test]
    fn the_common_table() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../../../tests/unit/pem_cases.json")).expect("the table is JSON");
        for case in &cases {
            let found = certificates(&case.text);
            let found =
                found.map(|found| found.into_iter().map(|each| String::from_utf8_lossy(&each.der).into_owned()));
            let wanted = case.error.clone().map_or_else(|| Ok(case.certificates.clone().unwrap_or_default()), Err);
            assert_eq!(found.map(Iterator::collect), wanted, "{}", case.name);
        }
        assert!(cases.len() > 30);
    }

    #[test]
    fn base64() {
        for length in 0..=64_u8 {
            let bytes: Vec<u8> = (0..length).map(|at| at.wrapping_mul(83) ^ 0xa5).collect();
            let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
            let mut body = String::new();
            for chunk in bytes.chunks(3) {
                let padded = [chunk, &[0, 0]].concat();
                let bits = padded[..3].iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
                let text: String = (0..4).map(|at| alphabet[bits >> (18 - 6 * at) & 63]).collect();
                body.push_str(&text[..=chunk.len()]);
                body.push_str(&"=="[..3 - chunk.len()]);
            }
            let decoded = Block { number: 1, label: "X", body: &body }.decode();
            assert_eq!(decoded.ok().unwrap_or_default(), bytes, "{body}");
        }
    }

    #[test]
    fn keys() {
        let block = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        for (text, wanted) in [
            (block("PRIVATE KEY", "QUFB"), ""),
            (block("EC PARAMETERS", "QUFB") + &block("EC PRIVATE KEY", "QUFB"), ""),
            (block("CERTIFICATE", "QUFB").trim_end().to_owned() + &block("RSA PRIVATE KEY", "QUFB"), ""),
            (block("ENCRYPTED PRIVATE KEY", "QUFB"), "block 1: the key is encrypted"),
            (block("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nQUFB"), "block 1: the key is encrypted"),
            (block("DSA PRIVATE KEY", "QUFB"), "block 1: DSA PRIVATE KEY is not supported: supported are RSA"),
            (block("OPENSSH PRIVATE KEY", "QUFB"), "block 1: OPENSSH PRIVATE KEY is not supported"),
            (block("CERTIFICATE", "QUFB"), "no private key in it, only CERTIFICATE"),
            (block("PRIVATE KEY", "QUFB="), "block 1: its base64 is cut short"),
            ("no key".to_owned(), "no private key in it"),
        ] {
            let error = private_key(&text).err().unwrap_or_default();
            assert!(error.starts_with(wanted) && error.is_empty() == wanted.is_empty(), "{text}: {error}");
        }
        assert_eq!(blocks("").map(|found| found.len()), Ok(0));
    }
}
