//! The admin listener: health, readiness, metrics and the configuration, for operators and probes.
//!
//! A thread of its own with a small HTTP/1.1 server; it answers one request per connection. Never a traffic listener;
//! loopback by default. Where it listens for a kubelet, every pod of the cluster can dial it:
//! - A connection that says nothing keeps nobody waiting, and many of them push out the oldest, not a probe.
//! - The configuration is shown to this machine only.

use crate::observe::metrics::Format;
use crate::worker::{Readiness, Shared};
use codec::{MAX_FIELDS, Parsed, parse_request};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// A request head; probes and scrapers send a few hundred bytes.
const MAX_HEAD: usize = 8 * 1024;

/// Connections at once. Stops descriptor exhaustion; one more ends the oldest.
const MAX_CONNECTIONS: usize = 64;

/// For the whole request, and for each part of the answer. Stops clients that send or read slowly.
const LIMIT: Duration = Duration::from_secs(5);

/// `/readyz?wait=`: the longest, in seconds.
const MAX_WAIT: f64 = 10.0;

/// After an accept that failed: descriptors may be used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is said of methods where another one was used.
const ALLOWED: &str = "allow: GET, HEAD\r\n";

#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// # Errors
    /// The address cannot be bound, or the system refuses a thread.
    pub fn start(address: SocketAddr, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("sluicegate-admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut connections: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        connections.retain(|connection| !connection.is_finished());
        if connections.len() == MAX_CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        let shared = Arc::clone(&shared);
        let answered = tokio::spawn(async move {
            // A peer that went away or sent nonsense has no answer coming.
            let _ = answer(stream, peer, &shared).await;
        });
        connections.push_back(answered.abort_handle());
    }
}

async fn answer(mut stream: TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<()> {
    let answer = match timeout(LIMIT, request(&mut stream)).await?? {
        Request::Gone => return Ok(()),
        Request::Bad(error) => Page::text("400 Bad Request", format!("{error}\n")).answer("", true),
        Request::Target { target, format, with_body, host } => {
            page(&target, format, is_own(&host, peer), shared).await.answer("", with_body)
        }
        Request::OtherMethod => {
            Page::text("405 Method Not Allowed", "only GET and HEAD are answered here\n").answer(ALLOWED, true)
        }
    };
    let mut rest = answer.as_bytes();
    while !rest.is_empty() {
        let written = timeout(LIMIT, stream.write(rest)).await??;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

enum Request {
    /// It ended, or it is too long.
    Gone,
    Bad(String),
    OtherMethod,
    /// GET, or HEAD: the same without a body.
    Target {
        target: Vec<u8>,
        /// Of figures.
        format: Format,
        with_body: bool,
        /// Empty: it has none.
        host: Vec<u8>,
    },
}

async fn request(stream: &mut TcpStream) -> io::Result<Request> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = stream.read(&mut chunk).await?;
        if count == 0 || head.len() + count > MAX_HEAD {
            return Ok(Request::Gone);
        }
        head.extend_from_slice(chunk.get(..count).unwrap_or_default());
        match parse_request(&head, MAX_FIELDS) {
            Ok(Parsed::Partial) => {}
            Ok(Parsed::Complete(request)) if matches!(request.method, "GET" | "HEAD") => {
                let accepts = request.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"accept"));
                return Ok(Request::Target {
                    target: request.target.to_vec(),
                    format: Format::wanted(accepts.map(|field| field.value)),
                    with_body: request.method == "GET",
                    host: request.host.unwrap_or_default().to_vec(),
                });
            }
            Ok(Parsed::Complete(_)) => return Ok(Request::OtherMethod),
            Err(error) => return Ok(Request::Bad(error.to_string())),
        }
    }
}

struct Page {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Page {
    fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }

    /// As it is sent. `fields`: further ones, each with its end of line.
    fn answer(self, fields: &str, with_body: bool) -> String {
        let Self { status, kind, body } = self;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{fields}connection: close\r\n\r\n"
        );
        if with_body { head + &body } else { head }
    }
}

/// Whether a request comes from this machine and is meant for it: its host, with or without a port, is an address or `localhost`. Any
/// other name may lead here, and a page of that name would read what there is (DNS rebinding).
fn is_own(host: &[u8], peer: SocketAddr) -> bool {
    let Ok(text) = std::str::from_utf8(host) else { return false };
    let without_port = text
        .rsplit_once(':')
        .map_or(text, |(host, port)| if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { text });
    let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let name = without_port.trim_end_matches('.').to_ascii_lowercase();
    let is_here = name == "localhost" || name.ends_with(".localhost") || bare(without_port) || bare(text);
    is_here && peer.ip().to_canonical().is_loopback()
}

async fn page(target: &[u8], format: Format, is_own: bool, shared: &Shared) -> Page {
    let target = String::from_utf8_lossy(target);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    match path {
        "/healthz" => Page::text("200 OK", "ok\n"),
        "/readyz" => readiness(query, shared).await,
        "/metrics" => Page { status: "200 OK", kind: format.content_type(), body: shared.metrics(format) },
        "/config" if !is_own => Page::text(
            "403 Forbidden",
            "the configuration is shown to this machine only, by its address or localhost; in a cluster: kubectl port-forward\n",
        ),
        "/config" => Page { status: "200 OK", kind: "application/json", body: shared.config() },
        _ => Page::text("404 Not Found", "here are /healthz, /readyz, /metrics and /config\n"),
    }
}

/// With `wait=<seconds>` a start is waited for: a kubelet, which asks once a second, has the answer when there is one.
async fn readiness(query: &str, shared: &Shared) -> Page {
    let wait = match query.strip_prefix("wait=").map(str::parse::<f64>) {
        Some(Ok(seconds)) if (0.0..=MAX_WAIT).contains(&seconds) => seconds,
        None if query.is_empty() => 0.0,
        _ => {
            let known = format!("/readyz takes ?wait=SECONDS, at most {MAX_WAIT}\n");
            return Page::text("400 Bad Request", known);
        }
    };
    let mut changes = shared.readiness.subscribe();
    let begun = changes.wait_for(|readiness| *readiness != Readiness::Starting);
    let _ = timeout(Duration::from_secs_f64(wait), begun).await;
    match *shared.readiness.borrow() {
        Readiness::Ready => Page::text("200 OK", "ready\n"),
        Readiness::Starting => Page::text("503 Service Unavailable", "not ready: no configuration yet\n"),
        Readiness::Leaving => Page::text("503 Service Unavailable", "not ready: draining\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Engine;
    use crate::settings::Settings;
    use std::io::{Read, Write};

    fn with_engine(test: impl AsyncFnOnce(&Shared)) {
        // Outside of the runtime: an engine blocks while it ends.
        let engine = Engine::start(Settings { workers: 1, ..Settings::default() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test(engine.shared()));
    }

    #[test]
    fn the_configuration_is_for_this_machine() {
        with_engine(async |shared| {
            for (is_own, status) in [(true, "200 OK"), (false, "403 Forbidden")] {
                assert_eq!(page(b"/config", Format::Text, is_own, shared).await.status, status);
            }
            assert_eq!(page(b"/healthz", Format::Text, false, shared).await.status, "200 OK");
        });
        for (host, peer, expected) in [
            ("127.0.0.1:19000", "127.0.0.1:9", true),
            ("127.0.0.1", "[::1]:9", true),
            ("[::1]:19000", "[::1]:9", true),
            ("[::1]", "[::1]:9", true),
            ("LOCALHOST.:19000", "[::ffff:127.0.0.1]:9", true),
            ("a.localhost", "127.0.0.1:9", true),
            ("127.0.0.1", "10.0.0.1:9", false),
            ("127.0.0.1", "[2001:db8::1]:9", false),
            ("rebind.example.com:19000", "127.0.0.1:9", false),
            ("localhost.example.com", "127.0.0.1:9", false),
            ("127.0.0.1.example.com", "127.0.0.1:9", false),
            ("", "127.0.0.1:9", false),
        ] {
            assert_eq!(is_own(host.as_bytes(), peer.parse().unwrap()), expected, "{host:?} {peer}");
        }
    }

    /// A monitor that asks for the head alone has that of the whole answer; what would change something is refused.
    #[test]
    fn methods() {
        let settings = Settings { workers: 1, admin: Some(([127, 0, 0, 1], 0).into()), ..Settings::default() };
        let engine = Engine::start(settings).unwrap();
        let address = engine.admin_address().unwrap();
        let asked = |method: &str, path: &str| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.to_owned(), body.to_owned())
        };
        for path in ["/healthz", "/readyz", "/readyz?wait=x", "/config", "/none"] {
            let ((head, body), (only, rest)) = (asked("GET", path), asked("HEAD", path));
            assert!(head == only && rest.is_empty() && !body.is_empty(), "{path}: {only} {rest}");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{path}: {head}");
        }
        let (head, body) = asked("HEAD", "/metrics");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(), "{head} {body}");
        let (head, body) = asked("POST", "/healthz");
        assert!(
            head.starts_with("HTTP/1.1 405 ") && head.contains("allow: GET, HEAD") && body.contains("HEAD"),
            "{head}"
        );
    }

    #[test]
    fn readiness_is_waited_for_while_it_starts() {
        with_engine(async |shared| {
            assert_eq!(page(b"/readyz", Format::Text, true, shared).await.body, "not ready: no configuration yet\n");
            assert_eq!(page(b"/readyz?wait=0.01", Format::Text, true, shared).await.status, "503 Service Unavailable");
            let applied = async {
                tokio::task::yield_now().await;
                shared.readiness.send_replace(Readiness::Ready);
            };
            let (answer, ()) = tokio::join!(page(b"/readyz?wait=10", Format::Text, true, shared), applied);
            assert_eq!(answer.status, "200 OK");
            shared.readiness.send_replace(Readiness::Leaving);
            assert_eq!(page(b"/readyz?wait=10", Format::Text, true, shared).await.body, "not ready: draining\n");
            for target in ["/readyz?wait=11", "/readyz?wait=-1", "/readyz?wait=NaN", "/readyz?wait=", "/readyz?verbose"]
            {
                assert_eq!(
                    page(target.as_bytes(), Format::Text, true, shared).await.status,
                    "400 Bad Request",
                    "{target}"
                );
            }
        });
    }
}
