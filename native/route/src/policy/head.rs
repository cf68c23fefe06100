//! How large the head of a request may be, and which names its fields may have: `ClientPolicy.spec.headers`. The engine's own
//! limits hold before, while a head is read.

use super::{Facts, Reason, Verdict};
use crate::ir::{ClientHeaders, Underscores};
use codec::Field;

/// What a field takes of a head besides its name and its value: a colon, a space, and the end of its line.
const FRAME: u64 = 4;

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
    fn all(self) -> impl Iterator<Item = Field<'r>> {
        let host = (!self.authority.is_empty()).then_some(Field { name: b"host", value: self.authority });
        host.into_iter().chain(self.taken_out.iter().copied()).chain(self.fields.iter().copied())
    }
}

/// Limits of a head; 0: only those of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    octets: u64,
    fields: usize,
    rejects_underscores: bool,
}

impl HeadLimits {
    pub fn compile(ir: &ClientHeaders) -> Self {
        Self {
            octets: ir.max_bytes,
            fields: ir.max_count as usize,
            rejects_underscores: ir.underscores == Underscores::Reject,
        }
    }

    pub fn judge(self, facts: &Facts<'_>) -> Verdict {
        if self.rejects_underscores && facts.sent.all().any(|field| has_underscore(field.name)) {
            return Verdict::Deny(Reason::BadRequest.into());
        }
        let count = facts.sent.all().count();
        let octets: u64 = facts.sent.all().map(|field| (field.name.len() + field.value.len()) as u64 + FRAME).sum();
        let fits = |limit: u64, found: u64| limit == 0 || found <= limit;
        if fits(self.fields as u64, count as u64) && fits(self.octets, octets) {
            Verdict::Pass
        } else {
            Verdict::Deny(Reason::HeadersTooLarge.into())
        }
    }
}

/// CGI, WSGI and others make one name of `X_User` and `X-User`.
pub fn has_underscore(name: &[u8]) -> bool {
    name.contains(&b'_')
}
