//! UDP: a session for each client, with one endpoint and a socket of its own towards it.
//!
//! - Every worker has its own socket (`SO_REUSEPORT`): the kernel gives one client's datagrams always to the same one.
//! - A session ends when nothing came for the idle limit, when its endpoint is unreachable, or when no rule of its listener
//!   leads to its endpoint any more; the client's next datagram then begins another one. Other changes leave it alone.
//! - As many sessions as there may be: datagrams of further clients are dropped and counted. Nothing is queued: what the
//!   kernel does not take is dropped, as on any hop.

use super::choose;
use super::datagram::{Client, DatagramSocket};
use super::entry::{Carriage, Entry};
use crate::observe::l4::L4Reason;
use crate::upstream::{Active, ConnectStage, EndpointState, Outcome};
use crate::worker::{Generation, SessionGuard, Worker};
use ahash::AHashMap;
use route::ir::Transport;
use route::resolve::{L4Routed, route_l4};
use route::table::{Endpoint, SocketKey};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Datagrams that one socket may hand over before others have their turn.
const BATCH: usize = 64;

/// How exact sessions expire, at most.
const MAX_TICK: Duration = Duration::from_secs(1);
const MIN_TICK: Duration = Duration::from_millis(20);

/// While the gateway ends: a session that is silent for this long has had its answers.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// After an error of the listener's socket.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Serve one socket of a UDP listener until the task is dropped; its sessions end with it.
pub async fn serve(worker: Rc<Worker>, key: SocketKey, socket: std::net::UdpSocket) {
    let socket = match DatagramSocket::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            worker.shared.events.push("udp_listener", format!("UDP port {}: {error}", key.port));
            return;
        }
    };
    let idle = worker.settings().udp_idle_timeout();
    let serving = Serving(Rc::new(Listener { worker, key, socket, sessions: RefCell::default() }));
    let listener = &serving.0;
    let mut ticks = interval((idle / 4).clamp(MIN_TICK, MAX_TICK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => listener.expire(idle),
            ready = listener.socket.readable() => {
                if ready.is_err() || listener.receive().is_err() {
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A socket and its sessions.
#[derive(Debug)]
struct Listener {
    worker: Rc<Worker>,
    key: SocketKey,
    socket: DatagramSocket,
    sessions: RefCell<AHashMap<Client, Rc<Session>>>,
}

/// Ends the sessions when the listener goes.
struct Serving(Rc<Listener>);

impl Drop for Serving {
    fn drop(&mut self) {
        for session in self.0.sessions.take().into_values() {
            session.stop();
        }
    }
}

/// One client's datagrams to one endpoint.
#[derive(Debug)]
struct Session {
    socket: UdpSocket,
    endpoint: Arc<Endpoint>,
    state: Rc<EndpointState>,
    entry: Entry,
    last: Cell<Instant>,
    /// Its endpoint has said something.
    answered: Cell<bool>,
    /// The generation in which its endpoint was last found to be wanted.
    seen: Cell<(usize, u64)>,
    answers: RefCell<Option<AbortHandle>>,
    _active: Active,
    _open: SessionGuard,
}

impl Listener {
    /// Take what there is, up to a batch.
    fn receive(self: &Rc<Self>) -> io::Result<()> {
        let mut scratch = self.worker.scratch.borrow();
        for _ in 0..BATCH {
            match self.socket.try_receive(&mut scratch) {
                Ok((count, client)) => self.forward(client, &scratch[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // An earlier answer met no one: not this datagram's trouble.
                Err(error) if is_unreachable(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn forward(self: &Rc<Self>, client: Client, bytes: &[u8]) {
        let generation = self.worker.generation();
        let known = self.sessions.borrow().get(&client).cloned();
        if let Some(session) = known {
            if !self.is_wanted(&session, &generation) {
                self.end(&client, &session);
            } else if session.send(bytes).is_ok() {
                return;
            } else {
                self.lost(&client, &session);
            }
        }
        let begun = self.begin(client, &generation);
        let sent = begun.and_then(|session| session.send(bytes).map_err(|()| L4Reason::UpstreamReset));
        if let Err(reason) = sent {
            self.worker.metrics.l4_failures.count(reason);
        }
    }

    /// A session with an endpoint of today's choice.
    fn begin(self: &Rc<Self>, client: Client, generation: &Arc<Generation>) -> Result<Rc<Session>, L4Reason> {
        let worker = &self.worker;
        if worker.drain.is_closed() {
            return Err(L4Reason::Draining);
        }
        if worker.drain.sessions() >= worker.settings().udp_max_sessions {
            return Err(L4Reason::Sessions);
        }
        let socket = generation.table.socket(self.key).ok_or(L4Reason::NoListener)?;
        let mut entry = Entry::begin(Rc::clone(worker), client.peer, Carriage::Udp);
        let begun = choose(worker, generation, socket, None, &mut entry).and_then(|chosen| {
            let picked = worker.upstreams.pick(chosen.backend.selectable(), &[]);
            let (endpoint, state) = picked.ok_or(L4Reason::NoEndpoint)?;
            if worker.upstreams.is_own(Transport::Udp, endpoint.address) {
                return Err(L4Reason::LoopDetected);
            }
            let socket = connect(endpoint.address).map_err(|_| L4Reason::UpstreamConnect)?;
            Ok((socket, Arc::clone(endpoint), state))
        });
        let (socket, endpoint, state) = match begun {
            Ok(begun) => begun,
            Err(reason) => {
                // One line for each datagram would be a way to fill disks: the counter tells.
                entry.discard();
                return Err(reason);
            }
        };
        entry.endpoint(&endpoint);
        let session = Rc::new(Session {
            socket,
            endpoint,
            _active: state.begin(),
            state,
            entry,
            last: Cell::new(Instant::now()),
            answered: Cell::new(false),
            seen: Cell::new(number_of(generation)),
            answers: RefCell::default(),
            _open: worker.drain.session(),
        });
        let answers = tokio::task::spawn_local(answers(Rc::clone(self), client, Rc::clone(&session)));
        *session.answers.borrow_mut() = Some(answers.abort_handle());
        self.sessions.borrow_mut().insert(client, Rc::clone(&session));
        Ok(session)
    }

    /// Some rule still leads to the session's endpoint, ready or draining.
    fn is_wanted(&self, session: &Session, generation: &Arc<Generation>) -> bool {
        let number = number_of(generation);
        if session.seen.get() == number {
            return true;
        }
        let Some(socket) = generation.table.socket(self.key) else {
            return false;
        };
        let L4Routed::Found(_, found) = route_l4(socket, None) else {
            return false;
        };
        let uid = session.endpoint.uid;
        let wanted = found
            .rule
            .weighted_slots()
            .filter_map(|slot| generation.table.backend(slot))
            .any(|backend| backend.ready.iter().chain(&backend.draining).any(|endpoint| endpoint.uid == uid));
        if wanted {
            session.seen.set(number);
        }
        wanted
    }

    /// Its endpoint cannot be reached.
    fn lost(&self, client: &Client, session: &Rc<Session>) {
        self.report(session, Outcome::NotConnected(ConnectStage::Tcp));
        session.entry.failed(L4Reason::UpstreamReset);
        self.end(client, session);
    }

    fn report(&self, session: &Session, outcome: Outcome) {
        let among = session.entry.backend().map_or(&[][..], |backend| backend.selectable());
        self.worker.upstreams.report(among, &session.state, outcome, session.last.get());
    }

    fn end(&self, client: &Client, session: &Rc<Session>) {
        let mut sessions = self.sessions.borrow_mut();
        // The client may have another session by now.
        if sessions.get(client).is_some_and(|current| Rc::ptr_eq(current, session)) {
            sessions.remove(client);
        }
        session.stop();
    }

    fn expire(&self, idle: Duration) {
        let now = Instant::now();
        let limit = if self.worker.drain.is_closed() { idle.min(LAST_WORDS) } else { idle };
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|_, session| {
            let lives = now.duration_since(session.last.get()) < limit;
            if !lives {
                session.stop();
            }
            lives
        });
        if sessions.is_empty() {
            sessions.shrink_to(0);
        }
    }

    /// Give the client what its endpoint has sent, up to a batch. True: there may be more.
    fn answer(&self, client: &Client, session: &Session) -> io::Result<bool> {
        let mut scratch = self.worker.scratch.borrow();
        for _ in 0..BATCH {
            let count = match session.socket.try_recv(&mut scratch) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            session.last.set(Instant::now());
            if !session.answered.replace(true) {
                self.report(session, Outcome::Opened);
            }
            match self.socket.send(&scratch[..count], client) {
                Ok(()) => session.entry.datagram_sent(count),
                Err(_) => self.worker.metrics.l4_failures.count(L4Reason::Full),
            }
        }
        Ok(true)
    }
}

/// Pass answers on until the endpoint is unreachable.
async fn answers(listener: Rc<Listener>, client: Client, session: Rc<Session>) {
    // An ICMP error makes a socket neither readable nor writable.
    while let Ok(ready) = session.socket.ready(Interest::READABLE | Interest::ERROR).await {
        match listener.answer(&client, &session) {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => {}
            Err(_) => break,
        }
        if ready.is_error() && session.take_error().is_err() {
            break;
        }
    }
    listener.lost(&client, &session);
}

impl Session {
    /// Pass a datagram on. An error: the endpoint cannot be reached.
    fn send(&self, bytes: &[u8]) -> Result<(), ()> {
        // Not by readiness: a socket just made has none yet, and nothing waits here anyway.
        match SockRef::from(&self.socket).send(bytes) {
            Ok(_) => {
                self.last.set(Instant::now());
                self.entry.datagram_received(bytes.len());
                Ok(())
            }
            Err(error) if is_unreachable(&error) => Err(()),
            Err(_) => {
                self.entry.dropped();
                Ok(())
            }
        }
    }

    /// What the socket has been told since, if anything.
    fn take_error(&self) -> io::Result<()> {
        let taken: io::Result<()> = self.socket.try_io(Interest::ERROR, || match self.socket.take_error()? {
            Some(error) => Err(error),
            None => Err(io::ErrorKind::WouldBlock.into()),
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    fn stop(&self) {
        self.entry.finished();
        if let Some(answers) = self.answers.take() {
            answers.abort();
        }
    }
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
    )
}

/// What tells generations apart.
fn number_of(generation: &Arc<Generation>) -> (usize, u64) {
    (Arc::as_ptr(generation).addr(), generation.table.generation)
}

fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(address)?;
    UdpSocket::from_std(socket)
}
