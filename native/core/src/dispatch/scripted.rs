//! A request on its way to a backend that says, one request after another, what its script has.

use super::Forward;
use super::outbound::Outbound;
use crate::message::response_filters::ResponseEdits;
use crate::message::scripted::Body;
use crate::upstream::{Among, Route};
use codec::Framing;
use route::ir::EndpointState;
use route::policy::Withheld;
use route::table::{Endpoint, Timeouts};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// For what comes at once or never.
pub const LIMIT: Duration = Duration::from_secs(10);

pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
pub const UNAVAILABLE: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";

/// The connection ends without an answer.
pub const CLOSE: &str = "";

/// Nothing is said, for ever.
pub const SILENCE: &str = "silence";

#[derive(Debug)]
pub struct Backend {
    pub address: SocketAddr,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Backend {
    /// An answer that tells no length, or that it is the last one, ends its connection. What comes behind the script is
    /// answered with [`CLOSE`].
    pub async fn start<S: Into<String>>(script: impl IntoIterator<Item = S>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Rc::<RefCell<Vec<String>>>::default());
        let script: VecDeque<String> = script.into_iter().map(Into::into).collect();
        let (script, heard) = (Rc::new(RefCell::new(script)), Rc::clone(&asked));
        spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                spawn_local(answer(stream, Rc::clone(&script), Rc::clone(&heard)));
            }
        });
        Self { address, asked }
    }

    /// The requests that have come, as they came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

async fn answer(mut stream: TcpStream, script: Rc<RefCell<VecDeque<String>>>, asked: Rc<RefCell<Vec<String>>>) {
    while let Some(request) = request(&mut stream).await {
        asked.borrow_mut().push(request);
        let answer = script.borrow_mut().pop_front().unwrap_or_default();
        if answer == SILENCE {
            pending::<()>().await;
        }
        // Who has enough closes before it is all there.
        let sent = stream.write_all(answer.as_bytes()).await;
        let has_end = answer.contains("content-length: ") || answer.contains("chunked");
        if sent.is_err() || !has_end || answer.contains("connection: close") {
            return;
        }
    }
}

/// The next request, with its body where its length is told. `None`: there is none.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// A request for `/` with this body.
pub fn outbound(body: Body, upgrade: bool) -> Outbound {
    let framing = if matches!(body, Body::None | Body::Left) { Framing::Empty } else { Framing::Chunked };
    let mut head = b"GET / HTTP/1.1\r\nhost: a.test\r\n".to_vec();
    if framing == Framing::Chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    if upgrade {
        head.extend_from_slice(b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
        head.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let (head_request, connect, trailers, tls) = (false, false, false, false);
    Outbound { head, framing, head_request, idempotent: true, upgrade, connect, trailers, tls, span: None }
}

pub fn endpoints(addresses: &[SocketAddr]) -> Vec<Arc<Endpoint>> {
    let endpoint = |(uid, address): (u64, &SocketAddr)| {
        Arc::new(Endpoint { id: uid.to_string(), address: *address, uid, state: EndpointState::Ready })
    };
    (0..).zip(addresses).map(endpoint).collect()
}

/// A request to one of these endpoints, of which nothing else is said.
pub fn forward(outbound: Outbound, endpoints: &[Arc<Endpoint>]) -> Forward<'_> {
    Forward {
        outbound,
        among: Among::all(endpoints),
        load: None,
        budget: None,
        session: None,
        first_byte: None,
        stall: None,
        route: Route::default(),
        edits: ResponseEdits::default(),
        timeouts: Timeouts::default(),
        retry: None,
        retry_within: None,
        grpc: false,
        mirrors: SmallVec::new(),
        body_limit: None,
        withheld: Withheld::default(),
        body_timeout: None,
    }
}
