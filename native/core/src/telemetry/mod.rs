//! Traces, and lines of the log for collectors (OpenTelemetry): what a request says of the trace that it is part of, the spans and
//! the line that it leaves, and where these wait until somebody takes them. Who sends them is `dispatch/export.rs`.
//!
//! - A listener without tracing costs a request one branch. With it every request has a context, which goes on to its
//!   backend; only one that is sampled records anything.
//! - A request never waits for any of it: what has no place is dropped, and counted.
//! - What a client sends of a trace is read as the specification has it, or not at all; its word about being sampled counts
//!   where the policy says so, and nowhere else.

mod attributes;
mod b3;
mod collector;
mod context;
mod destination;
mod figures;
mod ids;
mod log_record;
mod outbox;
mod propagation;
#[cfg(test)]
pub mod samples;
mod sampling;
mod span;
mod state;
mod trace;

pub use collector::Collector;
pub use context::{Context, Said};
pub use destination::{Destination, NAME};
pub use figures::{Signal, render};
pub use ids::{Ids, SpanId};
pub use log_record::{Logged, write as write_log_record};
pub use outbox::{Batch, Outboxes};
pub use propagation::{REMOVED, is_of_context};
pub use trace::{Ended, Question, Seen, Trace, TryEnded};
