//! The intermediate representation: what the control plane sends and the engine compiles.
//!
//! A [`Transaction`] is JSON, UTF-8. Rules of the format:
//! - Flat lists of small resources, each with a unique `id` within its kind. A resource points *up* by id (a rule to
//!   its listeners, an endpoint to its backend), so that one changed object is one small resource. Policies are named by
//!   what they hold for.
//! - `full: true` replaces the whole state; otherwise `upsert` and `remove` are applied to the state before.
//! - An unknown field, an unknown version or a dangling reference to a listener, attachment, backend or policy refuses the whole
//!   transaction; the old table goes on serving.
//! - Secrets travel in a section of their own, so that everything else can be shown.
//!
//! The Python mirror is `python/sluicegate/ir`; `tests/parity` holds the two together.

mod http;
mod l4;
mod policies;
mod resources;

// A new kind of rule, filter or policy is written in its module only.
pub use http::*;
pub use l4::*;
pub use policies::*;
pub use resources::*;

use serde::{Deserialize, Serialize};

/// The format version this build reads and writes. Another number refuses the transaction.
pub const VERSION: u32 = 3;

/// One atomic change of configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    pub version: u32,
    /// Grows with every transaction of one controller; shown in reports, metrics and `/config`.
    pub generation: u64,
    #[serde(default)]
    pub full: bool,
    #[serde(default)]
    pub upsert: Resources,
    #[serde(default)]
    pub secrets: Secrets,
    #[serde(default)]
    pub remove: Removals,
}
