//! UDP: a session for each client, with one endpoint and a socket of its own towards it.
//!
//! - Every worker has its own socket (`SO_REUSEPORT`): the kernel gives one client's datagrams always to the same one.
//! - A session ends when nothing came for the idle limit, when its endpoint is unreachable, or when no rule of its listener
//!   leads to its endpoint any more; the client's next datagram then begins another one. Other changes leave it alone.
//! - As many sessions as there may be: datagrams of further clients are dropped and counted. Nothing is queued: what the
//!   kernel does not take is dropped, as on any hop.

use super::batch::{BATCH, Room, together};
use super::datagram::{Client, DatagramSocket};
use super::entry::{Carriage, Entry};
use super::outbox::Outbox;
use super::session::{Session, connect, is_unreachable};
use super::{Moment, choose};
use crate::observe::l4::L4Reason;
use crate::upstream::{Among, ConnectStage, Outcome};
use crate::worker::{Generation, Worker};
use ahash::AHashMap;
use nix::sys::socket::MultiHeaders;
use route::ir::Transport;
use route::resolve::{L4Routed, route_l4};
use route::table::SocketKey;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Batches that one socket may hand over before others have their turn.
const BATCHES: usize = 2;

/// How exact sessions expire, at most.
const MAX_TICK: Duration = Duration::from_secs(1);
const MIN_TICK: Duration = Duration::from_millis(20);

/// While the gateway ends: a session that is silent for this long has had its answers.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// After an error of the listener's socket.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// What the UDP listeners of one worker share.
#[derive(Debug, Default)]
pub struct Datagrams {
    inbox: RefCell<Inbox>,
    outbox: Outbox,
}

/// Datagrams of clients: passed on before anything else happens.
#[derive(Debug)]
struct Inbox {
    room: Room,
    /// Whose the datagram in each place is, and how long.
    received: Vec<(Client, usize)>,
    headers: MultiHeaders<()>,
}

impl Default for Inbox {
    fn default() -> Self {
        let received = Vec::with_capacity(BATCH);
        Self { room: Room::default(), received, headers: MultiHeaders::preallocate(BATCH, None) }
    }
}

/// Serve one socket of a UDP listener until the task is dropped; its sessions end with it.
pub async fn serve(worker: Rc<Worker>, datagrams: Rc<Datagrams>, key: SocketKey, socket: std::net::UdpSocket) {
    let socket = match DatagramSocket::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            worker.shared.events.push("udp_listener", format!("UDP port {}: {error}", key.port));
            return;
        }
    };
    let idle = worker.settings().udp_idle_timeout();
    let socket = Rc::new(socket);
    let serving = Serving(Rc::new(Listener { worker, datagrams, key, socket, sessions: RefCell::default() }));
    let listener = &serving.0;
    let mut ticks = interval((idle / 4).clamp(MIN_TICK, MAX_TICK));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => listener.expire(idle),
            ready = listener.socket.readable() => {
                match ready.and_then(|()| listener.receive()) {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => {}
                    Err(_) => tokio::time::sleep(ERROR_PAUSE).await,
                }
            }
        }
    }
}

/// A socket and its sessions.
#[derive(Debug)]
struct Listener {
    worker: Rc<Worker>,
    datagrams: Rc<Datagrams>,
    key: SocketKey,
    socket: Rc<DatagramSocket>,
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

impl Listener {
    /// Take what there is, up to a turn's batches. Whether there may be more.
    fn receive(self: &Rc<Self>) -> io::Result<bool> {
        let mut inbox = self.datagrams.inbox.borrow_mut();
        let Inbox { room, received, headers } = &mut *inbox;
        for _ in 0..BATCHES {
            let more = match self.socket.receive(room, received) {
                // An earlier answer met no one: not these datagrams' trouble.
                Err(error) if is_unreachable(&error) => true,
                outcome => outcome?,
            };
            together(
                received,
                |one, other| one.0 == other.0,
                |group| {
                    let bytes = |place: &usize| room.bytes(*place, received[*place].1);
                    let datagrams: SmallVec<[&[u8]; BATCH]> = group.iter().map(bytes).collect();
                    self.forward(received[group[0]].0, &datagrams, headers);
                },
            );
            if !more {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Pass on what one client sent, in order.
    fn forward(self: &Rc<Self>, client: Client, mut datagrams: &[&[u8]], headers: &mut MultiHeaders<()>) {
        let generation = self.worker.generation();
        while !datagrams.is_empty() {
            let known = self.sessions.borrow().get(&client).cloned();
            if let Some(session) = known {
                if !self.is_wanted(&session, &generation) {
                    self.end(&session);
                } else if let Err(place) = session.send(headers, datagrams) {
                    datagrams = &datagrams[place..];
                    self.lost(&session);
                } else {
                    return;
                }
            }
            // With a session of its own, or not at all.
            let begun = self.begin(client, &generation);
            let sent = begun
                .map_err(|reason| (0, reason))
                .and_then(|session| session.send(headers, datagrams).map_err(|place| (place, L4Reason::UpstreamReset)));
            let Err((place, reason)) = sent else {
                return;
            };
            self.worker.metrics.l4_failures.count(reason);
            datagrams = &datagrams[place + 1..];
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
        let begun = choose(worker, generation, socket, None, Moment::Only, &mut entry).and_then(|chosen| {
            let among = Among::of(&chosen.backend).for_client(&chosen.backend, client.peer.ip());
            let picked = worker.upstreams.pick(among, &[]);
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
            client,
            socket,
            endpoint,
            _active: state.begin(),
            state,
            entry,
            last: Cell::new(Instant::now()),
            answered: Cell::new(false),
            seen: Cell::new(number_of(generation)),
            cuts: Cell::new(true),
            cuts_answers: Cell::new(true),
            answers: RefCell::default(),
            _open: worker.drain.session(),
        });
        let answers = tokio::task::spawn_local(answers(Rc::clone(self), Rc::clone(&session)));
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
    fn lost(&self, session: &Rc<Session>) {
        self.report(session, Outcome::NotConnected(ConnectStage::Tcp));
        session.entry.failed(L4Reason::UpstreamReset);
        self.end(session);
    }

    fn report(&self, session: &Session, outcome: Outcome) {
        let among = session.entry.backend().map_or(Among::all(&[]), |backend| Among::of(backend));
        self.worker.upstreams.report(among, &session.state, outcome, session.last.get());
    }

    fn end(&self, session: &Rc<Session>) {
        let mut sessions = self.sessions.borrow_mut();
        // The client may have another session by now.
        if sessions.get(&session.client).is_some_and(|current| Rc::ptr_eq(current, session)) {
            sessions.remove(&session.client);
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
}

/// Pass answers on until the endpoint is unreachable.
async fn answers(listener: Rc<Listener>, session: Rc<Session>) {
    let outbox = &listener.datagrams.outbox;
    let mut told = false;
    // An ICMP error makes a socket neither readable nor writable.
    while let Ok(ready) = session.socket.ready(Interest::READABLE | Interest::ERROR).await {
        // Else another session is about to send them.
        let is_first = outbox.is_empty();
        let more = outbox.take(&listener.socket, &session, BATCHES * BATCH);
        if !told && session.answered.get() {
            told = true;
            listener.report(&session, Outcome::Opened);
        }
        if is_first && !outbox.is_empty() {
            outbox.flush_after_others().await;
        }
        match more {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => {}
            Err(_) => break,
        }
        if ready.is_error() && session.take_error().is_err() {
            break;
        }
    }
    listener.lost(&session);
}

/// What tells generations apart.
fn number_of(generation: &Arc<Generation>) -> (usize, u64) {
    (Arc::as_ptr(generation).addr(), generation.table.generation)
}

#[cfg(test)]
mod tests;
