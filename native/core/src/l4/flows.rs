//! Sessions by hand: what one passes on to its endpoint (`session`), and how answers go back (`outbox`, `datagram`).

use super::batch::{BATCH, Room};
use super::datagram::{Client, DatagramSocket};
use super::entry::{Carriage, Entry};
use super::outbox::Outbox;
use super::session::{Session, connect, is_unreachable};
use crate::observe::l4::L4Reason;
use crate::worker::{Generation, Worker};
use nix::sys::socket::MultiHeaders;
use route::ir::EndpointState;
use route::table::Endpoint;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

/// For what comes at once or never.
const LIMIT: Duration = Duration::from_secs(10);

fn run<F: Future>(test: impl FnOnce(Rc<Worker>) -> F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let worker = Worker::alone(Generation::default()).unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(LIMIT, test(worker)).await.unwrap() })
}

/// A socket whose reads wait, for no longer than the limit.
fn bound(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// The next datagrams of a socket, as many as are wanted.
fn arrivals(socket: &UdpSocket, wanted: usize) -> Vec<Vec<u8>> {
    let mut space = vec![0; 65_535];
    let next = |_| socket.recv(&mut space).map(|count| space[..count].to_vec()).unwrap();
    (0..wanted).map(next).collect()
}

/// A listener's socket, for what is answered.
fn listening(address: &str) -> (Rc<DatagramSocket>, SocketAddr) {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap();
    (Rc::new(DatagramSocket::new(socket).unwrap()), port)
}

/// What a listener has received: at least so many.
async fn received(listener: &DatagramSocket, wanted: usize) -> Vec<(Client, usize)> {
    let (mut room, mut all, mut received) = (Room::default(), Vec::new(), Vec::new());
    while all.len() < wanted {
        listener.readable().await.unwrap();
        listener.receive(&mut room, &mut received).unwrap();
        all.append(&mut received);
    }
    all
}

/// A client of the listener, as that knows it.
async fn client(listener: &DatagramSocket, to: SocketAddr) -> (UdpSocket, Client) {
    let socket = bound(if to.is_ipv4() { "127.0.0.1" } else { "::1" });
    socket.connect(to).unwrap();
    socket.send(b"hello").unwrap();
    let received = received(listener, 1).await;
    assert_eq!((received[0].0.peer, received[0].1), (socket.local_addr().unwrap(), 5));
    (socket, received[0].0)
}

fn session(worker: &Rc<Worker>, client: Client, backend: SocketAddr) -> Rc<Session> {
    let endpoint = Endpoint { id: String::new(), address: backend, uid: 1, state: EndpointState::Ready };
    let state = worker.upstreams.state(&endpoint);
    Rc::new(Session {
        client,
        socket: connect(backend).unwrap(),
        endpoint: Arc::new(endpoint),
        _active: state.begin(),
        state,
        entry: Entry::begin(Rc::clone(worker), client.peer, Carriage::Udp),
        last: Cell::new(Instant::now()),
        answered: Cell::new(false),
        seen: Cell::new((0, 0)),
        cuts: Cell::new(true),
        cuts_answers: Cell::new(true),
        answers: RefCell::default(),
        _open: worker.drain.session(),
    })
}

fn headers() -> MultiHeaders<()> {
    MultiHeaders::preallocate(BATCH, None)
}

fn failures(worker: &Worker, reason: L4Reason) -> u64 {
    worker.metrics.l4_failures.of(reason).get()
}

/// Whatever leaves together, all arrive as they were, in their order; one that is too large is dropped alone, and counted.
#[test]
fn a_session_passes_all_on_in_order() {
    let too_large = vec![b'x'; 65_508];
    let lengths: [&[usize]; 7] =
        [&[1], &[0], &[5, 5, 5, 3], &[5, 5, 3, 5, 5], &[0, 0, 9, 2000, 2000, 1], &[3, 65_508, 4, 4], &[8; BATCH]];
    run(|worker| async move {
        let (listener, to) = listening("127.0.0.1");
        let (_socket, client) = client(&listener, to).await;
        let backend = bound("127.0.0.1");
        for cuts in [true, false] {
            let session = session(&worker, client, backend.local_addr().unwrap());
            session.cuts.set(cuts);
            for lengths in lengths {
                let datagrams: Vec<Vec<u8>> = (0..).zip(lengths).map(|(at, length)| vec![at; *length]).collect();
                let sent: Vec<&[u8]> = datagrams.iter().map(Vec::as_slice).collect();
                let before = failures(&worker, L4Reason::Full);
                assert_eq!(session.send(&mut headers(), &sent), Ok(()), "{lengths:?}");
                let wanted: Vec<_> = datagrams.into_iter().filter(|bytes| bytes.len() < too_large.len()).collect();
                let dropped = lengths.len() - wanted.len();
                assert!(arrivals(&backend, wanted.len()) == wanted, "{lengths:?}");
                assert_eq!(failures(&worker, L4Reason::Full) - before, dropped as u64, "{lengths:?}");
            }
            session.stop();
        }
        assert_eq!(worker.drain.sessions(), 0);
    });
}

/// The place of the datagram that found it out is told, so that another session takes that one on.
#[test]
fn an_endpoint_that_is_gone() {
    run(|worker| async move {
        let (listener, to) = listening("127.0.0.1");
        let (_socket, client) = client(&listener, to).await;
        for datagrams in [&[&b"1"[..]][..], &[b"1", b"2", b"3"], &[b"1", b"22", b"", b"333"]] {
            let gone = bound("127.0.0.1").local_addr().unwrap();
            let session = session(&worker, client, gone);
            assert_eq!(session.send(&mut headers(), &[b"the first one"]), Ok(()));
            session.socket.ready(Interest::ERROR).await.unwrap();
            assert_eq!(session.send(&mut headers(), datagrams), Err(0), "{datagrams:?}");
            // Told once.
            session.take_error().unwrap();
            session.stop();
            let session = self::session(&worker, client, gone);
            session.send(&mut headers(), &[b"the first one"]).unwrap();
            session.socket.ready(Interest::ERROR).await.unwrap();
            assert_eq!(session.take_error().unwrap_err().kind(), ErrorKind::ConnectionRefused);
            assert!(session.take_error().is_ok());
            session.stop();
        }
        assert_eq!(failures(&worker, L4Reason::Full), 0);
    });
}

#[test]
fn errors_that_end_a_session() {
    for (kind, ends) in [
        (ErrorKind::ConnectionRefused, true),
        (ErrorKind::HostUnreachable, true),
        (ErrorKind::NetworkUnreachable, true),
        (ErrorKind::WouldBlock, false),
        (ErrorKind::InvalidInput, false),
    ] {
        assert_eq!(is_unreachable(&io::Error::from(kind)), ends, "{kind}");
    }
}

/// One that is stopped ended as it should; one that is not was cut off.
#[test]
fn how_a_session_ends() {
    run(|worker| async move {
        let (listener, to) = listening("127.0.0.1");
        let (_socket, client) = client(&listener, to).await;
        let backend = bound("127.0.0.1");
        for (stops, cut_off) in [(true, 0), (false, 1)] {
            let session = session(&worker, client, backend.local_addr().unwrap());
            let answers = spawn_local(pending::<()>());
            *session.answers.borrow_mut() = Some(answers.abort_handle());
            assert_eq!((worker.drain.sessions(), session.state.active()), (1, 1));
            if stops {
                session.stop();
                assert!(answers.await.unwrap_err().is_cancelled());
            }
            let state = Rc::clone(&session.state);
            drop(session);
            assert_eq!((worker.drain.sessions(), state.active()), (0, 0));
            assert_eq!(failures(&worker, L4Reason::Shutdown), cut_off);
        }
    });
}

/// Answers of a backend to a session.
fn answer(backend: &UdpSocket, session: &Session, answers: &[Vec<u8>]) {
    let to = session.socket.local_addr().unwrap();
    for answer in answers {
        backend.send_to(answer, to).unwrap();
    }
}

fn numbered(name: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("{name}{}", "x".repeat(number % 3)).into_bytes()).collect()
}

/// No more is taken than may be, and no more than a batch waits; each client gets its own, in order.
#[test]
fn answers_wait_for_the_others() {
    for address in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
        run(|worker| async move {
            let (listener, bound_to) = listening(address);
            let to = SocketAddr::new(
                match address {
                    "0.0.0.0" => [127, 9, 8, 7].into(),
                    "::" => "::1".parse().unwrap(),
                    address => address.parse().unwrap(),
                },
                bound_to.port(),
            );
            let backend = bound("127.0.0.1");
            let ((one, one_client), (two, two_client)) = (client(&listener, to).await, client(&listener, to).await);
            assert!(one_client.asked_as(&two_client) && one_client != two_client);
            let [first, second] =
                [one_client, two_client].map(|client| session(&worker, client, backend.local_addr().unwrap()));
            let outbox = Outbox::default();
            let (ones, twos) = (numbered("one", BATCH + 3), numbered("two", 5));
            answer(&backend, &first, &ones);
            answer(&backend, &second, &twos);
            assert!(outbox.is_empty() && !first.answered.get());
            for session in [&first, &second] {
                session.socket.readable().await.unwrap();
            }
            // A batch, which leaves at once.
            assert!(outbox.take(&listener, &first, BATCH).unwrap());
            assert!(outbox.is_empty() && first.answered.get());
            assert_eq!(arrivals(&one, BATCH), ones[..BATCH]);
            assert!(!outbox.take(&listener, &second, BATCH).unwrap());
            assert!(!outbox.take(&listener, &first, BATCH).unwrap());
            assert!(!outbox.is_empty());
            // Others that are ready have their turn first.
            let others = Rc::new(Cell::new(false));
            spawn_local({
                let others = Rc::clone(&others);
                async move { others.set(true) }
            });
            outbox.flush_after_others().await;
            assert!(others.get() && outbox.is_empty());
            assert_eq!(arrivals(&one, 3), ones[BATCH..]);
            assert_eq!(arrivals(&two, 5), twos);
            first.stop();
            second.stop();
            assert_eq!(failures(&worker, L4Reason::Full), 0);
        });
    }
}

/// Whatever ends the wait, what was taken is sent.
#[test]
fn answers_are_not_lost() {
    run(|worker| async move {
        let (listener, to) = listening("127.0.0.1");
        let (socket, client) = client(&listener, to).await;
        let backend = bound("127.0.0.1");
        let session = session(&worker, client, backend.local_addr().unwrap());
        let outbox = Outbox::default();
        answer(&backend, &session, &numbered("a", 2));
        session.socket.readable().await.unwrap();
        assert!(!outbox.take(&listener, &session, BATCH).unwrap());
        {
            let mut waiting = Box::pin(outbox.flush_after_others());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending() && !outbox.is_empty());
        }
        assert!(outbox.is_empty());
        assert_eq!(arrivals(&socket, 2), numbered("a", 2));
        session.stop();
    });
}
