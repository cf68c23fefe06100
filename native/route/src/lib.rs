//! The routing of Sluicegate, for the wire, for `explain` and for the tests alike.
//!
//! `ir` is what the control side writes, `table` what it is compiled to, `resolve` the decisions on it; `path_normalization` is
//! what happens to a target before, `expression` what policies ask of a request, `policy` what they say of it. Nothing here knows
//! of sockets, time or figures. `automaton` is what regular expressions run on; `cookies`, `rendezvous`, `response_rewrite` and `search` are
//! small rules of their own.
#![forbid(unsafe_code)]

mod automaton;
pub mod cookies;
pub mod expression;
pub mod ir;
pub mod path_normalization;
pub mod policy;
pub mod query;
pub mod rendezvous;
pub mod resolve;
pub mod response_rewrite;
#[cfg(test)]
mod samples;
pub mod search;
pub mod session;
pub mod table;
