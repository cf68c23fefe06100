//! The admin listener: health, readiness, metrics and the configuration, for operators and probes.
//!
//! A thread of its own with a small HTTP/1.1 server; it answers one request per connection. Loopback by default, never a
//! traffic listener.

use crate::codec::{Parsed, parse_request};
use crate::runtime::Shared;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request head; probes and scrapers send a few hundred bytes.
const MAX_HEAD: usize = 8 * 1024;

/// For reading the request and for writing the answer.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// # Errors
    /// The address cannot be bound.
    pub fn start(address: SocketAddr, shared: Arc<Shared>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("sluicegate-admin".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                if let Ok(stream) = stream {
                    // A peer that went away or sent nonsense has no answer coming.
                    let _ = answer(stream, &shared);
                }
            }
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // The thread waits in accept: one connection wakes it.
        let woken = TcpStream::connect_timeout(&self.address, LIMIT);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 || head.len() + count > MAX_HEAD {
            return Ok(());
        }
        head.extend_from_slice(&chunk[..count]);
        let (status, kind, body) = match parse_request(&head) {
            Ok(Parsed::Partial) => continue,
            Ok(Parsed::Complete(request)) => page(request.method, request.target, shared),
            Err(error) => ("400 Bad Request", TEXT, format!("{error}\n")),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        return stream.write_all(body.as_bytes());
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn page(method: &str, target: &[u8], shared: &Shared) -> (&'static str, &'static str, String) {
    if method != "GET" {
        return ("405 Method Not Allowed", TEXT, "only GET is answered here\n".to_owned());
    }
    match target {
        b"/healthz" => ("200 OK", TEXT, "ok\n".to_owned()),
        b"/readyz" if shared.ready.load(Ordering::Acquire) => ("200 OK", TEXT, "ready\n".to_owned()),
        b"/readyz" => ("503 Service Unavailable", TEXT, "not ready: no configuration yet, or draining\n".to_owned()),
        b"/metrics" => (
            "200 OK",
            "text/plain; version=0.0.4; charset=utf-8",
            shared.registry.render(shared.events.dropped(), shared.access_log.dropped()),
        ),
        b"/config" => ("200 OK", "application/json", shared.generation.load().table.to_json()),
        _ => ("404 Not Found", TEXT, "here are /healthz, /readyz, /metrics and /config\n".to_owned()),
    }
}
