//! L4 rules: one rule of a `TLSRoute`, `TCPRoute` or `UDPRoute` is one [`L4Rule`].

use super::http::WeightedBackend;
use serde::{Deserialize, Serialize};

/// `TLSRoute.spec.rules[]`, `TCPRoute.spec.rules[]` or `UDPRoute.spec.rules[]`, validated and resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Rule {
    /// `TLSRoute/<namespace>/<name>/<rule index>`; likewise for `TCPRoute` and `UDPRoute`.
    pub id: String,
    /// `TLSRoute/<namespace>/<name>`; likewise for `TCPRoute` and `UDPRoute`.
    pub route: String,
    /// `rules[].name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Precedence among routes: the older wins. Seconds since 1970; 0 where unknown.
    #[serde(default)]
    pub created: i64,
    /// Precedence among the rules of one route: the first wins.
    pub index: u32,
    /// Ids of listeners that the route is attached to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// Ids of attachments: the route is attached to their listeners too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// Of a `TLSRoute`, lower case, compared with the SNI. Empty: any.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// In the order written; they carry no filters.
    #[serde(default)]
    pub backends: Vec<WeightedBackend>,
    /// Policy ids, of its route and itself, in the order in which they act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}
