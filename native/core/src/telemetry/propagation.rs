//! The context of a trace as heads carry it, read and written: `traceparent` (W3C Trace Context, section 3.2), and the forms of B3.

use super::b3;
use super::context::{Context, RANDOM, SAMPLED, Said, Sent};
use super::ids::{SpanId, TraceId, digit, read_hex};
use super::state;
use codec::Field;
use route::policy::Removal;
use smallvec::SmallVec;
use std::borrow::Cow;

/// Fields that a traced request does not take along as its client sent them, in any form: ours stand in their place, so that no
/// backend is told of two traces.
pub static REMOVED: [Removal; 8] = [
    Removal::Field(Cow::Borrowed("traceparent")),
    Removal::Field(Cow::Borrowed("tracestate")),
    Removal::Field(Cow::Borrowed(b3::SINGLE)),
    Removal::Field(Cow::Borrowed(b3::TRACE_ID)),
    Removal::Field(Cow::Borrowed(b3::SPAN_ID)),
    Removal::Field(Cow::Borrowed(b3::PARENT_ID)),
    Removal::Field(Cow::Borrowed(b3::SAMPLED)),
    Removal::Field(Cow::Borrowed(b3::FLAGS)),
];

/// Whether a field says something of a trace, as of [`REMOVED`].
pub fn is_of_context(name: &[u8]) -> bool {
    REMOVED.iter().any(|removal| removal.takes(name))
}

/// The length of version 00: `version-trace-parent-flags`.
const LENGTH: usize = 55;

/// Where the parent stands in it.
const PARENT_AT: usize = 36;

impl Sent {
    /// `None`: nothing, or nothing that the specification knows. Then nothing else of it counts either (section 4.3). B3 is asked
    /// where there is no `traceparent`.
    pub fn read(fields: &[Field<'_>]) -> Option<Self> {
        let mut all = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"traceparent"));
        let Some(only) = all.next() else { return b3::read(fields) };
        let another = all.next();
        if another.is_some() {
            return None;
        }
        let (trace, parent, flags) = read_parent(only.value)?;
        let is = |flag: u8| flags & flag != 0;
        Some(Self {
            of: Some((trace, parent)),
            sampled: Some(is(SAMPLED)),
            debug: false,
            random: is(RANDOM),
            state: state::read(fields),
        })
    }
}

/// The parts of a `traceparent`. One of a version that is not known yet is read as far as this one goes (section 3.2.4).
fn read_parent(value: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let (head, more) = value.split_at_checked(LENGTH)?;
    let version = digit(head[0])? << 4 | digit(head[1])?;
    let is_whole = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.is_empty() || more[0] == b'-',
    };
    if !is_whole || [2, 35, 52].iter().any(|at| head[*at] != b'-') {
        return None;
    }
    let flags = digit(head[53])? << 4 | digit(head[54])?;
    Some((TraceId(read_hex(&head[3..35])?), SpanId(read_hex(&head[PARENT_AT..52])?), flags))
}

impl Context {
    /// The fields that tell somebody else of it.
    pub fn to_fields(&self) -> SmallVec<[Said; 2]> {
        let mut said = SmallVec::new();
        said.push(Said { name: "traceparent", value: self.to_parent(), span_at: Some(PARENT_AT) });
        if !self.state.is_empty() {
            said.push(Said { name: "tracestate", value: self.state.clone().into_bytes(), span_at: None });
        }
        if self.formats.b3 {
            said.push(b3::single(self));
        }
        if self.formats.b3_multi {
            said.extend(b3::several(self));
        }
        said
    }

    fn to_parent(&self) -> Vec<u8> {
        let mut text = *b"00-................................-................-0.";
        text[3..35].copy_from_slice(&self.trace.hex());
        text[PARENT_AT..52].copy_from_slice(&self.span.hex());
        text[LENGTH - 1] = b'0' + self.to_flags();
        text.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::{Context, PARENT_AT, Sent, SpanId, TraceId, is_of_context};
    use codec::Field;
    use route::table::Formats;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn read(values: &[&str]) -> Option<Sent> {
        let fields: Vec<_> =
            values.iter().map(|value| Field { name: b"Traceparent", value: value.as_bytes() }).collect();
        Sent::read(&fields)
    }

    #[test]
    fn contexts_that_are_read() {
        for (text, sampled, random) in [
            (format!("00-{TRACE}-{SPAN}-01"), true, false),
            (format!("00-{TRACE}-{SPAN}-00"), false, false),
            (format!("00-{TRACE}-{SPAN}-03"), true, true),
            (format!("00-{TRACE}-{SPAN}-fc"), false, false),
            (format!("cc-{TRACE}-{SPAN}-01"), true, false),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-holds"), true, false),
        ] {
            let sent = read(&[&text]).unwrap();
            let (trace, parent) = sent.of.unwrap();
            assert_eq!((&trace.hex()[..], &parent.hex()[..]), (TRACE.as_bytes(), SPAN.as_bytes()), "{text}");
            assert_eq!((sent.sampled, sent.random), (Some(sampled), random), "{text}");
        }
    }

    /// Whatever a client makes of it: a new trace begins, and its list goes with it.
    #[test]
    fn contexts_that_are_none() {
        let zero = "0".repeat(32);
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("0-{TRACE}-{SPAN}-001"),
            format!("00-{zero}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("0X-{TRACE}-{SPAN}-01"),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!("00-{SPAN}-{TRACE}-01"),
            format!("00-{}\u{e9}-{SPAN}-01", &TRACE[2..]),
            "a".repeat(70_000),
        ] {
            assert_eq!(read(&[&bad]), None, "{bad}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(read(&[&good, &good]), None, "nobody can say which one counts");
        assert_eq!(read(&[]), None);
    }

    /// In any spelling that a backend may take for it.
    #[test]
    fn what_is_of_a_context() {
        for (name, expected) in [
            ("Traceparent", true),
            ("tracestate", true),
            ("B3", true),
            ("X-B3-TraceId", true),
            ("X_B3_Sampled", true),
            ("x-b3-spanid", true),
            ("x-b3-parentspanid", true),
            ("x-b3-flags", true),
            ("baggage", false),
            ("x-b3", false),
        ] {
            assert_eq!(is_of_context(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn what_goes_on() {
        let fields = [
            Field { name: b"traceparent", value: b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" },
            Field { name: b"tracestate", value: b"a=1" },
        ];
        let Sent { of, random, state, .. } = Sent::read(&fields).unwrap();
        let (trace, parent) = of.unwrap();
        let span = SpanId([1, 2, 3, 4, 5, 6, 7, 8]);
        let formats = Formats::default();
        let (parent, sampled, debug) = (Some(parent), false, false);
        let context = Context { trace, span, parent, sampled, debug, random, state, formats };
        let said = context.to_fields();
        let said: Vec<_> = said.iter().map(|it| (it.name, it.value.as_slice(), it.span_at)).collect();
        let text = format!("00-{TRACE}-0102030405060708-00");
        assert_eq!(said, [("traceparent", text.as_bytes(), Some(PARENT_AT)), ("tracestate", &b"a=1"[..], None)]);
        assert_eq!(&text[PARENT_AT..52], "0102030405060708");
        assert_eq!(context.span_flags(), 0x300);
        let own = Context { sampled: true, parent: None, random: true, trace: TraceId([7; 16]), ..context };
        assert!(own.to_parent().ends_with(b"-03") && own.span_flags() == 0x103);
    }
}
