//! What the engine tells of itself: metrics, access log, events, and the admin listener that shows them.

pub mod access_log;
pub mod access_record;
pub mod access_text;
pub mod counter;
pub mod events;
pub mod l4;
pub mod method;
pub mod metrics;
pub mod process;
pub mod unreachable;
