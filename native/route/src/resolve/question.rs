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
