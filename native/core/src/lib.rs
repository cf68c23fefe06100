//! The data plane of Sluicegate. Knows nothing of Python; the glue is `native/py`.
#![forbid(unsafe_code)]

pub mod codec;
pub mod decision;
pub mod error;
pub mod ir;
pub mod l4;
pub mod observe;
pub mod proxy;
pub mod runtime;
pub mod table;
pub mod tls;
pub mod upstream;
