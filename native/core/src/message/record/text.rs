//! What the access log has of a request that is gone by the time its line is written.

use crate::message::client::Client;
use crate::message::head::Inbound;
use crate::telemetry::Destination;
use codec::Field;
use route::policy::{Proof, masked};
use std::sync::Arc;

/// Bytes of the name of a user that are logged: tokens say what they like.
const MAX_USER: usize = 256;

/// Parts of the request that are gone by the time the line is written.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// Of the client, where a trusted proxy stands between.
    pub origin: Option<String>,
    pub method: String,
    pub authority: String,
    pub path: String,
    /// Nothing in the path is a credential.
    pub is_masked: bool,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    /// Who it is, and what proved it.
    pub user: Option<(String, Proof)>,
    pub backend: Option<String>,
    pub endpoint: Option<String>,
    pub detail: Option<String>,
    /// It goes to the log of the process.
    pub local: bool,
    /// A policy sends it to a collector.
    pub collector: Option<Arc<Destination>>,
}

impl Text {
    pub fn hide(&mut self, secret_pairs: &[String]) {
        if let Some(path) = masked(&self.path, secret_pairs).filter(|_| !secret_pairs.is_empty()) {
            self.path = path;
        }
        self.is_masked = true;
    }

    pub fn of(client: &Client, inbound: &Inbound<'_>, local: bool) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let field = |name: &str| {
            let named = |field: &&Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
            inbound.fields.iter().find(named).map(|field| text(field.value))
        };
        Self {
            origin: client.origin(&inbound.fields, None).map(|address| address.to_string()),
            method: inbound.method.to_owned(),
            authority: text(inbound.authority.unwrap_or_default()),
            path: text(inbound.target),
            is_masked: false,
            user_agent: field("user-agent"),
            request_id: field("x-request-id"),
            user: None,
            backend: None,
            endpoint: None,
            detail: None,
            local,
            collector: None,
        }
    }
}

/// The name of a user, without what could lead a terminal astray, cut where it is too long.
pub(super) fn as_logged(user: &str) -> String {
    let ends = user.char_indices().map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(|end| *end <= MAX_USER).last().unwrap_or_default();
    let plain = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    let kept = user[..end].chars().map(plain);
    kept.chain((end < user.len()).then_some('\u{2026}')).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_USER, as_logged};

    #[test]
    fn users_in_a_line() {
        for (user, logged) in [
            ("", ""),
            ("ann smith", "ann smith"),
            ("a\nb\u{1b}[2J\u{9b}\u{7f}", "a\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(as_logged(user), logged);
        }
        let just = "x".repeat(MAX_USER);
        assert_eq!(as_logged(&just), just);
        // No character is cut in two.
        assert_eq!(as_logged(&format!("{}\u{e9}y", &just[1..])), format!("{}\u{2026}", &just[1..]));
    }
}
