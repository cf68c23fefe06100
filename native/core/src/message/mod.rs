//! Heads, bodies and replies of HTTP, whoever sends them: what the folders of the request path hand each other.

pub mod body;
pub mod client;
pub mod date;
pub mod forwarding;
pub mod grpc;
pub mod head;
pub mod held;
pub mod http1;
pub mod http2;
mod life;
pub mod local_reply;
pub mod pages;
pub mod record;
pub mod reply;
pub mod response_filters;
#[cfg(test)]
pub mod scripted;
pub mod session;
mod session_cookie;
mod terms;

pub use terms::Terms;
