//! Byte streams and time, whatever is carried: reads into a buffer, bytes relayed both ways, limits of silence.

pub mod around;
pub mod delivery;
pub mod fill;
pub mod frames;
mod keepalive;
pub mod liveness;
mod open_connections;
pub mod relay;
mod reset;
mod scratch;
mod shared;
pub mod watchdog;

pub use keepalive::KeepAlive;
pub use open_connections::{OpenConnections, Opened};
pub use reset::Reset;
pub use scratch::Scratch;
pub use shared::Shared;
