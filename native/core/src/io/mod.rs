//! Byte streams and time, whatever is carried: reads into a buffer, bytes relayed both ways, limits of silence.

mod address_text;
pub mod around;
pub mod delivery;
pub mod fill;
pub mod frames;
mod hang_up;
mod keepalive;
pub mod liveness;
mod lookout;
mod open_connections;
pub mod relay;
mod reset;
mod scratch;
mod shared;
pub mod watchdog;

pub use address_text::text_of;
pub use hang_up::HangUp;
pub use keepalive::KeepAlive;
pub use lookout::Lookout;
pub use open_connections::{OpenConnections, Opened};
pub use reset::Reset;
pub use scratch::Scratch;
pub use shared::Shared;
