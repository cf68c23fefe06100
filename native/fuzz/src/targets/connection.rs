//! Requests one after the other on a connection, with their bodies: where one ends is where the next begins, however the bytes
//! are cut by the network. The order of calls is that of `native/core` (`downstream/http1/`).

use super::wire;
use crate::random::Random;
use crate::verdict::{Outcome, Violation, ensure};
use codec::{
    Buffer, ChunkHeader, ChunkedDecoder, Field, Framing, HeadSearch, MAX_FIELDS, Parsed, WireError, parse_request,
    parse_trailers, push_field,
};

/// Bytes that wait unread; inputs are smaller.
const READ_AHEAD: usize = 64 * 1024;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    /// Method and target.
    line: Vec<u8>,
    minor: u8,
    host: Option<Vec<u8>>,
    fields: Fields,
    taken_out: Fields,
    framing: Framing,
    keep_alive: bool,
    body: Vec<u8>,
    trailers: Fields,
}

/// What stands between two reads.
enum Stage {
    Head(HeadSearch),
    Length(Message, u64),
    Chunked(Message, Box<ChunkedDecoder>),
    Closed,
}

/// Everything that a connection brought, and how it stands at the end.
#[derive(Debug, PartialEq, Eq)]
struct Transcript {
    messages: Vec<Message>,
    error: Option<WireError>,
    /// Of a body that is not whole.
    begun: Option<Vec<u8>>,
    left: Vec<u8>,
}

pub fn check(input: &[u8]) -> Result<Outcome, Violation> {
    // Heads are looked at when a line ends. A last line without an end would be seen or not, as the pieces fall.
    let input = &[input, b"\n"].concat();
    let whole = read(input, || usize::MAX);
    let mut random = Random::new(input.len() as u64);
    for size in [1, 2, 5] {
        let cut = read(input, || size);
        ensure!(cut == whole, "requests are the same however they are cut", "{cut:?} by {size}, whole {whole:?}");
    }
    let cut = read(input, || 1 + random.below(40));
    ensure!(cut == whole, "requests are the same however they are cut", "{cut:?}, whole {whole:?}");
    let mut written = Vec::new();
    whole.messages.iter().for_each(|message| write(&mut written, message));
    let again = read(&written, || usize::MAX);
    ensure!(
        again.messages == whole.messages && again.error.is_none() && again.left.is_empty() && again.begun.is_none(),
        "what we write is what we read",
        "{again:?}, not {:?}",
        whole.messages
    );
    for message in &whole.messages {
        let frames = |(name, _): &(Vec<u8>, Vec<u8>)| codec::is_wire_field(name) || name.eq_ignore_ascii_case(b"host");
        ensure!(!message.fields.iter().any(frames), "no field that frames is forwarded", "{message:?}");
    }
    let last = whole.messages.last();
    Ok(format!(
        "{} {:?} {:?} body {} trailers {} begun {} left {}",
        whole.messages.len().min(4),
        whole.error,
        last.map(|message| wire::kind(message.framing)),
        last.is_some_and(|message| !message.body.is_empty()),
        last.is_some_and(|message| !message.trailers.is_empty()),
        whole.begun.is_some(),
        !whole.left.is_empty(),
    ))
}

/// Read a connection whose bytes come in pieces of the sizes that `next_size` gives.
fn read(input: &[u8], mut next_size: impl FnMut() -> usize) -> Transcript {
    let mut buffer = Buffer::new();
    let mut transcript = Transcript { messages: Vec::new(), error: None, begun: None, left: Vec::new() };
    let mut stage = Stage::Head(HeadSearch::default());
    let mut at = 0;
    while at < input.len() && transcript.error.is_none() && !matches!(stage, Stage::Closed) {
        let size = next_size();
        let Ok(space) = buffer.space(READ_AHEAD) else {
            break;
        };
        let count = size.min(space.len()).min(input.len() - at);
        space[..count].copy_from_slice(&input[at..at + count]);
        buffer.filled_by(count);
        at += count;
        loop {
            match advance(stage, &mut buffer, &mut transcript.messages) {
                Ok((next, true)) => stage = next,
                Ok((next, false)) => {
                    stage = next;
                    break;
                }
                Err(error) => {
                    transcript.error = Some(error);
                    return transcript;
                }
            }
        }
    }
    if let Stage::Length(message, _) | Stage::Chunked(message, _) = stage {
        transcript.begun = Some(message.body);
    } else if matches!(stage, Stage::Head(_)) {
        transcript.left = buffer.filled().to_vec();
    }
    transcript
}

/// One step; false: more bytes are needed, or none are wanted.
fn advance(stage: Stage, buffer: &mut Buffer, messages: &mut Vec<Message>) -> Result<(Stage, bool), WireError> {
    match stage {
        Stage::Closed => Ok((stage, false)),
        Stage::Head(mut search) => {
            if !search.line_ended(buffer) {
                return Ok((Stage::Head(search), false));
            }
            let Parsed::Complete(head) = parse_request(buffer.filled(), MAX_FIELDS)? else {
                return Ok((Stage::Head(search), false));
            };
            let message = Message {
                line: [head.method.as_bytes(), b" ", head.target].concat(),
                minor: head.minor,
                host: head.host.map(<[u8]>::to_vec),
                fields: owned(&head.fields),
                taken_out: owned(&head.taken_out),
                framing: head.framing,
                keep_alive: head.keep_alive,
                body: Vec::new(),
                trailers: Vec::new(),
            };
            let consumed = head.consumed;
            drop(head);
            buffer.consume(consumed);
            Ok(match message.framing {
                Framing::Length(length) if length > 0 => (Stage::Length(message, length), true),
                Framing::Chunked => (Stage::Chunked(message, Box::default()), true),
                _ => (finished(message, messages), true),
            })
        }
        Stage::Length(mut message, left) => {
            let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            message.body.extend_from_slice(&buffer.filled()[..count]);
            buffer.consume(count);
            let left = left - count as u64;
            Ok(if left == 0 { (finished(message, messages), true) } else { (Stage::Length(message, left), false) })
        }
        Stage::Chunked(mut message, mut decoder) => {
            if buffer.is_empty() {
                return Ok((Stage::Chunked(message, decoder), false));
            }
            let step = decoder.step(buffer.filled())?;
            message.body.extend_from_slice(&buffer.filled()[step.data]);
            buffer.consume(step.consumed);
            if !step.finished {
                return Ok((Stage::Chunked(message, decoder), true));
            }
            if let Parsed::Complete(fields) = parse_trailers(&decoder.into_trailer())? {
                message.trailers = owned(&fields);
            }
            Ok((finished(message, messages), true))
        }
    }
}

fn finished(message: Message, messages: &mut Vec<Message>) -> Stage {
    let next = if message.keep_alive { Stage::Head(HeadSearch::default()) } else { Stage::Closed };
    messages.push(message);
    next
}

fn owned(fields: &[Field<'_>]) -> Fields {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn write(out: &mut Vec<u8>, message: &Message) {
    out.extend_from_slice(&message.line);
    out.extend_from_slice(if message.minor == 0 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });
    if let Some(host) = &message.host {
        push_field(out, b"Host", host);
    }
    for (name, value) in message.fields.iter().chain(&message.taken_out) {
        push_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    if message.framing != Framing::Chunked {
        out.extend_from_slice(&message.body);
        return;
    }
    if !message.body.is_empty() {
        out.extend_from_slice(ChunkHeader::new(message.body.len()).as_bytes());
        out.extend_from_slice(&message.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for (name, value) in &message.trailers {
        push_field(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}
