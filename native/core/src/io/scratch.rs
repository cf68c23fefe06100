//! The room that all reads of one worker share.

use std::cell::{RefCell, RefMut};

/// What one read takes at most.
pub const SIZE: usize = 64 * 1024;

/// Room for one read that is passed on at once. Made when it is first used.
#[derive(Debug, Default)]
pub struct Scratch(RefCell<Vec<u8>>);

impl Scratch {
    /// [`SIZE`] bytes; never held over an await.
    pub fn borrow(&self) -> RefMut<'_, Vec<u8>> {
        let mut space = self.0.borrow_mut();
        if space.is_empty() {
            space.resize(SIZE, 0);
        }
        space
    }
}
