//! Threads and sockets: workers, what they share, and how a new generation reaches them.
//!
//! N workers, each a thread with a single-threaded tokio runtime and its own upstream pools. What they share is one
//! pointer to the current [`Generation`]. A request takes it once and keeps it to its end.

mod bind;
mod drain;
mod engine;
pub mod settings;
mod turns;
mod worker;

pub use drain::{Drain, Reached, SessionGuard};
pub use engine::{ApplyError, Engine, ListenerReport, Patience, Report};
pub use worker::Worker;

use crate::observe::access_log::AccessLog;
use crate::observe::events::Events;
use crate::observe::metrics::Registry;
use crate::tls::client::ClientTls;
use crate::tls::server::ServerTls;
use arc_swap::ArcSwap;
use route::table::Table;
use settings::Settings;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// Everything that one transaction made, swapped as one.
#[derive(Debug, Default)]
pub struct Generation {
    pub table: Table,
    pub server_tls: ServerTls,
    pub client_tls: ClientTls,
}

/// Whether traffic should come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// No transaction was applied yet.
    Starting,
    Ready,
    /// A drain has begun.
    Leaving,
}

/// What all threads of an engine see.
#[derive(Debug)]
pub struct Shared {
    pub generation: ArcSwap<Generation>,
    pub settings: Settings,
    pub registry: Registry,
    pub access_log: AccessLog,
    pub events: Events,
    /// A drain has begun.
    pub leaving: Arc<AtomicBool>,
    /// `/readyz`.
    pub readiness: watch::Sender<Readiness>,
}
