//! Which worker has a connection. The system deals them by a hash of addresses and ports (`SO_REUSEPORT`), so of a few that stay
//! for long one worker may have several times its share. Who takes one looks at others, and hands it over where one of them
//! has fewer.

use route::table::SocketKey;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::sync::mpsc;

/// Connections that wait for a busy worker to take them over.
const WAITING: usize = 256;

/// Workers that are looked at for each connection: all of them on most machines.
const LOOKED_AT: usize = 8;

/// A worker may have one more than another, and this part of what that one has: a hand-over costs a few system calls.
const UNEVEN: usize = 4;

/// The workers, and how many connections each has.
#[derive(Debug)]
pub struct Spread(Box<[Place]>);

/// On a cache line of its own: mostly its own worker counts.
#[derive(Debug)]
#[repr(align(64))]
struct Place {
    open: AtomicUsize,
    handed: mpsc::Sender<Handed>,
}

/// A connection that another worker has accepted.
#[derive(Debug)]
pub struct Handed {
    pub key: SocketKey,
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub share: Share,
}

/// One connection among those of a worker, for as long as it lives.
#[derive(Debug)]
pub struct Share {
    spread: Arc<Spread>,
    worker: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.spread.0[self.worker].open.fetch_sub(1, Relaxed);
    }
}

/// A place in the queue of a worker for one connection, which counts among its own already.
#[derive(Debug)]
pub struct Seat<'s> {
    permit: mpsc::Permit<'s, Handed>,
    share: Share,
}

impl Seat<'_> {
    pub fn fill(self, key: SocketKey, stream: TcpStream, peer: SocketAddr) {
        self.permit.send(Handed { key, stream, peer, share: self.share });
    }
}

impl Spread {
    /// For so many workers, and where each finds what others hand to it.
    pub fn new(workers: usize) -> (Arc<Self>, Vec<mpsc::Receiver<Handed>>) {
        let place = |_| {
            let (handed, receiver) = mpsc::channel(WAITING);
            (Place { open: AtomicUsize::new(0), handed }, receiver)
        };
        let (places, receivers): (Vec<_>, Vec<_>) = (0..workers).map(place).unzip();
        (Arc::new(Self(places.into())), receivers)
    }

    /// One more of `worker`.
    pub fn take(self: &Arc<Self>, worker: usize) -> Share {
        self.0[worker].open.fetch_add(1, Relaxed);
        Share { spread: Arc::clone(self), worker }
    }

    /// A place at a worker that has so many fewer than `worker` that it should have the next one. `noise`: where to begin to look.
    pub fn lighter(self: &Arc<Self>, worker: usize, noise: u32) -> Option<Seat<'_>> {
        let count = self.0.len();
        let places = (0..count.min(LOOKED_AT + 1)).map(|step| (noise as usize).wrapping_add(step) % count);
        let (fewest, other) = places.map(|place| (self.open(place), place)).min()?;
        if self.open(worker) <= fewest + 1 + fewest / UNEVEN {
            return None;
        }
        let permit = self.0[other].handed.try_reserve().ok()?;
        Some(Seat { permit, share: self.take(other) })
    }

    fn open(&self, worker: usize) -> usize {
        self.0[worker].open.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{Handed, LOOKED_AT, Share, Spread, UNEVEN, WAITING};
    use route::ir::Transport;
    use route::table::SocketKey;
    use std::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc::Receiver;

    fn handed(receiver: &mut Receiver<Handed>) -> usize {
        std::iter::from_fn(|| receiver.try_recv().ok()).count()
    }

    /// However they come in, nobody has much more than another; and all are given back.
    #[test]
    fn connections_are_dealt_evenly() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let stream = TcpStream::connect(peer).unwrap();
        let key = SocketKey { transport: Transport::Tcp, address: None, port: 80 };
        for workers in [1, 2, 4, LOOKED_AT + 1] {
            // All at one, two in turn, each in turn.
            for width in [1, 2, workers] {
                let (spread, mut receivers) = Spread::new(workers);
                let mut shares: Vec<Share> = Vec::new();
                for number in 0..100_u32 {
                    let accepted_by = number as usize % width.min(workers);
                    match spread.lighter(accepted_by, number.wrapping_mul(0x9e37_79b9)) {
                        Some(seat) => seat.fill(key, stream.try_clone().unwrap(), peer),
                        None => shares.push(spread.take(accepted_by)),
                    }
                    let open: Vec<usize> = (0..workers).map(|worker| spread.open(worker)).collect();
                    let (least, most) = (open.iter().min().unwrap(), open.iter().max().unwrap());
                    assert!(*most <= least + 2 + least / UNEVEN, "{open:?}");
                }
                let elsewhere: usize = receivers.iter_mut().map(handed).sum();
                assert_eq!(elsewhere + shares.len(), 100);
                assert!(width < workers || elsewhere < 30, "{elsewhere} of those that came evenly");
                drop(shares);
                assert!((0..workers).all(|worker| spread.open(worker) == 0));
            }
        }
    }

    /// A worker that does not come to take them is given no more than its queue holds.
    #[test]
    fn a_queue_is_bounded() {
        let (spread, receivers) = Spread::new(2);
        let mine: Vec<Share> = (0..10 * WAITING).map(|_| spread.take(0)).collect();
        let seats: Vec<_> = std::iter::from_fn(|| spread.lighter(0, 0)).take(2 * WAITING).collect();
        assert_eq!((seats.len(), spread.open(1)), (WAITING, WAITING));
        drop((seats, mine, receivers));
        assert_eq!((spread.open(0), spread.open(1)), (0, 0));
    }
}
