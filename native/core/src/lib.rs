//! The data plane of Sluicegate. Knows nothing of Python; the glue is `native/py`.
//!
//! A request's way is the order of the folders: `downstream` (client connections), `request` (what will be done about it),
//! `policy` (who may, how much), `dispatch` (attempts, exchanges, copies), `upstream` (connections to backends). `l4` carries what is not
//! HTTP. Below them all: `message` (heads, bodies, replies, what is recorded of them), `worker` (what one thread has),
//! `tls`, `observe`, `io`, `settings`, `error`; above them `runtime` (threads and sockets). A folder uses only those below it;
//! `tools/rust_layers.py` has the order and holds it.
#![forbid(unsafe_code)]

mod dispatch;
mod downstream;
pub mod error;
mod io;
pub mod l4;
mod message;
pub mod observe;
mod request;
pub mod runtime;
pub mod settings;
pub mod tls;
pub mod upstream;
mod worker;
