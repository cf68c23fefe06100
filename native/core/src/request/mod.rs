//! One request, whichever protocol it comes by: resolve, admit, select, dispatch, respond, record.
//!
//! - `admit` decides, from the head alone and without I/O (`unrouted`: of what no rule takes); `select` writes what goes to the
//!   backend (`turn`: to which one).
//! - `serve` is the life cycle: it waits for policies, answers, forwards, and runs tunnels, all of it within limits of time.
//! - Who is downstream gives a [`ClientStream`]: a body, a place for the response, and a way to become a tunnel.

mod admit;
mod ask;
mod before_rules;
mod consult;
mod error_page;
mod hashed;
mod plan;
mod preceded;
mod routed;
mod select;
mod serve;
mod turn;
mod unrouted;
mod whence;

pub use serve::{ClientStream, Request, Served};
