//! The context of a trace in the forms of B3 (the specification `openzipkin/b3-propagation`): the one field `b3`, or several that
//! begin with `X-B3-`. Both are read where a client sends no `traceparent`, the one before the several; each is written where a
//! policy asks for it.
//!
//! - Traces of 64 bits are padded with zeros on the left.
//! - A client may say whether its request is sampled without naming a trace; and it may name one and leave the other to us.
//! - What is not as the specification has it is nothing, whole: a new trace begins.

use super::context::{Context, Said, Sent};
use super::ids::{SpanId, TraceId, read_hex};
use codec::Field;

pub const SINGLE: &str = "b3";
pub const TRACE_ID: &str = "x-b3-traceid";
pub const SPAN_ID: &str = "x-b3-spanid";
pub const PARENT_ID: &str = "x-b3-parentspanid";
pub const SAMPLED: &str = "x-b3-sampled";
pub const FLAGS: &str = "x-b3-flags";

/// The longest value of `b3`: trace, span, sampling state, parent. Stops a client from having more of it looked at.
const LONGEST: usize = 32 + 1 + 16 + 1 + 1 + 1 + 16;

/// What a client says of its trace. `None`: nothing, or nothing that the specification knows.
pub fn read(fields: &[Field<'_>]) -> Option<Sent> {
    match only(fields, SINGLE) {
        Found::Nothing => read_several(fields),
        Found::One(value) => read_single(value),
        Found::More => None,
    }
}

/// How often a client says something that may be said once.
enum Found<'f> {
    Nothing,
    One(&'f [u8]),
    More,
}

fn only<'f>(fields: &[Field<'f>], name: &str) -> Found<'f> {
    let mut named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    match (named.next(), named.next()) {
        (None, _) => Found::Nothing,
        (Some(field), None) => Found::One(field.value),
        (Some(_), Some(_)) => Found::More,
    }
}

/// `{trace}-{span}-{state}-{parent}`, of which the last two may be left out; or the state alone.
fn read_single(value: &[u8]) -> Option<Sent> {
    if value.len() > LONGEST {
        return None;
    }
    let mut parts = value.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(span) = parts.next() else { return Some(Sent { of: None, ..state(first)? }) };
    let of = Some((trace(first)?, SpanId(read_hex(span)?)));
    let said = parts.next().map_or(Some(UNSAID), state)?;
    if let Some(parent) = parts.next() {
        read_hex::<8>(parent)?;
    }
    parts.next().is_none().then_some(Sent { of, ..said })
}

/// Nothing is said of being sampled.
const UNSAID: Sent = Sent { of: None, sampled: None, debug: false, random: false, state: String::new() };

fn state(text: &[u8]) -> Option<Sent> {
    let (sampled, debug) = match text {
        b"0" => (false, false),
        b"1" => (true, false),
        b"d" => (true, true),
        _ => return None,
    };
    Some(Sent { sampled: Some(sampled), debug, ..UNSAID })
}

fn trace(text: &[u8]) -> Option<TraceId> {
    if let Some(low) = read_hex::<8>(text) {
        let mut whole = [0; 16];
        whole[8..].copy_from_slice(&low);
        return Some(TraceId(whole));
    }
    read_hex(text).map(TraceId)
}

/// `X-B3-TraceId` and `X-B3-SpanId` with the others, or these alone.
fn read_several(fields: &[Field<'_>]) -> Option<Sent> {
    // Nearly always: nobody has said anything.
    if !fields.iter().any(|field| field.name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"x-b3-"))) {
        return None;
    }
    let value = |name: &str| match only(fields, name) {
        Found::Nothing => Some(None),
        Found::One(value) => Some(Some(value)),
        Found::More => None,
    };
    let said = match (value(FLAGS)?, value(SAMPLED)?) {
        // Who debugs has it sampled, whatever else is said.
        (Some(b"1"), _) => state(b"d")?,
        (None | Some(b"0"), None) => UNSAID,
        // What was written before there was a specification is still sent.
        (None | Some(b"0"), Some(b"1" | b"true")) => state(b"1")?,
        (None | Some(b"0"), Some(b"0" | b"false")) => state(b"0")?,
        _ => return None,
    };
    if let Some(parent) = value(PARENT_ID)? {
        read_hex::<8>(parent)?;
    }
    match (value(TRACE_ID)?, value(SPAN_ID)?) {
        (Some(id), Some(span)) => Some(Sent { of: Some((trace(id)?, SpanId(read_hex(span)?))), ..said }),
        (None, None) if said.sampled.is_some() => Some(said),
        _ => None,
    }
}

/// Of a request: the state as both forms have it.
fn written_state(context: &Context) -> u8 {
    match (context.debug, context.sampled) {
        (true, _) => b'd',
        (false, true) => b'1',
        (false, false) => b'0',
    }
}

/// The one field. It names no parent, since it is the same for each try but for its span.
pub fn single(context: &Context) -> Said {
    let (trace, span) = (context.trace.hex(), context.span.hex());
    let value = [&trace[..], b"-", &span, b"-", &[written_state(context)]].concat();
    Said { name: SINGLE, value, span_at: Some(trace.len() + 1) }
}

/// The several ones.
pub fn several(context: &Context) -> [Said; 3] {
    let said = |name, value: &[u8], span_at| Said { name, value: value.to_vec(), span_at };
    let state = match written_state(context) {
        b'd' => said(FLAGS, b"1", None),
        state => said(SAMPLED, &[state], None),
    };
    [said(TRACE_ID, &context.trace.hex(), None), said(SPAN_ID, &context.span.hex(), Some(0)), state]
}

#[cfg(test)]
mod tests {
    use super::{Context, LONGEST, Said, Sent, SpanId, TraceId, several, single};
    use crate::telemetry::ids::read_hex;
    use codec::Field;
    use route::table::Formats;

    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SHORT: &str = "64fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";
    const PARENT: &str = "05e3ac9a4f6e3b90";

    fn of(fields: &[(&str, &str)]) -> Option<Sent> {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
        Sent::read(&fields)
    }

    /// Trace, span, sampled, debug; a trace of 64 bits has zeros in front.
    fn said(sent: &Sent) -> (String, String, Option<bool>, bool) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (trace, span) =
            sent.of.map_or_else(Default::default, |(trace, span)| (text(&trace.hex()), text(&span.hex())));
        (trace, span, sent.sampled, sent.debug)
    }

    #[test]
    fn the_one_field() {
        let padded = format!("{SHORT:0>32}");
        for (value, trace, sampled, debug) in [
            (format!("{TRACE}-{SPAN}-1-{PARENT}"), TRACE, Some(true), false),
            (format!("{TRACE}-{SPAN}-0"), TRACE, Some(false), false),
            (format!("{TRACE}-{SPAN}-d"), TRACE, Some(true), true),
            (format!("{TRACE}-{SPAN}"), TRACE, None, false),
            (format!("{SHORT}-{SPAN}-1"), &padded, Some(true), false),
            ("0".to_owned(), "", Some(false), false),
            ("1".to_owned(), "", Some(true), false),
            ("d".to_owned(), "", Some(true), true),
        ] {
            let sent = of(&[("B3", &value)]).unwrap();
            let span = if trace.is_empty() { "" } else { SPAN };
            assert_eq!(said(&sent), (trace.to_owned(), span.to_owned(), sampled, debug), "{value}");
            assert!(!sent.random && sent.state.is_empty());
        }
        let longest = format!("{TRACE}-{SPAN}-1-{PARENT}");
        assert_eq!(longest.len(), LONGEST);
        for bad in [
            String::new(),
            "2".to_owned(),
            "true".to_owned(),
            TRACE.to_owned(),
            format!("{longest}-"),
            format!("{longest}-more"),
            format!("{longest}a"),
            format!("{TRACE}-{SPAN}-"),
            format!("{TRACE}-{SPAN}-2"),
            format!("{TRACE}-{SPAN}-1-"),
            format!("{TRACE}-{SPAN}-{PARENT}"),
            format!("{TRACE}-{SPAN}-1 "),
            format!("{}-{SPAN}-1", TRACE.to_uppercase()),
            format!("{}-{SPAN}-1", &TRACE[1..]),
            format!("{}-{SPAN}-1", "0".repeat(32)),
            format!("{}-{SPAN}-1", "0".repeat(16)),
            format!("{TRACE}-{}-1", "0".repeat(16)),
            format!("{TRACE}_{SPAN}_1"),
            "a".repeat(70_000),
        ] {
            assert_eq!(of(&[("b3", &bad)]), None, "{bad}");
            let good = ("x-b3-sampled", "1");
            assert_eq!(of(&[("b3", &bad), good]), None, "the several fields do not stand in for {bad}");
        }
        assert_eq!(of(&[("b3", "1"), ("B3", "1")]), None, "nobody can say which one counts");
    }

    #[test]
    fn the_several_fields() {
        let ids = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)];
        for (more, sampled, debug) in [
            (&[][..], None, false),
            (&[("x-b3-sampled", "1")], Some(true), false),
            (&[("x-b3-sampled", "true")], Some(true), false),
            (&[("x-b3-sampled", "0"), ("x-b3-flags", "0")], Some(false), false),
            (&[("x-b3-sampled", "false"), ("x-b3-parentspanid", PARENT)], Some(false), false),
            (&[("x-b3-flags", "1")], Some(true), true),
            (&[("x-b3-flags", "1"), ("x-b3-sampled", "0")], Some(true), true),
        ] {
            let sent = of(&[&ids, more].concat()).unwrap();
            assert_eq!(said(&sent), (TRACE.to_owned(), SPAN.to_owned(), sampled, debug), "{more:?}");
        }
        for (alone, sampled) in
            [(("x-b3-sampled", "1"), true), (("x-b3-sampled", "0"), false), (("x-b3-flags", "1"), true)]
        {
            let sent = of(&[alone]).unwrap();
            assert_eq!((sent.of, sent.sampled), (None, Some(sampled)), "{alone:?}");
        }
        let short = of(&[("x-b3-traceid", SHORT), ids[1]]).unwrap();
        assert_eq!(said(&short).0, format!("{SHORT:0>32}"));
        let zero = "0".repeat(16);
        for bad in [
            &[ids[0]][..],
            &[ids[1]],
            &[ids[0], ids[0], ids[1]],
            &[ids[0], ids[1], ("x-b3-sampled", "1"), ("x-b3-sampled", "1")],
            &[ids[0], ids[1], ("x-b3-sampled", "2")],
            &[ids[0], ids[1], ("x-b3-sampled", "d")],
            &[ids[0], ids[1], ("x-b3-flags", "2")],
            &[ids[0], ids[1], ("x-b3-parentspanid", "05")],
            &[ids[0], ("x-b3-spanid", &zero)],
            &[ids[0], ("x-b3-spanid", "g457b5a2e4d86bd1")],
            &[("x-b3-traceid", &SPAN[1..]), ids[1]],
            &[("x-b3-parentspanid", PARENT)],
            &[("x-b3-flags", "0")],
            &[("x-b3-other", "1")],
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }

    /// `traceparent` counts, also one that is none; of B3 the one field does.
    #[test]
    fn which_form_counts() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let single = format!("{TRACE}-{SPAN}-0");
        let several = [("x-b3-traceid", SHORT), ("x-b3-spanid", PARENT), ("x-b3-sampled", "1")];
        let b3 = [&[("b3", single.as_str())], &several[..]].concat();
        assert_eq!(said(&of(&b3).unwrap()), (TRACE.to_owned(), SPAN.to_owned(), Some(false), false));
        let all = [&[("traceparent", parent)], &b3[..]].concat();
        assert_eq!(said(&of(&all).unwrap()).1, "00f067aa0ba902b7");
        assert_eq!(of(&[&[("traceparent", "00-0-0-01")], &b3[..]].concat()), None);
    }

    /// What is written is read as the same, and says where the span of a try goes.
    #[test]
    fn what_is_written() {
        let context = Context {
            trace: TraceId(read_hex(TRACE.as_bytes()).unwrap()),
            span: SpanId(read_hex(SPAN.as_bytes()).unwrap()),
            parent: None,
            sampled: true,
            debug: false,
            random: false,
            state: String::new(),
            formats: Formats { b3: true, b3_multi: true },
        };
        for (sampled, debug, state) in [(true, false, "1"), (false, false, "0"), (true, true, "d")] {
            let context = Context { sampled, debug, ..context.clone() };
            assert_eq!(single(&context).value, format!("{TRACE}-{SPAN}-{state}").into_bytes());
            let all = context.to_fields();
            assert_eq!(all.len(), 5);
            for said in &all {
                if let Some(at) = said.span_at {
                    assert_eq!(&said.value[at..at + 16], SPAN.as_bytes(), "{}", said.name);
                }
            }
            assert_eq!(all.iter().filter(|said| said.span_at.is_some()).count(), 3);
            for form in [vec![single(&context)], several(&context).to_vec()] {
                let field = |said: &Said| (said.name, String::from_utf8(said.value.clone()).unwrap());
                let fields: Vec<_> = form.iter().map(field).collect();
                let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let expected = (TRACE.to_owned(), SPAN.to_owned(), Some(sampled), debug);
                assert_eq!(said(&of(&fields).unwrap()), expected, "{fields:?}");
            }
        }
    }
}
