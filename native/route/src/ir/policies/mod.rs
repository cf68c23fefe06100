//! Policies: one section for all kinds, told apart by `type`.
//!
//! Listeners, rules and backends name their policies by id; a policy names nobody that it holds for. So a changed policy is
//! one resource, however many name it. What is shared is not copied: every kind is held by its `Arc`.
//!
//! Of a kind that is inherited each stanza is a resource of its own, since stanzas are what is merged: a kind of such a
//! resource is a struct in its module, a line `stanza!`, and a name in the list `policies!`, in the order in which it acts.

mod access;
mod access_remote;
mod backend;
mod backend_tls;
mod client;
mod external;
mod filter;
mod rate_limit;
mod session_cookie;
mod telemetry;
mod tls_versions;

pub use access::*;
pub use access_remote::*;
pub use backend::*;
pub use backend_tls::*;
pub use client::*;
pub use external::*;
pub use filter::*;
pub use rate_limit::*;
pub use session_cookie::*;
pub use telemetry::*;
pub use tls_versions::*;

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What names policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyPlace {
    Listener,
    HttpRule,
    L4Rule,
    Backend,
}

/// What a policy needs to be there: without it the transaction is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need<'p> {
    Backend(&'p str),
    Secret(&'p str),
}

/// One stanza of a policy that is inherited, as far as merging goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stanza {
    /// The kind of the object, and the stanza as it is written there: what is merged by.
    pub kind: &'static str,
    pub name: &'static str,
    /// It can only be tightened: under an override the lower one holds as well.
    pub tightens: bool,
    /// `strategy: Overrides`; it counts where a listener names the policy.
    pub overrides: bool,
    /// `mode: Off`.
    pub off: bool,
    /// It cannot be honoured: what it holds for is refused.
    pub invalid: bool,
}

/// What every kind says of itself.
pub trait PolicyKind {
    fn id(&self) -> &str;

    /// Where it may be named. Elsewhere it refuses its transaction: a policy is never skipped.
    fn places(&self) -> &'static [PolicyPlace];

    /// `None` of a kind that is not inherited.
    fn stanza(&self) -> Option<Stanza> {
        None
    }

    fn needs(&self) -> Vec<Need<'_>> {
        Vec::new()
    }

    /// Header fields that it may set towards backends: no client may send one, in any spelling.
    fn owned_fields(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Header fields in which it looks for credentials, whoever may set them towards backends.
    fn credential_fields(&self) -> Vec<&str> {
        Vec::new()
    }
}

macro_rules! policies {
    ($($kind:ident),* $(,)?) => {
        /// A policy of any kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum Policy {
            $($kind(Arc<$kind>),)*
        }

        /// The kinds in their order.
        enum Rank {
            $($kind,)*
        }

        impl Policy {
            pub fn kind(&self) -> &dyn PolicyKind {
                match self {
                    $(Self::$kind(policy) => &**policy,)*
                }
            }

            /// Place among the kinds: those with a smaller one act first.
            pub const fn rank(&self) -> usize {
                match self {
                    $(Self::$kind(_) => Rank::$kind as usize,)*
                }
            }
        }
    };
}

policies! {
    BackendTls,
    BackendPolicy,
    BackendTraffic,
    ClientAddress,
    ClientTls,
    ClientCertificateHeader,
    ClientConnections,
    ClientTimeouts,
    ClientHeaders,
    ClientHttp2,
    ClientBody,
    ClientAccessLog,
    ClientTracing,
    RateLimits,
    AccessExempt,
    AccessCertificate,
    AccessApiKey,
    AccessJwt,
    AccessBasic,
    AccessCsrf,
    AccessAuthorization,
    AccessExternal,
    ExternalAuth,
    FilterFault,
    FilterCredential,
    FilterBuffer,
    FilterErrorPages,
    FilterTelemetry,
    TelemetryTracing,
}

/// A stanza of an inherited kind; further functions of [`PolicyKind`] in braces.
macro_rules! stanza {
    ($type:ident of $kind:literal, $name:literal, $places:expr, tightens: $tightens:literal $(, { $($more:item)* })?) => {
        impl crate::ir::PolicyKind for $type {
            fn id(&self) -> &str {
                &self.id
            }

            fn places(&self) -> &'static [crate::ir::PolicyPlace] {
                #[allow(unused_imports)]
                use crate::ir::PolicyPlace::{HttpRule, L4Rule, Listener};
                &$places
            }

            fn stanza(&self) -> Option<crate::ir::Stanza> {
                Some(crate::ir::Stanza {
                    kind: $kind,
                    name: $name,
                    tightens: $tightens,
                    overrides: self.overrides,
                    off: self.off,
                    invalid: self.invalid,
                })
            }

            $($($more)*)?
        }
    };
}
use stanza;

impl Policy {
    pub fn id(&self) -> &str {
        self.kind().id()
    }

    pub fn acts_on(&self, place: PolicyPlace) -> bool {
        self.kind().places().contains(&place)
    }

    /// Whether it holds for what is below a listener that names it, of this kind. What only listeners name is about clients,
    /// whatever they ask for.
    pub fn holds_below(&self, place: PolicyPlace) -> bool {
        self.acts_on(place) || self.kind().places() == [PolicyPlace::Listener]
    }

    pub fn stanza(&self) -> Option<Stanza> {
        self.kind().stanza()
    }

    /// Whether it says how long connections live, how many there are, and what they may do at once.
    pub fn is_of_connections(&self) -> bool {
        matches!(self, Self::ClientConnections(_) | Self::ClientTimeouts(_) | Self::ClientHttp2(_))
    }

    pub fn backend_tls(&self) -> Option<&Arc<BackendTls>> {
        match self {
            Self::BackendTls(policy) => Some(policy),
            _ => None,
        }
    }

    pub fn backend(&self) -> Option<&Arc<BackendPolicy>> {
        match self {
            Self::BackendPolicy(policy) => Some(policy),
            _ => None,
        }
    }

    pub fn backend_traffic(&self) -> Option<&Arc<BackendTraffic>> {
        match self {
            Self::BackendTraffic(policy) => Some(policy),
            _ => None,
        }
    }

    /// Whether it acts before a rule is looked for, at a listener that asks somebody then (GEP-5224): who is asked, and what
    /// stops clients before, as far as it holds for every rule. `overrides`: it is of the listener, and none replaces it.
    pub fn precedes_rules(&self, overrides: bool) -> bool {
        match self {
            Self::ClientHeaders(_) => true,
            Self::ClientBody(_) | Self::ExternalAuth(_) => overrides,
            Self::RateLimits(policy) => overrides && policy.limits.iter().all(RateLimit::needs_no_rule),
            _ => false,
        }
    }

    /// Whether the two are of one kind.
    pub fn same_kind(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}
