//! Who may: what of `AccessPolicy` takes work or memory. What is only looked at is in `route::policy`.

mod authenticate;
mod htpasswd;
mod key_sets;
mod threads;
mod tokens;
mod users;

pub use authenticate::Authenticate;
pub use htpasswd::{Inspection, inspect};
pub use key_sets::{Due, KeySets, News, PublishedSet, since_1970};
pub use tokens::{Tokens, Unbelieved};
pub use users::Users;
