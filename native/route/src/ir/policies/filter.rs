//! Parts of an `HTTPFilter` that wait, ask somebody, or know what nobody else may: policies of the rule or the listener that has
//! them. A rule's stand in place of its listener's.

use super::Need;
use crate::ir::Percentage;
use serde::{Deserialize, Serialize};

/// `fault`: requests that are held up or refused on purpose. Its id is that of who has it, and `/fault`, as those below.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterFault {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// An expression: of which requests. Where it comes to nothing it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<FaultDelay>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<FaultAbort>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultDelay {
    pub milliseconds: u64,
    pub percentage: Percentage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultAbort {
    pub status: u16,
    pub percentage: Percentage,
}

/// `buffer`: a body is collected before the backend is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterBuffer {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Octets; a larger body is refused. Never 0.
    pub max_bytes: u64,
}

/// `credential`: a field with which the gateway proves itself to the backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterCredential {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// Place of the one backend of the rule that gets it; absent: all of them. There it stands in place of what all get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<usize>,
    /// Name of the field.
    pub header: String,
    /// Id of the secret, whose data is the whole value; empty only where the filter is invalid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

/// `errorPages`: what stands in for errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterErrorPages {
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// The first that has the status counts.
    #[serde(default)]
    pub pages: Vec<ErrorPage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorPage {
    pub statuses: Vec<StatusRange>,
    #[serde(default)]
    pub of: ErrorsOf,
    /// In place of the error's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    pub content: PageContent,
}

/// From one status to another, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRange {
    pub first: u16,
    pub last: u16,
}

/// Whose errors a page stands in for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorsOf {
    #[default]
    Any,
    Gateway,
    Backend,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum PageContent {
    Body {
        content_type: String,
        body: String,
    },
    /// Somebody who is asked for it.
    Service {
        /// Backend id; absent only where the filter is invalid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backend: Option<String>,
        path: String,
        timeout_ms: u64,
    },
}

super::stanza!(FilterFault of "HTTPFilter", "fault", [Listener, HttpRule], tightens: false);

super::stanza!(FilterBuffer of "HTTPFilter", "buffer", [Listener, HttpRule], tightens: false);

super::stanza!(FilterCredential of "HTTPFilter", "credential", [HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        if self.secret.is_empty() { Vec::new() } else { vec![Need::Secret(&self.secret)] }
    }
});

super::stanza!(FilterErrorPages of "HTTPFilter", "errorPages", [Listener, HttpRule], tightens: false, {
    fn needs(&self) -> Vec<Need<'_>> {
        let backends = self.pages.iter().filter_map(|page| match &page.content {
            PageContent::Service { backend, .. } => backend.as_deref(),
            PageContent::Body { .. } => None,
        });
        backends.map(Need::Backend).collect()
    }
});
