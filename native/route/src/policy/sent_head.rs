//! The head of a request before anything was edited.

use codec::Field;

/// A request's fields as its client sent them, the authority as `Host` among them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SentHead<'r> {
    pub fields: &'r [Field<'r>],
    /// See `RequestHead::taken_out`.
    pub taken_out: &'r [Field<'r>],
    /// Empty where a request of HTTP/1.0 has none.
    pub authority: &'r [u8],
}

impl<'r> SentHead<'r> {
    pub(super) fn all(self) -> impl Iterator<Item = Field<'r>> {
        let host = (!self.authority.is_empty()).then_some(Field { name: b"host", value: self.authority });
        host.into_iter().chain(self.taken_out.iter().copied()).chain(self.fields.iter().copied())
    }
}
