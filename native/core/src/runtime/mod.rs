//! Threads and sockets: where workers run, and how a new generation reaches them.

mod accept;
mod admin;
mod bind;
mod checks;
mod engine;
mod faults;
mod rehearsal;
mod resolver;
mod seldom;
mod spread;
mod thread;
mod upkeep;

pub use crate::worker::Shared;
pub use engine::{ApplyError, Engine, ListenerReport, Patience, Report};
pub use rehearsal::NotForwarded;
