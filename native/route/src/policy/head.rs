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

#[cfg(test)]
mod tests {
    use super::HeadLimits;
    use crate::ir::ClientHeaders;
    use crate::policy::access::samples::{FACTS, fields};
    use crate::policy::{Facts, Reason, SentHead, Verdict};
    use crate::samples::merged;
    use serde_json::json;

    /// `host: ab`, `te: a` and `x-a: 1`: three fields, 20 octets, and 4 for each.
    #[test]
    fn limits_count_the_head_as_it_was_sent() {
        let (sent, taken_out) = (fields(&[("x-a", "1")]), fields(&[("te", "a")]));
        // Edits since then, which are not the client's: `fields` of the facts.
        let edited = fields(&[("x-large", "0123456789"), ("x", ""), ("y", ""), ("z", "")]);
        let sent = SentHead { fields: &sent, taken_out: &taken_out, authority: b"ab" };
        let octets = "hostab".len() + "tea".len() + "x-a1".len() + 3 * 4;
        for (limits, passes) in [
            (json!({}), true),
            (json!({"max_bytes": octets}), true),
            (json!({"max_bytes": octets - 1}), false),
            (json!({"max_count": 3}), true),
            (json!({"max_count": 2}), false),
            (json!({"max_bytes": octets, "max_count": 2}), false),
            (json!({"max_bytes": 1, "max_count": 3}), false),
        ] {
            let ir: ClientHeaders = serde_json::from_value(merged(json!({"id": "c"}), limits.clone())).unwrap();
            let verdict = HeadLimits::compile(&ir).judge(&Facts { fields: &edited, sent, ..FACTS });
            let expected = if passes { Verdict::Pass } else { Verdict::Deny(Reason::HeadersTooLarge.into()) };
            assert_eq!(verdict, expected, "{limits}");
        }
    }

    /// Wherever they stand, also in fields that are not forwarded; they are no request, however small the head is.
    #[test]
    fn names_with_underscores_are_refused_where_a_policy_says_so() {
        for (word, name, passes) in
            [("Reject", "x_a", false), ("Reject", "x-a", true), ("Drop", "x_a", true), ("Keep", "x_a", true)]
        {
            let ir: ClientHeaders =
                serde_json::from_value(json!({"id": "c", "underscores": word, "max_count": 1})).unwrap();
            let odd = fields(&[(name, "1")]);
            for (fields, taken_out) in [(&odd[..], &[][..]), (&[], &odd)] {
                let sent = SentHead { fields, taken_out, authority: b"" };
                let verdict = HeadLimits::compile(&ir).judge(&Facts { sent, ..FACTS });
                let expected = if passes { Verdict::Pass } else { Verdict::Deny(Reason::BadRequest.into()) };
                assert_eq!(verdict, expected, "{word} {name}");
            }
        }
    }
}
