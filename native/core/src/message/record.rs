//! What one request leaves behind: a count, a duration, and, where the access log is on, a line.

mod text;
mod traced;

use super::client::Client;
use super::grpc::End;
use super::head::{HttpVersion, Inbound};
use super::local_reply::Answer;
use crate::error::ErrorCode;
use crate::observe::access_record::Record;
use crate::observe::method::Method;
use crate::observe::metrics::{Labels, RuleSeries, Took, Version};
use crate::policy::Held;
use crate::telemetry::{Destination, Logged, Trace, write_log_record};
use route::ir::{ClientAccessLog, LogLines, LogSample};
use route::policy::{Identity, Networks, masked};
use route::table::{Endpoint, Found, Listener, Rule};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use text::{Text, as_logged};
use tokio::time::Instant;

/// Filled while the request is served; counted and logged when it is dropped.
#[derive(Debug)]
pub struct Entry<'g> {
    client: &'g Client,
    started: Instant,
    ended: Option<Instant>,
    version: HttpVersion,
    method: Method,
    listener: Option<&'g Arc<Listener>>,
    rule: Option<&'g Arc<Rule>>,
    /// Of the rule's matches, the one that took the request.
    match_index: u32,
    series: Option<&'g RuleSeries>,
    status: u16,
    code: Option<ErrorCode>,
    grpc: bool,
    grpc_status: Option<u32>,
    retries: u32,
    request_bytes: u64,
    response_bytes: u64,
    /// What the request counts for as long as it lasts.
    held: Held,
    /// Only while the access log is on, and where a policy wants a line.
    text: Option<Box<Text>>,
    /// A policy wants a line only of what is an error.
    errors_only: bool,
    /// Where the listener is traced.
    trace: Option<Box<Trace>>,
}

/// Bytes of the request line of a refused head that are logged.
const MAX_REFUSED_LINE: usize = 1024;

/// What could be read of a head that was no request.
#[derive(Debug, Default)]
pub struct Refused<'r> {
    pub protocol: &'static str,
    pub method: &'r [u8],
    pub authority: &'r [u8],
    pub target: &'r [u8],
    pub detail: String,
}

impl<'r> Refused<'r> {
    /// Of HTTP/1.1, from the bytes that are there.
    pub fn of_http1(bytes: &'r [u8], detail: String) -> Self {
        let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
        let line = &bytes[..end.min(MAX_REFUSED_LINE)];
        let (method, rest) = line.split_at(line.iter().position(|&byte| byte == b' ').unwrap_or(line.len()));
        let rest = rest.trim_ascii();
        let target = &rest[..memchr::memmem::rfind(rest, b" HTTP/").unwrap_or(rest.len())];
        Self { protocol: "HTTP/1.1", method, authority: b"", target, detail }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl<'g> Entry<'g> {
    pub fn begin(client: &'g Client, inbound: &Inbound<'_>) -> Self {
        client.worker.metrics.request(inbound.version == HttpVersion::Http2);
        let text = client.worker.shared.access_log.is_enabled().then(|| Box::new(Text::of(client, inbound, true)));
        Self {
            client,
            started: Instant::now(),
            ended: None,
            version: inbound.version,
            method: Method::of(inbound.method.as_bytes()),
            listener: None,
            rule: None,
            match_index: 0,
            series: None,
            status: 0,
            code: None,
            grpc: false,
            grpc_status: None,
            retries: 0,
            request_bytes: 0,
            response_bytes: 0,
            held: Held::new(),
            text,
            errors_only: false,
            trace: None,
        }
    }

    /// A head that was no request: counted, and logged with what could be read of it.
    pub fn refused(client: &Client, code: ErrorCode, refused: &Refused<'_>) {
        client.worker.metrics.error(code);
        if !client.worker.shared.access_log.is_enabled() {
            return;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (path, generation) = (text(refused.target), client.worker.generation());
        client.worker.shared.access_log.push(&Record {
            time: now(),
            client: &client.address_text,
            peer: &client.peer_text(),
            protocol: refused.protocol,
            scheme: client.scheme(),
            sni: client.sni(),
            method: &text(refused.method),
            authority: &text(refused.authority),
            path: &masked(&path, generation.secret_pairs()).unwrap_or(path),
            status: code.status(),
            error: Some(code.name()),
            error_detail: Some(&refused.detail),
            ..Record::default()
        });
    }

    pub fn method(&self) -> Method {
        self.method
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// It is over: now, or since that was said first.
    pub fn end(&mut self) -> Instant {
        *self.ended.get_or_insert_with(Instant::now)
    }

    /// Who asks is found out by other proxies than those of the settings.
    pub fn origin(&mut self, inbound: &Inbound<'_>, proxies: Option<&Networks>) {
        let origin = self.client.origin(&inbound.fields, proxies);
        if let Some(trace) = &mut self.trace {
            trace.client(origin.unwrap_or(self.client.address));
        }
        if let Some(text) = &mut self.text {
            text.origin = origin.map(|address| address.to_string());
        }
    }

    /// Values of these pairs of the query are credentials, which stand in no log; it is known that others are none. Until then
    /// those are hidden in which any policy looks for them.
    pub fn mask(&mut self, secret_pairs: &[String]) {
        if let Some(text) = &mut self.text {
            text.hide(secret_pairs);
        }
    }

    /// Who proved who they are.
    pub fn user(&mut self, identity: &Identity) {
        if let Some(text) = &mut self.text {
            text.user = Some((as_logged(&identity.user), identity.proof));
        }
    }

    /// A policy sends lines to a collector, whether or not the process has a log.
    pub fn keep_text(&mut self, inbound: &Inbound<'_>) {
        let client = self.client;
        self.text.get_or_insert_with(|| Box::new(Text::of(client, inbound, false)));
    }

    /// Whether there will be a line, as a policy has it, and who takes it besides.
    pub fn log_as(&mut self, log: &ClientAccessLog, collector: Option<&Arc<Destination>>) {
        if let Some(text) = &mut self.text {
            text.collector = collector.cloned();
        }
        let LogSample { numerator, denominator } = log.sample;
        let share = |noise: u32| u64::from(noise) * u64::from(denominator) < (u64::from(numerator) << u32::BITS);
        match log.lines {
            LogLines::None => self.text = None,
            LogLines::Errors => self.errors_only = true,
            LogLines::All => self.errors_only = !share(self.client.worker.turns.noise()),
        }
    }

    /// It is an error as the conventions have it.
    fn has_failed(&self) -> bool {
        self.status >= 500 || matches!(self.code, Some(ErrorCode::ClientGone | ErrorCode::ResponseNotRead))
    }

    /// As the conventions have it.
    fn labels(&self) -> Labels {
        let labels = Labels::new(self.method, self.status, self.code, self.has_failed());
        labels.served(conventional(self.version), self.client.scheme() == "https")
    }

    /// It ended as its client will not have wanted.
    fn is_error(&self) -> bool {
        self.code.is_some() || self.status >= 400 || self.grpc_status.is_some_and(|status| status != 0)
    }

    /// Takes what is given back with its end, however that comes.
    pub fn held(&mut self) -> &mut Held {
        &mut self.held
    }

    pub fn listener(&mut self, listener: &'g Arc<Listener>, inbound: &Inbound<'_>) {
        self.listener = Some(listener);
        if let Some(policy) = listener.tracing() {
            self.begin_trace(policy, listener, inbound);
        }
    }

    pub fn rule(&mut self, found: &Found<'g>, inbound: &Inbound<'_>) {
        self.rule = Some(found.rule);
        self.match_index = found.match_index;
        self.series = found.tag.downcast_ref();
        if self.trace.is_some() {
            self.sample_by_rule(found.rule, inbound);
        }
    }

    pub fn backend(&mut self, id: &str) {
        if let Some(text) = &mut self.text {
            text.backend = Some(id.to_owned());
        }
    }

    pub fn endpoint(&mut self, endpoint: &Endpoint) {
        if let Some(text) = &mut self.text {
            text.endpoint = Some(endpoint.address.to_string());
        }
    }

    /// The request's own rule is of a `GRPCRoute`.
    pub fn is_of_grpc_rule(&self) -> bool {
        self.rule.is_some_and(|rule| rule.ir.grpc)
    }

    /// The request is gRPC by its content type.
    pub fn grpc(&mut self, grpc: bool) {
        self.grpc = grpc;
    }

    /// The request is gRPC, by its rule or by its content type.
    pub fn is_grpc(&self) -> bool {
        self.grpc || self.is_of_grpc_rule()
    }

    /// What the response said; an answer of our own is told by `answer`.
    pub fn grpc_status(&mut self, status: Option<u32>) {
        self.grpc_status = status.or(self.grpc_status);
    }

    /// The gateway answers.
    pub fn answer(&mut self, answer: &Answer, retries: u32) {
        self.grpc_status(answer.grpc.and_then(End::status));
        self.answered(answer.status, answer.code, retries);
    }

    pub fn answered(&mut self, status: u16, code: Option<ErrorCode>, retries: u32) {
        self.status = status;
        self.code = code;
        self.retries = retries;
    }

    /// Something else stands in for the answer, with this status.
    pub fn replaced(&mut self, status: u16) {
        self.status = status;
    }

    /// What exactly went wrong, made only where it is written.
    pub fn detail(&mut self, detail: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            text.detail = Some(detail());
        }
    }

    /// The gateway can no longer answer.
    pub fn failed(&mut self, code: ErrorCode, retries: u32) {
        self.answered(code.status(), Some(code), retries);
    }

    pub fn request_bytes(&mut self, count: u64) {
        self.request_bytes = count;
    }

    pub fn response_bytes(&mut self, count: u64) {
        self.response_bytes = count;
    }

    pub fn tunnelled(&mut self, up: u64, down: u64) {
        self.request_bytes = up;
        self.response_bytes = down;
    }

    #[inline(never)]
    fn log(&self, text: &Text, duration_ms: f64) {
        let context = self.trace.as_ref().map(|trace| &trace.context);
        let (trace, span) = (context.map(|context| context.trace.hex()), context.map(|context| context.span.hex()));
        let peer = self.client.peer_text();
        let record = Record {
            time: now() - duration_ms / 1000.0,
            duration_ms,
            client: text.origin.as_deref().unwrap_or(&self.client.address_text),
            peer: &peer,
            protocol: self.version.as_str(),
            scheme: self.client.scheme(),
            sni: self.client.sni(),
            method: &text.method,
            authority: &text.authority,
            path: &text.path,
            user_agent: text.user_agent.as_deref(),
            request_id: text.request_id.as_deref(),
            user: text.user.as_ref().map(|(name, _)| name.as_str()),
            authenticated_by: text.user.as_ref().map(|(_, proof)| proof.name()),
            listener: self.listener.map(|listener| listener.id()),
            route: self.rule.map(|rule| rule.ir.route.as_str()),
            rule: self.rule.map(
                |rule| {
                    if rule.ir.name.is_empty() { rule.ir.id.as_str() } else { rule.ir.name.as_str() }
                },
            ),
            backend: text.backend.as_deref(),
            endpoint: text.endpoint.as_deref(),
            status: self.status,
            grpc_status: self.grpc_status,
            error: self.code.map(ErrorCode::name),
            error_detail: text.detail.as_deref(),
            retries: self.retries,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            // Digits.
            trace_id: trace.as_ref().and_then(|id| std::str::from_utf8(id).ok()),
            span_id: span.as_ref().and_then(|id| std::str::from_utf8(id).ok()),
        };
        let worker = &self.client.worker;
        if text.local {
            worker.shared.access_log.push(&record);
        }
        if let Some(collector) = &text.collector {
            let matched = self.rule.and_then(|rule| rule.ir.matches.get(self.match_index as usize));
            let path = matched.map(|matched| matched.path.template());
            let version = conventional(self.version).name();
            let logged = Logged { context, path: path.as_deref(), version, failed: self.has_failed() };
            let octets = write_log_record(&record, &logged);
            worker.outboxes.push(collector, &octets, 1, self.ended.unwrap_or_else(Instant::now));
        }
    }
}

fn conventional(version: HttpVersion) -> Version {
    match version {
        HttpVersion::Http10 => Version::Http10,
        HttpVersion::Http11 => Version::Http11,
        HttpVersion::Http2 => Version::Http2,
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let ended = self.end();
        let (worker, duration) = (&self.client.worker, ended - self.started);
        if self.status == 0 {
            // The task was cancelled under the request: the client is gone.
            self.failed(ErrorCode::ClientGone, self.retries);
        }
        let grpc = self.is_grpc();
        if let Some(code) = self.code.filter(|_| grpc && self.grpc_status.is_none()) {
            // No status was sent: this is what the client makes of the end that it sees.
            self.grpc_status = End { code, reset: None }.status();
        }
        let (took, labels) = (Took::of(duration), self.labels());
        let exemplar = self.trace.as_ref().and_then(|_| self.exemplar(ended));
        if let Some(series) = self.series {
            series.route.record(worker.id, self.status, took, exemplar.as_ref());
            if grpc || self.grpc_status.is_some() {
                series.route.record_grpc(worker.id, self.grpc_status);
            }
            if let Some(sets) = series.path(self.match_index) {
                sets.record(worker.id, labels, took, exemplar.as_ref());
            }
        } else {
            worker.metrics.unrouted(labels, took, exemplar.as_ref());
        }
        if let Some(code) = self.code {
            worker.metrics.error(code);
        }
        worker.metrics.retries(self.retries);
        if let Some(mut text) = self.text.take().filter(|_| !self.errors_only || self.is_error()) {
            if !text.is_masked {
                text.hide(worker.generation().secret_pairs());
            }
            self.log(&text, duration.as_secs_f64() * 1000.0);
        }
        if self.trace.is_some() {
            self.end_trace();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_REFUSED_LINE, Refused};

    #[test]
    fn what_can_be_read_of_a_head_that_was_no_request() {
        for (bytes, method, target) in [
            (&b"GET /a?b HTTP/1.1\r\nhost: x\r\n"[..], &b"GET"[..], &b"/a?b"[..]),
            (b"GET  /a b  HTTP/1.1\r\n", b"GET", b"/a b "),
            (b"GET /a HTTP/1.1 HTTP/2\nx", b"GET", b"/a HTTP/1.1"),
            (b"GET /a", b"GET", b"/a"),
            (b"nothing", b"nothing", b""),
            (b"\r\nGET / HTTP/1.1", b"", b""),
            (b"", b"", b""),
            (b"\x16\x03\x01\x00", b"\x16\x03\x01\x00", b""),
        ] {
            let refused = Refused::of_http1(bytes, "why".to_owned());
            assert_eq!((refused.method, refused.target), (method, target), "{}", bytes.escape_ascii());
        }
        let long = [b"GET /", &[b'a'; 2 * MAX_REFUSED_LINE][..]].concat();
        let refused = Refused::of_http1(&long, String::new());
        assert_eq!(refused.method.len() + 1 + refused.target.len(), MAX_REFUSED_LINE);
    }
}
