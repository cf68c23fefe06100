//! The pool of one endpoint, as one worker has it: connections that wait for use, load, health.

use super::Route;
use super::answer_time::AnswerTime;
use super::health::Health;
use super::http2::Http2Handle;
use super::load::Slot;
use super::stream::UpstreamStream;
use crate::observe::metrics::EndpointShard;
use codec::Buffer;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};

/// An endpoint that was not used for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// HTTP/2 connections that one worker keeps to one endpoint; further ones serve one request. Each of them is full of
/// streams before the next is opened, so only a backend that allows few streams, or thousands of requests, come near.
const MAX_HTTP2_CONNECTIONS: usize = 64;

/// An open HTTP/1.1 connection, between exchanges or in one.
#[derive(Debug)]
pub struct Http1Connection {
    pub stream: RefCell<UpstreamStream>,
    pub buffer: Buffer,
    pub(super) route: Route,
    pub(super) idle_since: Instant,
    /// Exchanges that it has carried, as far as somebody counts them.
    exchanges: u32,
    /// Its place where connections are limited.
    _slot: Option<Slot>,
}

#[derive(Debug)]
pub struct EndpointState {
    pub address: SocketAddr,
    /// Where this worker counts what it sends there.
    pub(super) figures: Arc<EndpointShard>,
    active: Cell<u32>,
    pub(super) health: Health,
    pub(super) answer_time: AnswerTime,
    /// When it was first seen, or came back.
    here_since: Cell<tokio::time::Instant>,
    last_used: Cell<Instant>,
    /// Newest last: taken from the end, so that surplus ones age at the front.
    // Boxed: connections move between the pool and requests, and are large.
    #[allow(clippy::vec_box)]
    idle: RefCell<Vec<Box<Http1Connection>>>,
    http2: RefCell<Vec<(Route, Http2Handle)>>,
    /// One HTTP/2 connect at a time; the others wait and share it.
    pub(super) connecting: tokio::sync::Mutex<()>,
}

impl EndpointState {
    pub(super) fn new(address: SocketAddr, figures: Arc<EndpointShard>) -> Self {
        Self {
            address,
            figures,
            active: Cell::new(0),
            health: Health::default(),
            answer_time: AnswerTime::default(),
            here_since: Cell::new(tokio::time::Instant::now()),
            last_used: Cell::new(Instant::now()),
            idle: RefCell::default(),
            http2: RefCell::default(),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// Requests under way.
    pub fn active(&self) -> u32 {
        self.active.get()
    }

    /// It answers.
    pub(super) fn does_well(&self) {
        if self.health.succeeded() {
            self.here_since.set(tokio::time::Instant::now());
        }
    }

    /// It can be connected to.
    pub(super) fn is_there(&self) {
        if self.health.connected() {
            self.here_since.set(tokio::time::Instant::now());
        }
    }

    /// For how long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.here_since.get().elapsed()
    }

    /// It took so long to begin its answer.
    pub fn answered_in(&self, time: Duration) {
        self.answer_time.saw(time);
    }

    /// Count one request for as long as the guard lives.
    pub fn begin(self: &Rc<Self>) -> Active {
        self.active.set(self.active.get() + 1);
        Active(Rc::clone(self))
    }

    /// The newest idle connection that is still open.
    pub(super) fn take_idle(
        &self,
        route: &Route,
        now: Instant,
        idle_timeout: Duration,
    ) -> Option<Box<Http1Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(at) = idle.iter().rposition(|connection| connection.route.same_as(route)) {
            let connection = idle.remove(at);
            if connection.is_quiet() && now.duration_since(connection.idle_since) < idle_timeout {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn put_idle(&self, mut connection: Box<Http1Connection>, now: Instant, limit: usize) {
        let mut idle = self.idle.borrow_mut();
        if limit == 0 || !connection.buffer.is_empty() || connection.route.is_crowded() || connection.is_used_up() {
            return;
        }
        if idle.len() >= limit {
            idle.remove(0);
        }
        connection.buffer.release();
        connection.idle_since = now;
        self.last_used.set(now);
        idle.push(connection);
    }

    /// `stays`: how long what is idle may stay, of each route.
    pub(super) fn close_idle(&self, now: Instant, stays: impl Fn(&Route) -> Duration) {
        let is_due = |route: &Route, idle: Duration| route.is_crowded() || idle >= stays(route);
        self.idle.borrow_mut().retain(|it| !is_due(&it.route, now.duration_since(it.idle_since)));
        self.http2.borrow_mut().retain(|(route, handle)| {
            !handle.is_closed() && !handle.idle_for(now).is_some_and(|idle| is_due(route, idle))
        });
    }

    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.active.get() == 0
            && !self.health.is_ejected()
            && self.idle.borrow().is_empty()
            && self.http2.borrow().is_empty()
            && now.duration_since(self.last_used.get()) > FORGET_AFTER
    }

    pub(super) fn idle_count(&self) -> usize {
        self.idle.borrow().len()
    }

    /// Share a new HTTP/2 connection with the requests to come, where there are not too many yet.
    pub(super) fn put_http2(&self, route: &Route, handle: &Http2Handle) {
        let mut connections = self.http2.borrow_mut();
        if connections.len() < MAX_HTTP2_CONNECTIONS {
            connections.push((route.clone(), handle.clone()));
        }
    }

    /// An open HTTP/2 connection with room for another stream.
    pub(super) fn http2_handle(&self, route: &Route) -> Option<Http2Handle> {
        let mut connections = self.http2.borrow_mut();
        if connections.is_empty() {
            return None;
        }
        connections.retain(|(_, handle)| !handle.is_closed());
        connections
            .iter()
            .filter(|(made_for, _)| made_for.same_as(route))
            .find(|(_, handle)| handle.has_room())
            .map(|(_, handle)| handle.clone())
    }

    /// An open HTTP/2 connection of which it is not known yet how many streams it takes.
    pub(super) fn settling(&self, route: &Route) -> Option<Http2Handle> {
        let connections = self.http2.borrow();
        let mut fitting = connections.iter().filter(|(made_for, _)| made_for.same_as(route));
        fitting.find(|(_, handle)| !handle.is_closed() && !handle.is_settled()).map(|(_, handle)| handle.clone())
    }
}

impl Http1Connection {
    pub(super) fn new(stream: UpstreamStream, route: Route, slot: Option<Slot>) -> Self {
        let (stream, buffer) = (RefCell::new(stream), Buffer::new());
        Self { stream, buffer, route, idle_since: Instant::now(), exchanges: 0, _slot: slot }
    }

    /// Count an exchange that is complete. True: it was the last one that the backend's policy lets it carry.
    fn is_used_up(&mut self) -> bool {
        self.route.max_requests().is_some_and(|most| {
            self.exchanges += 1;
            self.exchanges >= most.get()
        })
    }

    /// Nothing came while it was idle: neither the end of the stream nor an answer nobody asked for.
    /// Costs no system call as long as the socket has shown no event.
    fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let mut space = ReadBuf::new(&mut byte);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(&mut context, &mut space).is_pending()
    }
}

/// One request under way at an endpoint.
#[derive(Debug)]
pub struct Active(Rc<EndpointState>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointState, Http1Connection, Route, UpstreamStream};
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    const TIMEOUT: Duration = Duration::from_secs(30);
    const LIMIT: usize = 3;

    /// A connection and the backend's end of it.
    async fn open(listener: &TcpListener) -> (Box<Http1Connection>, TcpStream) {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (end, _) = listener.accept().await.unwrap();
        (Box::new(Http1Connection::new(UpstreamStream::Plain(stream), Route::default(), None)), end)
    }

    fn port(connection: &Http1Connection) -> u16 {
        match &*connection.stream.borrow() {
            UpstreamStream::Plain(stream) => stream.local_addr().unwrap().port(),
            UpstreamStream::Tls(_) => 0,
        }
    }

    /// The newest is taken; of too many the oldest goes.
    #[tokio::test]
    async fn the_newest_is_taken_and_the_oldest_goes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = EndpointState::new(listener.local_addr().unwrap(), Arc::default());
        let (now, mut ends, mut ports) = (Instant::now(), Vec::new(), Vec::new());
        for _ in 0..=LIMIT {
            let (connection, end) = open(&listener).await;
            ports.push(port(&connection));
            ends.push(end);
            state.put_idle(connection, now, LIMIT);
        }
        assert_eq!(state.idle_count(), LIMIT);
        let taken = std::iter::from_fn(|| state.take_idle(&Route::default(), now, TIMEOUT));
        let taken: Vec<u16> = taken.map(|connection| port(&connection)).collect();
        ports.remove(0);
        ports.reverse();
        assert_eq!(taken, ports);
    }

    #[tokio::test]
    async fn what_is_old_or_of_another_route_or_has_something_to_say_is_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = EndpointState::new(listener.local_addr().unwrap(), Arc::default());
        let (now, plain) = (Instant::now(), Route::default());
        let (connection, _end) = open(&listener).await;
        state.put_idle(connection, now, LIMIT);
        let other = Route { http2: true, ..Route::default() };
        assert!(state.take_idle(&other, now, TIMEOUT).is_none());
        assert!(state.take_idle(&plain, now + TIMEOUT, TIMEOUT).is_none());
        assert_eq!(state.idle_count(), 0);

        // An answer that nobody asked for, and the end of the stream.
        for bytes in [&b"HTTP/1.1 408 Request Timeout\r\n\r\n"[..], b""] {
            let (mut connection, mut end) = open(&listener).await;
            end.write_all(bytes).await.unwrap();
            end.shutdown().await.unwrap();
            match connection.stream.get_mut() {
                UpstreamStream::Plain(stream) => stream.readable().await.unwrap(),
                UpstreamStream::Tls(_) => {}
            }
            state.put_idle(connection, now, LIMIT);
            assert!(state.take_idle(&plain, now, TIMEOUT).is_none());
        }
    }

    /// What was read and not used belongs to no request that comes.
    #[tokio::test]
    async fn what_was_read_ahead_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = EndpointState::new(listener.local_addr().unwrap(), Arc::default());
        let (mut connection, _end) = open(&listener).await;
        connection.buffer.space(1024).unwrap()[0] = b'x';
        connection.buffer.filled_by(1);
        state.put_idle(connection, Instant::now(), LIMIT);
        assert_eq!(state.idle_count(), 0);
    }

    #[tokio::test]
    async fn the_idle_end_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = EndpointState::new(listener.local_addr().unwrap(), Arc::default());
        let now = Instant::now();
        let (connection, _end) = open(&listener).await;
        state.put_idle(connection, now, LIMIT);
        state.close_idle(now + TIMEOUT / 2, |_| TIMEOUT);
        assert_eq!((state.idle_count(), state.is_unused(now + 10 * TIMEOUT)), (1, false));
        state.close_idle(now + TIMEOUT, |_| TIMEOUT);
        assert_eq!((state.idle_count(), state.is_unused(now + 10 * TIMEOUT)), (0, true));
    }
}
