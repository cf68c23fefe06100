//! The trace of one request: its context, and, where it is sampled, what its spans will say (semantic conventions for HTTP spans,
//! version 1.23 and later; names that are not theirs begin with `sluicegate.`).

mod own;
mod question;
mod written;

pub use question::Question;

use super::attributes::{MAX_TEXT, text};
use super::collector::Collector;
use super::context::{Context, Sent};
use super::ids::{Ids, SpanId};
use super::sampling::Chance;
use super::span::{attribute, number};
use crate::observe::method::Method;
use crate::protobuf::Writer;
use codec::Field;
use route::ir::{Percentage, SpanSource};
use route::table::Traces;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Tries of one request that have a span of their own; the others are counted in it.
const MAX_TRIES: usize = 16;

/// Octets of most spans.
const USUAL_SPAN: usize = 1024;

/// Events of one request; what is beyond is counted.
const MAX_MOMENTS: usize = 32;

/// Questions about one request that have a span of their own; whoever is asked beyond is told the span of the request.
const MAX_QUESTIONS: usize = 8;

/// What is seen of a request as it comes.
#[derive(Debug)]
pub struct Seen<'s> {
    pub started: Instant,
    pub method: &'s str,
    /// As sent.
    pub target: &'s [u8],
    pub authority: &'s [u8],
    pub scheme: &'static str,
    /// Of the socket.
    pub port: u16,
    /// `network.protocol.version`.
    pub version: &'static str,
    pub fields: &'s [Field<'s>],
    pub client: &'s str,
    /// The other end of the connection.
    pub peer: (&'s str, u16),
}

/// How a try ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct TryEnded {
    /// Of an answer; 0: there is none.
    pub status: u16,
    pub error: Option<&'static str>,
}

/// How a request ended.
#[derive(Debug)]
pub struct Ended<'e> {
    pub at: Instant,
    pub status: u16,
    pub error: Option<&'static str>,
    /// The path of the match.
    pub path: Option<&'e str>,
    /// The object that the rule is of.
    pub route: Option<&'e str>,
    pub listener: Option<&'e str>,
    pub grpc_status: Option<u32>,
}

#[derive(Debug)]
pub struct Trace {
    collector: Arc<Collector>,
    pub context: Context,
    chance: Chance,
    spans: Option<Box<Spans>>,
}

/// What is recorded.
#[derive(Debug)]
struct Spans {
    started: Instant,
    /// Nanoseconds since 1970, of that moment.
    started_at: u64,
    method: &'static str,
    /// Where it has no name in the conventions.
    original_method: Option<String>,
    /// Attributes of the request's span that are known from its beginning on, as they are written.
    known: Writer,
    client: String,
    /// Of the policy's attributes, those that are fields of the request; by their place.
    fields: Vec<Option<String>>,
    tries: SmallVec<[Try; 1]>,
    untold_tries: u64,
    moments: Vec<(Instant, &'static str, String, Option<&'static str>)>,
    untold_moments: u64,
    questions: Vec<Rc<Question>>,
}

#[derive(Debug)]
struct Try {
    span: SpanId,
    number: u64,
    to: SocketAddr,
    /// Without a query.
    url: String,
    begun: Instant,
    ended: Option<(Instant, TryEnded)>,
}

impl Trace {
    /// The trace that a request is part of: its client's, or a new one. `traces`: what its listener says of it.
    pub fn begin(collector: &Arc<Collector>, ids: &Ids, seen: &Seen<'_>, traces: Traces) -> Self {
        let sent = Sent::read(seen.fields);
        let of = sent.as_ref().and_then(|sent| sent.of);
        let trace = of.map_or_else(|| ids.trace(), |(trace, _)| trace);
        let chance = collector.sampling.chance(sent.as_ref(), trace, ids.number());
        let sampled = collector.sampling.takes(chance, traces.sampling);
        let debug = sampled && collector.sampling.believes() && sent.as_ref().is_some_and(|sent| sent.debug);
        // A new one claims nothing that level 1 of the specification does not know.
        let (random, state) = sent.map_or((false, String::new()), |sent| (sent.random, sent.state));
        let (parent, formats) = (of.map(|(_, parent)| parent), traces.formats);
        let context = Context { trace, span: ids.span(), parent, sampled, debug, random, state, formats };
        let spans = sampled.then(|| Box::new(Spans::of(collector, seen)));
        Self { collector: Arc::clone(collector), context, chance, spans }
    }

    /// Its rule says which share of its requests records; again is harmless. Nothing changes any more where somebody else has been
    /// told whether it does. Returns whether it is to begin recording by [`Self::record`].
    pub fn sample(&mut self, share: Percentage) -> bool {
        if matches!(self.chance, Chance::Decided(_)) {
            return false;
        }
        let sampled = self.collector.sampling.takes(self.chance, Some(share));
        self.decide(sampled);
        if !sampled {
            self.spans = None;
        }
        sampled && self.spans.is_none()
    }

    /// Begin to record.
    pub fn record(&mut self, seen: &Seen<'_>) {
        self.spans = Some(Box::new(Spans::of(&self.collector, seen)));
    }

    fn decide(&mut self, sampled: bool) {
        self.context.sampled = sampled;
        self.chance = Chance::Decided(sampled);
    }

    /// Somebody is asked about it: its span, which whoever is asked is told as the parent of its own. `policy`: whose question it is.
    pub fn begin_question(&mut self, ids: &Ids, policy: impl FnOnce() -> String) -> Rc<Question> {
        // From now on others know it.
        self.decide(self.context.sampled);
        let spans = self.spans.as_mut().filter(|spans| spans.questions.len() < MAX_QUESTIONS);
        let Some(spans) = spans else { return Rc::new(Question::unrecorded(&self.context)) };
        let question = Rc::new(Question::recorded(&self.context, ids.span(), policy()));
        spans.questions.push(Rc::clone(&question));
        question
    }

    pub fn collector(&self) -> &Arc<Collector> {
        &self.collector
    }

    pub fn is_recorded(&self) -> bool {
        self.spans.is_some()
    }

    /// Who asks is somebody else than was thought.
    pub fn client(&mut self, address: IpAddr) {
        if let Some(spans) = &mut self.spans {
            spans.client = address.to_string();
        }
    }

    /// A try begins; its span, which the backend is told as the parent of its own. `None`: it has none.
    pub fn begin_try(
        &mut self,
        ids: &Ids,
        to: SocketAddr,
        begun: Instant,
        url: impl FnOnce() -> String,
    ) -> Option<SpanId> {
        let spans = self.spans.as_mut()?;
        if spans.tries.len() >= MAX_TRIES {
            spans.untold_tries += 1;
            return None;
        }
        let (span, number) = (ids.span(), spans.tries.len() as u64);
        spans.tries.push(Try { span, number, to, url: cut(url()), begun, ended: None });
        Some(span)
    }

    /// A moment as nanoseconds since 1970; `None`: nothing is recorded.
    pub fn at(&self, at: Instant) -> Option<u64> {
        self.spans.as_ref().map(|spans| spans.at(at))
    }

    /// The span of the try that began last; `None`: it has none.
    pub fn last_try(&self) -> Option<SpanId> {
        self.spans.as_ref().filter(|spans| spans.untold_tries == 0)?.tries.last().map(|each| each.span)
    }

    /// The try that began last has ended.
    pub fn end_try(&mut self, at: Instant, how: TryEnded) {
        let Some(spans) = self.spans.as_mut().filter(|spans| spans.untold_tries == 0) else { return };
        if let Some(last) = spans.tries.last_mut() {
            last.ended = Some((at, how));
        }
    }

    /// Something happened at a step of policies; `step`: which one; `error`: what it refuses by.
    pub fn moment(&mut self, name: &'static str, step: impl FnOnce() -> String, error: Option<&'static str>) {
        let Some(spans) = &mut self.spans else { return };
        if spans.moments.len() < MAX_MOMENTS {
            spans.moments.push((Instant::now(), name, step(), error));
        } else {
            spans.untold_moments += 1;
        }
    }

    /// All of its spans, and how many; `None`: it records nothing.
    pub fn end(&mut self, ended: &Ended<'_>) -> Option<(Vec<u8>, u64)> {
        let spans = self.spans.take()?;
        let asked = spans.tries.len() + spans.questions.len();
        let mut written = Writer::with_capacity(USUAL_SPAN * (1 + asked));
        let mut count = 1 + spans.tries.len() as u64;
        self.write_server(&spans, ended, &mut written);
        for each in &spans.questions {
            count += u64::from(self.write_question(&spans, each, ended, &mut written));
        }
        for each in &spans.tries {
            self.write_try(&spans, each, ended, &mut written);
        }
        Some((written.into_bytes(), count))
    }
}

impl Spans {
    fn of(collector: &Collector, seen: &Seen<'_>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = now.saturating_sub(seen.started.elapsed()).as_nanos();
        let method = Method::of(seen.method.as_bytes());
        let named = |name: &str| joined(seen.fields, name);
        let field = |source: &SpanSource| match source {
            SpanSource::Header { name } => named(name).map(Cow::into_owned),
            SpanSource::Literal { .. } | SpanSource::Attribute { .. } => None,
        };
        Self {
            started: seen.started,
            started_at: u64::try_from(started_at).unwrap_or(u64::MAX),
            method: method.name(),
            original_method: method.is_other().then(|| text(seen.method.as_bytes()).into_owned()),
            known: known(seen, named("user-agent").as_deref()),
            client: seen.client.to_owned(),
            fields: collector.policy.attributes.iter().map(|attribute| field(&attribute.source)).collect(),
            tries: SmallVec::new(),
            untold_tries: 0,
            moments: Vec::new(),
            untold_moments: 0,
            questions: Vec::new(),
        }
    }
}

/// Attributes that are known as a request comes, but for its method and its client.
fn known(seen: &Seen<'_>, user_agent: Option<&str>) -> Writer {
    let mut known = Writer::with_capacity(USUAL_SPAN / 2);
    let (host, port) = host_and_port(seen.authority);
    attribute(&mut known, "url.path", &text(path_of(seen.target)));
    attribute(&mut known, "url.scheme", seen.scheme);
    attribute(&mut known, "network.protocol.version", seen.version);
    attribute(&mut known, "network.peer.address", seen.peer.0);
    number(&mut known, "network.peer.port", seen.peer.1.into());
    if !host.is_empty() {
        attribute(&mut known, "server.address", &host);
        number(&mut known, "server.port", port.unwrap_or(seen.port).into());
    }
    if let Some(user_agent) = user_agent {
        attribute(&mut known, "user_agent.original", user_agent);
    }
    known
}

/// The values of all fields of a name as one; `None`: there is none.
fn joined<'f>(fields: &'f [Field<'_>], name: &str) -> Option<Cow<'f, str>> {
    let mut named = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    let mut found = text(named.next()?.value);
    for field in named {
        if found.len() >= MAX_TEXT {
            break;
        }
        let found = found.to_mut();
        found.push_str(", ");
        found.push_str(&text(field.value));
    }
    Some(if found.len() > MAX_TEXT { Cow::Owned(cut(found.into_owned())) } else { found })
}

/// A text that has an end.
pub(super) fn cut(value: String) -> String {
    if value.len() <= MAX_TEXT { value } else { text(value.as_bytes()).into_owned() }
}

/// The path of a target, without its query.
pub(super) fn path_of(target: &[u8]) -> &[u8] {
    let target = &target[..target.iter().position(|byte| *byte == b'?').unwrap_or(target.len())];
    if target.starts_with(b"/") {
        return target;
    }
    // Of absolute-form, what stands behind the authority.
    let Some(at) = memchr::memmem::find(target, b"://") else { return target };
    let rest = &target[at + 3..];
    rest.iter().position(|byte| *byte == b'/').map_or(b"/", |at| &rest[at..])
}

/// The two parts of an authority, as far as it has them.
pub(super) fn host_and_port(authority: &[u8]) -> (Cow<'_, str>, Option<u16>) {
    let authority = text(authority);
    let bracket = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(at) = authority[bracket..].rfind(':').map(|at| bracket + at) else { return (authority, None) };
    let port = authority[at + 1..].parse().ok();
    let host = match authority {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..at]),
        Cow::Owned(text) => Cow::Owned(text[..at].to_owned()),
    };
    (host, port)
}

#[cfg(test)]
mod tests;
