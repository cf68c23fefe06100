//! The data plane of Sluicegate. Knows nothing of Python; the glue is `native/py`.
#![forbid(unsafe_code)]

pub mod error;
mod fill;
pub mod l4;
pub mod observe;
pub mod proxy;
pub mod runtime;
pub mod tls;
pub mod upstream;
