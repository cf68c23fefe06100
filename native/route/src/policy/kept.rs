//! What the owner of a table makes of its parts, once for each.

use std::any::Any;
use std::sync::{Arc, OnceLock};

/// A place for it. The table only keeps it.
#[derive(Debug, Default)]
pub struct Kept(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Kept {
    /// Keep what is made, unless something is there already.
    pub fn keep<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) {
        self.0.get_or_init(|| Arc::new(make()));
    }

    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.get()?.downcast_ref()
    }
}
