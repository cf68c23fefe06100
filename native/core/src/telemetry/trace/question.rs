//! A question that is asked about a request, such as to an external authoriser: what tells whoever is asked of the trace, and what
//! its span says.

use super::written::{Asked, write_method};
use super::{Ended, Spans, Trace, TryEnded, cut};
use crate::observe::method::Method;
use crate::protobuf::Writer;
use crate::telemetry::attributes::text;
use crate::telemetry::context::{Context, Said};
use crate::telemetry::ids::SpanId;
use crate::telemetry::span::attribute;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use tokio::time::Instant;

/// Who asks has it, and the trace, which writes what became of it once the request has ended.
#[derive(Debug)]
pub struct Question {
    /// Go with the question.
    fields: SmallVec<[Said; 2]>,
    /// `None`: nothing of it is recorded.
    span: Option<SpanId>,
    /// `external of AccessPolicy/shop/staff`.
    policy: String,
    begun: RefCell<Option<Begun>>,
    /// Who was asked last.
    to: Cell<Option<SocketAddr>>,
    ended: Cell<Option<(Instant, TryEnded, Option<u32>)>>,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    method: &'static str,
    /// Where it has no name in the conventions.
    original_method: Option<String>,
    url: String,
}

impl Question {
    pub(super) fn recorded(context: &Context, span: SpanId, policy: String) -> Self {
        let fields = Context { span, ..context.clone() }.to_fields();
        Self { span: Some(span), policy, ..Self::telling(fields) }
    }

    /// One that has no span: whoever is asked is told that of the request.
    pub(super) fn unrecorded(context: &Context) -> Self {
        Self::telling(context.to_fields())
    }

    fn telling(fields: SmallVec<[Said; 2]>) -> Self {
        let (span, policy) = (None, String::new());
        Self { fields, span, policy, begun: RefCell::default(), to: Cell::default(), ended: Cell::default() }
    }

    /// The fields that go with it.
    pub fn fields(&self) -> &[Said] {
        &self.fields
    }

    /// It is asked; `url`: what is asked for, without a query.
    pub fn begin(&self, method: &str, url: impl FnOnce() -> String) {
        if self.span.is_none() {
            return;
        }
        let known = Method::of(method.as_bytes());
        self.begun.replace(Some(Begun {
            at: Instant::now(),
            method: known.name(),
            original_method: known.is_other().then(|| text(method.as_bytes()).into_owned()),
            url: cut(url()),
        }));
    }

    /// An endpoint is asked, which may be another one than before.
    pub fn asks(&self, endpoint: SocketAddr) {
        self.to.set(Some(endpoint));
    }

    /// There was an answer, or there is none.
    pub fn end(&self, how: TryEnded, grpc_status: Option<u32>) {
        if self.span.is_some() {
            self.ended.set(Some((Instant::now(), how, grpc_status)));
        }
    }
}

impl Trace {
    /// Whether there is a span: what nobody was asked has none.
    pub(super) fn write_question(
        &self,
        spans: &Spans,
        question: &Question,
        ended: &Ended<'_>,
        written: &mut Writer,
    ) -> bool {
        let (Some(span), Some(begun)) = (question.span, &*question.begun.borrow()) else { return false };
        // Who was cancelled under it was so by its end.
        let cut = (ended.at, TryEnded { status: 0, error: ended.error }, None);
        let (at, how, grpc_status) = question.ended.get().unwrap_or(cut);
        let asked = Asked {
            span,
            method: begun.method,
            url: &begun.url,
            to: question.to.get(),
            grpc_status,
            begun: begun.at,
            ended: at,
            how,
        };
        self.write_client(spans, &asked, written, |span| {
            write_method(begun.method, begun.original_method.as_deref(), span);
            attribute(span, "sluicegate.policy", &question.policy);
        });
        true
    }
}
