//! Who may: what of `AccessPolicy` takes work or memory. What is only looked at is in `route::policy`.

mod authenticate;
mod htpasswd;
mod threads;
mod tokens;
mod users;

pub use authenticate::Authenticate;
pub use htpasswd::{Inspection, inspect};
pub use tokens::Tokens;
pub use users::Users;
