//! The routing of Sluicegate, for the wire, for `explain` and for the tests alike.
//!
//! `ir` is what the control side writes, `table` what it is compiled to, `resolve` the decisions on it. Nothing here knows
//! of sockets, time or figures.
#![forbid(unsafe_code)]

pub mod ir;
pub mod resolve;
pub mod table;
