//! What will be done about a request.

pub mod plan;
