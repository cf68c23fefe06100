//! `RateLimitPolicy`: how much clients may ask for.

use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroU64};

/// `RateLimitPolicy.spec.local`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimits {
    /// `RateLimitPolicy/<namespace>/<name>/local`.
    pub id: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invalid: bool,
    /// All of them hold.
    #[serde(default)]
    pub limits: Vec<RateLimit>,
    /// Networks whose clients are not limited: `10.0.0.0/8`, or one address.
    #[serde(default)]
    pub exempt: Vec<String>,
    /// Keys that each limit tells apart; further ones share a budget.
    #[serde(default = "most_keys")]
    pub max_keys: NonZeroU32,
    /// Responses say what is left (`RateLimit`, `RateLimit-Policy`, `Retry-After`).
    #[serde(default)]
    pub told: bool,
    /// Of the answer to what is refused.
    #[serde(default = "too_many_requests")]
    pub status: u16,
}

/// One of `limits`: of a connection or flow that is not HTTP each counts as a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    pub name: String,
    /// What has a budget of its own: each client, each value of a header. Empty: all requests share one.
    #[serde(default)]
    pub key: Vec<RateLimitKey>,
    pub requests: NonZeroU32,
    pub per_milliseconds: NonZeroU64,
    /// Requests that may come at once.
    pub burst: NonZeroU32,
    /// So many `requests` may be under way at once, and nothing is said of how fast they come: what is for that means nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub concurrent: bool,
    /// An expression: requests for which it is false are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What one request takes: a number, or an expression that comes to one. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    #[serde(default)]
    pub scope: RateLimitScope,
    /// Each pod gives all of the budget; else they share it.
    #[serde(default)]
    pub each_pod: bool,
    /// Counted and told to the operator, never refused.
    #[serde(default)]
    pub shadow: bool,
}

impl RateLimit {
    /// It goes by what is known of a request before its rule is, and that nobody who is asked then changes.
    pub fn needs_no_rule(&self) -> bool {
        let is_fixed = self.cost.as_ref().is_none_or(|cost| cost.bytes().all(|byte| byte.is_ascii_digit()));
        let is_known = |part: &RateLimitKey| matches!(part, RateLimitKey::Client | RateLimitKey::Host);
        self.when.is_none() && is_fixed && self.scope == RateLimitScope::Target && self.key.iter().all(is_known)
    }
}

/// A part of what tells budgets apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum RateLimitKey {
    /// Its address, of IPv6 the /64.
    Client,
    Host,
    /// All values of a field together.
    Header {
        /// Lower case.
        name: String,
    },
    /// Who authenticated.
    User,
    /// A claim of who authenticated.
    Claim {
        name: String,
    },
    /// What an expression comes to.
    Cel {
        expression: String,
    },
}

/// What shares the budgets of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RateLimitScope {
    /// All that the policy holds for.
    #[default]
    Target,
    /// Each route by itself.
    Route,
    /// Each rule by itself.
    Rule,
}

fn most_keys() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(65_535)
}

fn too_many_requests() -> u16 {
    429
}

super::stanza!(RateLimits of "RateLimitPolicy", "local", [Listener, HttpRule, L4Rule], tightens: false);
