//! Threads that verify passwords: a hash is milliseconds of work, which no worker may spend. Few of them, with a short queue:
//! who guesses passwords gets 503, and nobody else waits.

use crate::policy::site::site_of;
use ahash::AHashMap;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// Passwords that wait for a thread.
const MAX_WAITING: usize = 64;

/// Of these, those of one client: whoever guesses leaves places for all others. What names nobody is one client.
const MAX_OF_A_CLIENT: usize = 8;

/// At most; one of two processors is left to the workers.
const MAX_THREADS: usize = 4;

type Work = Box<dyn FnOnce() + Send>;

/// The threads of a process; they begin with the first password.
fn queue() -> &'static SyncSender<Work> {
    static QUEUE: OnceLock<SyncSender<Work>> = OnceLock::new();
    QUEUE.get_or_init(|| {
        let (sender, receiver) = sync_channel::<Work>(MAX_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let count = thread::available_parallelism().map_or(1, |all| all.get() / 2).clamp(1, MAX_THREADS);
        for _ in 0..count {
            let receiver = receiver.clone();
            // A process that may not have another thread verifies on those it has; on none, the queue fills up: 503.
            drop(thread::Builder::new().name("passwords".to_owned()).spawn(move || work(&receiver)));
        }
        sender
    })
}

fn work(receiver: &Mutex<Receiver<Work>>) {
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // What panics costs its own answer: who waits finds that nobody will answer.
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
    }
}

/// What waits or is being done, by client: never more entries than places and threads.
fn clients() -> &'static Mutex<AHashMap<Option<IpAddr>, usize>> {
    static CLIENTS: OnceLock<Mutex<AHashMap<Option<IpAddr>, usize>>> = OnceLock::new();
    CLIENTS.get_or_init(Mutex::default)
}

/// A place of a client, until it is dropped.
struct Place(Option<IpAddr>);

impl Place {
    fn take(client: Option<IpAddr>) -> Option<Self> {
        let client = client.map(site_of);
        let mut all = clients().lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(client).or_default();
        if *own >= MAX_OF_A_CLIENT {
            return None;
        }
        *own += 1;
        Some(Self(client))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = clients().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.0) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.0);
            }
        }
    }
}

/// Have something done for a client; `None`: too much waits already, of all or of this one.
pub fn run<T: Send + 'static>(
    client: Option<IpAddr>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<oneshot::Receiver<T>> {
    let place = Place::take(client)?;
    let (answer, receiver) = oneshot::channel();
    let boxed: Work = Box::new(move || {
        let _place = place;
        // Who left needs no answer, and costs no work.
        if !answer.is_closed() {
            drop(answer.send(work()));
        }
    });
    match queue().try_send(boxed) {
        Ok(()) => Some(receiver),
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_OF_A_CLIENT, MAX_THREADS, MAX_WAITING, clients, run};
    use std::net::IpAddr;
    use std::sync::{Arc, Barrier, mpsc};

    /// One test, since all share the threads of the process.
    #[tokio::test]
    async fn the_queue_is_short_and_outlives_a_panic() {
        let client = |number: usize| Some(IpAddr::from([192, 0, 2, u8::try_from(number).expect("few clients")]));
        assert!(run(None, || -> u8 { panic!("a test") }).expect("a place").await.is_err());
        assert_eq!(run(None, || 7).expect("a place").await, Ok(7));
        let (gate, started) = (Arc::new(Barrier::new(2)), mpsc::channel());
        let held = gate.clone();
        let first = run(client(0), move || {
            started.0.send(()).expect("somebody waits");
            held.wait();
        });
        started.1.recv().expect("it runs");
        // Others hold the remaining threads until the first is let go; what comes on top of the queue is refused.
        let (stop, stopped) = (Arc::new(std::sync::RwLock::new(())), Vec::new());
        let lock = stop.write().expect("a lock");
        let mut waiting: Vec<_> = stopped;
        let mut refused = 0;
        // One client has its part, however much it asks for.
        for number in 1..=2 * MAX_OF_A_CLIENT {
            let stop = stop.clone();
            let place = run(client(1), move || drop(stop.read()));
            assert_eq!(place.is_some(), number <= MAX_OF_A_CLIENT, "{number}");
            waiting.extend(place);
        }
        for number in 0..MAX_WAITING + 2 * MAX_THREADS {
            let stop = stop.clone();
            match run(client(2 + number), move || drop(stop.read())) {
                Some(receiver) => waiting.push(receiver),
                None => refused += 1,
            }
        }
        assert!(refused > 0 && waiting.len() >= MAX_WAITING, "{refused} {}", waiting.len());
        drop(lock);
        gate.wait();
        for receiver in waiting {
            receiver.await.expect("an answer");
        }
        first.expect("a place").await.expect("an answer");
        assert_eq!(run(client(1), || 8).expect("a place again").await, Ok(8));
        // An answer is given a moment before its place is.
        while !clients().lock().expect("a lock").is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
