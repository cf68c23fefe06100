//! PEM: bundles of CA certificates, chains and keys, as the control plane and the data plane read them.

use crate::verdict::{Outcome, Violation, ensure};
use sluicegate_core::tls::inspect::{certificate, trust};

pub const TOKENS: &[&[u8]] = &[
    b"-----BEGIN CERTIFICATE-----\n",
    b"\n-----END CERTIFICATE-----\n",
    b"-----BEGIN ",
    b"-----END ",
    b"-----",
    b"----",
    b"BEGIN CERTIFICATE",
    b"CERTIFICATE",
    b"TRUSTED CERTIFICATE",
    b"X509 CERTIFICATE",
    b"PRIVATE KEY",
    b"RSA PRIVATE KEY",
    b"EC PRIVATE KEY",
    b"ENCRYPTED",
    b"PKCS7",
    b"=",
    b"==",
    b"QUFB",
    b"MIIB",
    b"\r\n",
    b"\xe2\x80\x93",
];

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    let text = String::from_utf8_lossy(input);
    let alone = facts(&text);
    // What stands around blocks is nothing to them, and line ends have two spellings.
    for (how, other) in [
        ("text before it", format!("a note\n{text}")),
        ("text behind it", format!("{text}\na note\n")),
        ("CRLF", text.replace('\r', "").replace('\n', "\r\n")),
    ] {
        let told = facts(&other);
        let same = told == alone || (how == "CRLF" && text.contains('\r'));
        ensure!(same, format!("{how} changes nothing"), "{alone:?}, then {told:?}");
    }
    let twice = facts(&format!("{text}\n{text}"));
    let (count, error) = &alone;
    ensure!(twice.1.is_none() == error.is_none(), "twice the same is as good as once", "{alone:?}, then {twice:?}");
    ensure!((*count > 0) == error.is_none(), "a bundle has certificates or an error", "{alone:?}");
    let served = certificate(&text, &text);
    ensure!(served.error.is_some() || error.is_none() || *count == 0, "one reader of PEM", "{alone:?}, {served:?}");
    Ok(format!("{}: {}; {}", count.min(&3), kind(error.as_deref()), kind(served.error.as_deref())))
}

/// An error without what it quotes of the input.
fn kind(error: Option<&str>) -> String {
    let text = error.unwrap_or("good");
    let end = ["-----", ", only ", " is not supported"].iter().filter_map(|quote| text.find(quote)).min();
    let text = &text[..end.unwrap_or(text.len())];
    text.chars().filter(|each| !each.is_ascii_digit()).take_while(char::is_ascii).take(60).collect()
}

fn facts(text: &str) -> (usize, Option<String>) {
    let facts = trust(text);
    (facts.count, facts.error)
}
