//! The data plane of Sluicegate. Knows nothing of Python; the glue is `native/py`.
//!
//! A request's way is the order of the folders: `downstream` (a client's connection), `request` (what will be done about
//! it), `dispatch` (attempts, exchanges, copies), `upstream` (connections to backends). `l4` carries what is not HTTP. Below
//! them: `message` (heads, bodies, replies, what is recorded), `worker` (what one thread has), `policy` (what has to hold),
//! `tls`, `telemetry` (traces), `observe`, `io`, `protobuf`, `by_uid` (what outlives a generation), `settings`, `error`; above them `runtime` (threads and sockets). A folder uses only those below
//! it; `tools/rust_layers.py` has the order and holds it.
#![forbid(unsafe_code)]

mod by_uid;
mod dispatch;
mod downstream;
pub mod error;
mod io;
pub mod l4;
mod message;
pub mod observe;
mod policy;
mod protobuf;
mod request;
pub mod runtime;
pub mod settings;
mod telemetry;
pub mod tls;
pub mod upstream;
mod worker;

pub use policy::{Inspection as UsersInspection, inspect as inspect_users};
