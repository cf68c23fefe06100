//! How large the head of a request may be, and which names its fields may have: `ClientPolicy.spec.headers`. The engine's own
//! limits hold before, while a head is read.

use super::field_name::has_underscore;
use super::{Facts, Reason, Verdict};
use crate::ir::{ClientHeaders, Underscores};

/// What a field takes of a head besides its name and its value: a colon, a space, and the end of its line.
const FRAME: u64 = 4;

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
