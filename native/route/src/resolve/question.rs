//! What is to be decided: about a request, or about a connection.

use super::contract::{Decision, DecisionRequest, L4Request};
use super::decide::decide;
use super::decide_l4::decide_l4;
use crate::table::Table;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What [`decide`] or [`decide_l4`] is asked.
#[derive(Debug, Clone)]
pub enum Question {
    Http(DecisionRequest),
    L4(L4Request),
}

impl Question {
    /// Read a request: one with `transport` is about a connection.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Kind {
            transport: Option<IgnoredAny>,
        }
        let is_l4 = serde_json::from_slice::<Kind>(bytes)?.transport.is_some();
        if is_l4 { serde_json::from_slice(bytes).map(Self::L4) } else { serde_json::from_slice(bytes).map(Self::Http) }
    }

    pub fn decide(&self, table: &Table) -> Decision {
        match self {
            Self::Http(request) => decide(table, request),
            Self::L4(request) => decide_l4(table, request),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Question;
    use crate::samples::{question, rule, table};
    use serde_json::json;

    /// What is asked about has to be plain: a member that one kind does not know is never passed over.
    #[test]
    fn what_is_asked_about() {
        let http = r#""bind_port": 1, "method": "GET", "authority": "a", "target": "/""#;
        for (text, expected) in [
            (format!("{{{http}}}"), Some("http")),
            (r#"{"transport": "tcp", "bind_port": 1}"#.to_owned(), Some("l4")),
            (r#"{"bind_port": 1, "transport": "udp"}"#.to_owned(), Some("l4")),
            (r#"{"bind_port": 1}"#.to_owned(), None),
            (format!(r#"{{{http}, "transport": "tcp"}}"#), None),
            (format!(r#"{{{http}, "more": 1}}"#), None),
            (r#"{"transport": "tcp", "bind_port": 1, "more": 1}"#.to_owned(), None),
            (r#"{"transport": "sctp", "bind_port": 1}"#.to_owned(), None),
            ("[]".to_owned(), None),
            (String::new(), None),
        ] {
            let kind = Question::parse(text.as_bytes()).ok().map(|question| match question {
                Question::Http(_) => "http",
                Question::L4(_) => "l4",
            });
            assert_eq!(kind, expected, "{text}");
        }
    }

    #[test]
    fn each_kind_is_decided_as_what_it_is() {
        let table = table(json!([rule("r", json!({}))]), json!({}));
        let request = json!({"bind_port": 80, "method": "GET", "authority": "a.test", "target": "/"});
        assert_eq!(question(request).decide(&table).reason, "forwarded");
        // Requests are read there, so there is nobody who would carry a connection.
        assert_eq!(question(json!({"transport": "tcp", "bind_port": 80})).decide(&table).reason, "no_listener");
    }
}
